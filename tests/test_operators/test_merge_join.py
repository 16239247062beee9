"""Two sides joined: as nested loops would, in key order, with groups of any size on both sides."""

import gc
import random
import threading
from collections.abc import Iterator
from operator import itemgetter
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serializers.errors import NotOrderableError, SerializationError
from shuffle.errors import JoinKeyError, NotSortedError
from shuffle.operators import merge_join, value_store
from shuffle.operators.merge_join import How
from tests import tiny
from tests.test_operators.twins import KEYS, RANDOM_KINDS, joined, ordered, random_key, same

SMALL = 64 << 10
HOWS: list[Any] = list(get_args(How))
WAYS: list[dict[str, Any]] = [
    {"on": 0},
    {"left_key": itemgetter(0), "right_key": itemgetter(0)},
    {"left_by": 0, "right_key": itemgetter(0)},
]


@settings(max_examples=40, deadline=None)
@given(
    st.data(), st.sampled_from(list(KEYS)), st.sampled_from(HOWS), st.booleans(), st.booleans(), st.sampled_from(WAYS)
)
def test_keys_of_all_kinds(
    data: Any, kind: str, how: Any, left_sorted: bool, right_sorted: bool, way: dict[str, Any]
) -> None:
    keys = st.lists(KEYS[kind], max_size=14)
    left = [(key, place) for place, key in enumerate(data.draw(keys))]
    right = [(key, str(place)) for place, key in enumerate(data.draw(keys))]
    if kind == "number":  # so that both sides have all types in them
        left, right = ([(1, 0), (1.0, 0), (True, 0), *left], [(1, ""), (1.0, ""), (True, ""), *right])
    if left_sorted:
        left.sort(key=lambda value: ordered(value[0]))
    if right_sorted:
        right.sort(key=lambda value: ordered(value[0]))
    with tiny.machine() as machine:
        choices: Any = {"left_sorted": left_sorted, "right_sorted": right_sorted, "temp_dirs": [str(machine.temp_dir)]}
        choices |= way
        with merge_join(left, right, how=how, **choices) as result:
            wanted = joined(left, right, itemgetter(0), itemgetter(0), how)
            assert same(result, wanted) and same(result, wanted)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kind", RANDOM_KINDS)
def test_spilling(kind: str, how: Any) -> None:
    rng = random.Random(f"{kind} {how}")
    left = [(random_key(rng, kind), n) for n in range(1500)]
    right = [(str(n), random_key(rng, kind)) for n in range(300)]
    with (
        tiny.machine(managed_bytes=SMALL) as machine,
        merge_join(iter(left), iter(right), left_by=0, right_by=1, how=how, temp_dirs=[str(machine.temp_dir)]) as got,
    ):
        assert same(got, joined(left, right, itemgetter(0), lambda value: value[1], how))
        assert got.report.records == 1800 and len(got.report.sorts) == 2


@pytest.mark.parametrize("how", ["inner", "outer"])
def test_a_hot_key_on_both_sides_is_spilled(how: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_store, "KEPT_BYTES", 10_000)
    rng = random.Random(4)
    left = [(7 if rng.random() < 0.9 else rng.randrange(30), n) for n in range(25)]
    right = [(7 if rng.random() < 0.9 else rng.randrange(30), "x" * 20 + str(n)) for n in range(3000)]
    with (
        tiny.machine(managed_bytes=SMALL) as machine,
        merge_join(left, right, on=0, how=how, temp_dirs=[str(machine.temp_dir)]) as result,
    ):
        wanted = joined(left, right, itemgetter(0), itemgetter(0), how)
        assert len(wanted) > 40_000
        assert list(result) == wanted
        iterator = iter(result)
        assert [next(iterator) for _ in range(20_000)] == wanted[:20_000]  # left while the store is being read
        del iterator
        assert result._operator._store.groups_spilled >= 2  # type: ignore[attr-defined]


def test_one_left_value_streams_the_right_ones() -> None:
    right = [(n % 2, n) for n in range(30_000)]
    with (
        tiny.machine(managed_bytes=SMALL) as machine,
        merge_join([(0, "a"), (1, "b")], right, on=0, temp_dirs=[str(machine.temp_dir)]) as result,
    ):
        assert list(result) == joined([(0, "a"), (1, "b")], right, itemgetter(0), itemgetter(0), "inner")
        assert result._operator._store.groups_spilled == 0  # type: ignore[attr-defined]


