"""A part of a run on disk, as plain numbers: whoever gets them, in whatever process, can merge those records.

    run file   ┌───────┬──────┊────┬───────────┬───┊───────┐
               │       │ start┊    │           │   ┊stop   │
               └───────┴──────┊────┴───────────┴───┊───────┘
                              └─ raw_bytes, records ┘

Only the blocks of the slice are read, and only their entries of the block index, whose checksum the slice brings along.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import numpy as np

from io_manager import IndexPart, IOManager, PooledBuffer, RunCorruptError, RunFile, RunReader
from shuffle.cuts import Position, RunSlice


@dataclass(frozen=True)
class StoredSlice:
    """The records of `run` from `start` to before `stop`: one at least. Small and picklable.

    `records` is None where nobody has counted them. All keys are between `first_key` and `last_key`, both at most 64
    leading bytes. `index_checksum` is that of the index entries of `blocks`.
    """

    run: RunFile
    start: Position
    stop: Position
    records: int | None
    raw_bytes: int
    first_key: bytes
    last_key: bytes
    index_checksum: int

    @property
    def blocks(self) -> range:
        """Blocks with records of the slice."""
        return range(self.start.block, self.stop.block + (self.stop.offset > 0))

    @property
    def block_count(self) -> int:
        """Blocks with records of the slice."""
        return len(self.blocks)

    async def open(self, number: int, io: IOManager, stack: AsyncExitStack) -> RunSlice:
        """The slice of a run, open until `stack` ends, that has the blocks of the slice only.

        Raises RunCorruptError, RunTruncatedError where the file is not the one described.
        """
        blocks = self.blocks
        part = IndexPart(blocks.start, blocks.stop, self.index_checksum)
        reader = await stack.enter_async_context(await io.open_run(self.run, part=part))
        sliced = SlicedRun(number, self, reader)
        stop = Position(self.stop.block - blocks.start, self.stop.offset)
        found = RunSlice(sliced, Position(0, self.start.offset), stop)
        self._check(found)
        return found

    def _check(self, found: RunSlice) -> None:
        """That both ends are in their blocks, and all between them is as long as it was."""
        raw_lengths, last = found.run.index.raw_lengths, len(found.run.index) - 1
        starts_inside = self.start.offset < int(raw_lengths[0]) or not self.start.offset
        if not starts_inside or found.stop.offset > int(raw_lengths[last]) or found.raw_bytes != self.raw_bytes:
            raise RunCorruptError.at(
                self.run.path,
                int(found.run.index.offsets[0]),
                f"blocks {self.blocks.start} to {self.blocks.stop - 1} do not hold {self.raw_bytes} bytes "
                f"from byte {self.start.offset} to byte {self.stop.offset or 'the end'} of theirs",
            )


class SlicedRun:
    """A run on disk of which only some blocks are known: block 0 here is the first of the slice."""

    def __init__(self, number: int, part: StoredSlice, reader: RunReader) -> None:
        self.number = number
        self.name = str(part.run.path)
        self.is_trusted = True
        self.index = reader.index.beginning_with(part.first_key)
        self.last_key = part.last_key
        self._reader = reader

    @property
    def record_count(self) -> int:
        """Records that start in these blocks, also those that are not in the slice."""
        return int(self.index.record_counts.sum(dtype=np.uint64))

    @property
    def raw_bytes(self) -> int:
        """Bytes of records in these blocks."""
        return int(self.index.raw_lengths.sum(dtype=np.uint64))

    async def load(self, block: int, buffer: PooledBuffer) -> None:
        await self._reader.read_block(self._reader.first_block + block, buffer)
