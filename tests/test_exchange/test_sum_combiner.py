"""Sums of ints in binary: in hash tables before the sort, and of neighbours behind it, against a dictionary."""

from __future__ import annotations

import operator
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serializers.types.numbers import BOOL, FLOAT64, INT, INT64
from serializers.types.text import STR
from shuffle.exchange import sum_combiner
from shuffle.exchange.folds import folded
from shuffle.exchange.mapped_pairs import MappedPairs
from shuffle.exchange.neighbour_sums import added, adds_ints
from shuffle.exchange.pair_rows import Pair, PairPlan, PairRows
from shuffle.exchange.pair_type import PairType
from shuffle.exchange.partitioners import CustomPartitioner, HashPartitioner, Partitioner, RangePartitioner
from shuffle.exchange.python_objects import PairReader, PairTarget, can_read_objects
from shuffle.exchange.shuffle_job import Shuffle
from shuffle.exchange.sum_combiner import SumCombiner, adds_in_binary
from shuffle.exchange.task_errors import TaskFailedError
from shuffle.kernels import pairs as kernels
from tests.test_exchange.executors import InlineExecutor

EDGE = 1 << 63
INTS = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.sampled_from([EDGE, EDGE - 1, -EDGE, -EDGE - 1, 1 << 64, 255, 256, -255, -256]),
)
TEXTS = st.one_of(
    st.sampled_from(["", "a", "b", "a\0", "fifteen letters", "sixteen letters!", "ü" * 9, "\ud800", "x" * 200]),
    st.text(),
)
FEW = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Name(str):
    """A text of another class."""


class Records:
    """A split."""

    def __init__(self, records: list[Any]) -> None:
        self._records = records

    def read(self) -> Iterator[Any]:
        return iter(self._records)


def plan_of(key: Any, partitions: int = 1, partitioner: Partitioner | None = None, value: Any = INT) -> PairPlan:
    return PairPlan(PairType(key, value), partitioner or HashPartitioner(), partitions)


def combined(plan: PairPlan, pairs: list[Any]) -> tuple[list[Pair], list[Pair], SumCombiner, list[Pair]]:
    """The pairs of the rows that come out, the odd pairs, the combiner, and what it left."""
    rows = PairRows(PairPlan(plan.type, plan.partitioner, 1))
    source = MappedPairs(Records(pairs), None, None)
    made, odd = list[Pair](), list[Pair]()
    with closing(SumCombiner("task", plan)) as sums:
        for each in sums.rows(source):
            if isinstance(each, list):
                odd += each
            else:
                made += rows.decode(each.rows, 0)
    rest = list[Pair]()
    source.feed(rest.extend, 1 << 20)
    return made, odd, sums, rest


def totals(pairs: Iterable[Pair]) -> Counter[Any]:
    found: Counter[Any] = Counter()
    for key, value in pairs:
        found[key] += value
    return found


def view_of(rows: PairRows, pairs: list[Pair]) -> memoryview:
    """Rows with noise behind them, as a reader gives them."""
    encoded = rows.encode(pairs, 0, 0)
    room = np.full(encoded.size + 64, 0xA5, np.uint8)
    room[: encoded.size] = encoded.data[: encoded.size]
    return memoryview(room)[: encoded.size]  # type: ignore[arg-type]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is full soon."""
    monkeypatch.setattr(sum_combiner, "TARGET_PAIRS", 16)
    monkeypatch.setattr(sum_combiner, "TABLE_BYTES", 16 << 10)
    monkeypatch.setattr(sum_combiner, "_WRITE_ROWS", 5)
    monkeypatch.setattr(sum_combiner, "ODD_MAX", 1.0)


@FEW
@given(pairs=st.lists(st.tuples(TEXTS, INTS), max_size=300))
def test_texts_are_added_up_as_a_dictionary_does(small: None, pairs: list[tuple[str, int]]) -> None:
    made, odd, sums, rest = combined(plan_of(STR), pairs)
    assert totals([*made, *odd, *rest]) == totals(pairs)
    assert len(made) + len(odd) == sums.pairs_out and not rest
    plain = {key for key, value in pairs if -EDGE <= value < EDGE and key.isprintable()}
    assert plain <= {key for key, _ in made}


@FEW
@given(pairs=st.lists(st.tuples(INTS, INTS), max_size=300))
def test_so_are_ints(small: None, pairs: list[tuple[int, int]]) -> None:
    made, odd, _, rest = combined(plan_of(INT), pairs)
    assert totals([*made, *odd, *rest]) == totals(pairs)
    assert all(not (-EDGE <= key < EDGE and -EDGE <= value < EDGE) for key, value in odd)


@pytest.mark.parametrize("length", [3, 15, 16, 300])
def test_tables_that_are_full_are_emptied(small: None, length: int) -> None:
    pairs = [(f"{number % 700:0{length}}", number) for number in range(5000)]
    made, odd, sums, rest = combined(plan_of(STR), pairs)
    assert totals(made) == totals(pairs) and not odd and not rest
    assert 700 < len(made) <= 5000 and sums.note == ""


@pytest.mark.parametrize("value", [EDGE - 1, -EDGE])
def test_sums_have_128_bits(value: int) -> None:
    made, odd, _, _ = combined(plan_of(STR), [("a", value)] * 1000)
    assert made == [("a", 1000 * value)] and not odd


