"""Folding before the sort and behind it, and the pairs that map makes, piece by piece."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable, Iterator
from functools import partial, reduce
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serializers.types.numbers import INT
from shuffle.batches import Batches
from shuffle.exchange.folds import fold_into, folded, is_addition
from shuffle.exchange.mapped_pairs import MappedPairs, numbered_pairs
from shuffle.exchange.pair_rows import PairPlan, PairRows
from shuffle.exchange.pair_type import PairType
from shuffle.exchange.partitioners import HashPartitioner
from shuffle.exchange.task_errors import (
    KeyFailedError,
    RecordFailedError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotSendableError,
    WorkerDiedError,
)
from shuffle.exchange.window_combiner import WindowCombiner

PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers()), max_size=80)


def twin(pairs: list[tuple[int, int]], fold: Callable[[int, int], int]) -> list[tuple[int, int]]:
    """One pair a key, in the order of keys; values in theirs."""
    in_order = sorted(pairs, key=operator.itemgetter(0))
    return [
        (key, reduce(fold, (value for _, value in group))) for key, group in groupby(in_order, operator.itemgetter(0))
    ]


def left_heavy(left: int, right: int) -> int:
    """Neither associative nor commutative."""
    return left * 3 - right


@pytest.mark.parametrize("fold", [operator.add, left_heavy, max, lambda a, b: a + b])
@given(pairs=PAIRS)
def test_a_dictionary_folds_from_left_to_right(fold: Callable[[int, int], int], pairs: list[tuple[int, int]]) -> None:
    table: dict[int, int] = {}
    fold_into(table, iter(pairs), fold)
    assert sorted(table.items()) == twin(pairs, fold)
    assert list(table) == list(dict.fromkeys(key for key, _ in pairs))


@settings(deadline=None)
@given(pairs=PAIRS, cuts=st.lists(st.integers(0, 80), max_size=6))
@pytest.mark.parametrize("fold", [operator.add, left_heavy])
def test_sorted_views_fold_the_same_wherever_they_are_cut(
    fold: Callable[[int, int], int], pairs: list[tuple[int, int]], cuts: list[int]
) -> None:
    rows = PairRows(PairPlan(PairType(INT, INT), HashPartitioner(), 1))
    in_order = sorted(pairs, key=operator.itemgetter(0))
    places = sorted({0, *cuts, len(in_order)})
    parts = [in_order[start:end] for start, end in pairwise(places) if in_order[start:end]]
    views = [view_of(rows, part) for part in parts]
    found = [pair for batch in folded(views, rows, fold) for pair in batch]
    assert found == twin(pairs, fold)


def view_of(rows: PairRows, pairs: list[tuple[int, int]]) -> memoryview:
    """Rows with noise behind them, as a reader gives them."""
    encoded = rows.encode(pairs, 0, 0)
    room = np.full(encoded.size + 64, 0xA5, np.uint8)
    room[: encoded.size] = encoded.data[: encoded.size]
    return memoryview(room)[: encoded.size]  # type: ignore[arg-type]


def test_a_fold_that_raises_names_the_key() -> None:
    rows = PairRows(PairPlan(PairType(INT, INT), HashPartitioner(), 1))
    with pytest.raises(KeyFailedError) as caught:
        list(folded([view_of(rows, [(1, 1), (2, 1), (2, 0)])], rows, operator.floordiv))
    assert caught.value.place == "key 2: " and isinstance(caught.value.__cause__, ZeroDivisionError)


def add(left: int, right: int) -> int:
    """A sum."""
    return left + right


def add_with_default(left: int, right: int = 5) -> int:
    return left + right


class Adder:
    def add(self, right: int) -> int:
        return self + right  # type: ignore[operator,no-any-return]


def test_sums_are_known_by_what_they_do() -> None:
    def nested(left: int, right: int) -> int:
        return left + right

    def generator(left: int, right: int) -> Iterator[int]:
        yield left + right

    assert all(map(is_addition, [operator.add, lambda a, b: a + b, lambda x, y: x + y, add, nested, add_with_default]))
    written = dict[str, Any]()
    exec(compile("def plus(a, b):\n    return a + b", "elsewhere", "exec", dont_inherit=True), written)
    assert is_addition(written["plus"]), "where annotations are evaluated, code has other flags"
    others: list[Any] = [
        operator.iadd,
        max,
        partial(operator.add, 1),
        Adder().add,
        generator,
        lambda a, b: b + a,
        lambda a, b: a - b,
        lambda a, b, c=0: a + b,
        lambda a, b: a + b + 1,
        lambda *a: a[0] + a[1],
        lambda a, *, b: a + b,
    ]
    assert not any(map(is_addition, others))


# --- the pairs of a split


class Records:
    """A split."""

    first_record = 100

    def __init__(self, records: list[Any], error: Exception | None = None) -> None:
        self._records = records
        self._error = error

    def read(self) -> Iterator[Any]:
        yield from self._records
        if self._error is not None:
            raise self._error


def all_pairs(source: MappedPairs) -> list[Any]:
    batches = Batches(1)
    found = []
    while batch := source.take(batches):
        found += batch
        batches.note(len(batch), 1)
    return found


MAPS: list[Callable[[int], Any] | None] = [
    None,
    lambda number: [number] * number,
    lambda number: None if number % 2 else iter([number]),
    lambda number: (each for each in range(number)),
]


@pytest.mark.parametrize("function", MAPS)
@pytest.mark.parametrize("key", [None, lambda each: each % 3])
@pytest.mark.parametrize("count", [0, 1, 12])
def test_map_makes_the_pairs_that_it_makes(
    function: Callable[[int], Any] | None, key: Callable[[int], int] | None, count: int
) -> None:
    split = Records(list(range(count)))
    made = [each for number in range(count) for each in ([number] if function is None else function(number) or ())]
    expected = made if key is None else [(key(each), each) for each in made]
    source = MappedPairs(split, function, key)
    assert all_pairs(source) == expected
    assert (source.records_read, source.pairs_taken) == (count, len(expected))
    fed: list[Any] = []
    source = MappedPairs(split, function, key)
    while not source.has_ended:
        source.feed(fed.extend, 5)
    assert fed == expected and (source.records_read, source.pairs_taken) == (count, len(expected))
    assert [pair for _, pair in numbered_pairs(split, function, key)] == expected


@pytest.mark.parametrize("place", [0, 1, 7])
def test_errors_are_blamed_on_the_record(place: int) -> None:
    def function(number: int) -> Iterator[int]:
        yield number
        yield 1 // (number - place)

    for source in (
        MappedPairs(Records(list(range(9))), function, None),
        MappedPairs(Records(list(range(9))), None, lambda number: 1 // (number - place)),
        MappedPairs(Records(list(range(place)), ZeroDivisionError()), None, None),
        MappedPairs(Records(list(range(place)), ZeroDivisionError()), lambda number: [number, number], None),
    ):
        with pytest.raises(RecordFailedError) as caught:
            all_pairs(source)
        assert caught.value.record == 100 + place and isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_record_that_makes_very_many_pairs_is_no_burden() -> None:
    """They are made as they are taken: here, from a generator that never ends."""
    source = MappedPairs(Records([0]), lambda number: iter(int, 1), None)
    assert source.take(Batches(10)) == [0] * 10
    combiner = WindowCombiner("task", PairType(INT, INT), operator.add)
    source = MappedPairs(Records([0]), lambda number: iter(lambda: (1, 1), None), None)
    assert combiner.window(source) == [(1, 1 << 20)]


# --- errors on their way


@pytest.mark.parametrize(
    "error",
    [
        TaskFailedError("task", 5, "problem", "trace").with_trace(),
        WorkerDiedError("task", -9),
        TaskCancelledError("task"),
        TaskNotSendableError("task", "its result", "problem"),
        RecordFailedError(5),
        KeyFailedError("key"),
    ],
)
def test_errors_survive_pickling(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)


def test_ends_of_processes_are_told_in_words() -> None:
    assert "ended with exit code 3" in str(WorkerDiedError("task", 3))
    assert "ended by SIGTERM" in str(WorkerDiedError("task", -15))
    assert "ended by signal 60" in str(WorkerDiedError("task", -60))
