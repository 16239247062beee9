"""Pairs with equal keys made into one before they are sorted, by a Python function, in windows of the input.

    pairs ── window ──> dictionary ── key, reduced ──> sort ── groups ──> the rest of the reduction
             window ──> dictionary ──     "

Where a window ends follows from the pairs alone, never from memory that happens to be full: so a function that is not
associative gives the same for every budget too. A combiner that takes out too little to pay for itself gives up, and so
does one whose results would not fit the type that was found for the values; the reduction behind the sort does it all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from serializers.errors import SerializationError
from serializers.types.type_information import TypeInformation
from shuffle.batches import Batches
from shuffle.operators.key_equality import is_equal_as_bytes
from shuffle.operators.keyed_sorter import KeyedSorter
from shuffle.operators.result import OperatorReport

K = TypeVar("K")
V = TypeVar("V")

Pairs = list[tuple[Any, Any]]

log = logging.getLogger(__name__)

WORTH = 0.75
"""Of the pairs of a window, at most so many may be left: an entry of a dictionary costs a third of what a sort does."""

JUDGED_PAIRS = 8192
JUDGED_WINDOWS = 8
"""A window says something if it is so long; or, where pairs are so large that windows stay short, after so many."""


class PythonCombiner:
    """Puts pairs into a sorter, fewer than there were where it pays. `function(a, b)` reduces values in their order.

    Without a function it puts them as they are.
    """

    def __init__(self, function: Callable[[Any, Any], Any] | None) -> None:
        self._function = function
        self._batches = Batches()
        self._windows = 0

    def fill(self, sorter: KeyedSorter[Any], pairs: Iterator[Any], report: OperatorReport) -> None:
        """Put all pairs. Raises SerializationError kinds, with the number of the pair, and what the function raises."""
        for window in self._batches.split(pairs):
            if self._function is not None and not self._windows and not is_equal_as_bytes(_key_info(sorter)):
                self._give_up(
                    "keys of this type may be equal in Python and not in order, or the other way round", report
                )
            combined = window if self._function is None else self._combine(window, self._function, report)
            row_bytes = self._put(sorter, window, combined, report)
            self._batches.note(len(combined), row_bytes)
            self._windows += 1
            report.records += len(window)

    def _combine(
        self, window: Sequence[Any], function: Callable[[Any, Any], Any], report: OperatorReport
    ) -> Sequence[Any]:
        try:
            combined = combine(window, function, report.records)
        except UnhashableKeyError as error:
            self._give_up(str(error), report)
            return window
        return list(combined.items())

    def _put(
        self, sorter: KeyedSorter[Any], window: Sequence[Any], combined: Sequence[Any], report: OperatorReport
    ) -> int:
        first = report.records
        if combined is window:
            return sorter.put(as_pairs(window, first), first)
        try:
            row_bytes = sorter.put(combined, first)
        except SerializationError:  # the pairs themselves may fit; if not, they know which of them does not
            self._give_up("what the function returns does not fit the type of the values", report)
            return sorter.put(as_pairs(window, first), first)
        report.records_combined += len(window) - len(combined)
        if self._pays_not(len(window), len(combined)):
            self._give_up(f"{len(combined)} of {len(window)} pairs had keys of their own", report)
        return row_bytes

    def _pays_not(self, before: int, after: int) -> bool:
        is_telling = before >= JUDGED_PAIRS or self._windows >= JUDGED_WINDOWS
        return is_telling and after > WORTH * before

    def _give_up(self, why: str, report: OperatorReport) -> None:
        self._function = None
        report.combiner_note = why
        log.info("no pairs are combined before the sort any more: %s", why)


class UnhashableKeyError(Exception):
    """A key that a dictionary does not take."""


def combine(pairs: Sequence[tuple[K, V]], function: Callable[[V, V], V], first_record: int = 0) -> dict[K, V]:
    """The values of each key reduced from left to right, by key, in the order in which keys come first.

    Raises UnhashableKeyError; SerializationError, with the number of the record, for what is no pair; and what the
    function raises, with the key in a note.
    """
    found: dict[K, V] = {}
    key: Any = None
    try:
        for key, value in pairs:
            found[key] = function(found[key], value) if key in found else value
    except Exception as error:
        as_pairs(pairs, first_record)
        if not _is_hashable(key):
            raise UnhashableKeyError(f"keys such as {type(key).__name__} cannot be hashed") from error
        error.add_note(f"the function was called for key {key!r}")
        raise
    return found


def as_pairs(values: Sequence[Any], first_record: int) -> Pairs:
    """`values` as tuples of two. Raises SerializationError, with the number of the record, for what is no pair."""
    try:
        return [(key, value) for key, value in values]
    except (TypeError, ValueError):
        for number, each in enumerate(values, first_record):
            _check_pair(each, number)
        raise


def _check_pair(value: Any, number: int) -> None:
    try:
        _, _ = value
    except (TypeError, ValueError):
        problem = f"{value!r:.100} is not a pair of a key and a value"
        raise SerializationError(problem).at_record(number) from None


def _is_hashable(key: object) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True


def _key_info(sorter: KeyedSorter[Any]) -> TypeInformation[Any]:
    return sorter.form.record_info.fields[0].type_info


__all__ = ["PythonCombiner", "UnhashableKeyError", "as_pairs", "combine"]