def test_what_is_not_plain_goes_on_as_it_is() -> None:
    odd_pairs: list[Any] = [
        *[(Name("a"), 1), ("a", True), ("a", 1.5), ("a", 1 << 63), ("\ud800", 1), (1, 1), ("k" * (1 << 17), 1)],
        *[("a",), ("a", 1, 1), ["a", 1], None, "ab"],
    ]
    pairs = [("a", 1)] * 50
    for each in odd_pairs:
        pairs += [each, ("a", 1)]
    made, odd, _, rest = combined(plan_of(STR), pairs)
    assert made == [("a", 50 + len(odd_pairs))] and odd == odd_pairs and not rest
    assert [type(key) for key, *_ in odd[:2]] == [Name, str]


def test_where_many_are_not_plain_somebody_else_goes_on() -> None:
    pairs = [(Name(number % 5), 1) for number in range(10_000)]
    made, odd, sums, rest = combined(plan_of(STR), pairs)
    assert not made and sums.leaves_the_rest and odd + rest == pairs and len(rest) > 5000


def test_long_keys_find_room_or_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sum_combiner, "_TARGET_BYTES", 70_000)
    pairs = [(str(number % 3) * 65_000, 1) for number in range(20)]
    made, odd, _, _ = combined(plan_of(STR), pairs)
    assert totals(made) == totals(pairs) and not odd


def test_reading_holds_on_to_nothing() -> None:
    key, value = "a word of one's own", 12345678901
    pairs = [(key, value)] * 100
    before = sys.getrefcount(key), sys.getrefcount(value), sys.getrefcount(pairs)
    target = PairTarget(100, 1 << 14)
    assert PairReader(str).read(pairs, 0, target) == (100, kernels.ALL_READ)
    assert (sys.getrefcount(key), sys.getrefcount(value), sys.getrefcount(pairs)) == before
    assert len(target) == 100 and can_read_objects()


def test_which_plans_can_be_added_in_binary() -> None:
    assert all(adds_in_binary(plan_of(key), operator.add) for key in (STR, INT))
    assert adds_in_binary(plan_of(STR, 4, RangePartitioner(whole_keys=True)), lambda a, b: a + b)
    others = [
        (plan_of(STR), None),
        (plan_of(STR), operator.sub),
        (plan_of(STR, 4, CustomPartitioner(lambda key, partitions: 0)), operator.add),
        *[(plan_of(key), operator.add) for key in (BOOL, FLOAT64, INT64)],
        *[(plan_of(STR, value=value), operator.add) for value in (BOOL, FLOAT64, INT64, STR)],
    ]
    assert not any(adds_in_binary(*each) for each in others)


# --- neighbours


@FEW
@given(
    pairs=st.lists(st.tuples(st.integers(0, 4), INTS), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    partitions=st.sampled_from([1, 3]),
)
def test_neighbours_are_added_wherever_views_are_cut(pairs: list[Pair], cuts: list[int], partitions: int) -> None:
    rows = PairRows(plan_of(INT, partitions))
    pairs = sorted(pairs, key=operator.itemgetter(0))
    places = sorted({0, *cuts, len(pairs)})
    views = [view_of(rows, pairs[start:end]) for start, end in pairwise(places) if pairs[start:end]]
    fewer = [bytes(view) for view in added(views, rows.shape)]
    found = [pair for batch in folded(added(views, rows.shape), rows, operator.add) for pair in batch]
    assert found == sorted(totals(pairs).items())
    assert sum(map(len, fewer)) <= sum(map(len, views))


def test_neighbours_leave_a_row_for_each_key() -> None:
    for key, keys in ((STR, ["", "a", "ab", "b" * 200]), (INT64, [-9, 0, 5])):
        rows = PairRows(plan_of(key))
        view = view_of(rows, [(each, number - 20) for each in keys for number in range(50)])
        (fewer,) = added([view], rows.shape)
        assert rows.decode(fewer, 0) == [(each, 225) for each in keys]


def test_which_values_are_added_as_neighbours() -> None:
    assert adds_ints(PairType(INT64, INT), operator.add)
    assert not adds_ints(PairType(FLOAT64, INT), operator.add), "the float stands before the int"
    assert not any(adds_ints(PairType(STR, value), operator.add) for value in (INT64, FLOAT64, BOOL, STR))
    assert not adds_ints(PairType(STR, INT), max) and not adds_ints(PairType(STR, INT), None)


# --- the job


@settings(FEW, max_examples=6)
@given(pairs=st.lists(st.tuples(TEXTS, INTS), max_size=60), by=st.sampled_from(["hash", "range"]))
def test_a_job_gives_the_same_however_it_adds(inline: InlineExecutor, pairs: list[tuple[str, int]], by: str) -> None:
    found = []
    for fold in (operator.add, lambda a, b: b + a):
        with Shuffle(reduce=fold, partition_by=by, partitions=3, type_info=tuple[str, int]).run(pairs, inline) as sums:
            found.append(list(sums))
    assert found[0] == found[1] and dict(found[0]) == dict(totals(pairs))


@pytest.mark.parametrize("wrong", [("a", 1, 2), ["a", 1], ("a", 1.5), (2.5, 1), None])
def test_a_pair_that_is_none_is_blamed_on_its_record(inline: InlineExecutor, wrong: Any) -> None:
    def pairs_of(number: int) -> Any:
        return [("a", 1), wrong if number == 2077 else ("b", 2)]

    with pytest.raises(TaskFailedError, match="record 2077"):
        Shuffle(map=pairs_of, reduce=operator.add, split_records=5000).run(range(5000), inline)
