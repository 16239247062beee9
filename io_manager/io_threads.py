"""The one way from the event loop to a thread that may block, and back: aiofiles, with our own threads.

A hop costs about 60 us, so a caller does everything one block needs (read, verify, decompress) in one plain
function and one hop. A hop is never abandoned: if its caller is cancelled, the cancellation waits until the
thread has let go of the memory and the descriptor it was given. Only then may either be given to someone
else.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from aiofiles.os import wrap

from io_manager.errors import IOManagerClosedError, ThreadLimitError

P = ParamSpec("P")
T = TypeVar("T")


class IOThreads:
    """A few threads that make blocking calls. Work starts in the order it was asked for."""

    def __init__(self, count: int) -> None:
        """Raises ThreadLimitError if the system starts no more threads."""
        assert count > 0, count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="spillway-io")
        self._closed = False
        self._start(count)

    async def run(
        self,
        operation: Callable[..., T],
        *args: Any,
        interrupt: Callable[[], None] | None = None,
    ) -> T:
        """Run `operation(*args)` in a thread. Cancelled, call `interrupt` and wait for the thread anyway.

        Raises what the operation raises, and IOManagerClosedError after `close`.
        """
        if self._closed:
            raise IOManagerClosedError("the I/O threads are closed")
        seat = _Seat(self._pool)
        try:
            return await wrap(operation)(*args, executor=seat)
        except asyncio.CancelledError:
            if interrupt is not None:
                interrupt()
            await seat.vacated()
            raise

    def _start(self, count: int) -> None:
        """All of them now: were one refused later, the pool would keep the work, and do it when nobody waits for it."""
        all_started = threading.Event()
        try:
            for _ in range(count):
                self._pool.submit(all_started.wait)
        except RuntimeError as error:
            all_started.set()
            self.close()
            raise ThreadLimitError.reached() from error
        all_started.set()

    def close(self) -> None:
        """End the threads, once what they are doing is done. Idempotent."""
        self._closed = True
        self._pool.shutdown(wait=True)


class _Seat(Executor):
    """A place in the pool that remembers who sat down: asyncio forgets the thread when it cancels the
    waiting."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._future: Future[Any] | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future = self._pool.submit(fn, *args, **kwargs)
        self._future = future
        return future

    async def vacated(self) -> None:
        """Return when the thread is done, or was never started; further cancellations wait too."""
        if self._future is None:
            return
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        self._future.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))
        while not self._future.done():
            with suppress(asyncio.CancelledError):
                await done.wait()
