"""One of each: the first of values with equal keys, in key order."""

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
def distinct(values: Table, **choices: Any) -> SortedTable:  # type: ignore[overload-overlap]
    """Of a table."""


@overload
def distinct(values: Iterable[T], **choices: Unpack[RecordChoices]) -> OperatorResult[T]:
    """Of Python values."""


def distinct(values: Any, **choices: Any) -> Any:
    """The first of all `values` with equal keys, in key order; keys are `by=` or `key=`, or the values themselves.

    Of a table, Arrow data or a path, the rows: as `shuffle.tables.distinct_table`.

    Keys are equal if they order as equal: NaN is NaN, -0.0 is 0.0, and None is a key as any other. What is there
    already is dropped as soon as it is sorted, so that few different values take little room. Raises SerializationError
    kinds for a value that does not fit, with the number of its record.
    """
    if is_table(values):
        from shuffle.tables import distinct_table

        return distinct_table(values, **choices)
    choices["unique"] = True
    return OperatorResult(SortedPart(values, Sorter(**choices)))


__all__ = ["distinct"]