def test_a_side_with_itself() -> None:
    values = [(n % 5, n) for n in range(50)]
    with tiny.machine() as machine:
        with merge_join(values, values, on=0, temp_dirs=[str(machine.temp_dir)]) as result:
            assert list(result) == joined(values, values, itemgetter(0), itemgetter(0), "inner")
        iterator = iter(values)
        with pytest.raises(ValueError, match="one iterator"):
            merge_join(iterator, iterator, on=0)


@pytest.mark.parametrize(
    ("left", "right", "choices"),
    [
        ([(1, "a"), (None, "b")], [(1, "x"), (2, "y")], {"on": 0}),
        ([(1, "a")], [(None, "x"), (None, "y")], {"on": 0}),
        ([((1, None), "a")], [((1, "u"), "x"), ((1, "v"), "y")], {"on": 0}),
        ([(1, None, "a"), (1, "u", "b")], [(1, "u", "x")], {"on": [0, 1]}),
        ([(1, "u\0", "a"), (1, "u", "b")], [("u", 1), ("u\0", 1)], {"left_by": [0, 1], "right_key": lambda v: v[::-1]}),
        ([{"k": 1, "n": "x"}], [(1, "x"), (2, "y")], {"left_by": ["k", "n"], "right_by": [0, 1]}),
        ([{"k": 1}, {"k": 2}], [(2, "x")], {"left_by": "k", "right_by": 0}),
        ([1, 2, 3], [(2, "x")], {"left_key": int, "right_by": 0}),
        ([1.0, 2.0], [(2, "x")], {"left_key": int, "right_by": 0}),
        ([(1, "a")], [], {"on": 0}),
        ([], [(1, "a")], {"on": 0}),
        ([], [], {"on": 0}),
    ],
)
@pytest.mark.parametrize("how", HOWS)
def test_types_that_nearly_are_the_same(left: list[Any], right: list[Any], choices: dict[str, Any], how: Any) -> None:
    def key_of(side: str) -> Any:
        by = choices.get("on", choices.get(f"{side}_by"))
        if by is None:
            return choices[f"{side}_key"]
        return (lambda value: tuple(value[each] for each in by)) if isinstance(by, list) else (lambda value: value[by])

    with (
        tiny.machine() as machine,
        merge_join(left, right, how=how, temp_dirs=[str(machine.temp_dir)], **choices) as result,
    ):
        assert same(result, joined(left, right, key_of("left"), key_of("right"), how))


def test_keys_of_different_types_are_refused_before_much_is_read() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[tuple[int, int]]:
        for n in range(100_000):
            taken.append(n)
            yield n, n

    with pytest.raises(JoinKeyError, match=r"type int, the right side by str.*left_key="):
        list(merge_join(numbers(), [("a", 1)] * 5000, on=0))
    assert len(taken) <= 1000


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([(1, 0)], [(1.0, 0)]),
        ([((1, 2), 0)], [((1, "2"), 0)]),
        ([((1, 2), 0)], [((1, 2, 3), 0)]),
        ([(True, 0)], [(1, 0)]),
    ],
)
def test_other_types_that_differ(left: list[Any], right: list[Any]) -> None:
    with pytest.raises(JoinKeyError, match="of different types"):
        list(merge_join(left, right, on=0))


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_side_that_is_not_in_order_is_found(side: str) -> None:
    good = [(n, n) for n in range(3000)]
    for bad in (1999, 255, 2998):
        sides = {"left": good, "right": good, side: [*good[: bad + 1], (bad - 1, 0), *good[bad + 1 :]]}
        with (
            tiny.machine() as machine,
            pytest.raises(NotSortedError, match=f"record {bad + 1} of the {side} side"),
            merge_join(**sides, on=0, left_sorted=True, right_sorted=True, temp_dirs=[str(machine.temp_dir)]) as result,
        ):
            list(result)


