"""The files of an output directory in the making: made, made durable by several, joined, and told of in a manifest.

    make ──> PartFile, PartFile, ... ──finish──> fsync of several ──publish──> manifest.json ──> rename

Everything here blocks. Several threads may write, each to files of its own.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from io_manager.errors import OUTPUT_CURE, disk_errors
from shuffle.partitioned.digest import Digest
from shuffle.partitioned.manifest import MANIFEST_NAME, Manifest, Partition, part_name
from shuffle.partitioned.output_directory import OutputDirectory
from shuffle.partitioned.part_file import PartFile
from shuffle.surroundings import raise_open_files_limit

SYNC_BYTES = 64 << 20
"""Finished files are made durable together when they come to so much. Each time is a commit of the journal, in which
nobody makes files: 10,000 files of 100 KiB by eights took four times as long."""

SYNC_FILES_MAX = 512
"""Or when they are so many, because they stay open until then."""

_SYNC_SHARE = 16  # of the files that may be open


class PartFiles:
    """Files for `count` partitions, in a directory that is there when all of them are, or not at all."""

    def __init__(self, path: str, count: int, *, suffix: str, overwrite: bool) -> None:
        self._directory = OutputDirectory(path, mark=MANIFEST_NAME, overwrite=overwrite)
        self._count = count
        self._suffix = suffix
        self._pieces: defaultdict[int, dict[int, PartFile]] = defaultdict(dict)
        """By partition, then by where in the whole output they begin."""
        self._finished: list[PartFile] = []
        self._finished_bytes = 0
        self._sync_files = 1
        self._lock = threading.Lock()

    def open(self, expected_bytes: int | None) -> None:
        """Make the directory. Raises what `OutputDirectory.open` does."""
        self._directory.open(expected_bytes)
        self._sync_files = min(SYNC_FILES_MAX, raise_open_files_limit() // _SYNC_SHARE)

    def make(self, number: int, digest: Digest | None, *, direct: bool = False, offset: int | None = None) -> PartFile:
        """A file for a partition, which is not there before something is written to it.

        Of a partition in several pieces, `offset` gives their order; None for a file that begins with the partition.
        """
        name = part_name(number, self._suffix)
        path = self._directory.partial / (name if offset is None else f"{name}.{offset}")
        made = self._pieces[number][offset or 0] = PartFile(path, digest, direct=direct)
        return made

    def finish(self, file: PartFile) -> None:
        """Nothing more comes for it: make it durable, in the company of others."""
        file.finish()
        ready: list[PartFile] = []
        with self._lock:
            self._finished.append(file)
            self._finished_bytes += file.content.size_bytes
            if self._finished_bytes >= SYNC_BYTES or len(self._finished) >= self._sync_files:
                ready, self._finished, self._finished_bytes = self._finished, [], 0
        for each in ready:
            each.sync()

    def publish(self, describe: Callable[[list[Partition]], Manifest]) -> Manifest:
        """Join what belongs together, make everything durable, add the manifest, give the directory its name."""
        with self.errors("publishing the output"):
            manifest = describe([self._complete(number) for number in range(self._count)])
            manifest.write(self._directory.partial / MANIFEST_NAME)
        self._directory.publish()
        return manifest

    def abandon(self) -> None:
        """Remove everything. Idempotent; does nothing after `publish`."""
        for pieces in self._pieces.values():
            for piece in pieces.values():
                piece.close()
        self._directory.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()

    def errors(self, doing: str, needed_bytes: int = 0) -> AbstractContextManager[None]:
        """What the disk raises meanwhile becomes an error that names the directory and the cure."""
        return disk_errors(self._directory.path, doing=doing, needed_bytes=needed_bytes, cure=OUTPUT_CURE)

    def _complete(self, number: int) -> Partition:
        """One durable file for a partition."""
        path = self._directory.partial / part_name(number, self._suffix)
        pieces = [piece for _, piece in sorted(self._pieces[number].items())]
        first, *others = pieces or [PartFile(path, None, direct=False)]
        for piece in pieces:
            piece.finish()
        if pieces:
            first.rename(path)
        for other in others:
            first.take_in(other)
        first.sync()
        return Partition(path.name, first.content)
