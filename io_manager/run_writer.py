"""A run on its way to disk: blocks handed over, and written in order behind the caller's back.

    write_block(buffer) --> [slot] --> one hop: compress, take the next offset, seal, pwrite --> buffer home

At most `max_in_flight` blocks are under way; one more waits. The first error sticks: every later call raises
it. Whatever happens, each buffer goes back to its pool once no thread can touch it any more, on the event
loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from io_manager.block_index import BlockIndex
from io_manager.codec import Codec
from io_manager.errors import DiskFullError, SpillError
from io_manager.file_channel import FileChannel
from io_manager.io_threads import IOThreads
from io_manager.run_draft import RunDraft, RunTarget
from io_manager.run_file import PooledBuffer, RunFile
from io_manager.run_format import KEY_BYTES_MAX, BlockFlags, BlockHeader, payload_capacity
from io_manager.to_the_end import to_the_end

# Four blocks of 1 MiB keep a disk of 3 GB/s busy while the sorter fills the fifth; more only holds memory.
MAX_IN_FLIGHT = 4

_SPANS = (0, BlockFlags.SPAN_FIRST, BlockFlags.SPAN_MORE, BlockFlags.SPAN_LAST)


@dataclass(frozen=True)
class WriterWatcher:
    """Whom a writer tells: of a block written (raw bytes, stored bytes, seconds); that its disk is full; that it
    ended, with its run or with None."""

    on_written: Callable[[RunTarget, int, int, float], None]
    on_disk_full: Callable[[RunTarget], None]
    on_end: Callable[[RunWriter, RunFile | None], None]


class RunWriter:
    """Writes one run. Made by `IOManager.create_run`; ends with `finish` or `abort`, or aborts as a context
    manager."""

    def __init__(
        self,
        target: RunTarget,
        *,
        codec: Codec,
        threads: IOThreads,
        watcher: WriterWatcher,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self.target = target
        self._draft = RunDraft(target, codec)
        self._threads = threads
        self._watcher = watcher
        self._channel = FileChannel(threads, target.path, self._draft.close)
        self._slots = asyncio.Semaphore(max_in_flight)
        self._tasks: set[asyncio.Task[None]] = set()
        self._block_count = 0
        self._span_is_open = False
        self._last_key = b""
        self._run: RunFile | None = None
        self._is_ended = False

    @property
    def block_capacity(self) -> int:
        """Payload bytes that fit into one block."""
        return payload_capacity(self.target.block_bytes)

    @property
    def index_memory_bytes(self) -> int:
        """Bytes the block index takes in memory; `finish` takes as much again for an instant."""
        return self._draft.index.memory_bytes

    @property
    def index(self) -> BlockIndex:
        """Of the blocks written so far; of all once `finish` has returned."""
        return self._draft.index

    async def open(self) -> None:
        """Make the file, take its expected disk space, write its header. Raises DiskFullError, SpillError."""
        await self._channel.run(self._draft.open)

    async def write_block(
        self,
        buffer: PooledBuffer,
        *,
        raw_length: int,
        record_count: int,
        first_key: bytes,
        last_key: bytes,
        flags: int = 0,
    ) -> None:
        """Take over `buffer`, whose view[128 : 128 + raw_length] is the payload; return once a slot is free
        for it.

        Of longer keys the leading 64 bytes are kept. `record_count` counts the records that start in this
        block: in a spanning chain 1 for SPAN_FIRST and 0 after it. Raises the first error of the run, also an
        earlier block's.
        """
        try:
            async with _Slot(self._slots) as slot:
                self._channel.check()
                self._check_block(raw_length, record_count, flags)
                header = BlockHeader(
                    flags=flags,
                    stored_length=raw_length,
                    raw_length=raw_length,
                    record_count=record_count,
                    block_number=self._block_count,
                    run_id=self.target.run_id,
                    first_key=first_key[:KEY_BYTES_MAX],
                )
                slot.keep()
        except BaseException:
            buffer.release()
            raise
        self._block_count += 1
        self._last_key = last_key[:KEY_BYTES_MAX]
        task = asyncio.create_task(self._write_behind(buffer, header))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> RunFile:
        """Wait for all blocks, write index and footer, close the file. Raises the first error of the run."""
        if self._run is None:
            await self._all_written()
            self._channel.check()
            assert not self._span_is_open, "the last block breaks off a spanning chain"
            run = await self._channel.run(self._draft.finish, self._last_key)
            await self._channel.close("finished")
            self._run = run
            self._end(run)
        return self._run

    async def abort(self, why: str = "aborted") -> None:
        """Stop, wait for what is under way, close and delete the file. Idempotent; a finished run stays as it
        is."""
        if self._is_ended:
            return
        await self._channel.close(why)
        await self._all_written()
        await self._threads.run(self._draft.delete)
        self._end(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_the_end(self.abort())

    def _end(self, run: RunFile | None) -> None:
        if not self._is_ended:
            self._is_ended = True
            self._watcher.on_end(self, run)

    async def _all_written(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _write_behind(self, buffer: PooledBuffer, header: BlockHeader) -> None:
        try:
            stored_bytes, seconds = await self._channel.run(self._draft.write, buffer.view, header)
            self._watcher.on_written(self.target, header.raw_length, stored_bytes, seconds)
        except BaseException as error:  # nobody awaits this task: the error waits in the channel
            self._fail(error)
        finally:
            buffer.release()
            self._slots.release()

    def _fail(self, error: BaseException) -> None:
        """There is a hole in the file now: it can never be finished."""
        if isinstance(error, asyncio.CancelledError):
            error = SpillError(f"{self.target.path}: the write of a block was cancelled. Run the job again.")
        self._channel.fail(error)
        self._draft.turnstile.fail(error)
        if isinstance(error, DiskFullError):
            self._watcher.on_disk_full(self.target)

    def _check_block(self, raw_length: int, record_count: int, flags: int) -> None:
        assert self._run is None, "finish() has been called"
        assert 0 <= raw_length <= self.block_capacity, (raw_length, self.block_capacity)
        assert flags in _SPANS, flags
        continues = flags in (BlockFlags.SPAN_MORE, BlockFlags.SPAN_LAST)
        assert continues == self._span_is_open, f"flags {flags} do not continue what stands before"
        assert record_count == 0 if continues else record_count >= 0, record_count
        assert flags != BlockFlags.SPAN_FIRST or record_count == 1, record_count
        self._span_is_open = flags in (BlockFlags.SPAN_FIRST, BlockFlags.SPAN_MORE)


class _Slot:
    """A place among the blocks in flight, given back on the way out unless it is kept."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots
        self._is_kept = False

    def keep(self) -> None:
        self._is_kept = True

    async def __aenter__(self) -> Self:
        await self._slots.acquire()
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._is_kept:
            self._slots.release()
