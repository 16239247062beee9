"""Values of each key reduced to one: as `functools.reduce` does, in every budget, however much is combined before."""

import logging
import math
import operator
import random
import re
from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serializers.errors import NotOrderableError, SerializationError
from shuffle.operators import reduce_by_key
from tests import tiny
from tests.test_operators.twins import KEYS, RANDOM_KINDS, grouped, random_key, same

SMALL = 64 << 10


def twin(pairs: list[Any], function: Any) -> list[Any]:
    """As it should be."""
    return [
        (key, reduce(function, [value for _, value in group])) for key, group in grouped(pairs, operator.itemgetter(0))
    ]


@settings(max_examples=30, deadline=None)
@given(st.data(), st.sampled_from(list(KEYS)), st.booleans())
def test_keys_of_all_kinds(data: Any, kind: str, combine: bool) -> None:
    keys = data.draw(st.lists(KEYS[kind], max_size=30))
    pairs = [(key, [place]) for place, key in enumerate(keys)]
    with (
        tiny.machine() as machine,
        reduce_by_key(pairs, operator.add, combine=combine, temp_dirs=[str(machine.temp_dir)]) as result,
    ):
        assert same(result, twin(pairs, operator.add))
        assert same(result, twin(pairs, operator.add)) and result.report.records == len(pairs)


@pytest.mark.parametrize("hot", [False, True], ids=["even", "hot"])
@pytest.mark.parametrize("kind", RANDOM_KINDS)
def test_spilling(kind: str, hot: bool) -> None:
    rng = random.Random(f"{kind} {hot}")
    one = random_key(rng, kind)
    pairs = [(one if hot and rng.random() < 0.9 else random_key(rng, kind), str(n)) for n in range(5000)]
    found = []
    for managed in (SMALL, 4 << 20):
        for combine in (False, True):
            with tiny.machine(managed_bytes=managed) as machine:
                choices: Any = {"temp_dirs": [str(machine.temp_dir)], "threads": 2, "combine": combine}
                with reduce_by_key(iter(pairs), operator.add, **choices) as result:
                    found.append(list(result))
                    assert managed > SMALL or combine or result.report.sorts[0].spilled_bytes
    wanted = twin(pairs, operator.add)
    assert all(same(each, wanted) for each in found)


def test_the_same_for_every_budget_if_the_function_is_not_associative() -> None:
    rng = random.Random(3)
    pairs = [(rng.randrange(20), rng.random()) for _ in range(20_000)]
    found = []
    for managed in (SMALL, 256 << 10, 4 << 20):
        with (
            tiny.machine(managed_bytes=managed) as machine,
            reduce_by_key(pairs, lambda a, b: a - b / 3, temp_dirs=[str(machine.temp_dir)]) as result,
        ):
            found.append(list(result))
            assert result.report.records_combined
    assert found[0] == found[1] == found[2]


def test_much_is_combined_where_that_pays() -> None:
    pairs = [(n % 10, 1) for n in range(50_000)]
    with tiny.machine() as machine, reduce_by_key(pairs, operator.add, temp_dirs=[str(machine.temp_dir)]) as result:
        assert list(result) == [(key, 5000) for key in range(10)]
        report = result.report
        assert report.records == 50_000 and not report.combiner_note
        assert report.sorts[0].records == 50_000 - report.records_combined < 200


def test_a_combiner_that_does_not_pay_gives_up_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    pairs = [(n * 7919 % 30_011, 1) for n in range(30_011)]
    with (
        tiny.machine() as machine,
        caplog.at_level(logging.INFO),
        reduce_by_key(pairs, operator.add, temp_dirs=[str(machine.temp_dir)]) as result,
    ):
        assert list(result) == [(key, 1) for key in range(30_011)]
        assert "keys of their own" in result.report.combiner_note
    assert "keys of their own" in caplog.text


class Pair(NamedTuple):
    word: str
    count: Any


@pytest.mark.parametrize(
    ("pairs", "function", "note"),
    [
        ([([n % 3], n) for n in range(3000)], operator.add, "may be equal in Python"),
        ([(1 if n % 2 else "1", n) for n in range(3000)], operator.add, "may be equal in Python"),
        ([(n % 3, (n,)) for n in range(3000)], operator.add, "does not fit the type"),
        ([(n % 3, n % 2 == 0) for n in range(3000)], operator.add, "does not fit the type"),
        ([Pair(str(n % 3), n) for n in range(3000)], operator.add, ""),
    ],
    ids=["lists", "int or str", "tuples grow", "bools add up to ints", "named"],
)
def test_what_cannot_be_combined_is_reduced_all_the_same(pairs: list[Any], function: Any, note: str) -> None:
    with tiny.machine() as machine, reduce_by_key(pairs, function, temp_dirs=[str(machine.temp_dir)]) as result:
        wanted: dict[str, Any] = {}
        for key, value in pairs:
            wanted[repr(key)] = function(wanted[repr(key)], value) if repr(key) in wanted else value
        assert {repr(key): value for key, value in result} == wanted
        assert note in result.report.combiner_note and bool(note) == bool(result.report.combiner_note)


def test_not_a_number_is_one_key() -> None:
    other = -math.nan
    pairs = [
        (key, [n]) for n, key in enumerate([math.nan, other, math.nan, other] + [float(n % 7) for n in range(900)])
    ]
    with tiny.machine() as machine, reduce_by_key(pairs, operator.add, temp_dirs=[str(machine.temp_dir)]) as result:
        assert same(result, twin(pairs, operator.add))


def raising() -> Iterator[tuple[int, int]]:
    yield from ((n, n) for n in range(4000))
    raise OSError("half way")


def unlucky(left: int, right: int) -> int:
    if right == 3333:
        raise KeyError("unlucky")
    return left


@pytest.mark.parametrize("combine", [False, True])
@pytest.mark.parametrize(
    ("pairs", "function", "error", "text"),
    [
        (raising(), operator.add, OSError, "half way"),
        ([(n % 7, n) for n in range(5000)], unlucky, KeyError, "for key 1"),
        ([*((n % 7, n) for n in range(5000)), (1, "x")], max, TypeError, ""),
        ([*((n, n) for n in range(5000)), (1, "x")], lambda a, b: a, SerializationError, "record 5000, field 1"),
        ([*((n, n) for n in range(5000)), (None, 1)], operator.add, SerializationError, "record 5000, field 0"),
        ([*((n, n) for n in range(5000)), (1, 2, 3)], operator.add, SerializationError, "record 5000.*no.* pair"),
        ([*((n, n) for n in range(500)), 7], operator.add, SerializationError, "record 500.*not a pair"),
        ([({n}, n) for n in range(50)], operator.add, NotOrderableError, "no order"),
    ],
)
def test_bad_input_says_where_and_leaves_nothing(
    pairs: Any, function: Any, error: type[Exception], text: str, combine: bool
) -> None:
    if isinstance(pairs, Iterator):
        pairs = raising()
    with tiny.machine(managed_bytes=SMALL) as machine:
        result = reduce_by_key(pairs, function, combine=combine, temp_dirs=[str(machine.temp_dir)])
        with pytest.raises(error) as caught:
            list(result)
        assert re.search(text, "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])]))
        assert machine.left_behind() == []
        with pytest.raises(error):
            list(result)


def test_choices_that_make_no_sense() -> None:
    with pytest.raises(TypeError, match="reverse_order"):
        reduce_by_key([], max, reverse_order=True)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="threads"):
        reduce_by_key([], max, threads=0)
