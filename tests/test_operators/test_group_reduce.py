"""Groups handed to a function: every value once, in the order asked for, and no group in memory."""

import dataclasses
import gc
import random
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shuffle
from serializers.errors import NotOrderableError, SerializationError
from shuffle.operators import group_reduce
from tests import tiny
from tests.test_operators.twins import KEYS, RANDOM_KINDS, Visit, grouped, ordered, random_key, same

SMALL = 64 << 10


def whole(key: Any, values: Iterator[Any]) -> list[tuple[Any, list[Any]]]:
    """One result: the group."""
    return [(key, list(values))]


def twin(values: list[Any], sort_key: Callable[[Any], Any]) -> list[tuple[Any, list[Any]]]:
    """Groups of tuples by their first field, each in order; the key is that of the first in this order."""
    groups = [sorted(group, key=sort_key) for _, group in grouped(values, lambda value: value[0])]
    return [(group[0][0], group) for group in groups]


@settings(max_examples=30, deadline=None)
@given(st.data(), st.sampled_from(list(KEYS)), st.sampled_from(list(KEYS)), st.booleans())
def test_keys_and_sort_keys_of_all_kinds(data: Any, kind: str, sort_kind: str, by_fields: bool) -> None:
    keys = data.draw(st.lists(st.tuples(KEYS[kind], KEYS[sort_kind]), max_size=25))
    values = [(*pair, place) for place, pair in enumerate(keys)]
    names: Any = {"by": 0, "sort_by": 1} if by_fields else {"key": lambda v: v[0], "sort_key": lambda v: v[1]}
    with tiny.machine() as machine, group_reduce(values, whole, temp_dirs=[str(machine.temp_dir)], **names) as result:
        assert same(result, twin(values, lambda value: ordered(value[1])))


@pytest.mark.parametrize("hot", [False, True], ids=["even", "hot"])
@pytest.mark.parametrize("kind", RANDOM_KINDS)
def test_spilling(kind: str, hot: bool) -> None:
    rng = random.Random(f"{kind} {hot}")
    one = random_key(rng, kind)
    values = [(one if hot and rng.random() < 0.9 else random_key(rng, kind), rng.randrange(99), n) for n in range(5000)]
    wanted = twin(values, lambda value: -value[1])
    with (
        tiny.machine(managed_bytes=SMALL) as machine,
        group_reduce(values, whole, by=0, sort_by="-1", temp_dirs=[str(machine.temp_dir)]) as result,
    ):
        assert same(result, wanted) and result.report.sorts[0].spilled_bytes
        assert same(result, wanted)


VISITS = [Visit(user, page, page % 3 / 2) for page in range(60) for user in ("ann", None, "bo")]


@pytest.mark.parametrize(
    ("choices", "key_of", "order"),
    [
        ({"by": "user"}, lambda visit: visit.user, None),
        ({"by": "-page"}, lambda visit: visit.page, None),
        ({"by": ["user", "weight"]}, lambda visit: (visit.user, visit.weight), None),
        ({"by": "user:nulls-last", "sort_by": ["-weight", "page"]}, lambda visit: visit.user, (-1, 1)),
        ({"key": lambda visit: visit.page % 7, "sort_by": "-weight"}, lambda visit: visit.page % 7, (-1, 0)),
        ({}, lambda visit: visit, None),
    ],
)
def test_fields_of_a_class(choices: dict[str, Any], key_of: Any, order: tuple[int, int] | None) -> None:
    visits = random.Random(1).sample(VISITS, len(VISITS))
    found: dict[Any, list[Visit]] = {}
    for visit in visits:
        found.setdefault(key_of(visit), []).append(visit)
    if order is not None:
        down, up = order
        found = {key: sorted(group, key=lambda v: (down * v.weight, up * v.page)) for key, group in found.items()}
    with tiny.machine() as machine, group_reduce(visits, whole, temp_dirs=[str(machine.temp_dir)], **choices) as result:
        listed = list(result)
    assert dict(listed) == found and len(listed) == len(found)
    if choices.get("by") == "-page":
        assert [key for key, _ in listed] == sorted(found, reverse=True)
    if choices.get("by") == "user:nulls-last":
        assert [key for key, _ in listed] == ["ann", "bo", None]


