"""Ranges of records read, combined and given out in order, several at a time.

    ranges ──> slots: read, combine ──next──> groups of a range, in order, in its slot, until the next is wanted
                  └─ too many groups: the range is split, and its parts come in its place

A slot is a share of memory that a range is combined in. One is read by whoever asked, while workers fill the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import numpy as np

from io_manager import HEADER_BYTES
from memory import Extent
from shuffle.aggregation.keys import KeyForm
from shuffle.aggregation.range_combiner import STREAM_WINDOWS, RangeCombiner, Window
from shuffle.aggregation.range_records import RecordForm
from shuffle.aggregation.range_rooms import splitters_of
from shuffle.aggregation.range_spill import Block, OpenRanges, range_count
from shuffle.aggregation.range_split import split_range
from shuffle.aggregation.state_plan import StatePlan, Words
from shuffle.means import Means

SLOTS_MAX = 3
"""Two that workers fill, and one that is read."""

SAMPLE_BLOCKS = 64
SAMPLE_BLOCK_KEYS = 1024
"""From so many blocks, all over a range, splitters are found when it must be split: so many keys from each."""

RANGES_MAX = 256
_READS = 4
"""Blocks of a range that are read at the same time."""


class Range:
    """Some of the records: blocks of an `OpenRanges`. `parts` are what it was split into, if it was."""

    def __init__(self, source: OpenRanges, number: int) -> None:
        self.source = source
        self.number = number
        self.parts: list[Range] | None = None

    def whole(self) -> list[Range]:
        """Itself, or what it was split into."""
        return [self] if self.parts is None else [each for part in self.parts for each in part.whole()]

    def blocks(self) -> list[Block]:
        """Its blocks."""
        return self.source.ranges.blocks(self.number)


def ranges_of(source: OpenRanges) -> list[Range]:
    """The ranges of which there is anything, in order."""
    return [Range(source, number) for number in source.ranges.numbers()]


class Slot:
    """A share of memory that a range is combined in, or thrown into narrower ones."""

    def __init__(self, means: Means, form: KeyForm, plan: StatePlan, size_bytes: int, block_bytes: int, hash_bits: int):
        self._means, self._form, self._plan = means, form, plan
        self._size_bytes, self._block_bytes, self._hash_bits = size_bytes, block_bytes, hash_bits
        self._extent: Extent | None = None
        self._combiner: RangeCombiner | None = None

    async def combine(self, part: Range) -> Words | None:
        """The entries of a range in order; None if it must be split."""
        combiner, blocks = self._make_combiner(), part.blocks()
        if not combiner.can_divide(blocks):
            return await self._stream(part, blocks, combiner)
        await self._read_all(part, blocks, combiner.windows_of(blocks))
        return await self._means.workers.run(combiner.divide, blocks)

    async def _stream(self, part: Range, blocks: Sequence[Block], combiner: RangeCombiner) -> Words | None:
        """Combine the blocks of a range as they come, the next of which is read meanwhile."""
        workers, windows = self._means.workers, combiner.windows()
        combiner.begin(sum(block.record_count for block in blocks))
        reading = asyncio.ensure_future(part.source.read(blocks[0], windows[0]))
        try:
            for place, block in enumerate(blocks):
                await reading
                if place + 1 < len(blocks):
                    window = windows[(place + 1) % STREAM_WINDOWS]
                    reading = asyncio.ensure_future(part.source.read(blocks[place + 1], window))
                if not await workers.run(combiner.add, block, place % STREAM_WINDOWS):
                    await reading  # or an error that it met would be forgotten
                    return None
        finally:
            await _ended([reading])
        return await workers.run(combiner.groups)

    async def split(self, part: Range, stack: AsyncExitStack) -> list[Range]:
        """Narrower ranges instead of one, which are open until `stack` ends."""
        ranges = range_count(self._size_bytes - self._block_bytes, self._block_bytes, RANGES_MAX)
        assert ranges >= 4, f"a slot of {self._size_bytes} bytes cannot split a range"
        splitters = splitters_of(await self._sample(part, part.blocks()), ranges)
        self.release()
        form, most = RecordForm(self._form, self._plan), self._size_bytes // self._block_bytes
        found = await split_range(part.source, part.number, form, splitters, self._means, self._block_bytes, most)
        return ranges_of(await stack.enter_async_context(OpenRanges(found, self._means)))

    def release(self) -> None:
        """Give the memory back. Idempotent."""
        self._combiner = None
        if self._extent is not None:
            self._extent.release()
            self._extent = None

    def _make_combiner(self) -> RangeCombiner:
        if self._combiner is None:
            self._extent = self._means.managed.allocate_extent("groups of a range", self._size_bytes)
            self._combiner = RangeCombiner(
                self._extent, self._form, self._plan, self._block_bytes, hash_bits=self._hash_bits
            )
        return self._combiner

    async def _read_all(self, part: Range, blocks: Sequence[Block], windows: Sequence[Window]) -> None:
        gate = asyncio.Semaphore(_READS)

        async def read(block: Block, window: Window) -> None:
            async with gate:
                await part.source.read(block, window)

        reads = [asyncio.ensure_future(read(*pair)) for pair in zip(blocks, windows, strict=True)]
        try:
            for each in reads:
                await each
        finally:
            await _ended(reads)

    async def _sample(self, part: Range, blocks: Sequence[Block]) -> Words:
        """Keys from all over a range."""
        combiner = self._make_combiner()
        window = combiner.windows()[0]
        samples = []
        for block in blocks[:: max(1, len(blocks) // SAMPLE_BLOCKS)]:
            await part.source.read(block, window)
            step = max(1, block.record_count // SAMPLE_BLOCK_KEYS)
            samples.append(combiner.keys_of(block, HEADER_BYTES, step))
        return np.concatenate(samples)


class _Item:
    """A range on its way through a slot."""

    def __init__(self, part: Range) -> None:
        self.part = part
        self.slot: Slot | None = None
        self.task: asyncio.Task[Words | None] | None = None


class RangeReader:
    """Gives out the groups of `ranges`, from the first on. `stack` keeps open what a range is split into."""

    def __init__(self, ranges: Sequence[Range], slots: list[Slot], stack: AsyncExitStack) -> None:
        self._items = deque(_Item(each) for part in ranges for each in part.whole())
        self._free = slots
        self._slots = list(slots)
        self._shown: Slot | None = None
        self._stack = stack

    async def next(self) -> Words | None:
        """The entries of the next range, in the order of their keys, until the next are asked for; None at the end."""
        if self._shown is not None:
            self._free.append(self._shown)
            self._shown = None
        while self._items:
            self._start()
            item = self._items[0]
            assert item.task is not None and item.slot is not None, "the first range has a slot"
            entries = await item.task
            if entries is not None:
                self._items.popleft()
                self._shown = item.slot
                return entries
            item.part.parts = await item.slot.split(item.part, self._stack)
            self._items.popleft()
            self._free.append(item.slot)
            self._items.extendleft(_Item(part) for part in reversed(item.part.parts))
        return None

    async def close(self) -> None:
        """End what is under way, and give the memory back. Idempotent."""
        await _ended([item.task for item in self._items if item.task is not None])
        self._items.clear()
        for slot in self._slots:
            slot.release()

    def _start(self) -> None:
        for item in self._items:
            if not self._free:
                return
            if item.task is None:
                item.slot = self._free.pop()
                item.task = asyncio.create_task(item.slot.combine(item.part))


async def _ended(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel what is under way, and wait for its end."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        _ = task.cancelled() or task.exception()  # whoever waited for it was told
