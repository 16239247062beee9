"""Cut all runs at the same keys, so that each range can be merged by itself and written at its own offset.

                 range 0        range 1
    run 0   ─────────────┊──────────────────
    run 1   ────────┊───────────────────────        every ┊ at one place of the order (key, run, position)
    run 2   ──────────────────┊─────────────

A splitter is the first record of some block, chosen from the block indexes so that the ranges hold equally many bytes.
Records with the key of the splitter go left of it in earlier runs and right of it in later ones, exactly as the merge
would put them; so even if all keys are equal the ranges are balanced, and the merge of the ranges is the merge of the
runs, to the byte. Only where an index key is too short to tell is a block read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from io_manager import HEADER_BYTES, KEY_BYTES_MAX
from memory import Buffer, BufferPool
from serializers import RecordLayout
from shuffle.kernels.locate import find_cut
from shuffle.runs import Run, not_in_order, payload_address, span_flags
from shuffle.whole_records import check_records

T = TypeVar("T")


@dataclass(frozen=True, order=True)
class Position:
    """A place between two records of a run: `offset` bytes into the payload of `block`."""

    block: int
    offset: int


@dataclass(frozen=True)
class RunSlice:
    """The records of `run` from `start` to before `stop`."""

    run: Run
    start: Position
    stop: Position

    @property
    def raw_bytes(self) -> int:
        """Bytes of records."""
        return bytes_before(self.run, self.stop) - bytes_before(self.run, self.start)

    def blocks(self) -> range:
        """Blocks with records of the slice."""
        return range(self.start.block, self.stop.block + (self.stop.offset > 0))


@dataclass(frozen=True)
class Splitter:
    """A record, by default the first of a block. `key` is whole unless it spans blocks, or equal keys stay together."""

    key: bytes
    is_whole: bool
    run: Run
    block: int
    offset: int = 0


def whole(run: Run) -> RunSlice:
    """All of a run."""
    return RunSlice(run, Position(0, 0), Position(len(run.index), 0))


def bytes_before(run: Run, position: Position) -> int:
    """Bytes of records before a position of a run."""
    return int(run.index.raw_lengths[: position.block].sum(dtype=np.uint64)) + position.offset


class Cutter:
    """Cuts `runs`; reads a block now and then, into a buffer of `pool`.

    With `keep_together`, which gives the leading part of a key that counts, records that agree in it stay together.
    """

    def __init__(
        self,
        order: "BlockOrder",
        layout: RecordLayout,
        pool: BufferPool,
        *,
        descending: bool,
        keep_together: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._order = order
        self._runs = order.runs
        self._layout = layout
        self._pool = pool
        self._descending = descending
        self._keep_together = keep_together

    async def cut(self, range_count: int) -> list[list[RunSlice]]:
        """For each range the slices of all runs that are not empty. Ranges are balanced in bytes; some may be empty."""
        ends = [Position(len(run.index), 0) for run in self._runs]
        cuts = [[Position(0, 0)] * len(self._runs)]
        splitters = [await self.read_splitter(*place) for place in self._choose(range_count)]
        for splitter in self.in_order(splitters):
            cuts.append([await self.cut_run(run, splitter) for run in self._runs])
        cuts.append(ends)
        ranges = [self._slices(start, stop) for start, stop in pairwise(cuts)]
        assert sum(part.raw_bytes for parts in ranges for part in parts) == sum(run.raw_bytes for run in self._runs)
        return ranges

    def _slices(self, start: list[Position], stop: list[Position]) -> list[RunSlice]:
        slices = [RunSlice(*place) for place in zip(self._runs, start, stop, strict=True)]
        for part in slices:
            if part.start > part.stop:
                raise not_in_order(part.run)
        return [part for part in slices if part.start != part.stop]

    def _choose(self, range_count: int) -> list[tuple[Run, int]]:
        """The blocks that begin the second and later ranges, in order."""
        ends = np.cumsum(self._order.raw_lengths(), dtype=np.uint64)
        targets = [int(ends[-1]) * part // range_count for part in range(1, range_count)] if len(ends) else []
        chosen = sorted({int(np.searchsorted(ends, target, "right")) for target in targets} - {0, len(ends)})
        places = [(self._runs[self._order.run_places[i]], int(self._order.blocks[i])) for i in chosen]
        return [(run, block) for run, block in places if run.index.record_counts[block]]

    def in_order(self, splitters: list[Splitter]) -> list[Splitter]:
        """Index keys are cut short, so the order of the blocks need not be that of their whole keys."""
        by_place = sorted(splitters, key=lambda each: (each.is_whole, each.run.number, each.block, each.offset))
        return sorted(by_place, key=lambda splitter: splitter.key, reverse=self._descending)

    async def read_splitter(self, run: Run, block: int, offset: int = 0) -> Splitter:
        """What splits at the record that begins at `offset` of a block."""
        is_whole = not span_flags(run, block)
        key = run.index.first_key(block)
        if is_whole:
            key = await self._with_block(run, block, lambda payload: self._first_key(payload[offset:]))
        if self._keep_together is not None:
            return Splitter(self._keep_together(key), False, run, block, offset)
        return Splitter(key, is_whole, run, block, offset)

    def _first_key(self, payload: memoryview) -> bytes:
        return self._layout.leading_key(payload, len(payload))

    async def _with_block(self, run: Run, block: int, use: Callable[[memoryview], T]) -> T:
        buffer: Buffer = await self._pool.acquire()
        with buffer:
            await run.load(block, buffer)
            check_records(run, block, buffer.view, self._layout)
            return use(buffer.view[HEADER_BYTES : HEADER_BYTES + int(run.index.raw_lengths[block])])

    async def cut_run(self, run: Run, splitter: Splitter) -> Position:
        """Where the records right of the splitter begin. A run that nobody vouches for is searched even for its own
        splitter: so the records on both sides of every cut have been looked at, and each range looks at its own."""
        if run is splitter.run and splitter.is_whole and run.is_trusted:
            return Position(splitter.block, splitter.offset)
        takes_equal = splitter.is_whole and run.number < splitter.run.number
        starts = np.flatnonzero(run.index.record_counts)  # not the later blocks of a span
        low, high = 0, len(starts)
        while low < high:  # the first block that begins right of the splitter
            middle = (low + high) // 2
            if await self._goes_left(run, int(starts[middle]), splitter.key, takes_equal):
                low = middle + 1
            else:
                high = middle
        after = int(starts[low]) if low < len(starts) else len(run.index)
        if low == 0 or span_flags(run, block := int(starts[low - 1])):
            return Position(after, 0)
        offset = await self._with_block(run, block, lambda payload: self._find(payload, splitter.key, takes_equal))
        return Position(after, 0) if offset == int(run.index.raw_lengths[block]) else Position(block, offset)

    async def _goes_left(self, run: Run, block: int, key: bytes, takes_equal: bool) -> bool:
        """Whether the first record of a block belongs left of the splitter."""
        known = run.index.first_key(block)
        if len(known) == KEY_BYTES_MAX and key[:KEY_BYTES_MAX] == known:
            return await self._with_block(run, block, lambda payload: self._first_goes_left(payload, key, takes_equal))
        return self._is_left(known, key, takes_equal)

    def _first_goes_left(self, payload: memoryview, key: bytes, takes_equal: bool) -> bool:
        return self._is_left(self._layout.leading_key(payload, len(payload)), key, takes_equal)

    def _is_left(self, found: bytes, key: bytes, takes_equal: bool) -> bool:
        if found == key:
            return takes_equal
        return (found < key) != self._descending

    def _find(self, payload: memoryview, key: bytes, takes_equal: bool) -> int:
        layout = self._layout
        start = payload_address(payload) - HEADER_BYTES
        held = np.frombuffer(key + bytes(64), np.uint8)
        found = find_cut(
            start,
            start + len(payload),
            layout.record_bytes,
            layout.key_offset,
            layout.key_bytes,
            layout.delimiter,
            int(self._descending),
            int(held.ctypes.data),
            len(key),
            takes_equal,
        )
        return int(found) - start


@dataclass(frozen=True)
class BlockOrder:
    """All blocks of some runs in the order in which a merge will ask for them, as far as 64 bytes of key can tell.

    Entry i is block `blocks[i]` of `runs[run_places[i]]`. Equal keys go by run, then by number.
    """

    runs: Sequence[Run]
    run_places: NDArray[np.int64]
    blocks: NDArray[np.int64]

    def raw_lengths(self) -> NDArray[np.int64]:
        """Bytes of records in each block, in this order."""
        first_ids = np.cumsum([0, *(len(run.index) for run in self.runs)])
        lengths = np.concatenate([np.empty(0, np.uint32), *(run.index.raw_lengths for run in self.runs)])
        return lengths[first_ids[self.run_places] + self.blocks].astype(np.int64)


def order_of_blocks(runs: Sequence[Run], *, descending: bool) -> BlockOrder:
    """Sort the blocks of `runs` by their first key, then by run, then by number."""
    counts = [len(run.index) for run in runs]
    keys = np.concatenate([np.empty((0, KEY_BYTES_MAX), np.uint8), *(run.index.first_keys for run in runs)])
    words = np.ascontiguousarray(keys).view(">u8").astype(np.uint64)
    if descending:
        words = ~words
    run_places = np.repeat(np.arange(len(runs)), counts)
    blocks = np.concatenate([np.empty(0, np.int64), *(np.arange(count) for count in counts)])
    order = np.lexsort((blocks, run_places, *words.T[::-1]))
    return BlockOrder(runs, run_places[order], blocks[order])
