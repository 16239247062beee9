"""The first few in an order, without sorting the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from shuffle.operators.choices import Table, is_table
from shuffle.operators.result import OperatorResult
from shuffle.operators.sorted_part import SortedPart
from shuffle.sorter import RecordChoices, Sorter

if TYPE_CHECKING:
    from shuffle.tables.table_sorter import SortedTable

T = TypeVar("T")


@overload
def top_k(values: Table, k: int, **choices: Any) -> SortedTable:  # type: ignore[overload-overlap]
    """Of a table."""


@overload
def top_k(values: Iterable[T], k: int, **choices: Unpack[RecordChoices]) -> OperatorResult[T]:
    """Of Python values."""


def top_k(values: Any, k: int, **choices: Any) -> Any:
    """The first `k` of `values` in the order of `by=` or `key=`, or their own; with `reverse=True` the last, backwards.

    As `shuffle.sort` gives them, equal ones in input order, but each sort buffer keeps its first `k` only: any `k` is
    allowed, and a small one spills next to nothing. Raises ValueError for a `k` below 0, and SerializationError kinds
    for a value that does not fit, with the number of its record. Of a table, Arrow data or a path, the rows: as
    `shuffle.tables.top_k_table`.
    """
    if k < 0:
        raise ValueError(f"k is {k}: give 0 or more")
    if is_table(values):
        from shuffle.tables import top_k_table

        return top_k_table(values, k, **choices)
    choices["limit"] = k
    return OperatorResult(SortedPart(values, Sorter(**choices)))


__all__ = ["top_k"]
