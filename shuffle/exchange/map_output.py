"""What a map task leaves behind: a run in the order of (partition, key), and an index that says where partitions are.

    merge ──blocks──> MapOutputSink ──┬──> run file       docs/RUN_FORMAT.md
                        │ borders     └──> .index file    docs/SHUFFLE_FORMAT.md
                        └─ noted while blocks go by

One file is written front to back, whatever the number of partitions. Blocks are not cut at partitions.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from io_manager import HEADER_BYTES, KEY_BYTES_MAX, BlockFlags, IOManager, JobKey, RunFile, RunWriter, system
from io_manager.to_the_end import to_the_end
from memory import KIB, Buffer, BufferPool
from serializers import RecordLayout
from shuffle.exchange.partition_borders import PartitionBorders, whole_entries
from shuffle.exchange.partition_entry import BROADCAST, IndexHeader, pack_index
from shuffle.exchange.partition_index import PartitionIndex
from shuffle.means import Means
from shuffle.row_job import RowJob
from shuffle.runs import block_capacity, last_key_in
from shuffle.stored_slice import StoredSlice

MAP_BLOCK_BYTES_MIN = 16 * KIB
"""Below this a block costs more in Python than reading what nobody wants."""

BLOCKS_PER_RANGE = 4
"""Of each map output, where partitions are ranges: they are as even as blocks are small against them."""

_BLOCK_UNIT = 4 * KIB


@dataclass(frozen=True)
class MapTarget:
    """Where the output of map task `map_number` goes: `directory / (name + ".spill")` and `.index`.

    It will be cut into `partitions`. Rows of `layout` begin their keys with `partition_bytes` of a partition number;
    where that is 0, the index has one entry for everything, or says of every partition that it is everything.
    """

    directory: Path
    name: str
    map_number: int
    partitions: int
    layout: RecordLayout
    partition_bytes: int = 0
    is_broadcast: bool = False

    @property
    def entries(self) -> int:
        """Entries that the index has."""
        return self.partitions if self.partition_bytes or self.is_broadcast else 1

    @property
    def slices_wanted(self) -> int:
        """About how many blocks there should be: partitions are cut into ranges at blocks, so these are finer."""
        if self.is_broadcast:
            return 1
        return self.partitions if self.partition_bytes or self.partitions == 1 else BLOCKS_PER_RANGE * self.partitions


@dataclass(frozen=True)
class MapOutput:
    """A finished map output. Small and picklable; it stays until `delete`, whatever becomes of the job that wrote it.

    `partitions` is how many entries its index has: 1 where it is to be cut into ranges. Both files are sealed with
    `key`, if there is one.
    """

    map_number: int
    partitions: int
    is_broadcast: bool
    run: RunFile
    index_path: Path
    key: JobKey | None = None

    @property
    def index(self) -> PartitionIndex:
        """What says where partitions are."""
        run = self.run
        flags = BROADCAST if self.is_broadcast else 0
        numbers = (run.run_id, self.partitions, self.map_number, run.record_count, run.raw_bytes, run.block_count)
        return PartitionIndex(self.index_path, IndexHeader(flags, *numbers), run, self.key)

    @property
    def records(self) -> int:
        """In all partitions; those of a broadcast are counted once."""
        return self.run.record_count

    @property
    def raw_bytes(self) -> int:
        """Bytes of rows, uncompressed."""
        return self.run.raw_bytes

    @property
    def disk_bytes(self) -> int:
        """Of both files."""
        return self.run.disk_bytes + self.index.size_bytes

    def find(self, partition: int) -> StoredSlice | None:
        """The records of `partition`; None if there are none. Blocks; raises what `PartitionIndex.find` does."""
        return self.index.find(partition)

    def delete(self) -> None:
        """Remove both files. Blocks. Idempotent."""
        system.remove(self.run.path)
        system.remove(self.index_path)


def map_block_bytes(raw_bytes: int, slices: int, *, most: int) -> int:
    """How large the blocks of a map output are: about a slice, so that a reduce task reads little it does not want.

    At most `most`, the blocks of the plan; never less than 16 KiB, or that. Pure.
    """
    wanted = max(MAP_BLOCK_BYTES_MIN, -(-raw_bytes // (slices * _BLOCK_UNIT)) * _BLOCK_UNIT)
    return min(wanted, most)


class MapOutputSink:
    """Takes merged rows, and becomes a MapOutput. Made by `open_map_output`.

    `outputs` is the pool whose buffers it takes.
    """

    def __init__(self, io: IOManager, target: MapTarget, writer: RunWriter, outputs: BufferPool) -> None:
        self.outputs = outputs
        self._io = io
        self._target = target
        self._writer = writer
        self._borders: PartitionBorders | None = None
        if target.partition_bytes:
            self._borders = PartitionBorders(target.partitions, target.layout, target.partition_bytes)
        self._block = 0
        self._last_key = b""

    def window(self, position: int, buffer_bytes: int) -> tuple[int, int]:
        return HEADER_BYTES, HEADER_BYTES + block_capacity(buffer_bytes)

    async def put(self, buffer: Buffer, length: int, records: int, flags: int) -> None:
        try:
            payload = buffer.view[HEADER_BYTES : HEADER_BYTES + length]
            first_key = self._note(payload, flags)
        except BaseException:
            buffer.release()
            raise
        self._block += 1
        await self._writer.write_block(
            buffer,
            raw_length=length,
            record_count=int(flags == BlockFlags.SPAN_FIRST) if flags else records,
            first_key=first_key,
            last_key=self._last_key,
            flags=flags,
        )

    async def drained(self) -> None:
        """The writer takes buffers over, and waits for them when it finishes."""

    async def finish(self) -> MapOutput:
        """No more rows: both files stand in their directory. Raises SpillError kinds, and leaves nothing then."""
        target, io = self._target, self._io
        run = await self._writer.finish()
        place = target.directory / f"{target.name}.spill"
        index_path = place.with_suffix(".index")
        try:
            kept = await io.keep_run(run, target.directory, place.name)
            output = MapOutput(target.map_number, target.entries, target.is_broadcast, kept, index_path, io.key)
            await io.threads.run(self._write_index, output)
        except BaseException:
            await to_the_end(io.threads.run(_take_back, run, place, index_path))
            raise
        return output

    def _note(self, payload: memoryview, flags: int) -> bytes:
        """See what begins in a block, and remember its last key: its first key."""
        layout = self._target.layout
        if flags not in (0, BlockFlags.SPAN_FIRST):  # the middle of a record: its key is the record's
            return self._last_key
        first_key = layout.leading_key(payload, KEY_BYTES_MAX)
        if self._borders is None:
            self._last_key = first_key if flags else last_key_in(layout, payload)
        elif flags:
            self._last_key = self._borders.note_span(self._block, payload)
        else:
            self._last_key = self._borders.note_rows(self._block, payload)
        return first_key

    def _write_index(self, output: MapOutput) -> None:
        index = self._writer.index
        if self._borders is None:
            entries = whole_entries(output.partitions, index, output.run.last_key)
        else:
            entries = self._borders.entries(index)
        output.index.write(pack_index(output.index.header, entries, output.key))


def _take_back(run: RunFile, place: Path, index_path: Path) -> None:
    """Where a run was moved already, it and its index go; else files of that name are an earlier task's."""
    if not run.path.exists():
        for path in (place, index_path):
            with suppress(OSError):
                system.unlink(path)


@asynccontextmanager
async def open_map_output(means: Means, target: MapTarget, *, raw_bytes: int) -> AsyncIterator[MapOutputSink]:
    """A sink for about `raw_bytes` of rows. Left without `finish`, it leaves nothing. Raises SpillError kinds."""
    block_bytes = map_block_bytes(raw_bytes, target.slices_wanted, most=means.plan.block_bytes)
    async with AsyncExitStack() as stack:
        outputs = stack.enter_context(means.block_pool(block_bytes))
        writer = await stack.enter_async_context(  # after the pool, whose buffers it may hold until it has ended
            await means.io.create_run(block_bytes=block_bytes, expected_bytes=raw_bytes)
        )
        yield MapOutputSink(means.io, target, writer, outputs)


async def write_map_output(job: RowJob, target: MapTarget) -> MapOutput:
    """Merge all rows of a job that has finished into a map output. `RowSession.write` runs it for plain Python."""
    async with open_map_output(job.means, target, raw_bytes=job.report.output_bytes) as sink:
        await job.merge_into(sink, outputs=sink.outputs)
        return await sink.finish()
