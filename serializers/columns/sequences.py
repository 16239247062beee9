"""Columns of lists, tuples of any length, sets and dicts: how many elements each has, and a column of all elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers.columns.column import Column, Data, KeyForm, Loose, Pending
from serializers.columns.numbers import are_all
from serializers.columns.read_steps import StepsToRead
from serializers.columns.scratch import Scratch
from serializers.columns.steps import UnknownBytesError
from serializers.columns.write_steps import StepsToWrite
from serializers.errors import SerializationError
from serializers.types.sequences import BARE_ELEMENTS_MAX
from serializers.types.type_information import TypeInformation


@dataclass(frozen=True)
class Repeated:
    """How many elements each value has, and those of all values, for each part of an element."""

    counts: NDArray[np.uint32]
    elements: list[Data]


class SequenceColumn(Column):
    """tuple[T, ...]."""

    def __init__(self, type_info: TypeInformation[Any], parts: Sequence[Column]) -> None:
        super().__init__(type_info)
        self.parts = parts
        self._class = type_info.python_type

    @property
    def is_compiled(self) -> bool:
        return all(part.is_compiled for part in self.parts) and self._element_bytes_min > 0

    @property
    def bytes_min(self) -> int:
        return 1

    @property
    def _element_bytes_min(self) -> int:
        return sum(part.bytes_min for part in self.parts)

    # --- what is known of each kind of value

    def flatten(self, values: list[Any]) -> list[list[Any]]:
        """The elements of all values, for each part of an element."""
        return [list(chain.from_iterable(values))]

    def make(self, elements: list[list[Any]], start: int, end: int) -> Any:
        """The value with the elements from `start` to `end`."""
        return self._class(elements[0][start:end])

    # ---

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        if not are_all(values, self._class):
            return Loose(values)
        flat = self.flatten(values)
        counts = scratch.empty(len(values), np.uint32)
        counts[:] = list(map(len, values))
        elements = [part.gather(each, scratch) for part, each in zip(self.parts, flat, strict=True)]
        return Repeated(counts, elements)

    def scatter(self, data: Data) -> list[Any]:
        elements = [part.values(each) for part, each in zip(self.parts, data.elements, strict=True)]
        ends = accumulate(data.counts.tolist(), initial=0)
        return [self.make(elements, start, end) for start, end in pairwise(ends)]

    def put(self, data: Data, steps: StepsToWrite) -> None:
        if isinstance(data, Loose):
            super().put(data, steps)
            return
        if not self._element_bytes_min and data.counts.max(initial=0) > BARE_ELEMENTS_MAX:
            raise SerializationError("too many elements that take no bytes")  # the serializer says it better
        with steps.repeated(steps.repeat(data.counts)):
            for part, each in zip(self.parts, data.elements, strict=True):
                part.put(each, steps)

    def get(self, steps: StepsToRead) -> Pending:
        if not self.is_compiled:
            return self.get_each(steps)
        line, counts = steps.repeat()
        with steps.elements(line, self._element_bytes_min):
            pending = [part.get(steps) for part in self.parts]
        return _pending_elements(counts, pending)

    def put_key(self, data: Data, form: KeyForm, steps: StepsToWrite) -> None:
        if isinstance(data, Loose):
            super().put_key(data, form, steps)
            return
        element_count = int(data.counts.sum(dtype=np.uint64))
        element_mark, end_mark = _marks(form)
        with steps.repeated(steps.repeat(data.counts, is_key=True)):
            steps.constant(element_mark, element_count)
            self.parts[0].put_key(data.elements[0], form.part(is_last=False), steps)
        steps.constant(end_mark, len(data.counts))

    def is_key_compiled(self, form: KeyForm) -> bool:
        return self.parts[0].is_key_compiled(form.part(is_last=False))

    def get_key(self, form: KeyForm, steps: StepsToRead) -> Pending:
        if not self.is_key_compiled(form):
            return super().get_key(form, steps)
        line, counts = steps.repeat_while(*_marks(form))
        with steps.elements(line, bytes_min=1):
            pending = self.parts[0].get_key(form.part(is_last=False), steps)
        return _pending_elements(counts, [pending])


def _pending_elements(counts: NDArray[np.uint32], pending: list[Pending]) -> Pending:
    def finish(count: int) -> Repeated:
        element_count = int(counts[:count].sum(dtype=np.uint64))
        return Repeated(counts[:count], [each(element_count) for each in pending])

    return finish


def _marks(form: KeyForm) -> tuple[int, int]:
    """What stands before an element of a key, and behind the last."""
    return (0xFE, 0xFF) if form.descending else (1, 0)


class ListColumn(SequenceColumn):
    """list."""

    def make(self, elements: list[list[Any]], start: int, end: int) -> Any:
        return elements[0][start:end]


class SetColumn(SequenceColumn):
    """set and frozenset."""

    def scatter(self, data: Data) -> list[Any]:
        try:
            values = super().scatter(data)
        except TypeError as error:  # an element has no hash
            raise UnknownBytesError from error
        if list(map(len, values)) != data.counts.tolist():
            raise UnknownBytesError
        return values


class DictColumn(SetColumn):
    """dict: an element has two parts, key and value."""

    def flatten(self, values: list[Any]) -> list[list[Any]]:
        return [list(chain.from_iterable(values)), list(chain.from_iterable(map(dict.values, values)))]

    def make(self, elements: list[list[Any]], start: int, end: int) -> Any:
        return dict(zip(elements[0][start:end], elements[1][start:end], strict=True))
