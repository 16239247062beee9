"""States to results: arrays of numbers for some thousand groups at once.

    FLOATS            float64, rounded once          sum; divided by the count: mean
    INTEGERS          128 bits in two words          sum
    LEAST, EARLIEST   the value as it came           min, max, first, last

A variance is (count * sum of squares - sum^2) / count / (count - 1); what stands before the divisions is computed in
integers, and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shuffle.aggregation.aggregates import Aggregate
from shuffle.aggregation.state_plan import Part, StatePlan, Words
from shuffle.kernels import states as kernels

_DTYPES = {kernels.SIGNED: np.dtype(np.int64), kernels.UNSIGNED: np.dtype(np.uint64), kernels.FLOAT: np.dtype(float)}
_SIGN = np.uint64(1 << 63)


@dataclass(frozen=True)
class Finished:
    """Results of some groups: int64, uint64 or float64; `nulls` is True where there is none.

    `highs` are the upper words of integers of 128 bits, of which `values` are the lower.
    """

    values: NDArray[Any]
    nulls: NDArray[np.bool_] | None = None
    highs: NDArray[np.int64] | None = None


class Finisher:
    """Finishes states of one plan. For one thread."""

    def __init__(self, plan: StatePlan) -> None:
        self._plan = plan
        self._digits = np.zeros(kernels.DIGITS, np.uint64)

    def finish(self, aggregate: Aggregate, column: int | None, states: Words) -> Finished:
        """The results of `aggregate` on a column, from the states at these addresses."""
        parts = self._plan.parts_of(aggregate, column)
        return _FINISHERS[aggregate.kind](self, parts, states, aggregate)

    def _word(self, part: Part, states: Words, word: int = 0) -> Words:
        found = np.empty(len(states), np.uint64)
        kernels.gather_words(states, self._plan.offset(part) + 8 * word, found)
        return found

    def _count(self, parts: list[Part], states: Words, aggregate: Aggregate) -> Finished:
        return Finished(self._word(parts[0], states).view(np.int64))

    def _sum(self, parts: list[Part], states: Words, aggregate: Aggregate) -> Finished:
        part = parts[0]
        if part.what == kernels.FLOATS:
            return Finished(self._floats(part, states), self._word(part, states) == 0)
        highs = self._word(part, states, 1)
        nulls = highs == _SIGN
        highs[nulls] = 0
        low = self._word(part, states)
        is_unsigned = self._kind(part) == kernels.UNSIGNED
        return Finished(low if is_unsigned else low.view(np.int64), nulls, highs.view(np.int64))

    def _mean(self, parts: list[Part], states: Words, aggregate: Aggregate) -> Finished:
        counts = self._word(parts[0], states).view(np.int64)
        nulls = counts == 0
        return Finished(self._float_sums(parts[1], states) / np.where(nulls, 1, counts), nulls)

    def _variance(self, parts: list[Part], states: Words, aggregate: Aggregate) -> Finished:
        counts = self._word(parts[0], states).view(np.int64)
        nulls = counts < 2
        mantissas, exponents = np.empty(len(states), np.float64), np.empty(len(states), np.int64)
        offsets = [self._plan.offset(part) for part in (parts[1], parts[2], parts[0])]
        of_floats = parts[1].what == kernels.FLOATS
        kernels.finish_variances(states, *offsets, of_floats, mantissas, exponents, self._digits)
        n = np.where(nulls, 2, counts).astype(np.float64)
        with np.errstate(over="ignore", under="ignore"):
            variances = np.ldexp(mantissas / n / (n - 1), exponents)
        return Finished(variances if aggregate.kind == "variance" else np.sqrt(variances), nulls)

    def _extreme(self, parts: list[Part], states: Words, aggregate: Aggregate) -> Finished:
        words, kind = self._word(parts[0], states), self._kind(parts[0])
        if kind == kernels.FLOAT:
            words = np.where(words & _SIGN, words ^ _SIGN, ~words)
        elif kind == kernels.SIGNED:
            words ^= _SIGN
        return Finished(words.view(_DTYPES[kind]), self._word(parts[0], states, 1) == 0)

    def _first(self, parts: list[Part], states: Words, aggregate: Aggregate) -> Finished:
        nothing = np.uint64(0xFFFF_FFFF_FFFF_FFFF if aggregate.kind == "first" else 0)
        values = self._word(parts[0], states, 1).view(_DTYPES[self._kind(parts[0])])
        return Finished(values, self._word(parts[0], states) == nothing)

    def _kind(self, part: Part) -> int:
        assert part.column is not None
        return self._plan.kinds[part.column]

    def _floats(self, part: Part, states: Words) -> NDArray[np.float64]:
        found = np.empty(len(states), np.uint64)
        kernels.finish_floats(states, self._plan.offset(part), found, self._digits)
        return found.view(np.float64)

    def _float_sums(self, part: Part, states: Words) -> NDArray[np.float64]:
        """Sums as floats, rounded once; 0 for none."""
        if part.what == kernels.FLOATS:
            return self._floats(part, states)
        low, high = self._word(part, states), self._word(part, states, 1)
        high[high == _SIGN] = 0
        is_short = high.view(np.int64) == low.view(np.int64) >> 63
        sums = low.view(np.int64).astype(np.float64)
        for place in np.flatnonzero(~is_short):  # few: sums beyond 64 bits
            sums[place] = float((int(high[place].view(np.int64)) << 64) + int(low[place]))
        return sums


_FINISHERS: dict[str, Callable[[Finisher, list[Part], Words, Aggregate], Finished]] = {
    "count": Finisher._count,
    "sum": Finisher._sum,
    "mean": Finisher._mean,
    "variance": Finisher._variance,
    "stddev": Finisher._variance,
    "min": Finisher._extreme,
    "max": Finisher._extreme,
    "first": Finisher._first,
    "last": Finisher._first,
}


def integers_of(finished: Finished) -> list[int | None]:
    """Sums of integers as Python's, of any size."""
    assert finished.highs is not None
    lows = finished.values.view(np.uint64).tolist()
    sums = [(high << 64) + low for high, low in zip(finished.highs.tolist(), lows, strict=True)]
    return with_nulls(sums, finished.nulls)


def with_nulls(values: list[Any], nulls: NDArray[np.bool_] | None) -> list[Any]:
    """The values, and None where there is none."""
    if nulls is None or not nulls.any():
        return values
    return [None if is_null else value for value, is_null in zip(values, nulls.tolist(), strict=True)]


def misfits(finished: Finished) -> NDArray[np.intp]:
    """Which sums do not fit 64 bits."""
    assert finished.highs is not None
    if finished.values.dtype == np.uint64:
        return np.flatnonzero(finished.highs != 0)
    return np.flatnonzero(finished.highs != finished.values >> 63)