def test_dictionaries_by_their_entries() -> None:
    rows = [{"n": n % 3, "name": str(n)} for n in range(30)]
    with tiny.machine() as machine:
        with group_reduce(rows, whole, by="n", sort_by="name", temp_dirs=[str(machine.temp_dir)]) as result:
            wanted = [(n, sorted(rows[n::3], key=lambda row: str(row["name"]))) for n in range(3)]
            assert list(result) == wanted
        with group_reduce(rows, whole, by=["n", "name"], temp_dirs=[str(machine.temp_dir)]) as pairs:
            assert [key for key, _ in pairs] == sorted((row["n"], row["name"]) for row in rows)


def test_a_function_yields_any_number_of_results() -> None:
    def some(key: int, values: Iterator[int]) -> Iterator[int]:
        yield from islice(values, key)

    with tiny.machine() as machine:
        choices: Any = {"key": lambda n: n % 4, "temp_dirs": [str(machine.temp_dir)]}
        with group_reduce(range(20), some, **choices) as result:
            assert list(result) == [1, 2, 6, 3, 7, 11]
        with group_reduce(range(20), lambda key, values: [sum(values)], **choices) as sums:
            assert list(sums) == [40, 45, 50, 55]
        with group_reduce(range(20), lambda key, values: None, **choices) as nothing:
            assert list(nothing) == []
        with group_reduce(range(20), lambda key, values: values, **choices) as flat:
            assert list(flat) == sorted(range(20), key=lambda n: n % 4)


def test_what_is_not_read_of_a_group_is_skipped() -> None:
    values = [(n % 3, n) for n in range(20_000)]
    with (
        tiny.machine(managed_bytes=SMALL) as machine,
        group_reduce(values, lambda key, group: [next(group)], by=0, temp_dirs=[str(machine.temp_dir)]) as result,
    ):
        assert list(result) == [(0, 0), (1, 1), (2, 2)] == list(result)


def test_a_group_larger_than_memory_is_read_piece_by_piece() -> None:
    values = (Counted(n) for n in range(8000))
    seen: list[int] = []

    def function(key: int, group: Iterator[Counted]) -> None:
        for place, value in enumerate(group):
            assert value.n == place
            seen.append(Counted.alive)

    with (
        tiny.machine(managed_bytes=SMALL) as machine,
        group_reduce(values, function, key=lambda value: 1, temp_dirs=[str(machine.temp_dir)]) as result,
    ):
        list(result)
        assert len(seen) == 8000 and max(seen) < 2_000


def test_nothing_has_no_groups() -> None:
    with tiny.machine(), group_reduce(iter(()), whole, by="anything") as result:
        assert list(result) == [] == list(result)


# --- what goes wrong


class Counted:
    """Knows how many of its kind there are."""

    alive = 0

    def __init__(self, n: int) -> None:
        self.n = n
        Counted.alive += 1

    def __setstate__(self, state: dict[str, int]) -> None:
        self.__init__(state["n"])  # type: ignore[misc]

    def __del__(self) -> None:
        Counted.alive -= 1


class Raised(Exception):
    pass


def bad(key: int, values: Iterator[int]) -> list[int]:
    if key == 5:
        raise Raised("bad group")
    return [key]


def bad_later(key: int, values: Iterator[int]) -> Iterator[int]:
    yield from values
    if key == 5:
        raise Raised("bad group")


def raising() -> Iterator[int]:
    yield from range(4000)
    raise Raised("half way")


def unlucky(value: int) -> int:
    if value == 3333:
        raise Raised("unlucky")
    return value % 10