def test_an_iterator_in_order_can_be_read_once() -> None:
    values = [(n, n) for n in range(10)]
    with tiny.machine() as machine:
        choices: Any = {"on": 0, "left_sorted": True, "right_sorted": True, "temp_dirs": [str(machine.temp_dir)]}
        with merge_join(iter(values), values, **choices) as result:
            assert len(list(result)) == 10
            with pytest.raises(RuntimeError, match="left side was an iterator"):
                list(result)
        with merge_join(values, values, **choices) as result:
            assert len(list(result)) == len(list(result)) == 10 and result.report.sorts == ()


# --- what goes wrong


class Raised(Exception):
    pass


def raising() -> Iterator[tuple[int, int]]:
    yield from ((n, n) for n in range(4000))
    raise Raised("half way")


def unlucky(value: tuple[int, int]) -> int:
    if value[0] == 3333:
        raise Raised("unlucky")
    return value[0]


GOOD = [(n, n) for n in range(5000)]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("is_sorted", [False, True])
@pytest.mark.parametrize(
    ("values", "choices", "error", "texts"),
    [
        (raising, {"on": 0}, Raised, ["half way"]),
        ([*GOOD[:4000], ("x", 1)], {"on": 0}, SerializationError, ["record 4000", "{side} side"]),
        ([*GOOD[:4000], (4000, "x")], {"on": 0}, SerializationError, ["record 4000, field 1", "{side} side"]),
        ([*GOOD[:4000], 7], {"on": 0}, TypeError, ["record 4000", "{side} side"]),
        (GOOD, {"key": unlucky}, Raised, ["record 3333", "{side} side"]),
        (GOOD, {"by": "nme"}, SerializationError, ["its fields are 0, 1", "{side} side"]),
        ([({1}, 1)], {"on": 0}, NotOrderableError, ["no order", "{side} side"]),
    ],
)
def test_bad_input_says_where_and_leaves_nothing(
    values: Any, choices: dict[str, Any], error: type[Exception], texts: list[str], side: str, is_sorted: bool
) -> None:
    before = threading.active_count()
    given = {f"{side}_{name}" if name != "on" else name: choice for name, choice in choices.items()} | {
        f"{side}_sorted": is_sorted
    }
    with tiny.machine(managed_bytes=SMALL) as machine:
        sides: Any = {"left": GOOD, "right": GOOD, side: values() if callable(values) else values}
        with pytest.raises(error) as caught:
            list(merge_join(**sides, temp_dirs=[str(machine.temp_dir)], **{"on": 0, **given}))
        said = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
        assert all(text.format(side=side) in said for text in texts), said
        del caught
        assert machine.left_behind() == []
        gc.collect()
        assert threading.active_count() == before


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ({}, "what is the left side joined by"),
        ({"left_by": 0}, "what is the right side joined by"),
        ({"left_by": 0, "left_key": len, "on": 0}, "what is the left side joined by"),
        ({"on": "-0"}, "Leave the minus out"),
        ({"on": "0:nulls-last"}, "nulls_last=True"),
        ({"on": 0, "how": "full"}, "give one of inner, left"),
        ({"on": 0, "threads": 0}, "threads is 0"),
    ],
)
def test_choices_that_make_no_sense(choices: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        merge_join([(1, 2)], [(1, 2)], **choices)


def test_too_little_memory_says_how_it_is_shared() -> None:
    with pytest.raises(ValueError, match="the floor is") as caught:
        list(merge_join([(1, 2)], [(1, 2)], on=0, memory="100MiB"))
    assert "shared by 2 sorts" in "".join(caught.value.__notes__)


def test_left_early_it_can_be_read_again_and_then_closed() -> None:
    before = threading.active_count()
    with tiny.machine(managed_bytes=SMALL) as machine:
        result = merge_join(GOOD, GOOD, on=0, temp_dirs=[str(machine.temp_dir)])
        iterator = iter(result)
        assert next(iterator) == ((0, 0), (0, 0)) and machine.left_behind()
        del iterator
        assert len(list(result)) == 5000
        assert next(iter(result)) == ((0, 0), (0, 0))
        result.close()
        assert machine.left_behind() == []
        gc.collect()
        assert threading.active_count() == before
