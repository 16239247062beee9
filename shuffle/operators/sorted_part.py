"""An operator that is a sort which leaves out what is not wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from shuffle.operators.result import OperatorReport
from shuffle.sorter import SortedResult, Sorter

T = TypeVar("T")


class SortedPart(Generic[T]):
    """All `values` sorted by `sorter`, which drops some."""

    def __init__(self, values: Iterable[T], sorter: Sorter[T]) -> None:
        self._sorted = SortedResult(sorter, values)

    def prepare(self, report: OperatorReport) -> None:
        report.sorts = (self._sorted.report,)
        report.records = self._sorted.report.records

    def results(self) -> Iterator[T]:
        for batch in self._sorted.batches():
            yield from batch

    def close(self) -> None:
        self._sorted.close()


__all__ = ["SortedPart"]
