"""The work of a join: sides made ready within one budget, then walked side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

from shuffle.batches import first_values
from shuffle.operators.choices import JobChoices, job_options
from shuffle.operators.join_budget import JoinBudget
from shuffle.operators.join_keys import SideChoices, SideKey, shared_key_info, side_key
from shuffle.operators.join_sides import Group, NoSide, Side, SortedSide, UnsortedSide, Values, on_side
from shuffle.operators.key_form import KeyForm
from shuffle.operators.result import OperatorReport
from shuffle.operators.value_store import ValueStore
from shuffle.options import SortOptions

_MISSING = object()


class SideInput:
    """One side as it was given."""

    def __init__(self, values: Iterable[Any], choices: SideChoices, is_sorted: bool) -> None:
        self.values = values
        self.choices = choices
        self.is_sorted = is_sorted
        self.sample: list[Any] = []
        self.rest: Iterator[Any] = iter(())

    def look(self, **choices: bool) -> SideKey | None:
        """Take the first values: what they say of the key; nothing if there are none."""
        self.rest = iter(self.values)
        self.sample = first_values(self.rest)
        if not self.sample:
            return None
        with on_side(self.choices.name):
            return side_key(self.sample, self.choices, **choices)

    def side(self, form: KeyForm | None, options: SortOptions) -> Side:
        """The side, ready to be prepared."""
        if form is None:
            return NoSide()
        if self.is_sorted:
            return SortedSide(self.choices.name, self.sample, self.rest, self.values, form)
        return UnsortedSide(self.choices.name, chain(self.sample, self.rest), form, options)

    def forget(self) -> None:
        """Hold no value any longer."""
        self.values, self.sample, self.rest = (), [], iter(())


class JoinWork:
    """Joins two sides. `how` is as in `merge_join`."""

    def __init__(self, left: SideInput, right: SideInput, how: str, choices: JobChoices) -> None:
        self._inputs = (left, right)
        self._how = how
        self._nulls_last = choices.get("nulls_last", False)
        self._allow_generic = choices.get("allow_generic", True)
        self._options = job_options(choices)
        self._sides: list[Side] = []
        self._store: ValueStore | None = None

    def prepare(self, report: OperatorReport) -> None:
        choices = {"nulls_last": self._nulls_last, "allow_generic": self._allow_generic}
        keys = [each.look(**choices) for each in self._inputs]
        forms = self._forms(*keys)
        budget = JoinBudget(self._options, sum(not each.is_sorted for each in self._inputs))
        for given, form in zip(self._inputs, forms, strict=True):
            side = given.side(form, budget.next_sort())
            given.forget()
            self._sides.append(side)
            with budget.explained():
                sort = side.prepare()
            if sort is not None:
                budget.note_spilled(sort.spilled_bytes)
                report.sorts += (sort,)
                report.records += sort.records
        if (right := keys[1]) is not None:
            self._store = ValueStore(right.record_info, budget.store)

    def _forms(self, left: SideKey | None, right: SideKey | None) -> list[KeyForm | None]:
        known = [each for each in (left, right) if each is not None]
        if not known:
            return [None, None]
        key_info = shared_key_info(known[0].key_info, known[-1].key_info)
        return [None if each is None else each.form(key_info, nulls_last=self._nulls_last) for each in (left, right)]

    def results(self) -> Iterator[Any]:
        left, right = (side.groups() for side in self._sides)
        if self._how in ("semi", "anti"):
            return _filtered(left, right, is_partnered=self._how == "semi")
        keeps_left, keeps_right = self._how in ("left", "outer"), self._how in ("right", "outer")
        return self._joined(left, right, keeps_left, keeps_right)

    def _joined(self, lefts: Any, rights: Any, keeps_left: bool, keeps_right: bool) -> Iterator[tuple[Any, Any]]:
        for left, right in side_by_side(lefts, rights):
            if left is not None and right is not None:
                if left.__class__ is right.__class__ is list and len(left) == len(right) == 1:
                    yield left[0], right[0]
                else:
                    yield from self._each_with_each(iter(left), right)
            elif left is not None and keeps_left:
                yield from zip(left, repeat(None))
            elif right is not None and keeps_right:
                yield from zip(repeat(None), right)

    def _each_with_each(self, left: Iterator[Any], right: Values) -> Iterator[tuple[Any, Any]]:
        first, second = next(left), next(left, _MISSING)
        if second is _MISSING:
            return zip(repeat(first), right)
        assert self._store is not None
        kept = self._store.keep(right)
        return chain.from_iterable(zip(repeat(value), kept) for value in chain((first, second), left))

    def close(self) -> None:
        for given in self._inputs:
            given.forget()
        for side in self._sides:
            side.close()
        if self._store is not None:
            self._store.close()


def side_by_side(lefts: Iterator[Group], rights: Iterator[Group]) -> Iterator[tuple[Values | None, Values | None]]:
    """The values of each key, in key order: of both sides, or None for the side that does not have the key."""
    left, right = next(lefts, None), next(rights, None)
    while left is not None and right is not None:
        if left[0] == right[0]:
            yield left[1], right[1]
            left, right = next(lefts, None), next(rights, None)
        elif left[0] < right[0]:
            yield left[1], None
            left = next(lefts, None)
        else:
            yield None, right[1]
            right = next(rights, None)
    while left is not None:
        yield left[1], None
        left = next(lefts, None)
    while right is not None:
        yield None, right[1]
        right = next(rights, None)


def _filtered(lefts: Iterator[Group], rights: Iterator[Group], *, is_partnered: bool) -> Iterator[Any]:
    for left, right in side_by_side(lefts, rights):
        if left is not None and (right is not None) == is_partnered:
            yield from left


__all__ = ["JoinWork", "SideInput", "side_by_side"]
