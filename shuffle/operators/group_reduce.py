"""Hand the values of each group to a Python function, in the order of a sort key if one is asked for.

values ──> sort by (group key, sort key) ──> groups ──function(key, values)──> results, in key order
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from shuffle.operators.choices import OperatorChoices, Table, form_choices, is_table, job_options
from shuffle.operators.keyed_sorter import KeyedSorter
from shuffle.operators.result import OperatorReport, OperatorResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serializers.types.ordering import By
    from shuffle.operators.key_form import KeyForm
    from shuffle.tables.group_reduce import ReducedTable

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")


@overload
def group_reduce(
    values: Table, function: Callable[[Any, Any], Any], *, by: By, sort_by: By | None = None, **choices: Any
) -> ReducedTable:
    """Of a table."""


@overload
def group_reduce(
    values: Iterable[T],
    function: Callable[[Any, Iterator[T]], Iterable[R] | None],
    *,
    by: By | None = None,
    key: Callable[[T], Any] | None = None,
    sort_by: By | None = None,
    sort_key: Callable[[T], Any] | None = None,
    **choices: Unpack[OperatorChoices],
) -> OperatorResult[R]:
    """Of Python values."""


def group_reduce(
    values: Any,
    function: Callable[[Any, Any], Any],
    *,
    by: By | None = None,
    key: Callable[[Any], Any] | None = None,
    sort_by: By | None = None,
    sort_key: Callable[[Any], Any] | None = None,
    **choices: Any,
) -> Any:
    """What `function(key, values)` makes of each group of equal keys, in key order.

    by         fields that make the key: "country", "-amount" (groups in descending order), 0, or several: a tuple
    key        a function of a value that makes the key; called once more for the first value of each group
    neither    the value itself is the key. Of keys that are equal and not the same, such as 0.0 and -0.0, it is that
               of the first value
    sort_by    fields that order the values of a group; `sort_key` a function that does. Else they stay in input order

    `function` yields its results, any number of them, or returns an iterable of them, or None if there are none. The
    values are an iterator, good until the last result has been taken: a group may be larger than memory, and what is
    not read of it is skipped.

    Keys are equal if they order as equal: NaN is NaN, -0.0 is 0.0, and None is a key as any other. Raises
    SerializationError kinds, with the number of the record, and what the functions raise, with the key or the record in
    a note.

    Of a table, Arrow data or a path, the groups are tables too: as `shuffle.tables.group_reduce_table`.
    """
    if is_table(values):
        from shuffle.tables import group_reduce_table

        if key is not None or sort_key is not None:
            raise TypeError("a table is grouped and ordered by columns. Name them in by= and sort_by=")
        return group_reduce_table(values, function, by=by, sort_by=sort_by, **choices)  # type: ignore[arg-type]
    form = partial(_choose_form, by=by, key=key, sort_by=sort_by, sort_key=sort_key, **form_choices(choices))
    return OperatorResult(_GroupReduce(values, function, KeyedSorter(form, job_options(choices))))


class _GroupReduce:
    def __init__(
        self, values: Iterable[Any], function: Callable[[Any, Iterator[Any]], Any], sorter: KeyedSorter[Any]
    ) -> None:
        self._values = values
        self._function = function
        self._sorter = sorter

    def prepare(self, report: OperatorReport) -> None:
        values, self._values = self._values, ()
        self._sorter.fill(values)
        report.sorts = (self._sorter.finish(),)
        report.records = report.sorts[0].records

    def results(self) -> Iterator[Any]:
        if not self._sorter.is_empty:
            yield from reduce_groups(self._sorter.form.groups(self._sorter.views()), self._function)

    def close(self) -> None:
        self._values = ()
        self._sorter.close()


def reduce_groups(
    groups: Iterable[tuple[K, Iterator[T]]], function: Callable[[K, Iterator[T]], Iterable[R] | None]
) -> Iterator[R]:
    """The results of `function(key, values)` for all groups. What it raises has the key in a note."""
    for key, values in groups:
        try:
            made = function(key, values)
            if made is not None:
                yield from _iterable(made)
        except Exception as error:
            error.add_note(f"the function was called for key {key!r}")
            raise


def _iterable(made: Iterable[R]) -> Iterable[R]:
    if isinstance(made, Iterable) and not isinstance(made, str | bytes):
        return made
    raise TypeError(f"the function returned {made!r:.100}, which is no iterable of results. Yield it, or return [it]")


def _choose_form(sample: Sequence[Any], **choices: Any) -> KeyForm:
    from shuffle.operators.key_form import choose_key_form

    return choose_key_form(sample, **choices)


__all__ = ["group_reduce", "reduce_groups"]
