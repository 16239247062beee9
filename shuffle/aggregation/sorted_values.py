"""Aggregates without a state of fixed length: computed from the values of each group, in the order that they need.

    first, last, collect       records by key                  each group as it came
    min, max, count_distinct   records by key and value        nulls last
    top                        the same, or the greatest first

Sorted records come in the order of the groups, and how many each group has is known from its state, so nobody looks for
where a group ends. Values are taken as they come, a few thousand at a time, and only those that are wanted are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shuffle.aggregation.aggregates import Aggregate

Places = NDArray[np.intp]

AS_IT_CAME, ASCENDING, DESCENDING = range(3)


def order_of(aggregate: Aggregate) -> int:
    """The order of values that an aggregate needs."""
    if aggregate.kind in ("min", "max", "count_distinct"):
        return ASCENDING
    if aggregate.kind == "top":
        return DESCENDING if aggregate.descending else ASCENDING
    return AS_IT_CAME


@dataclass(frozen=True)
class SortedPart:
    """Some values, in order. `is_new` where one differs from the value before it, or is the first of its group."""

    values: Any
    is_there: NDArray[np.bool_]
    is_new: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.is_there)

    def part(self, start: int, end: int) -> SortedPart:
        """The values from `start` to `end`."""
        return SortedPart(self.values[start:end], self.is_there[start:end], self.is_new[start:end])


class ValueKeeper(Protocol):
    """How values are kept: as arrays, or as lists."""

    def take(self, values: Any, places: Places) -> Any:
        """Some of the values."""

    def join(self, parts: list[Any]) -> Any:
        """All of several."""

    def scatter(self, values: Any, places: Places, count: int) -> Any:
        """A column of `count`, with the values at `places` and nulls elsewhere."""

    def lists(self, values: Any, lengths: Places) -> Any:
        """A column of lists of these lengths."""

    def counts(self, counts: Places) -> Any:
        """A column of numbers."""


class SortedValues:
    """Results of `aggregates`, which need one order of one field, for group after group."""

    def __init__(self, aggregates: Sequence[Aggregate], parts: Iterator[SortedPart], keeper: ValueKeeper) -> None:
        self._aggregates = aggregates
        self._parts = parts
        self._keeper = keeper
        self._rest: SortedPart | None = None

    def results(self, counts: Places) -> list[Any]:
        """A column for each aggregate: of the next groups, which have so many records each."""
        picks = [_Picks(aggregate, len(counts), self._keeper) for aggregate in self._aggregates]
        ends = np.cumsum(counts)
        done, total = 0, int(ends[-1]) if len(ends) else 0
        while done < total:
            part = self._next(total - done)
            groups = np.searchsorted(ends, np.arange(done, done + len(part)), "right")
            places = np.flatnonzero(part.is_there)
            for each in picks:
                each.add(part, places, groups[places])
            done += len(part)
        return [each.column() for each in picks]

    def _next(self, wanted: int) -> SortedPart:
        """The next values, at most so many."""
        part = self._rest if self._rest is not None else next(self._parts)
        self._rest = part.part(wanted, len(part)) if wanted < len(part) else None
        return part.part(0, wanted) if wanted < len(part) else part


class _Picks:
    """The values that one aggregate wants of some groups."""

    def __init__(self, aggregate: Aggregate, group_count: int, keeper: ValueKeeper) -> None:
        self._aggregate = aggregate
        self._keeper = keeper
        self._choose = _CHOICES[aggregate.kind]
        self.limit = aggregate.limit or 0
        self.distinct = np.zeros(group_count, np.intp)
        self.seen = np.zeros(group_count, np.intp)
        self._values: list[Any] = []
        self._groups: list[Places] = []

    def add(self, part: SortedPart, places: Places, groups: Places) -> None:
        """Values at `places`, none of them null, and the group of each."""
        chosen = self._choose(self, part, places, groups)
        np.add.at(self.seen, groups, 1)
        self._values.append(self._keeper.take(part.values, places[chosen]))
        self._groups.append(groups[chosen])

    def column(self) -> Any:
        """The results."""
        if self._aggregate.kind == "count_distinct":
            return self._keeper.counts(self.distinct)
        groups = np.concatenate([np.empty(0, np.intp), *self._groups])
        values = self._keeper.join(self._values)
        if self._aggregate.kind in ("top", "collect"):
            return self._keeper.lists(values, np.bincount(groups, minlength=len(self.seen)))
        if self._aggregate.kind in ("last", "max"):  # of a group that went on, an earlier value was taken too
            is_last = np.append(groups[1:] != groups[:-1], True)[: len(groups)]
            values, groups = self._keeper.take(values, np.flatnonzero(is_last)), groups[is_last]
        return self._keeper.scatter(values, groups, len(self.seen))

    # --- which of the values are wanted

    def firsts(self, part: SortedPart, places: Places, groups: Places) -> Places:
        """The first of each group of which none was seen."""
        is_first = np.append(True, groups[1:] != groups[:-1])[: len(groups)]
        return np.flatnonzero(is_first & (self.seen[groups] == 0))

    def lasts(self, part: SortedPart, places: Places, groups: Places) -> Places:
        """The last of each group so far."""
        return np.flatnonzero(np.append(groups[1:] != groups[:-1], True)[: len(groups)])

    def all(self, part: SortedPart, places: Places, groups: Places) -> Places:
        """Every one."""
        return np.arange(len(places))

    def leading(self, part: SortedPart, places: Places, groups: Places) -> Places:
        """Those before which a group had fewer than `limit`."""
        starts = np.searchsorted(groups, groups, "left")
        ranks = np.arange(len(groups)) - starts + self.seen[groups]
        return np.flatnonzero(ranks < self.limit)

    def none(self, part: SortedPart, places: Places, groups: Places) -> Places:
        """None: those that are new are counted."""
        np.add.at(self.distinct, groups[part.is_new[places]], 1)
        return np.empty(0, np.intp)


_CHOICES: dict[str, Callable[[_Picks, SortedPart, Places, Places], Places]] = {
    "first": _Picks.firsts,
    "min": _Picks.firsts,
    "last": _Picks.lasts,
    "max": _Picks.lasts,
    "collect": _Picks.all,
    "top": _Picks.leading,
    "count_distinct": _Picks.none,
}


class ListKeeper:
    """Values as Python has them."""

    def take(self, values: list[Any], places: Places) -> list[Any]:
        return [values[place] for place in places.tolist()]

    def join(self, parts: list[list[Any]]) -> list[Any]:
        return [value for part in parts for value in part]

    def scatter(self, values: list[Any], places: Places, count: int) -> list[Any]:
        column: list[Any] = [None] * count
        for value, place in zip(values, places.tolist(), strict=True):
            column[place] = value
        return column

    def lists(self, values: list[Any], lengths: Places) -> list[Any]:
        ends = np.cumsum(lengths).tolist()
        return [values[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]

    def counts(self, counts: Places) -> list[int]:
        return [int(count) for count in counts]
