"""A job on an event loop, for plain Python: its thread, its end, and nothing left behind if nobody ends it.

caller's thread                     engine thread
methods of a session ── call ─────> job
"""

import weakref
from collections.abc import Callable, Coroutine, Iterator, Sized
from typing import Any, Generic, TypeVar

from memory import trim_heap
from shuffle.engine_thread import EngineThread
from shuffle.reader_job import Reader, ReaderJob

T = TypeVar("T")
JobT = TypeVar("JobT", bound=ReaderJob)
LotT = TypeVar("LotT", bound=Sized)

LARGE_BYTES = 2 << 20
"""Of rows that are put or read at once: only large values make so many, and leave holes of their size in the heap."""


class JobSession(Generic[JobT]):
    """For one thread at a time. Whoever drops it has closed it."""

    def __init__(self, job: JobT) -> None:
        self._thread = EngineThread()
        self._job = job
        self._end = weakref.finalize(self, _end, self._thread, job)
        self._end.atexit = False  # no thread may start any more by then; its files are doomed
        self._is_read = False
        try:
            self._thread.call(job.open())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        if self._end.detach() is not None:
            try:
                self._thread.call(self._job.close())
            finally:
                self._thread.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.call(work)

    def _check_unread(self) -> None:
        if self._is_read:
            raise RuntimeError(
                "these records are being read already, and there is memory for one reader. Finish or close that "
                "iterator first, or make a list of what you need twice"
            )

    def _read(self, open_reader: Callable[[], Coroutine[Any, Any, Reader[LotT]]]) -> Iterator[LotT]:
        """All that a reader gives; each lot is good until the next."""
        self._check_unread()
        self._is_read = True
        try:
            reader = self._call(open_reader())
            while (view := self._call(reader.next())) is not None:
                size_bytes = len(view)
                yield view
                del view  # a row of many blocks is memory of its own: it goes before the next one comes
                if size_bytes > LARGE_BYTES:
                    trim_heap()
        finally:
            self._is_read = False
            if self._end.alive:
                self._call(self._job.end_reading())


def _end(thread: EngineThread, job: ReaderJob) -> None:
    """Nobody closed the session. It may be the engine's own thread that finds out: it must not wait for itself."""
    thread.end_with(job.close())
