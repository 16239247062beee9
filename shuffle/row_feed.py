"""Rows from whoever makes them into sort buffers: the map side of a sort of values.

    encode (caller's thread) ──put──> feed ──fill──> sort buffer
                                        └─ a row longer than a whole sort buffer ──> a run of its own

`put` returns when its rows have been copied, so a producer may use the same memory again; that is also what holds it
back when all sort buffers are busy.
"""

import asyncio
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from io_manager import IOManager, RunFile
from memory import BufferPool
from serializers import RecordLayout
from shuffle.long_records import spill_long_row
from shuffle.report import Stage
from shuffle.sort_buffer import SortBuffer


class Rows(Protocol):
    """Rows, one behind another: row i ends at `data[ends[i]]`."""

    @property
    def data(self) -> NDArray[np.uint8]:
        """All bytes."""

    @property
    def ends(self) -> NDArray[np.uint32]:
        """Where each row ends."""


class RowFeed:
    """Takes rows of one `layout` until `end`. `bytes_read` counts them."""

    def __init__(self, layout: RecordLayout) -> None:
        assert layout.is_rows
        self._layout = layout
        self._rows: Rows | None = None
        self._first = 0
        self._has_ended = False
        self._error: BaseException | None = None
        self._moved = asyncio.Event()
        self.bytes_read = 0
        self.reading = Stage()

    # --- the producer

    async def put(self, rows: Rows) -> None:
        """Hand over all rows. Raises what made the job fail, if it did."""
        assert not self._has_ended and self._rows is None, "one batch at a time, and none after the end"
        if len(rows.ends):
            self._rows, self._first = rows, 0
            self._moved.set()
            while self._rows is not None and self._error is None:
                await self._wait()
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """Nothing will be put any more."""
        self._has_ended = True
        self._moved.set()

    def fail(self, error: BaseException) -> None:
        """Nothing will be taken any more: whoever puts, or waits for it, gets `error`."""
        self._error = error
        self._moved.set()

    # --- the run builder

    @property
    def ended(self) -> bool:
        """Whether all rows there will ever be have been taken."""
        return self._has_ended and self._rows is None

    async def fill(self, buffer: SortBuffer) -> None:
        """Append rows until `buffer` is full, or a row fits no buffer at all, or there are no more."""
        while True:
            while self._rows is None:
                if self._has_ended:
                    return
                await self._wait()
            count = buffer.append_rows(self._rows.data, self._rows.ends, self._first)
            if not self._take(self._rows, count):
                return

    def is_stuck(self, buffer: SortBuffer) -> bool:
        """Whether the next row fits no sort buffer, not even an empty one."""
        return self._rows is not None and not buffer.record_count

    async def spill_long(self, buffer: SortBuffer, io: IOManager, pool: BufferPool, *, block_bytes: int) -> RunFile:
        """Make a run of the row that fits no buffer."""
        rows = self._rows
        assert rows is not None
        start = int(rows.ends[self._first - 1]) if self._first else 0
        row = rows.data[start : int(rows.ends[self._first])]
        run = await spill_long_row(row.data, self._layout, io, pool, block_bytes=block_bytes)
        self._take(rows, 1)
        return run

    def _take(self, rows: Rows, count: int) -> bool:
        """So many rows have gone; whether all have."""
        before = int(rows.ends[self._first - 1]) if self._first else 0
        self._first += count
        if count:
            self.bytes_read += int(rows.ends[self._first - 1]) - before
        if self._first < len(rows.ends):
            return False
        self._rows = None
        self._moved.set()
        return True

    async def _wait(self) -> None:
        self._moved.clear()
        await self._moved.wait()
