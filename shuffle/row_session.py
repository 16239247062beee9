"""A row job, for plain Python: its thread, its end, and nothing left behind if nobody ends it.

caller's thread                     engine thread
put, finish, read ──── call ──────> RowJob
"""

import atexit
import os
import weakref
from collections.abc import Iterator

from shuffle.engine_thread import EngineThread
from shuffle.options import SortOptions
from shuffle.report import SortReport
from shuffle.row_feed import Rows
from shuffle.row_job import RowJob

_open_jobs: dict[RowJob, int] = {}
"""Jobs that have not been closed, and the process that opened each."""


class RowSession:
    """Rows in, then rows out as often as wanted. For one thread at a time. Whoever drops it has closed it."""

    def __init__(self, options: SortOptions) -> None:
        self._thread = EngineThread()
        self._job = RowJob(options)
        self._end = weakref.finalize(self, _end, self._thread, self._job)
        self._end.atexit = False  # no thread may start any more by then: see _remove_files
        _open_jobs[self._job] = os.getpid()
        self._is_read = False
        try:
            self._thread.call(self._job.open())
        except BaseException:
            self.close()
            raise

    def put(self, rows: Rows) -> None:
        """Add rows; they may be overwritten afterwards. Raises what made the job fail."""
        self._thread.call(self._job.put(rows))

    def finish(self) -> SortReport:
        """No more rows: get ready to be read. Idempotent."""
        return self._thread.call(self._job.finish())

    def read(self) -> Iterator[memoryview]:
        """All rows in order, some hundred KiB at a time; each view is good until the next. One reader at a time."""
        if self._is_read:
            raise RuntimeError(
                "these records are being read already, and there is memory for one reader. Finish or close that "
                "iterator first, or make a list of what you need twice"
            )
        self._is_read = True
        try:
            reader = self._thread.call(self._job.read())
            while (view := self._thread.call(reader.next())) is not None:
                yield view
        finally:
            self._is_read = False
            if self._end.alive:
                self._thread.call(self._job.end_reading())

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        if self._end.detach() is not None:
            self._thread.call(self._job.close())
            self._thread.close()
            del _open_jobs[self._job]


def _end(thread: EngineThread, job: RowJob) -> None:
    """Nobody closed the session. It may be the engine's own thread that finds out: it must not wait for itself."""
    thread.end_with(_close(job))


async def _close(job: RowJob) -> None:
    """Until the last file is gone, the end of the process may have to remove it."""
    try:
        await job.close()
    finally:
        del _open_jobs[job]


@atexit.register
def _remove_files() -> None:
    """The process ends with sessions open: their files go with it. A forked child leaves them to its parent."""
    for job, process_id in list(_open_jobs.items()):
        if process_id == os.getpid():
            job.remove_files()
