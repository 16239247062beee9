"""Join two sides by their keys: both in key order, read side by side.

left  ──> sort ──> groups ─┐
                           ├── key bytes compared ──> values of equal keys, each with each
right ──> sort ──> groups ─┘                          the right ones kept, spilled if they are many
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, get_args, overload

from shuffle.operators.choices import JobChoices, Table, is_table
from shuffle.operators.result import OperatorResult

if TYPE_CHECKING:
    from serializers.types.ordering import By
    from shuffle.tables.merge_join import JoinedTable

L = TypeVar("L")
R = TypeVar("R")

How = Literal["inner", "left", "right", "outer", "semi", "anti"]


@overload
def merge_join(left: Table, right: Table, **choices: Any) -> JoinedTable:  # type: ignore[overload-overlap]
    """Of a table."""


@overload
def merge_join(
    left: Iterable[L],
    right: Iterable[R],
    *,
    on: By | None = None,
    left_by: By | None = None,
    right_by: By | None = None,
    left_key: Callable[[L], Any] | None = None,
    right_key: Callable[[R], Any] | None = None,
    how: How = "inner",
    left_sorted: bool = False,
    right_sorted: bool = False,
    left_type_info: Any = None,
    right_type_info: Any = None,
    **choices: Unpack[JobChoices],
) -> OperatorResult[Any]:
    """Of Python values."""


def merge_join(
    left: Any,
    right: Any,
    *,
    on: By | None = None,
    left_by: By | None = None,
    right_by: By | None = None,
    left_key: Callable[[Any], Any] | None = None,
    right_key: Callable[[Any], Any] | None = None,
    how: How = "inner",
    left_sorted: bool = False,
    right_sorted: bool = False,
    left_type_info: Any = None,
    right_type_info: Any = None,
    **choices: Any,
) -> Any:
    """(left value, right value) for all values with equal keys, in key order; within a key left before right order.

    on                     fields that both sides are joined by; `left_by`, `right_by` if they differ
    left_key, right_key    functions of a value that make the key of a side, instead of fields
    how                    "inner"; "left", "right", "outer": with None beside a value that has no partner;
                           "semi", "anti": the left values alone that have a partner, that have none
    left_sorted            the side is in key order already, and is not sorted; `right_sorted` likewise
    left_type_info         the type of the values of a side; `right_type_info` likewise

    Keys are equal if they order as equal: NaN is NaN, -0.0 is 0.0, and, unlike in SQL, None is None. Keys of both sides
    must be of one type, but for None. The values of a key on the right are kept while they meet those on the left, and
    spilled if they are many; those on the left are read one by one. Both sorts share the memory.

    Raises ValueError kinds for what makes no sense; JoinKeyError for keys of different types, before more than the
    first 1,000 values of each side are taken; SerializationError kinds, with the number of the record and a note that
    names the side; and NotSortedError for a side that is said to be in order and is not.

    Of two tables, Arrow data or paths, the rows: as `shuffle.tables.merge_join_tables`, by the columns of `on`, or of
    `left_by` and `right_by`.
    """
    if is_table(left) or is_table(right):
        if left_key or right_key or left_sorted or right_sorted or left_type_info or right_type_info:
            raise TypeError("tables are joined by columns, which have types, and are sorted. Name them in on=")
        return _join_tables(left, right, on, left_on=left_by, right_on=right_by, how=how, **choices)
    if how not in get_args(How):
        raise ValueError(f"how={how!r}: give one of {', '.join(get_args(How))}")
    if left is right and isinstance(left, Iterator):
        raise ValueError("both sides are one iterator, which can be read once. Give a list, or two of itertools.tee")
    from shuffle.operators.join_keys import SideChoices
    from shuffle.operators.join_work import JoinWork, SideInput

    lefts = SideChoices("left", _given(left_by, left_key, on), left_key, left_type_info)
    rights = SideChoices("right", _given(right_by, right_key, on), right_key, right_type_info)
    sides = SideInput(left, lefts, left_sorted), SideInput(right, rights, right_sorted)
    return OperatorResult(JoinWork(*sides, how, cast("JobChoices", choices)))


def _join_tables(left: Any, right: Any, on: Any, **choices: Any) -> JoinedTable:
    from shuffle.tables import merge_join_tables

    if not (is_table(left) and is_table(right)):
        raise TypeError("one side is a table, and the other is not. Give two tables, or two iterables of values")
    return merge_join_tables(left, right, on, **choices)


def _given(by: By | None, key: object, on: By | None) -> By | None:
    """The fields of one side: `on` is for a side of which nothing else is said."""
    return on if by is None and key is None else by


__all__ = ["How", "merge_join"]
