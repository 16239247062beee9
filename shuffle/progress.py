"""A bar on the terminal: bytes over all passes, and the time that is left."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from shuffle.plan import SortPlan


class ProgressBar:
    """Draws on standard error while a job runs. Every byte is read once, and written once in each pass."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("sorting", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def start(self, plan: SortPlan) -> None:
        """The plan is made: how many bytes there will be."""
        if plan.input_bytes is not None:
            self._progress.update(self._task, total=plan.input_bytes * (1 + (plan.passes or 1)))

    def advance(self, size_bytes: int) -> None:
        """So many more bytes were moved."""
        self._progress.advance(self._task, size_bytes)
