"""States in binary: exact, the same in any order, and equal to what fractions say."""

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serializers.columns.scratch import address_of
from shuffle.aggregation.aggregates import Aggregate, parse_aggregates
from shuffle.aggregation.finish import Finisher, integers_of, misfits, with_nulls
from shuffle.aggregation.state_plan import StatePlan, ValueColumn
from shuffle.kernels import states as kernels
from shuffle.kernels.states import FLOAT, SIGNED, UNSIGNED
from tests.test_aggregation import twin

_DTYPES = {SIGNED: np.int64, UNSIGNED: np.uint64, FLOAT: np.float64}
ALL = ["count", "count:0", "sum:0", "mean:0", "variance:0", "stddev:0", "min:0", "max:0", "first:0", "last:0"]
ASKED = list(parse_aggregates(ALL).values())
INTEGERS = st.one_of(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-9, 9))
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


class States:
    """A few states of one column, as kernels have them."""

    def __init__(self, asked: Sequence[Aggregate], kind: int, count: int) -> None:
        self.kind = kind
        self.plan = StatePlan([(each, None if each.field is None else 0) for each in asked], [kind])
        self.memory = np.tile(self.plan.template, (count, 1))
        self.addresses = address_of(self.memory) + np.arange(count, dtype=np.uint64) * np.uint64(self.plan.state_bytes)

    def add(self, state: int, values: Sequence[Any], first_record: int = 0) -> None:
        """Add values, None for null, to one state."""
        nulls = np.array([value is None for value in values], np.uint8)
        words = np.array([0 if value is None else value for value in values], _DTYPES[self.kind])
        program = self.plan.program()
        self.plan.bind(program, [ValueColumn(words, nulls if nulls.any() else None)], first_record)
        kernels.update_states(program, np.full(len(values), self.addresses[state], np.uint64), 0, len(values))

    def merge(self, target: int, source: int) -> None:
        """Add one state to another."""
        kernels.merge_states(self.plan.program(), self.addresses[[target]], self.addresses[[source]])

    def settle(self) -> None:
        """Make room in all."""
        first, size = int(self.addresses[0]), self.plan.state_bytes
        kernels.settle_states(self.plan.program(), first, size, len(self.addresses))

    def result(self, asked: Aggregate, state: int = 0) -> Any:
        """What it says."""
        column = None if asked.field is None else 0
        finished = Finisher(self.plan).finish(asked, column, self.addresses[[state]])
        if finished.highs is not None:
            return integers_of(finished)[0]
        return with_nulls(finished.values.tolist(), finished.nulls)[0]


def check(values: Sequence[Any], kind: int, cut: int, *, settle: bool = False) -> None:
    """All results of `values`, added to two states that are merged."""
    states = States(ASKED, kind, 2)
    states.add(1, values[cut:], cut)
    states.add(0, values[:cut])
    if settle:
        states.settle()
    states.merge(0, 1)
    if settle:
        states.settle()
    for asked in ASKED:
        found, expected = states.result(asked), twin.aggregate(asked, list(values))
        assert twin.is_close(found, expected, asked.kind), (asked, values, found, expected)


@given(st.lists(st.one_of(st.none(), INTEGERS), max_size=20), st.integers(0, 20), st.booleans())
def test_integers(values: list[int | None], cut: int, settle: bool) -> None:
    check(values, SIGNED, min(cut, len(values)), settle=settle)


@given(st.lists(st.one_of(st.none(), st.integers(0, (1 << 64) - 1)), max_size=20), st.integers(0, 20))
def test_unsigned_integers(values: list[int | None], cut: int) -> None:
    check(values, UNSIGNED, min(cut, len(values)))


@given(st.integers(-1070, 970), st.data())
def test_floats_of_neighbouring_exponents(exponent: int, data: st.DataObject) -> None:
    """Nothing is left out of sums of what lies within 2^30: they are rounded once."""
    fractions = st.floats(-1, 1).filter(lambda value: value == 0 or abs(value) >= 0.5)
    made = st.builds(lambda fraction, more: math.ldexp(fraction, exponent + more), fractions, st.integers(0, 30))
    values = data.draw(st.lists(st.one_of(st.none(), st.just(0.0), st.just(-0.0), made), max_size=20))
    check(values, FLOAT, data.draw(st.integers(0, len(values))), settle=data.draw(st.booleans()))


