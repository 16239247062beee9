"""Merged rows as groups: rows with equal group keys stand one behind another, and come out as (key, values).

    views of rows ──borders (kernel)──> | a a a | b | c c ── view ends ── c c c | d |  ──> (a, values) (b, values) ...

A group that ends in the view it began in is a slice of what the view was decoded to, which costs Python nothing for
each. Only the last of a view may go on in the next: its values are read view by view, as they are asked for. No group
is ever held in memory, and views within a group that nobody wants are not even decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from operator import itemgetter
from typing import Any, Generic, TypeVar

import numpy as np

from serializers import RecordLayout
from serializers.columns.pieces import RowPieces
from serializers.columns.scratch import Scratch
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.keyed_rows import group_key, group_starts, split_keys
from shuffle.kernels.locate import find_last

K = TypeVar("K")
V = TypeVar("V")

Decode = Callable[[memoryview, int], list[Any]]
"""The records of whole rows; the number is that of the first of them, for errors."""

_PIECE_ROWS = 8192
_PIECE_BYTES = 1 << 20


class Groups(Generic[K, V]):
    """Iterates (key, iterator of values), once. The values are good until the next group is asked for.

    views      whole rows in order, none empty; each view is good until the next
    shape      of their order keys; a group is what has equal partition and group keys
    decode     the records of rows whose order key is the group key, as `split_keys` gives them
    key_of     the key of a group, from its first record
    values_of  what of some records goes on, if not the records themselves: as many values, in the same order
    """

    def __init__(
        self,
        views: Iterable[memoryview],
        shape: KeyShape,
        decode: Decode,
        *,
        key_of: Callable[[Any], K],
        values_of: Callable[[list[Any]], list[V]] | None = None,
    ) -> None:
        self._views = iter(views)
        self._shape = shape
        self._decode = decode
        self._key_of = key_of
        self._values_of = values_of
        self._last_key: bytes | None = None
        self._part: Part | None = None
        self.records_read = 0

    def __iter__(self) -> Iterator[tuple[K, Iterator[V]]]:
        self._advance()
        while (part := self._part) is not None:
            records, values = self._both(part)
            keys = self._keys(part, records)
            slices = map(values.__getitem__, map(slice, part.starts, part.starts[1:]))
            yield from zip(keys, self._whole_groups(slices), strict=False)  # all but the last
            last = self._values_of_last(values[part.starts[-1] :])
            yield keys[-1], last
            last.close()
            while self._part is not None and (self._part is part or not self._part.starts):
                self._advance()

    def _keys(self, part: Part, records: list[Any]) -> list[K]:
        """The keys of the groups that begin in a part."""
        return list(map(self._key_of, map(records.__getitem__, part.starts)))

    def _whole_groups(self, groups: Iterator[list[V]]) -> Iterator[Any]:
        """What is given for groups that are known from the first to the last value."""
        return map(iter, groups)

    def _values_of_last(self, values: list[V]) -> Generator[V, None, None]:
        """The last group of a part, with as much of the parts behind it as belongs to it."""
        yield from values
        while True:
            self._advance()
            part = self._part
            if part is None:
                return
            if part.leads:
                _, values = self._both(part)
                yield from values[: part.starts[0]] if part.starts else values
            if part.starts:
                return

    def _both(self, part: Part) -> tuple[list[Any], list[V]]:
        if part.records is None:
            part.records = self._decode(self._split(part.view), self.records_read)
        return part.records, part.records if self._values_of is None else self._values_of(part.records)

    def _split(self, view: memoryview) -> memoryview:
        if not self._shape.partition_bytes and self._shape.sort_bytes == 0:
            return view
        rows = split_keys(view, self._shape)
        return memoryview(rows.data[: int(rows.ends[-1])])  # type: ignore[arg-type]

    def _advance(self) -> None:
        """Go to the next view, and note where groups begin in it."""
        if self._part is not None:
            self.records_read += self._part.count(self._shape.key_bytes)
        self._part = None
        view = next(self._views, None)
        if view is None:
            return
        starts = group_starts(view, self._shape).tolist()
        leads = group_key(view, self._shape) == self._last_key
        self._last_key = group_key(_last_row(view, self._shape.layout), self._shape)
        self._part = Part(view, leads, starts[1:] if leads else starts)


class Part:
    """One view: whether it begins with more of the group before, and which of its rows begin groups of their own."""

    def __init__(self, view: memoryview, leads: bool, starts: list[int]) -> None:
        self.view = view
        self.leads = leads
        self.starts = starts
        self.records: list[Any] | None = None

    def count(self, key_bytes: int | None) -> int:
        """How many rows."""
        return _row_count(self.view, key_bytes) if self.records is None else len(self.records)


def _row_count(view: memoryview, key_bytes: int | None) -> int:
    pieces = RowPieces(view, key_bytes, _PIECE_ROWS, _PIECE_BYTES)
    count = 0
    while pieces.rest.size:
        count += len(pieces.cut(Scratch())[1])
    return count


def _last_row(view: memoryview, layout: RecordLayout) -> memoryview:
    start = int(np.frombuffer(view, np.uint8).ctypes.data)
    last = find_last(start, start + len(view), layout.record_bytes, layout.key_bytes, layout.delimiter)
    return view[int(last) - start :]


def pair_values(pairs: list[tuple[Any, V]]) -> list[V]:
    """What pairs of a key and a value have behind the key: for `values_of`."""
    return list(map(itemgetter(1), pairs))


__all__ = ["Decode", "Groups", "pair_values"]
