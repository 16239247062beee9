"""A row job, for plain Python.

caller's thread                     engine thread
put, finish, read ──── call ──────> RowJob
"""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from memory import trim_heap
from shuffle.job_session import LARGE_BYTES, JobSession
from shuffle.options import SortOptions
from shuffle.report import SortReport
from shuffle.row_feed import Rows
from shuffle.row_job import RowJob

T = TypeVar("T")


class RowSession(JobSession[RowJob]):
    """Rows in, then rows out as often as wanted. For one thread at a time. Whoever drops it has closed it."""

    def __init__(self, options: SortOptions) -> None:
        super().__init__(RowJob(options))

    def put(self, rows: Rows) -> None:
        """Add rows; they may be overwritten afterwards. Raises what made the job fail."""
        self._call(self._job.put(rows))
        if rows.data.size > LARGE_BYTES:
            trim_heap()

    def finish(self) -> SortReport:
        """No more rows: get ready to be read. Idempotent."""
        return self._call(self._job.finish())

    def read(self) -> Iterator[memoryview]:
        """All rows in order, some hundred KiB at a time; each view is good until the next. One reader at a time."""
        return self._read(self._job.read)

    def write(self, work: Callable[[RowJob], Coroutine[Any, Any, T]]) -> T:
        """Let `work` do with the finished job what it will, on its own event loop: what it returns.

        session.write(lambda job: write_map_output(job, target))
        """
        self._check_unread()
        return self._call(work(self._job))