@pytest.mark.parametrize(
    ("values", "function", "choices", "error", "text"),
    [
        (range(5000), bad, {"key": lambda n: n % 10}, Raised, "for key 5"),
        (range(5000), bad_later, {"key": lambda n: n % 10}, Raised, "for key 5"),
        (range(50), lambda key, values: key, {}, TypeError, "Yield it"),
        (range(50), lambda key, values: "text", {}, TypeError, "for key 0"),
        (raising, whole, {}, Raised, "half way"),
        (range(5000), whole, {"key": unlucky}, Raised, "record 3333"),
        (range(5000), whole, {"key": lambda n: 1, "sort_key": unlucky}, Raised, "record 3333"),
        ([*range(2500), "x"], whole, {}, SerializationError, "record 2500"),
        ([*range(2500), None], whole, {}, SerializationError, "record 2500"),
        ([{1}, {2}], whole, {}, NotOrderableError, "no order"),
        ([(1, {2})], whole, {"by": 0, "sort_by": 1}, NotOrderableError, "field 1"),
        ([(1, 2)], whole, {"by": "nme"}, SerializationError, "its fields are 0, 1"),
        ([(1, 2)], whole, {"by": 0, "sort_by": "nme"}, SerializationError, "its fields are 0, 1"),
        ([(1, 2)], whole, {"by": 0, "key": len}, SerializationError, "Give one of them"),
        ([(1, 2)], whole, {"by": 0, "sort_by": 0, "sort_key": len}, SerializationError, "Give one of them"),
    ],
)
def test_bad_input_says_where_and_leaves_nothing(
    values: Any, function: Any, choices: Any, error: type[Exception], text: str
) -> None:
    before = threading.active_count()
    with tiny.machine(managed_bytes=SMALL) as machine:
        given = values() if callable(values) else values
        with pytest.raises(error) as caught:
            list(group_reduce(given, function, temp_dirs=[str(machine.temp_dir)], **choices))
        assert text in "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
        del caught
        assert machine.left_behind() == []
        gc.collect()
        assert threading.active_count() == before


def test_left_early_it_can_be_read_again_and_then_closed() -> None:
    before = threading.active_count()
    with tiny.machine(managed_bytes=SMALL) as machine:
        result = group_reduce(range(20_000), whole, key=lambda n: n % 9, temp_dirs=[str(machine.temp_dir)])
        iterator = iter(result)
        assert next(iterator)[0] == 0 and machine.left_behind()
        with pytest.raises(RuntimeError, match="being read already"):
            next(iter(result))
        assert next(iterator)[0] == 1
        del iterator
        assert len(list(result)) == 9
        result.close()
        result.close()
        assert machine.left_behind() == [] and threading.active_count() == before
        with pytest.raises(ValueError, match="closed"):
            list(result)


def test_dropped_is_closed() -> None:
    with tiny.machine(managed_bytes=SMALL) as machine:
        result = group_reduce(range(20_000), whole, key=lambda n: n % 9, temp_dirs=[str(machine.temp_dir)])
        iterator = iter(result)
        assert next(iterator)[0] == 0
        thread = next(thread for thread in threading.enumerate() if thread.name == "spillway-engine")
        del result, iterator
        gc.collect()
        thread.join(tiny.SECONDS_MAX)
        assert not thread.is_alive() and machine.left_behind() == []


def test_too_little_memory_says_the_floor() -> None:
    with pytest.raises(ValueError, match="the floor is"):
        list(group_reduce([1, 2], whole, memory="1MiB"))


def test_a_full_disk_is_told() -> None:
    with (
        tiny.machine(managed_bytes=SMALL) as machine,
        pytest.raises(OSError, match="--max-disk"),
        group_reduce(range(100_000), whole, max_disk=20_000, temp_dirs=[str(machine.temp_dir)]) as result,
    ):
        list(result)


@dataclasses.dataclass
class Mutable:
    n: int
    text: str = "x"


def test_as_a_sort_and_a_loop_would() -> None:
    values = [Mutable(n * 7 % 11) for n in range(500)]
    with (
        tiny.machine() as machine,
        group_reduce(values, whole, by="n", temp_dirs=[str(machine.temp_dir)]) as result,
        shuffle.sort(values, by="n", temp_dirs=[str(machine.temp_dir)]) as in_order,
    ):
        assert [value for _, group in result for value in group] == list(in_order)
