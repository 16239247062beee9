"""What an operator gives back: nothing happens before the first result is wanted, and then it is as a sorted result.

with shuffle.reduce_by_key(pairs, max) as result:
    for key, value in result: ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import GeneratorType
from typing import Generic, Protocol, TypeVar

from shuffle.closable import ClosedByError
from shuffle.report import SortReport

R = TypeVar("R", covariant=True)


@dataclass
class OperatorReport:
    """What an operator took.

    sorts             the report of each sort, left before right; none for a side that was in order already
    records           values that came in, of all sides
    records_combined  of these, how many a combiner took out before the sort
    combiner_note     why the combiner gave up, if it did
    """

    sorts: tuple[SortReport, ...] = ()
    records: int = 0
    records_combined: int = 0
    combiner_note: str = ""


class Operator(Protocol[R]):
    """The work behind a result."""

    def prepare(self, report: OperatorReport) -> None:
        """Take all input and sort it."""

    def results(self) -> Iterator[R]:
        """All results, from the first on. Called again, all of them once more."""

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""


class OperatorResult(ClosedByError, Generic[R]):
    """The results of an operator, computed anew each time they are iterated. Close it, or drop it, when done.

    For one thread at a time. What goes wrong closes it, and is raised again by whoever asks next.
    """

    def __init__(self, operator: Operator[R]) -> None:
        self._operator = operator
        self._report: OperatorReport | None = None
        self._reading: Iterator[R] | None = None

    def __iter__(self) -> Iterator[R]:
        """All results, in order. Not twice at the same time: there is memory for one merge."""
        self.report  # noqa: B018 - sorts what is not sorted yet
        if self._reading is not None:
            raise RuntimeError(
                "these results are being read already, and there is memory for one reader. Finish or close that "
                "iterator first, or make a list of what you need twice"
            )
        self._reading = self._operator.results()
        try:
            with self._closed_on_error():
                yield from self._reading
        finally:
            self._reading = None
        if self._is_closed:
            raise ValueError("this result was closed while it was being read")

    @property
    def report(self) -> OperatorReport:
        """What it took. Sorts what is not sorted yet."""
        self._check_open("this result is closed. Call the operator again")
        if self._report is None:
            report = OperatorReport()
            with self._closed_on_error():
                self._operator.prepare(report)
            self._report = report
        return self._report

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent. Who is reading gets a ValueError for what is left."""
        if isinstance(self._reading, GeneratorType):  # ends before what it reads is gone
            if self._reading.gi_running:
                raise RuntimeError("a function cannot close the result that it is called for: it may raise an error")
            self._reading.close()
        self._is_closed = True
        self._operator.close()
