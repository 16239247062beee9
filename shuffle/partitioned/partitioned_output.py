"""A directory of sorted files, one for each range of keys: what `shuffle.engine` writes to.

    merge ranges ──CutSink──> part-00000.txt, part-00001.txt, ...

A file is written by one range at a time, so few are open. What a thread writes, it digests in the same hop.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from io_manager import IOThreads
from io_manager.to_the_end import to_the_end
from serializers import RecordLayout
from shuffle.partitioned.cut_sink import CutSink
from shuffle.partitioned.digest import Digest
from shuffle.partitioned.manifest import Manifest, Partition, describe_layout, record_suffix
from shuffle.partitioned.part_file import PartFile
from shuffle.partitioned.part_files import PartFiles
from shuffle.verify import layout_words

DIRECT_TOTAL_BYTES_MIN = 64 << 20
"""As for one file: a smaller output may stay in the page cache."""

DIRECT_PART_BYTES_MIN = 256 << 10
"""Below this a file costs more to open twice than the cache does."""


class PartitionedOutput:
    """Sorted records of one layout in `count` files of equally many bytes. `manifest` is there when it is published."""

    seekable = True

    def __init__(
        self,
        path: str,
        count: int,
        layout: RecordLayout,
        *,
        descending: bool,
        overwrite: bool,
        threads: IOThreads,
    ) -> None:
        self.manifest: Manifest | None = None
        self._files = PartFiles(path, count, suffix=record_suffix(layout), overwrite=overwrite)
        self._count = count
        self._layout = layout
        self._descending = descending
        self._words = layout_words(layout, reverse=descending, unique=False)
        self._threads = threads
        self._ends: list[int] = []
        self._is_direct = False

    async def open(self, expected_bytes: int | None) -> None:
        """Make the directory. Raises what `OutputDirectory.open` does."""
        await self._threads.run(self._files.open, expected_bytes)

    def sink(self, offset: int, total_bytes: int, on_written: Callable[[int], None]) -> CutSink:
        """Takes the range that begins at `offset`."""
        self._ends = self._ends or part_ends(total_bytes, self._count)
        self._is_direct = total_bytes >= max(DIRECT_TOTAL_BYTES_MIN, self._count * DIRECT_PART_BYTES_MIN)
        return CutSink(self, self._ends, offset, on_written)

    def piece(self, number: int, offset: int, *, is_whole: bool) -> PartFile:
        """A file for what partition `number` holds from `offset` on."""
        digest = Digest(self._layout, self._words)
        return self._files.make(number, digest, direct=self._is_direct, offset=None if is_whole else offset)

    async def write(self, file: PartFile, view: memoryview, flags: int, finished: PartFile | None) -> None:
        """Append to a file. Raises DiskFullError, SpillError."""
        await self._threads.run(self._write_now, file, view, flags, finished)

    async def publish(self) -> None:
        """Make everything durable, and give the directory its name."""
        self.manifest = await self._threads.run(self._files.publish, self._describe)

    async def abandon(self) -> None:
        """Remove everything. Idempotent; does nothing after `publish`."""
        await self._threads.run(self._files.abandon)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_the_end(self.abandon())

    def _write_now(self, file: PartFile, view: memoryview, flags: int, finished: PartFile | None) -> None:
        with self._files.errors(f"writing {file.path.name}", len(view)):
            if finished is not None:
                self._files.finish(finished)
            file.append(view, flags)

    def _describe(self, partitions: list[Partition]) -> Manifest:
        return Manifest(describe_layout(self._layout), "range", {"descending": self._descending}, partitions)


def part_ends(total_bytes: int, count: int) -> list[int]:
    """Where each of `count` partitions ends, if records could be cut anywhere."""
    return [total_bytes * number // count for number in range(1, count + 1)]
