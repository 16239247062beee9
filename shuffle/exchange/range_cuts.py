"""Range partitioning: all map outputs, sorted by key alone, cut exactly at the same places once they are finished.

    map output 0   ────────┊──────────────┊────
    map output 1   ──┊─────────────────┊───────       every ┊ at one place of the order (key, map task, position)
                 partition 0       1        2

A boundary is the first record of some block, chosen from the block indexes so that partitions hold equally many
records, or bytes. Records with the very key of a boundary go left of it in earlier map outputs and right of it in later
ones, as a merge would put them; so one hot key can span partitions, in order. Where groups stay whole, they go right.
A partition is as even as blocks are small against it: within a block of each map output.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, Literal, TypeVar

from io_manager import HEADER_BYTES, KEY_BYTES_MAX, PooledBuffer, RunReader, checksum
from memory import BufferPool
from serializers import RecordLayout
from shuffle.cuts import Cutter, Position, Splitter, bytes_before, order_of_blocks
from shuffle.engine import first_error
from shuffle.exchange.map_output import MapOutput
from shuffle.exchange.range_samples import Places, Samples, finer, joined, samples_of_blocks
from shuffle.means import Means
from shuffle.runs import not_in_order
from shuffle.stored_slice import StoredSlice

T = TypeVar("T")

Weigh = Literal["records", "bytes"]

_RUNS_AT_ONCE = 4
"""As many as there are threads to read with."""

_BLOCKS_ENOUGH = 8
"""In a partition: blocks that are larger are looked into. They are less than so many times the partitions."""


class _CutRun:
    """A map output whose index is known, and whose file is open only while it is being cut."""

    is_trusted = True

    def __init__(self, number: int, output: MapOutput, reader: RunReader) -> None:
        self.number = number
        self.file = output.run
        self.name = str(output.run.path)
        self.index = reader.index
        self.last_key = output.run.last_key
        self.record_count = output.run.record_count
        self.raw_bytes = output.run.raw_bytes
        self._reader: RunReader | None = None
        self._block = -1
        self._payload = b""

    @asynccontextmanager
    async def opened(self, means: Means) -> AsyncIterator[None]:
        """Blocks can be loaded inside."""
        try:
            async with await means.io.open_run(self.file) as self._reader:
                yield
        finally:
            self._reader = None
            self._block, self._payload = -1, b""

    async def load(self, block: int, buffer: PooledBuffer) -> None:
        """One boundary after the other falls into the same block where blocks are large: it is read once."""
        assert self._reader is not None, "inside opened()"
        end = HEADER_BYTES + int(self.index.raw_lengths[block])
        if block != self._block:
            await self._reader.read_block(block, buffer)
            self._block, self._payload = block, bytes(buffer.view[HEADER_BYTES:end])
        else:
            buffer.view[HEADER_BYTES:end] = self._payload


class RangeCuts:
    """Where each map output is cut: `slices(p)` are the records of partition p, in plain numbers."""

    def __init__(self, runs: Sequence[_CutRun], cuts: Sequence[Sequence[Position]], keys: Sequence[bytes]) -> None:
        self.partitions = len(cuts) - 1
        self._runs = runs
        self._cuts = cuts
        self._keys = keys

    def slices(self, partition: int) -> list[StoredSlice]:
        """Those that are not empty, in the order of map outputs; picklable, for `PartitionSession.read_slices`."""
        bounds = zip(self._runs, self._cuts[partition], self._cuts[partition + 1], strict=True)
        return [self._slice(partition, run, start, stop) for run, start, stop in bounds if start != stop]

    def _slice(self, partition: int, run: _CutRun, start: Position, stop: Position) -> StoredSlice:
        index, end = run.index, stop.block + (stop.offset > 0)
        upper = index.first_key(end) if end < len(index) else run.last_key
        first_key, last_key = index.first_key(start.block), upper
        if partition:
            first_key = max(first_key, self._keys[partition - 1])
        if partition < len(self._keys):
            last_key = min(last_key, self._keys[partition])
        return StoredSlice(
            run.file,
            start,
            stop,
            None,
            bytes_before(run, stop) - bytes_before(run, start),
            first_key,
            max(first_key, last_key),
            checksum(index.part_bytes(start.block, end)),
        )


async def cut_ranges(
    means: Means,
    outputs: Sequence[MapOutput],
    partitions: int,
    layout: RecordLayout,
    *,
    weigh: Weigh = "records",
    keep_together: Callable[[bytes], bytes] | None = None,
) -> RangeCuts:
    """Cut `outputs`, whose rows have no partition number, into exactly so many partitions; the last may be empty.

    `keep_together` gives the leading part of a key that names its group (`keyed_rows.group_prefix`): groups stay whole
    then. Raises RunCorruptError kinds, SpillError, and MemoryBudgetError if there is no room for a few blocks.
    """
    runs = [await _open_index(means, number, output) for number, output in enumerate(outputs)]
    if not runs:
        return RangeCuts([], [[]] * (partitions + 1), [])
    sizes = {"buffer_bytes": max(run.file.block_bytes for run in runs), "required": 1, "maximum": _RUNS_AT_ONCE}
    with BufferPool(means.managed, "range cuts", **sizes) as pool:
        samples = await _take_samples(means, runs, pool, layout, partitions, by_records=weigh == "records")
        order = order_of_blocks(runs, descending=False)
        cutter = Cutter(order, layout, pool, descending=False, keep_together=keep_together)
        splitters = cutter.in_order(await _read_splitters(means, cutter, runs, samples.choose(partitions)))
        columns = await _for_each(runs, lambda run: _cut_run(means, cutter, run, splitters))
    return _padded(runs, columns, splitters, partitions)


async def _open_index(means: Means, number: int, output: MapOutput) -> _CutRun:
    reader = await means.io.open_run(output.run)
    await reader.close()
    return _CutRun(number, output, reader)


async def _take_samples(
    means: Means, runs: Sequence[_CutRun], pool: BufferPool, layout: RecordLayout, partitions: int, *, by_records: bool
) -> Samples:
    """The beginnings of blocks, and more of those that are large against a partition: there are few of these."""
    samples = [samples_of_blocks(run.number, run, by_records=by_records) for run in runs]
    enough = sum(int(each.weights.sum()) for each in samples) / (_BLOCKS_ENOUGH * partitions)

    async def refine(run: _CutRun) -> Samples:
        found = samples[run.number]
        if partitions == 1 or found.weights.max() <= enough:
            return found
        async with run.opened(means):
            return await finer(found, run, pool, layout, enough=enough, by_records=by_records)

    return joined(await _for_each(runs, refine))


async def _read_splitters(means: Means, cutter: Cutter, runs: Sequence[_CutRun], places: Places) -> list[Splitter]:
    async def read(run: _CutRun) -> list[Splitter]:
        async with run.opened(means):
            wanted = [(block, offset) for number, block, offset in places if number == run.number]
            return [await cutter.read_splitter(run, *place) for place in wanted]

    return [splitter for splitters in await _for_each(runs, read) for splitter in splitters]


async def _cut_run(means: Means, cutter: Cutter, run: _CutRun, splitters: Sequence[Splitter]) -> list[Position]:
    """Where one run is cut, from its beginning to its end."""
    async with run.opened(means):
        places = [await cutter.cut_run(run, splitter) for splitter in splitters]
    cuts = [Position(0, 0), *places, Position(len(run.index), 0)]
    if any(start > stop for start, stop in pairwise(cuts)):
        raise not_in_order(run)
    return cuts


async def _for_each(runs: Sequence[_CutRun], work: Callable[[_CutRun], Coroutine[Any, Any, T]]) -> list[T]:
    """What `work` makes of each run, a few at a time, in order."""
    turn = asyncio.Semaphore(_RUNS_AT_ONCE)

    async def one(run: _CutRun) -> T:
        async with turn:
            return await work(run)

    try:
        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(one(run)) for run in runs]
    except BaseExceptionGroup as group:
        raise first_error(group) from group
    return [each.result() for each in made]


def _padded(
    runs: Sequence[_CutRun], columns: Sequence[Sequence[Position]], splitters: Sequence[Splitter], partitions: int
) -> RangeCuts:
    """Where there are fewer blocks than partitions, those at the end are empty."""
    ends = [Position(len(run.index), 0) for run in runs]
    missing = partitions - 1 - len(splitters)
    cuts = [list(cut) for cut in zip(*columns, strict=True)]
    keys = [splitter.key[:KEY_BYTES_MAX] for splitter in splitters]
    if missing:
        keys.append(max(run.last_key for run in runs))
    return RangeCuts(runs, cuts + [ends] * missing, keys)
