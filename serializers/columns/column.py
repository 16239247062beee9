"""The batch twin of a type, and the slow way that every type has.

A column gathers a list of values into arrays of its own kind; where that does not work, because a value is of another
type, or too large, or just unusual, it gathers them as `Loose`: the values themselves, which the type's serializer then
writes one at a time. So the quick way needs no error messages: what is wrong, the serializer says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from serializers import row_kernels as kernels
from serializers.columns.read_steps import StepsToRead
from serializers.columns.scratch import Scratch
from serializers.columns.write_steps import StepsToWrite
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import TypeInformation
from serializers.views import BytesInput, BytesOutput

Data = Any
"""What a column gathers: arrays of its own kind, or `Loose`."""

Pending = Callable[[int], Data]
"""Gives the data of so many values, once the steps that read them were run."""


@dataclass(frozen=True)
class Loose:
    """Values that are in no array."""

    values: list[Any]


class KeyForm(NamedTuple):
    """How an order key is to be written. It is closed unless `is_last`, and inverted if `descending`."""

    descending: bool = False
    nulls_last: bool = False
    is_last: bool = True

    @property
    def is_open(self) -> bool:
        """Whether the key may end where its row's key does."""
        return self.is_last and not self.descending

    def part(self, *, is_last: bool) -> KeyForm:
        """The form of a part of the key; the last part is where the key ends."""
        return self._replace(is_last=self.is_last and is_last)


class Column:
    """Values of one type in a batch. As it stands here it does for any type; its subclasses are quicker."""

    def __init__(self, type_info: TypeInformation[Any]) -> None:
        self.type_info = type_info
        self.serializer = type_info.create_serializer()
        self._comparators: dict[tuple[bool, bool], TypeComparator[Any]] = {}

    @property
    def is_compiled(self) -> bool:
        """Whether kernels can read its values, so that it may stand within what is repeated or may be missing."""
        return self.serializer.length is not None

    @property
    def bytes_min(self) -> int:
        """How many bytes a value takes at least."""
        return self.serializer.length or 0

    # --- values and arrays

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        """The values as arrays; the list is kept as it is."""
        return Loose(values)

    def scatter(self, data: Data) -> list[Any]:
        """The values of arrays. Raises CorruptRecordError or UnknownBytesError for what no value left."""
        source = BytesInput(data.tobytes())
        return [self.serializer.deserialize(source) for _ in range(len(data))]

    def values(self, data: Data) -> list[Any]:
        """The values of arrays, or loose ones."""
        return data.values if isinstance(data, Loose) else self.scatter(data)

    # --- arrays and the bytes of values

    def put(self, data: Data, steps: StepsToWrite) -> None:
        """Write the values here. Raises ValueMismatchError if one is not of the type."""
        out = bytearray()
        view, serialize = BytesOutput(out), self.serializer.serialize
        ends = [0]
        for value in self.values(data):
            serialize(value, view)
            ends.append(len(out))
        put_bytes(out, ends, steps)

    def get(self, steps: StepsToRead) -> Pending:
        """Read values here."""
        if not self.serializer.length:
            return self.get_each(steps)
        return first(steps.copy(np.dtype((np.void, self.serializer.length))))

    def get_each(self, steps: StepsToRead) -> Pending:
        """Read values here, one at a time."""
        return _get_loose(steps, self.serializer.deserialize)

    # --- arrays and order keys

    def comparator(self, form: KeyForm) -> TypeComparator[Any]:
        """The comparator that writes keys of this form."""
        flags = (form.descending, form.nulls_last)
        if flags not in self._comparators:
            self._comparators[flags] = self.type_info.create_comparator(descending=flags[0], nulls_last=flags[1])
        return self._comparators[flags]

    def use_comparator(self, form: KeyForm, comparator: TypeComparator[Any]) -> None:
        """Let keys of this form be written by `comparator`, which is not the type's own."""
        self._comparators[(form.descending, form.nulls_last)] = comparator

    def put_key(self, data: Data, form: KeyForm, steps: StepsToWrite) -> None:
        """Write the order keys of the values here."""
        write, is_last = self.comparator(form).write_key, form.is_last
        out = bytearray()
        ends = [0]
        for value in self.values(data):
            write(value, out, is_last=is_last)
            ends.append(len(out))
        put_bytes(out, ends, steps)

    def is_key_compiled(self, form: KeyForm) -> bool:
        """Whether kernels can read its order keys."""
        return bool(self.comparator(form).key_bytes)

    def get_key(self, form: KeyForm, steps: StepsToRead) -> Pending:
        """Read values from their order keys. Only where the comparator is invertible."""
        comparator, is_last = self.comparator(form), form.is_last
        if not comparator.key_bytes:
            return _get_loose(steps, lambda source: comparator.read_key(source, is_last=is_last))
        column = steps.copy(np.dtype((np.void, comparator.key_bytes)))

        def finish(count: int) -> Loose:
            keys = column[:count].tolist()
            return Loose([comparator.read_key(BytesInput(key), is_last=is_last) for key in keys])

        return finish

    def skip_key(self, form: KeyForm, steps: StepsToRead) -> None:
        """Pass over order keys."""
        comparator = self.comparator(form)
        if comparator.key_bytes is not None:
            steps.skip(comparator.key_bytes)
            return
        if comparator.is_invertible and self.is_key_compiled(form):
            self.get_key(form, steps)
            return
        skip, is_last = comparator.skip_key, form.is_last
        steps.call(lambda source: skip(source, is_last=is_last))


def _get_loose(steps: StepsToRead, read: Callable[[BytesInput], Any]) -> Pending:
    values: list[Any] = []
    steps.call(lambda source: values.append(read(source)))
    return lambda count: Loose(values)


def first(array: NDArray[Any]) -> Pending:
    """As much of the array as there are values."""
    return lambda count: array[:count]


def put_bytes(data: bytes | bytearray, ends: list[int], steps: StepsToWrite) -> None:
    """Write what is serialized already: number i from `ends[i]` to `ends[i + 1]`."""
    steps.check_text_bytes(len(data))
    steps.text(kernels.OPEN, steps.scratch.copy(data), steps.scratch.copy(np.array(ends, np.uint32), np.uint32))
