"""One side of a join: its sorted rows as blocks of whole groups, and groups that do not end in the view they begin in.

    views of rows      | a a b c | c c c c | c d d e |
    what comes out     Block(a a b)  Span(c)  Block(d d e)

A block is paired by a kernel; the rows of a span are read as they are asked for, so a group may be larger than memory.
Keys are compared where they stand in the rows, which is why these are kept with what was decoded of them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from serializers.layouts import SLACK_BYTES, rows
from shuffle.kernels.join import FIRST_ROW, KEY, KEY_LENGTH, list_groups
from shuffle.tables.table_codec import table_batch
from shuffle.tables.table_session import TableSession

Groups = NDArray[np.uint64]
"""A line for each group, and one more; see `shuffle.kernels.join`."""

_GROUP_WORDS = 3


@dataclass(frozen=True)
class Block:
    """The groups from `first` to `end` of `groups`, whose rows are in `batch`."""

    part: Part
    first: int
    end: int
    spans: bool = False

    @property
    def groups(self) -> Groups:
        """All groups of the part, also those that are in no block."""
        return self.part.groups

    def rows_of(self, group: int) -> Iterator[Any]:
        """The rows of one group, as one batch."""
        yield self.part.rows(group, group + 1)


class Span:
    """A group of which nobody knows how long it is. Its rows can be read once."""

    spans = True
    first, end = 0, 1

    def __init__(self, key: bytes, head: Any, following: Part, parts: Iterator[Part]) -> None:
        self._key = key
        self._head = head
        self._following: Part | None = following
        self._parts = parts
        self._data = np.frombuffer(key + bytes(SLACK_BYTES), np.uint8)
        self.groups = np.zeros((2, _GROUP_WORDS), np.uint64)
        self.groups[0, KEY], self.groups[0, KEY_LENGTH] = self._data.ctypes.data, len(key)
        self._reading = self._read()

    def rows_of(self, group: int) -> Iterator[Any]:
        """The rows that have not been read yet, in batches."""
        return self._reading

    def rest(self) -> tuple[Part | None, int]:
        """What follows the group: a part, and the first group in it. What was not read is skipped."""
        for _ in self._reading:
            pass
        return self._following, self._first

    def _read(self) -> Iterator[Any]:
        self._first = 0
        yield self._head
        while self._following is not None and self._following.key(0) == self._key:
            part = self._following
            self._first = 1
            yield part.rows(0, 1)
            if part.count > 1:
                return
            self._following, self._first = next(self._parts, None), 0


class Part:
    """What one view held."""

    def __init__(self, view: memoryview, session: TableSession, first_record: int) -> None:
        self._data = np.empty(len(view) + SLACK_BYTES, np.uint8)
        self._data[: len(view)] = view
        self.batch = one_batch(session.codec.decode_carried(self._data[: len(view)], first_record))
        self.groups: Groups = np.empty((self.batch.num_rows + 1, _GROUP_WORDS), np.uint64)
        start = self._data.ctypes.data
        key_bytes = rows(session.codec.key_bytes).key_bytes
        count, row_count = list_groups(start, start + len(view), key_bytes, self.groups)
        assert row_count == self.batch.num_rows, (row_count, self.batch.num_rows)
        self.count = int(count)

    def key(self, group: int) -> bytes:
        """The order key of a group."""
        start = int(self.groups[group, KEY]) - self._data.ctypes.data
        return self._data[start : start + int(self.groups[group, KEY_LENGTH])].tobytes()

    def rows(self, first: int, end: int) -> Any:
        """The rows of the groups from `first` to `end`."""
        start, stop = int(self.groups[first, FIRST_ROW]), int(self.groups[end, FIRST_ROW])
        return self.batch.slice(start, stop - start)


def read_side(session: TableSession) -> Generator[Block | Span, None, None]:
    """All groups of a session in order. A span is good until the next is asked for."""
    with closing(_read_parts(session)) as parts:
        part, first = next(parts, None), 0
        while part is not None:
            following = next(parts, None)
            last = part.count - 1
            goes_on = following is not None and following.key(0) == part.key(last)
            if first < part.count - goes_on:
                yield Block(part, first, part.count - goes_on)
            if following is None or not goes_on:
                part, first = following, 0
                continue
            span = Span(part.key(last), part.rows(last, part.count), following, parts)
            yield span
            part, first = span.rest()


def _read_parts(session: TableSession) -> Generator[Part, None, None]:
    first_record = 0
    with closing(session.views()) as views:
        for view in views:
            part = Part(view, session, first_record)
            first_record += part.batch.num_rows
            yield part


def one_batch(table: Any) -> Any:
    """All rows of a table as one record batch."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else table_batch([pa.array([], field.type) for field in table.schema], table.schema, 0)


__all__ = ["Block", "Groups", "Part", "Span", "one_batch", "read_side"]
