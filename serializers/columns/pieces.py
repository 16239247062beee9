"""Rows in memory: written one batch behind another, and cut into batches to be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serializers import row_kernels as kernels
from serializers.columns.read_steps import RowBytes
from serializers.columns.scratch import Scratch, address_of
from serializers.columns.steps import BatchTooLargeError
from serializers.columns.write_steps import ROW_HEAD_BYTES_MAX, StepsToWrite
from serializers.layouts import SLACK_BYTES

ROWS_BYTES_MAX = (1 << 31) - 1
"""Of all rows of an `EncodedRows`."""

_KERNEL_BYTES_MAX = 1 << 32
_ROOM_BYTES = 1 << 26
_REGIONS = 3

Rows = memoryview | NDArray[np.uint8]


@dataclass(frozen=True)
class EncodedRows:
    """Rows one behind another in `data[:size]`; row i ends before `ends[i]`. `SLACK_BYTES` follow at least."""

    data: NDArray[np.uint8]
    size: int
    ends: NDArray[np.uint32]

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.ends)

    @property
    def rows(self) -> memoryview:
        """The bytes of all rows."""
        return memoryview(self.data[: self.size])  # type: ignore[arg-type]


class RowTarget:
    """Memory that grows with the rows written to it: `count` of at most `row_count`, in `size` bytes."""

    def __init__(self, row_count: int) -> None:
        self.count = 0
        self.size = 0
        self._data = np.empty(0, np.uint8)
        self._ends = np.empty(row_count, np.uint32)

    def write(self, steps: StepsToWrite, count: int) -> bool:
        """Write `count` rows. False if the columns have to write them in another way, which they know by now.

        Raises BatchTooLargeError if they do not fit.
        """
        needed = self.size + steps.bytes_max + count * ROW_HEAD_BYTES_MAX
        if needed >= _KERNEL_BYTES_MAX:
            raise BatchTooLargeError
        self._reserve(needed, count)
        end = steps.run(self._data, self.size, self._ends[self.count : self.count + count])
        if end is None:
            return False
        assert end <= needed, (end, needed)
        if end > ROWS_BYTES_MAX:
            raise BatchTooLargeError
        self.count += count
        self.size = end
        return True

    def append(self, row: bytes) -> None:
        """Write a row that is made already. Raises BatchTooLargeError if it does not fit."""
        end = self.size + len(row)
        if end > ROWS_BYTES_MAX:
            raise BatchTooLargeError
        self._reserve(end, 1)
        self._data[self.size : end] = np.frombuffer(row, np.uint8)
        self._ends[self.count] = end
        self.count += 1
        self.size = end

    def _reserve(self, needed: int, count: int) -> None:
        """Make room for `needed` bytes, which `count` more rows take at most, and for as many as are left."""
        if needed + SLACK_BYTES <= self._data.size:
            return
        of_all = needed * len(self._ends) // max(self.count + count, 1)
        grown = np.empty(max(needed, min(of_all, 2 * needed + _ROOM_BYTES)) + SLACK_BYTES, np.uint8)
        grown[: self.size] = self._data[: self.size]
        self._data = grown

    def rows(self) -> EncodedRows:
        """What was written."""
        self._reserve(self.size, 1)
        return EncodedRows(self._data, self.size, self._ends[: self.count])


class RowPieces:
    """Rows cut into batches of at most `row_count_max`, which end with the row that makes `enough_bytes`."""

    def __init__(self, rows: Rows, key_bytes: int | None, row_count_max: int, enough_bytes: int) -> None:
        self._data = np.frombuffer(rows, np.uint8) if len(rows) else np.empty(0, np.uint8)
        self._key_bytes = int(kernels.KEY_BYTES_VARY) if key_bytes is None else key_bytes
        self._enough_bytes = enough_bytes
        self._places = np.empty((row_count_max, _REGIONS), np.uint64)
        self._position = 0

    @property
    def rest(self) -> NDArray[np.uint8]:
        """What is not cut yet."""
        return self._data[self._position :]

    def cut(self, scratch: Scratch) -> tuple[RowBytes, NDArray[np.uint64]]:
        """The next batch, and where in it keys begin, values begin and rows end: one line a row.

        No rows if the next is cut short, or its key is. The end of the memory, which has no slack, is copied.
        """
        rest = self.rest
        count, size = self._find(rest)
        piece = rest[:size]
        if size + SLACK_BYTES > rest.size:
            piece = scratch.copy(piece)
            self._find(piece)
        self._position += size
        return RowBytes(piece), self._places[:count]

    def _find(self, data: NDArray[np.uint8]) -> tuple[int, int]:
        """How many rows there are at the front of `data`, and their size."""
        start = address_of(data)
        count, end = kernels.find_rows(start, start + data.size, self._enough_bytes, self._key_bytes, self._places)
        return count, end - start
