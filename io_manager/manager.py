"""The I/O manager of a job: its temp directories, its I/O threads, its runs, and the end of all three.

    async with IOManager(["/tmp"]) as io:
        async with await io.create_run(block_bytes=1 << 20, expected_bytes=1 << 30) as writer:
            await writer.write_block(buffer, raw_length=..., record_count=..., first_key=..., last_key=...)
            run = await writer.finish()
        async with await io.open_run(run) as reader:
            header = await reader.read_block(0, buffer)
        await io.delete_run(run)

Entering sweeps what dead jobs left and makes private directories. On leaving nothing of it stays, whatever
happened.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Self

from io_manager import system
from io_manager.auto_codec import make_codec
from io_manager.cipher import JobKey
from io_manager.directories import JobDirectories
from io_manager.disk_account import DiskClaim
from io_manager.errors import DiskFullError, IOManagerClosedError, disk_errors
from io_manager.io_threads import IOThreads
from io_manager.job_directory import JobDirectory
from io_manager.kept_run import move_run
from io_manager.run_draft import RunTarget
from io_manager.run_file import IndexPart, RunFile
from io_manager.run_format import check_block_bytes
from io_manager.run_reader import RunReader
from io_manager.run_writer import RunWriter, WriterWatcher
from io_manager.stats import IOStats
from io_manager.sweep import Swept
from io_manager.to_the_end import to_the_end
from io_manager.write_path import WritePath


class IOManager:
    """Async context manager; between enter and exit it creates, opens and deletes runs."""

    def __init__(
        self,
        temp_dirs: Sequence[str | PathLike[str]],
        *,
        codec: str = "none",
        io_threads: int = 4,
        max_disk_bytes: int | None = None,
        direct: bool = True,
        memory_free_bytes: int = 0,
        key: JobKey | None = None,
        adopted: Sequence[JobDirectory] = (),
    ) -> None:
        """`adopted` are directories of a dead job, which this one goes on with; then it makes none.

        `direct` asks for direct I/O where the file system offers it, and where it is quicker than the page cache: of
        `memory_free_bytes` a part may be filled with spill files. With a `key` every run is sealed with it, and a run
        that is not is damaged. Raises ValueError for an unknown codec.
        """
        self.codec = make_codec(codec)
        self.threads = IOThreads(io_threads)
        self.swept: list[Swept] = []
        self._directories = JobDirectories(temp_dirs, max_disk_bytes=max_disk_bytes, direct=direct, adopted=adopted)
        self._stats = IOStats()
        self._write_path = WritePath(memory_free_bytes)
        self._watcher = WriterWatcher(self._note_written, self._note_full, self._note_end)
        self.key = key
        self._open_files: set[RunWriter | RunReader] = set()
        self._claims: dict[Path, DiskClaim] = {}
        self._run_ids = iter(range(secrets.randbits(63), 1 << 64))  # of another job: never, for practical purposes
        self._is_open = False

    @property
    def stats(self) -> IOStats:
        """What the I/O came to so far: a copy."""
        account = self._directories.account
        return replace(self._stats, disk_bytes=account.used_bytes, disk_bytes_peak=account.used_bytes_peak)

    def scratch_bytes(self, block_bytes: int) -> int:
        """Bytes of memory that (de)compressing one block may take, per I/O thread, beyond its buffer."""
        return self.codec.scratch_bytes(block_bytes)

    async def __aenter__(self) -> Self:
        """Raises TempDirError, leaving nothing behind."""
        try:
            self.swept = await self.threads.run(self._directories.create)
        except BaseException:
            self._directories.close()
            self.threads.close()
            raise
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what is open, remove everything. What cannot be removed is logged, so that no error is hidden
        by it."""
        self._is_open = False
        try:
            await to_the_end(self._end_open_files())
        finally:
            self.threads.close()  # waits for what a cancelled exit left under way
            self._directories.close()

    @property
    def directories(self) -> list[Path]:
        """The private directories of the job, in the order of the temp dirs."""
        return self._directories.paths

    def outlive_job(self, whether: bool) -> None:
        """Whether directories and finished runs stay when the manager is left, for the job to be resumed."""
        self._directories.outlive_job = whether

    async def adopt_run(self, run: RunFile) -> None:
        """A finished run in a directory that was adopted is this job's now: proved as by `open_run`, and charged.

        Raises what `open_run` does, and DiskLimitError.
        """
        async with await self.open_run(run):
            pass
        home = self._directories.find(run.path)
        assert home is not None, run.path
        claim = self._directories.claim(home, run.disk_bytes)
        claim.preallocated()
        self._claims[run.path] = claim

    async def remove_strays(self, runs: Collection[RunFile]) -> None:
        """Remove the run files in adopted directories that are not among `runs`: nobody finished them."""
        known = {run.path for run in runs}
        with disk_errors(self.directories[0], doing="removing what was not finished", needed_bytes=0):
            await self.threads.run(self._directories.remove_strays, known)

    async def _end_open_files(self) -> None:
        for file in list(self._open_files):
            if isinstance(file, RunWriter):
                await file.abort("closed with its I/O manager")
            else:
                await file.close("closed with its I/O manager")

    async def create_run(self, *, block_bytes: int, expected_bytes: int) -> RunWriter:
        """A writer for a new run in a directory with room for `expected_bytes` on disk.

        Where the file system can, they are taken at once; the estimate may be wrong either way, 0 claims
        nothing. Raises DiskFullError when no directory has the room, DiskLimitError at --max-disk.
        """
        self._check_open()
        check_block_bytes(block_bytes)
        assert expected_bytes >= 0, expected_bytes
        for directory in self._directories.by_room(expected_bytes):
            writer = self._make_writer(directory, block_bytes, expected_bytes)
            try:
                await writer.open()
            except DiskFullError:
                directory.is_full = True
                await writer.abort()
            except BaseException:
                await writer.abort()
                raise
            else:
                return writer
        raise AssertionError("by_room ends with an error")

    async def open_run(self, run: RunFile, *, part: IndexPart | None = None) -> RunReader:
        """A reader for a finished run, verified; with `part` only for those blocks, whose index entries alone are read.

        Raises RunCorruptError, RunTruncatedError, SpillError.
        """
        self._check_open()
        reader = RunReader(
            run, part=part, threads=self.threads, stats=self._stats, on_end=self._open_files.discard, key=self.key
        )
        self._open_files.add(reader)
        try:
            await reader.open()
        except BaseException:
            await reader.close()
            raise
        return reader

    async def delete_run(self, run: RunFile) -> None:
        """Delete a finished run: its disk and its share of --max-disk are free at once. Idempotent.

        Close its readers first: the system keeps the bytes of an open file.
        """
        self._check_open()
        await self.threads.run(_unlink, run.path)
        claim = self._claims.pop(run.path, None)
        if claim is not None:
            self._directories.release(claim)
        home = self._directories.find(run.path)
        if home is not None:
            home.is_full = False

    async def keep_run(self, run: RunFile, directory: Path, name: str) -> RunFile:
        """Move a finished run out of the job's own directory, to `directory / name`: it stays when the job ends.

        A file of that name is replaced at once, as a whole. The run counts no more against --max-disk. Raises
        SpillError kinds; the run is where it was then.
        """
        self._check_open()
        kept = await self.threads.run(move_run, run, directory / name)
        claim = self._claims.pop(run.path, None)
        if claim is not None:
            self._directories.release(claim)
        return kept

    def _make_writer(self, directory: JobDirectory, block_bytes: int, expected_bytes: int) -> RunWriter:
        run_id = self._next_run_id()
        spilled_bytes = self._directories.account.used_bytes
        direct = directory.direct and self._write_path.choose_direct(
            spilled_bytes=spilled_bytes, expected_bytes=expected_bytes
        )
        target = RunTarget(
            path=directory.path / f"run-{run_id:016x}.spill",
            run_id=run_id,
            block_bytes=block_bytes,
            expected_bytes=expected_bytes,
            direct=direct,
            claim=self._directories.claim(directory, expected_bytes),
            key=self.key,
        )
        writer = RunWriter(target, codec=self.codec, threads=self.threads, watcher=self._watcher)
        self._open_files.add(writer)
        return writer

    def _next_run_id(self) -> int:
        return next(self._run_ids)

    def _check_open(self) -> None:
        if not self._is_open:
            raise IOManagerClosedError("the I/O manager is not open: use it inside `async with`")

    def _note_written(self, target: RunTarget, raw_bytes: int, stored_bytes: int, seconds: float) -> None:
        self._stats.note_written(raw_bytes=raw_bytes, stored_bytes=stored_bytes, seconds=seconds)
        self._write_path.note_write(direct=target.direct, size_bytes=stored_bytes, seconds=seconds)

    def _note_full(self, target: RunTarget) -> None:
        home = self._directories.find(target.path)
        if home is not None:
            home.is_full = True

    def _note_end(self, writer: RunWriter, run: RunFile | None) -> None:
        self._open_files.discard(writer)
        if run is None:
            self._directories.release(writer.target.claim)
        else:
            self._claims[run.path] = writer.target.claim
            self._stats.runs_written += 1


def _unlink(path: Path) -> None:
    with disk_errors(path, doing="deleting a run", needed_bytes=0):
        system.remove(path)