@given(st.lists(NUMBERS, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_floats_of_any_exponent_sum_to_the_same_in_any_order(values: list[float], rng: random.Random) -> None:
    asked = list(parse_aggregates("sum:0,variance:0,mean:0").values())
    found = set()
    for _ in range(4):
        rng.shuffle(values)
        cut = rng.randrange(len(values) + 1)
        states = States(asked, FLOAT, 2)
        states.add(0, values[:cut])
        states.add(1, values[cut:])
        states.merge(0, 1)
        found.add(tuple(repr(states.result(each)) for each in asked))
    assert len(found) == 1, values
    if all(map(math.isfinite, values)):
        total, exact = states.result(asked[0]), twin.exact_sum(values)
        left_out = len(values) * math.ldexp(max(map(abs, values)), -84)
        assert total == exact or abs(total - exact) <= left_out + math.ulp(exact)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e308] * 3, math.inf),
        ([-1e308] * 3, -math.inf),
        ([math.inf, 1.0], math.inf),
        ([math.inf, -math.inf], math.nan),
        ([math.nan, 1.0], math.nan),
        ([-0.0, -0.0], 0.0),
        ([5e-324, 5e-324], 1e-323),
        ([1e16, 1.0, -1e16], 1.0),
        ([1.7976931348623157e308, -1.7976931348623157e308, 5.0], 0.0),  # 5.0 lies 2^-1021 below the greatest
        ([], None),
    ],
)
def test_a_sum_of_floats(values: list[float], expected: float | None) -> None:
    states = States([Aggregate("sum", 0)], FLOAT, 1)
    states.add(0, values)
    assert twin.same(states.result(Aggregate("sum", 0)), expected)


def test_sums_grow_past_what_a_slot_holds() -> None:
    """Doubled fifty times by merging: the carries take what slots cannot."""
    for kind, value in ((FLOAT, -0.1), (FLOAT, 3e300), (SIGNED, -(1 << 62)), (UNSIGNED, (1 << 64) - 1)):
        states = States([Aggregate("sum", 0)], kind, 2)
        states.add(0, [value])
        doublings = 38
        for _ in range(doublings):
            states.memory[1] = states.memory[0]
            states.merge(0, 1)
        assert states.result(Aggregate("sum", 0)) == value * 2**doublings


def test_a_variance_is_right_where_its_parts_are_far_larger() -> None:
    values = [1e9 + offset for offset in (0.1, 0.2, 0.3, 0.4)]
    states = States([Aggregate("variance", 0)], FLOAT, 1)
    states.add(0, values)
    assert math.isclose(states.result(Aggregate("variance", 0)), twin.variance(values) or 0, rel_tol=1e-15)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(-5, 5)), min_size=1, max_size=20, unique_by=lambda each: each[0])
)
def test_first_and_last_go_by_the_number_of_the_record(values: list[tuple[int, int]]) -> None:
    asked = [Aggregate("first", 0), Aggregate("last", 0)]
    states = States(asked, SIGNED, 1)
    for number, value in values:
        states.add(0, [value], number)
    assert states.result(asked[0]) == min(values)[1]
    assert states.result(asked[1]) == max(values)[1]


def test_sums_that_do_not_fit_are_found() -> None:
    asked = Aggregate("sum", 0)
    for kind, value, is_misfit in (
        (SIGNED, (1 << 62) - 1, False),
        (SIGNED, 1 << 62, True),
        (SIGNED, -(1 << 62), False),
        (UNSIGNED, 1 << 63, True),
    ):
        states = States([asked], kind, 1)
        states.add(0, [value, value])
        assert bool(len(misfits(Finisher(states.plan).finish(asked, 0, states.addresses)))) == is_misfit


def test_parts_are_shared() -> None:
    plan = StatePlan([(Aggregate("sum", 0), 0), (Aggregate("mean", 0), 0), (Aggregate("count"), None)], [FLOAT])
    assert [part.what for part in plan.parts] == [kernels.FLOATS, kernels.VALUES, kernels.ROWS]
    assert plan.state_bytes == 8 * (5 + 1 + 1)
