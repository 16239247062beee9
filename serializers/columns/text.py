"""Columns of text and of bytes.

Many texts become one by `join`, with a zero byte behind each, and one becomes many by `split`: 7 and 21 ns a text,
where to encode and to decode each takes 38 and 60. A text that holds a zero byte itself is noticed, for then there are
more parts than texts; a column that met one does without the trick from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers import row_kernels as kernels
from serializers.columns.column import Column, Data, KeyForm, Loose, Pending
from serializers.columns.numbers import are_all
from serializers.columns.read_steps import StepsToRead
from serializers.columns.scratch import Scratch, address_of
from serializers.columns.steps import UnknownBytesError
from serializers.columns.write_steps import StepsToWrite
from serializers.kernels import find_changes

_SEPARATOR = "\0"

_SHARED_BY = 8
"""Neighbours that must share a string on average: looking for them costs 5 ns each, a string of their own 40."""


@dataclass(frozen=True)
class Texts:
    """`count` texts in `data`: number i from `ends[i]` to `ends[i + 1]`.

    If `is_separated`, and always without `ends`, there is a zero byte behind each: then all but the first begin at
    `ends[i] + 1`.
    """

    data: NDArray[np.uint8]
    ends: NDArray[np.uint32] | None
    count: int
    is_separated: bool = False
    on_zero: Callable[[], None] | None = None
    """What to call if it turns out that a text holds a zero byte."""
    is_ordered: bool = False
    """Whether equal texts are likely to be neighbours."""


class BytesColumn(Column):
    """bytes."""

    is_compiled = True
    bytes_min = 1
    is_separated = False

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        if not are_all(values, self.type_info.python_type):
            return Loose(values)
        return joined(b"".join(values), list(map(len, values)), scratch)

    def scatter(self, data: Data) -> list[Any]:
        whole = data.data[: data.ends[-1]].tobytes()
        return [whole[start:end] for start, end in pairwise(data.ends.tolist())]

    def put(self, data: Data, steps: StepsToWrite) -> None:
        if isinstance(data, Loose):
            super().put(data, steps)
        else:
            self._put_text(kernels.SIZED, data, steps, inverted=False)

    def put_key(self, data: Data, form: KeyForm, steps: StepsToWrite) -> None:
        if isinstance(data, Loose):
            super().put_key(data, form, steps)
        else:
            self._put_text(_form_of(form), data, steps, inverted=form.descending)

    def _put_text(self, form: np.uint64, data: Texts, steps: StepsToWrite, *, inverted: bool) -> None:
        if data.ends is None:
            assert data.on_zero is not None
            steps.separated_text(form, data.data, data.count, data.on_zero, inverted=inverted)
        else:
            steps.check_text_bytes(data.data.size)
            steps.text(form, data.data, data.ends, inverted=inverted)

    def _stop_separating(self) -> None:
        self.is_separated = False

    def get(self, steps: StepsToRead) -> Pending:
        return self._get_text(kernels.SIZED, steps)

    def is_key_compiled(self, form: KeyForm) -> bool:
        return True

    def get_key(self, form: KeyForm, steps: StepsToRead) -> Pending:
        return self._get_text(_form_of(form), steps, inverted=form.descending, is_ordered=True)

    def _get_text(
        self, form: np.uint64, steps: StepsToRead, *, inverted: bool = False, is_ordered: bool = False
    ) -> Pending:
        is_separated = self.is_separated and steps.joins_texts
        data, ends = steps.text(form, is_separated=is_separated, inverted=inverted)
        return lambda count: Texts(data, ends[: count + 1], count, is_separated, is_ordered=is_ordered)


class BytearrayColumn(BytesColumn):
    """bytearray."""

    def scatter(self, data: Data) -> list[Any]:
        return list(map(bytearray, super().scatter(data)))


class TextColumn(BytesColumn):
    """str."""

    is_separated = True

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        if not self.is_separated:
            return self._gather_joined(values, scratch)
        try:
            text = _SEPARATOR.join(values)
        except TypeError:
            return Loose(values)
        data = (text + _SEPARATOR if values else "").encode("utf-8", "surrogatepass")
        return Texts(scratch.copy(data), None, len(values), is_separated=True, on_zero=self._stop_separating)

    def _gather_joined(self, values: list[Any], scratch: Scratch) -> Data:
        if not are_all(values, str):
            return Loose(values)
        text = "".join(values)
        if text.isascii():
            return joined(text.encode(), list(map(len, values)), scratch)
        encoded = [value.encode("utf-8", "surrogatepass") for value in values]
        return joined(b"".join(encoded), list(map(len, encoded)), scratch)

    def scatter(self, data: Data) -> list[Any]:
        if not data.count:
            return []
        if data.is_ordered and (values := _shared(data)) is not None:
            return values
        if not data.is_separated:
            return decoded(data)
        whole = data.data[: int(data.ends[-1])]
        try:
            values = str(memoryview(whole), "utf-8", "surrogatepass").split(_SEPARATOR)
        except UnicodeDecodeError as error:
            raise UnknownBytesError from error
        if len(values) == data.count:
            return values
        self._stop_separating()
        return decoded(data)


def joined(data: bytes, lengths: list[int], scratch: Scratch) -> Texts:
    """Byte strings that stand side by side in `data`."""
    ends = scratch.empty(len(lengths) + 1, np.uint64)
    ends[0] = 0
    np.cumsum(lengths, out=ends[1:])
    return Texts(scratch.copy(data), scratch.copy(ends.astype(np.uint32), np.uint32), len(lengths))


def decoded(data: Texts) -> list[str]:
    """Texts, one at a time. Raises UnknownBytesError for what is no UTF-8."""
    return _decoded_some(data, np.arange(data.count))


def _shared(data: Texts) -> list[str] | None:
    """One string for all equal neighbours, where there are so many that this is quicker than a string for each."""
    assert data.ends is not None
    changes = np.empty(data.count, np.uint32)
    changes = changes[: int(find_changes(address_of(data.data), data.ends, changes))]
    if len(changes) > data.count // _SHARED_BY:
        return None
    counts = np.diff(changes, append=data.count).tolist()
    return list(chain.from_iterable(map(repeat, _decoded_some(data, changes), counts)))


def _decoded_some(data: Texts, numbers: NDArray[Any]) -> list[str]:
    """The texts with these numbers. Raises UnknownBytesError for what is no UTF-8."""
    assert data.ends is not None
    whole = data.data[: int(data.ends[-1])].tobytes()
    starts = data.ends[numbers] + np.uint32(data.is_separated) * (numbers > 0)
    places = zip(starts.tolist(), data.ends[numbers + 1].tolist(), strict=True)
    if whole.isascii():
        text = whole.decode()
        return [text[start:end] for start, end in places]
    try:
        return [str(whole[start:end], "utf-8", "surrogatepass") for start, end in places]
    except UnicodeDecodeError as error:
        raise UnknownBytesError from error


def _form_of(form: KeyForm) -> np.uint64:
    return kernels.OPEN if form.is_open else kernels.CLOSED
