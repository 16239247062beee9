"""One open file: its operations in flight, its first error, and its end.

The first error sticks: whoever comes later, or was waiting meanwhile, gets that same error and not a
mysterious second one. Closing waits for what is in flight, because a descriptor closed too early may be
someone else's file by the time a thread uses it. (Flink's AsynchronousFileIOChannel, with an event loop in
place of its queues.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from io_manager.errors import IOManagerClosedError
from io_manager.io_threads import IOThreads

T = TypeVar("T")


class FileChannel:
    """Counts what is being done with a file; `close_now` is the blocking, idempotent call that closes it."""

    def __init__(self, threads: IOThreads, path: Path, close_now: Callable[[], None]) -> None:
        self.path = path
        self.error: BaseException | None = None
        self._threads = threads
        self._close_now = close_now
        self._in_flight = 0
        self._is_closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    def check(self) -> None:
        """Raises the first error, if there was one."""
        if self.error is not None:
            raise self.error

    def fail(self, error: BaseException) -> None:
        """Let `error` be the first, unless another was."""
        if self.error is None:
            self.error = error

    async def run(self, operation: Callable[..., T], *args: Any, interrupt: Callable[[], None] | None = None) -> T:
        """Run one blocking operation on the file. Its error sticks; a cancellation of the caller does not."""
        self.check()
        self._in_flight += 1
        self._idle.clear()
        try:
            return await self._threads.run(operation, *args, interrupt=interrupt)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        await self._idle.wait()

    async def close(self, why: str = "closed") -> None:
        """Refuse what comes, wait for what is in flight, close the file. Idempotent."""
        self.fail(IOManagerClosedError(f"{self.path} is {why}"))
        await self.idle()
        if not self._is_closed:
            await self._threads.run(self._close_now)
            self._is_closed = True
