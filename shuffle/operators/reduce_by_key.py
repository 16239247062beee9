"""Reduce the values of each key to one, by a Python function of two values.

pairs ──(combiner)──> sort by key ──> groups ──functools.reduce──> (key, value), in key order
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from shuffle.operators.choices import OperatorChoices, form_choices, is_table, job_options
from shuffle.operators.keyed_sorter import KeyedSorter
from shuffle.operators.result import OperatorReport, OperatorResult

if TYPE_CHECKING:
    from shuffle.operators.key_form import KeyForm

K = TypeVar("K")
V = TypeVar("V")


def reduce_by_key(
    pairs: Iterable[tuple[K, V]],
    function: Callable[[V, V], V],
    *,
    combine: bool = True,
    **choices: Unpack[OperatorChoices],
) -> OperatorResult[tuple[K, V]]:
    """(key, value) for each key of `pairs`, in key order: its values reduced by `function(a, b)` from left to right.

    With a function that is associative, each value is what `functools.reduce` makes of the values in input order. Pairs
    are combined in windows before they are sorted, which a function that is not associative shows, though it gives the
    same for every budget; `combine=False` leaves that out. A key that has one value keeps it as it is. The function
    must not change what it is given.

    Keys are equal if they order as equal: NaN is NaN, -0.0 is 0.0. `type_info` is that of a pair. Raises
    SerializationError kinds, with the number of the pair, and what the function raises, with the key in a note.
    """
    if is_table(pairs):
        raise TypeError(f"{type(pairs).__name__} is a table, not an iterable of pairs. Use shuffle.aggregate for it")
    return OperatorResult(_ReduceByKey(pairs, function, combine, choices))


class _ReduceByKey:
    def __init__(
        self, pairs: Iterable[tuple[K, V]], function: Callable[[V, V], V], combine: bool, choices: OperatorChoices
    ) -> None:
        self._pairs: Iterable[tuple[K, V]] = pairs
        self._function = function
        self._combines = combine
        self._sorter = KeyedSorter(partial(_choose_form, **form_choices(choices)), job_options(choices))

    def prepare(self, report: OperatorReport) -> None:
        from shuffle.operators.python_combiner import PythonCombiner

        pairs, self._pairs = self._pairs, ()
        combiner = PythonCombiner(self._function if self._combines else None)
        combiner.fill(self._sorter, self._sorter.open(pairs), report)
        report.sorts = (self._sorter.finish(),)

    def results(self) -> Iterator[tuple[Any, Any]]:
        from shuffle.groups import pair_values

        if self._sorter.is_empty:
            return
        function = self._function
        for key, values in self._sorter.form.groups(self._sorter.views(), pair_values):
            try:
                reduced = reduce(function, values)
            except Exception as error:
                error.add_note(f"the function was called for key {key!r}")
                raise
            yield key, reduced

    def close(self) -> None:
        self._pairs = ()
        self._sorter.close()


def _choose_form(sample: Sequence[Any], **choices: Any) -> KeyForm:
    from shuffle.operators.key_form import choose_key_form
    from shuffle.operators.python_combiner import as_pairs

    return choose_key_form(as_pairs(sample, 0), by=0, **choices)


__all__ = ["reduce_by_key"]
