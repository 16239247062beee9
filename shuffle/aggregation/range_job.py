"""Records thrown into ranges of keys, spilled unsorted, and combined range by range.

    lanes' threads ──put──> rooms, one a range ──full──> disk ──read──> RangeReader: groups, range by range, in order

Ranges follow each other as keys do, so nothing larger than a range is ever put in order. Splitters come from the keys
of the first table that was full, or of the first records.
"""

from __future__ import annotations

from io_manager import PooledBuffer
from shuffle import plan as plans
from shuffle.aggregation.group_table import GroupTable, entry_bytes_of
from shuffle.aggregation.keys import KeyForm
from shuffle.aggregation.range_combiner import STREAM_WINDOWS, divided_bytes
from shuffle.aggregation.range_reader import RANGES_MAX, SLOTS_MAX, Range, RangeReader, Slot, ranges_of
from shuffle.aggregation.range_records import RecordForm
from shuffle.aggregation.range_rooms import Filled, Rooms, splitters_of
from shuffle.aggregation.range_spill import (
    BUFFERS_BESIDE,
    SPARES,
    OpenRanges,
    Ranges,
    RangeSpill,
    open_pool,
    range_count,
)
from shuffle.aggregation.state_plan import StatePlan, Words
from shuffle.options import SortOptions
from shuffle.plan import SortPlan
from shuffle.reader_job import ReaderJob
from shuffle.report import SortReport

BLOCK_BYTES_MAX = 512 << 10
"""A block's way to disk and back costs 200 us of a processor: with this, 10 ns of a record of 16 bytes at most."""

BLOCKS_IN_SLOT_MIN = 9
"""What it takes to split a range in four, and so to part a key from those below and above it."""


class RangeJob(ReaderJob):
    """Takes records in `fill_bytes` of managed memory, and combines them in all of it, once the tables are gone.

    `sample` are keys, a line of words each, of about as many different ones in each range.
    """

    def __init__(
        self, options: SortOptions, form: KeyForm, plan: StatePlan, sample: Words, *, fill_bytes: int, hash_bits: int
    ) -> None:
        super().__init__(options)
        self.waiting: list[Filled] = []
        self.spares: list[PooledBuffer] = []
        self._form, self._plan, self._hash_bits = form, plan, hash_bits
        self._sample, self._fill_bytes = sample, fill_bytes
        self._spill: RangeSpill | None = None
        self._ranges: list[Range] = []

    async def open(self) -> SortPlan:
        """As of any job; from now on records may be put."""
        plan = await super().open()
        self._block_bytes, ranges = self._room_sizes(plan.memory.managed_bytes)
        buffers = self._fill_bytes // self._block_bytes
        self._pool = open_pool(self._means, self._block_bytes, ranges, buffers)
        self._spill = RangeSpill(self._means, self._pool)
        self.rooms = Rooms(RecordForm(self._form, self._plan), ranges)
        self.splitters = splitters_of(self._sample, ranges)
        self._stack.push_async_callback(self._end_filling)
        return plan

    async def refill(self) -> None:
        """Let what is filled go to disk, and get fresh buffers."""
        assert self._spill is not None
        waiting, self.waiting = self.waiting, []
        self.spares += await self._spill.swap(waiting, SPARES - len(self.spares))

    async def finish(self) -> SortReport:
        """No more records: let all of them go to disk, and get ready to be read."""
        assert self._spill is not None
        await self.refill()
        await self._spill.write_all(self.rooms.take_all())
        found = await self._spill.finish()
        await self._end_filling()
        self._ranges = ranges_of(await self._stack.enter_async_context(OpenRanges(found, self._means)))
        self._slots = self._slot_count(found)
        return SortReport(spilled_bytes=self._means.io.stats.stored_bytes_written)

    async def read(self) -> RangeReader:
        """All groups, once more. The reader before this one must have been closed."""
        self.check_unread()
        slots, size_bytes = self._slots
        terms = self._means, self._form, self._plan, size_bytes, self._block_bytes, self._hash_bits
        self._reader = RangeReader(self._ranges, [Slot(*terms) for _ in range(slots)], self._stack)
        return self._reader

    def _slot_count(self, found: Ranges) -> tuple[int, int]:
        """(slots, bytes of each): fewer, if a range then need not be streamed, or even split."""
        managed_bytes = self._means.plan.memory.managed_bytes - found.index_bytes
        table_bytes = STREAM_WINDOWS * self._block_bytes + 2 * GroupTable.bytes_min(self._plan)
        least = max(BLOCKS_IN_SLOT_MIN * self._block_bytes, table_bytes)
        most = max(1, min(SLOTS_MAX, self._means.plan.threads + 1, managed_bytes // least))
        records_bytes, record_count = found.mean_sizes()
        wanted = divided_bytes(records_bytes, record_count, entry_bytes_of(self._form, self._plan)) * 5 // 4
        slots = next((count for count in range(most, 0, -1) if managed_bytes // count >= wanted), most)
        return slots, managed_bytes // slots // plans.BLOCK_BYTES_MIN * plans.BLOCK_BYTES_MIN

    def _room_sizes(self, managed_bytes: int) -> tuple[int, int]:
        """(bytes of a block, ranges)."""
        least = plans.BLOCK_BYTES_MIN
        ranges = range_count(self._fill_bytes, least, RANGES_MAX)
        most = min(self._fill_bytes // (ranges + BUFFERS_BESIDE), managed_bytes // (SLOTS_MAX * BLOCKS_IN_SLOT_MIN))
        return max(least, min(most, BLOCK_BYTES_MAX) // least * least), ranges

    async def _end_filling(self) -> None:
        """Give back all buffers. Idempotent."""
        spill, self._spill = self._spill, None
        if spill is None:
            return
        for buffer in [*self.spares, *(filled.buffer for filled in self.waiting)]:
            buffer.release()
        self.spares, self.waiting = [], []
        self.rooms.release()
        await spill.close()
        self._pool.close()
