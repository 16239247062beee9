"""I/O buffers for one asyncio event loop, drawn from a memory manager.

    manager ──extents──> [ free windows ] ──acquire──> Buffer ──release──┐
                               ^        waiters, first come first served │
                               └──────────────────<──────────────────────┘

The required buffers are taken at once, all or nothing, so whoever got a pool can make progress for ever. Up
to the maximum it grows whenever the manager has room. Waiting is fair, ends in an error that says who holds
what, and a cancelled waiter never takes a buffer with it.

Not for threads: acquire and release only where the event loop runs. A thread may fill or drain the view of a
buffer meanwhile, but a buffer must not be released while one still does; not even if the task that waits for
it is cancelled.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from types import TracebackType

from memory.buffer import Buffer
from memory.errors import (
    BufferLeakError,
    MemoryShutdownError,
    PoolTimeoutError,
    describe_holders,
)
from memory.extent import Extent
from memory.manager import MemoryManager
from memory.sizes import format_size

BUFFER_ALIGNMENT_BYTES = 4096


class BufferPool:
    """Between `required` and `maximum` buffers of `buffer_bytes`, a multiple of 4096, held by `owner`.

    Raises ValueError for numbers that make no pool, MemoryBudgetError if the required buffers are not free.
    """

    def __init__(self, manager: MemoryManager, owner: str, *, buffer_bytes: int, required: int, maximum: int) -> None:
        if buffer_bytes <= 0 or buffer_bytes % BUFFER_ALIGNMENT_BYTES:
            raise ValueError(f"buffers of {buffer_bytes} bytes: must be a multiple of {BUFFER_ALIGNMENT_BYTES}")
        if not 1 <= required <= maximum:
            raise ValueError(f"{required} required and at most {maximum} buffers: needs 1 <= required <= maximum")
        self.owner = owner
        self.buffer_bytes = buffer_bytes
        self.required = required
        self.maximum = maximum
        self.closed = False
        self._manager = manager
        self._extents: list[Extent] = []
        self._free: list[memoryview] = []
        self._out: set[Buffer] = set()
        self._waiters: deque[asyncio.Future[Buffer]] = deque()
        self._thread: int | None = None
        self._grow(required)

    def __repr__(self) -> str:
        return f"<BufferPool {self._counts()}>"

    def __enter__(self) -> BufferPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except BufferLeakError as leak:
            if error is None:
                raise
            error.add_note(str(leak))  # the leak came of the error, and must not hide it

    # --------------------------------------------------------------- counting

    @property
    def available(self) -> int:
        """Buffers that lie in the pool now. More may come by growth."""
        return len(self._free)

    @property
    def in_use(self) -> int:
        """Buffers out on loan."""
        return len(self._out)

    # ---------------------------------------------------------------- lending

    def try_acquire(self) -> Buffer | None:
        """A buffer if one is there, or can be had from the manager, and nobody has been waiting for it.

        Raises MemoryShutdownError after close().
        """
        self._check_open()
        self._serve_waiters()  # the manager may have room again since they asked
        return None if self._waiters else self._lend()

    async def acquire(self, *, timeout_seconds: float = 30.0) -> Buffer:
        """A buffer as soon as there is one, in the order of asking.

        Raises PoolTimeoutError when the time is up, MemoryShutdownError if the pool is or gets closed.
        """
        buffer = self.try_acquire()
        if buffer is not None:
            return buffer
        waiter: asyncio.Future[Buffer] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            # asyncio.wait leaves the future alone when the time is up: no buffer gets lost in between.
            await asyncio.wait((waiter,), timeout=timeout_seconds)
            if waiter.done():
                return self._still_on_loan(waiter.result())
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise
        self._waiters.remove(waiter)
        raise PoolTimeoutError(
            f"no buffer came home within {timeout_seconds:g} s. Pool {self._counts()}. "
            f"{describe_holders(self._manager.holders())} Release buffers sooner, or raise the memory budget."
        )

    def close(self) -> None:
        """Give all memory back and fail whoever waits. A second close does nothing.

        Raises BufferLeakError if buffers are out; their memory has been taken back nevertheless.
        """
        if self.closed:
            return
        self.closed = True
        self._fail_waiters()
        leaked_count, counts = self.in_use, self._counts()
        self._free.extend(buffer.retire() for buffer in self._out)
        self._out.clear()
        self._free_memory()
        if leaked_count:
            raise BufferLeakError(
                f"{leaked_count} of the buffers did not come home before the pool was closed: {counts}. "
                "Acquire buffers in a with statement."
            )

    # ---------------------------------------------------------------- the flow

    def _lend(self) -> Buffer | None:
        """A buffer from the free windows, growing by one if there are none."""
        self._check_thread()
        if not self._free and not self._try_grow():
            return None
        buffer = Buffer(self._free.pop(), on_release=self._take_home)
        self._out.add(buffer)
        return buffer

    def _take_home(self, buffer: Buffer) -> None:
        self._check_thread()
        self._out.remove(buffer)
        self._free.append(buffer.retire())
        self._serve_waiters()

    def _serve_waiters(self) -> None:
        if self._memory_is_gone:
            self._fail_waiters()
        while self._waiters:
            buffer = self._lend()
            if buffer is None:
                return
            self._waiters.popleft().set_result(buffer)

    def _fail_waiters(self) -> None:
        for waiter in self._waiters:
            waiter.set_exception(self._closed_error())
        self._waiters.clear()

    def _still_on_loan(self, buffer: Buffer) -> Buffer:
        """A pool can be closed after a waiter was given a buffer and before it woke up."""
        if buffer.released:
            raise self._closed_error()
        return buffer

    def _give_up(self, waiter: asyncio.Future[Buffer]) -> None:
        """The waiter was cancelled: leave the queue, or pass on the buffer that came too late."""
        if not waiter.done():
            self._waiters.remove(waiter)
        elif waiter.exception() is None:
            waiter.result().release()

    # -------------------------------------------------------------- the memory

    def _try_grow(self) -> bool:
        if self.available + self.in_use >= self.maximum:
            return False
        try:
            self._grow(1)
        except MemoryError:  # not free, or not to be had from the operating system: then there is no room
            return False
        return True

    def _grow(self, count: int) -> None:
        """`count` more buffers, and those for which the rounding to segments left room."""
        extent = self._manager.allocate_extent(self.owner, count * self.buffer_bytes)
        self._extents.append(extent)
        room = self.maximum - self.available - self.in_use
        for index in range(min(room, extent.size_bytes // self.buffer_bytes)):
            start = index * self.buffer_bytes
            self._free.append(extent.view[start : start + self.buffer_bytes])

    def _free_memory(self) -> None:
        for window in self._free:
            with suppress(BufferError):
                window.release()
        self._free.clear()
        for extent in self._extents:
            extent.release()
        self._extents.clear()

    # -------------------------------------------------------------- the checks

    @property
    def _memory_is_gone(self) -> bool:
        """Whether the manager was shut down under the pool."""
        return self.closed or self._extents[0].released

    def _check_open(self) -> None:
        if self._memory_is_gone:
            raise self._closed_error()

    def _check_thread(self) -> None:
        here = threading.get_ident()
        # Known from the first use on: a pool may be made in one thread and used in the loop of another.
        self._thread = self._thread or here
        assert self._thread == here, "a buffer pool belongs to the thread of its event loop"

    def _closed_error(self) -> MemoryShutdownError:
        return MemoryShutdownError(f"the buffer pool of {self.owner!r} is closed, or its memory manager shut down")

    def _counts(self) -> str:
        return (
            f"{self.owner!r}: {self.in_use} in use, {self.available} available, at most {self.maximum} "
            f"of {format_size(self.buffer_bytes)}, {len(self._waiters)} waiting"
        )
