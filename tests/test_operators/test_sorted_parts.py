"""One of each, and the first few: as a sort and a slice would have them."""

import random
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serializers.errors import SerializationError
from shuffle.operators import distinct, top_k
from tests import tiny
from tests.test_operators.twins import KEYS, RANDOM_KINDS, grouped, ordered, random_key, same

SMALL = 64 << 10


@settings(max_examples=30, deadline=None)
@given(st.data(), st.sampled_from(list(KEYS)), st.sampled_from([{}, {"by": 0}, {"key": itemgetter(0)}]))
def test_distinct(data: Any, kind: str, choices: dict[str, Any]) -> None:
    keys = data.draw(st.lists(KEYS[kind], max_size=30))
    values = [(key, place) for place, key in enumerate(keys)] if choices else keys
    key_of: Callable[[Any], Any] = itemgetter(0) if choices else lambda value: value
    with tiny.machine() as machine, distinct(values, temp_dirs=[str(machine.temp_dir)], **choices) as result:
        wanted = [group[0] for _, group in grouped(values, key_of)]
        assert same(result, wanted) and same(result, wanted)


@settings(max_examples=30, deadline=None)
@given(st.data(), st.sampled_from(list(KEYS)), st.integers(0, 35))
def test_top_k(data: Any, kind: str, k: int) -> None:
    values = list(enumerate(data.draw(st.lists(KEYS[kind], max_size=30))))
    with tiny.machine() as machine:
        with top_k(values, k, by=1, temp_dirs=[str(machine.temp_dir)]) as result:
            wanted = sorted(values, key=lambda value: ordered(value[1]))[:k]
            assert same(result, wanted) and same(result, wanted)
        with top_k([value for _, value in values], k, temp_dirs=[str(machine.temp_dir)]) as result:
            assert same(result, [value for _, value in wanted])


@pytest.mark.parametrize("hot", [False, True], ids=["even", "hot"])
@pytest.mark.parametrize("kind", RANDOM_KINDS)
def test_spilling(kind: str, hot: bool) -> None:
    rng = random.Random(f"{kind} {hot}")
    one = random_key(rng, kind)
    values = [(one if hot and rng.random() < 0.9 else random_key(rng, kind), n) for n in range(5000)]
    in_order = sorted(values, key=lambda value: ordered(value[0]))
    with tiny.machine(managed_bytes=SMALL) as machine:
        choices: Any = {"by": 0, "temp_dirs": [str(machine.temp_dir)], "threads": 2}
        with distinct(iter(values), **choices) as result:
            assert same(result, [group[0] for _, group in grouped(values, itemgetter(0))])
        for k in (1, 2500, 6000):
            with top_k(iter(values), k, **choices) as result:
                assert same(result, in_order[:k])
                assert k < 2500 or result.report.sorts[0].spilled_bytes
        with top_k(values, 2000, by="-1", temp_dirs=[str(machine.temp_dir)]) as result:
            assert same(result, values[:-2001:-1])
        with top_k(values, 2000, key=lambda value: value[1] // 7, reverse=True, **{**choices, "by": None}) as result:
            assert same(result, sorted(values, key=lambda value: value[1] // 7, reverse=True)[:2000])


def test_values_longer_than_buffers() -> None:
    rng = random.Random(5)
    values = [rng.choice("ab") * rng.choice([3, 300, 40_000, 90_000]) for _ in range(40)]
    with tiny.machine(managed_bytes=256 << 10) as machine:
        with distinct(values, temp_dirs=[str(machine.temp_dir)]) as result:
            assert list(result) == sorted(set(values))
        with top_k(values, 20, temp_dirs=[str(machine.temp_dir)]) as result:
            assert list(result) == sorted(values)[:20]


def test_few_different_values_take_little_room() -> None:
    with (
        tiny.machine(managed_bytes=1 << 20, extent_bytes=(1 << 17, 1 << 18)) as machine,
        distinct(("x" * 500 + str(n % 5) for n in range(10_000)), temp_dirs=[str(machine.temp_dir)]) as result,
    ):
        assert len(list(result)) == 5 and result.report.records == 10_000
        assert result.report.sorts[0].spilled_bytes < 500_000 < result.report.sorts[0].input_bytes // 10


@pytest.mark.parametrize("call", [distinct, lambda values, **choices: top_k(values, 5, **choices)])
def test_bad_input(call: Any) -> None:
    with tiny.machine(managed_bytes=SMALL) as machine:
        with pytest.raises(SerializationError, match="record 3000"):
            list(call([*range(3000), "x"], temp_dirs=[str(machine.temp_dir)]))
        with call([], temp_dirs=[str(machine.temp_dir)]) as result:
            assert list(result) == []
        with pytest.raises(ValueError, match="threads"):
            call([], threads=0)


def test_less_than_nothing() -> None:
    with pytest.raises(ValueError, match="k is -1"):
        top_k([], -1)
