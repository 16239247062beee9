"""Shuffle jobs against the obvious Python: what they make, in which order, and that nothing else decides it."""

from __future__ import annotations

import operator
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shuffle.exchange.partitioners import RangePartitioner
from shuffle.exchange.shuffle_job import Shuffle
from shuffle.exchange.shuffle_result import ShuffleResult
from shuffle.exchange.task_manager import TaskManager
from tests import tiny
from tests.test_exchange.executors import InlineExecutor, nothing_left, task_manager

FEW = settings(deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = st.sampled_from(["to", "be", "or", "not", "", "é", "\x00", "a\x00b", "hot"])
PARTITIONS = st.sampled_from([1, 2, 7, 30])
LINES = st.lists(st.lists(WORDS, max_size=6), max_size=40)


@pytest.fixture(scope="module")
def workers() -> Iterator[TaskManager]:
    """Both have started, so that no test finds a process that was not there before."""
    with task_manager(slots=2, memory="320MiB") as manager:
        manager.wait([manager.submit("start", operator.attrgetter("number")) for _ in range(2)], 2)
        yield manager


def pairs_of(words: list[str]) -> Iterator[tuple[str, int]]:
    for word in words:
        yield word, 1


def partitions_of(result: ShuffleResult) -> list[list[Any]]:
    with result:
        assert result.report.results == len(result)
        return [list(result.partition(number)) for number in range(result.partitions)]


# --- reduce


@FEW
@given(lines=LINES, partitions=PARTITIONS, combine=st.booleans(), split_records=st.integers(1, 20))
def test_word_count(
    inline: InlineExecutor, lines: list[list[str]], partitions: int, combine: bool, split_records: int
) -> None:
    job = Shuffle(
        map=pairs_of, reduce=operator.add, partitions=partitions, combine=combine, split_records=split_records
    )
    found = partitions_of(job.run(lines, inline))
    expected = Counter(word for line in lines for word in line)
    assert Counter(dict(pair for partition in found for pair in partition)) == expected
    assert sum(map(len, found)) == len(expected)
    assert all(partition == sorted(partition) for partition in found)
    home = {word: number for number, partition in enumerate(found) for word, _ in partition}
    again = partitions_of(Shuffle(map=pairs_of, partitions=partitions).run([[word] for word in expected], inline))
    assert home == {word: number for number, partition in enumerate(again) for word, _ in partition}


@FEW
@given(numbers=st.lists(st.integers(-3, 3), max_size=200), split_records=st.integers(1, 50))
def test_folding_goes_from_left_to_right(inline: InlineExecutor, numbers: list[int], split_records: int) -> None:
    """Strings joined in their order: not commutative, so every wrong order shows."""
    pairs = [(number, f"{place},") for place, number in enumerate(numbers)]
    job = Shuffle(reduce=lambda a, b: a + b, partitions=5, split_records=split_records)
    expected: defaultdict[int, str] = defaultdict(str)
    for number, text in pairs:
        expected[number] += text
    assert dict(job.run(pairs, inline)) == expected


def test_a_hot_key(inline: InlineExecutor) -> None:
    chance = random.Random(1)
    pairs = [(0 if chance.random() < 0.9 else chance.randrange(1000), 1.5) for _ in range(20_000)]
    job = Shuffle(reduce=max, combine=False, partitions=7, split_records=3000)
    with job.run(pairs, inline) as result:
        assert dict(result) == {key: 1.5 for key, _ in pairs}
        assert result.report.pairs_written == result.report.pairs == 20_000


def test_group_reduce_of_groups_larger_than_memory(inline: InlineExecutor) -> None:
    pairs = [(number % 3, "x" * 500 + str(number)) for number in range(3000)]

    def sizes(key: int, values: Iterator[str]) -> Iterator[tuple[int, int, int]]:
        first = next(values)
        yield key, len(first), 1 + sum(1 for _ in values)

    job = Shuffle(group_reduce=sizes, partitions=2, split_records=400)
    assert sorted(job.run(pairs, inline)) == [(0, 501, 1000), (1, 501, 1000), (2, 501, 1000)]


def test_group_functions_need_not_read_their_values_nor_return_any(inline: InlineExecutor) -> None:
    def some(key: int, values: Iterator[int]) -> list[int] | None:
        return None if key % 2 else [key, next(values)]

    pairs = [(number % 10, number) for number in range(1000)]
    job = Shuffle(group_reduce=some, partitions=1, split_records=100)
    assert list(job.run(pairs, inline)) == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]


def test_a_combiner_of_its_own_before_a_group_function(inline: InlineExecutor) -> None:
    pairs = [(number % 10, number) for number in range(1000)]
    job = Shuffle(combine=operator.add, group_reduce=lambda key, values: [(key, sum(values))], split_records=100)
    with job.run(pairs, inline) as result:
        assert dict(result) == {key: sum(range(key, 1000, 10)) for key in range(10)}
        assert result.report.pairs_written == 100 and result.report.pairs_combined == 900


# --- order


@FEW
@given(pairs=st.lists(st.tuples(WORDS, st.integers(0, 5)), max_size=60), split_records=st.integers(1, 30))
def test_without_a_function_pairs_come_by_key_in_their_order(
    inline: InlineExecutor, pairs: list[tuple[str, int]], split_records: int
) -> None:
    numbered = [(word, (number, place)) for place, (word, number) in enumerate(pairs)]
    found = partitions_of(Shuffle(partitions=3, split_records=split_records).run(numbered, inline))
    assert sorted(pair for partition in found for pair in partition) == sorted(numbered)
    assert all(partition == sorted(partition, key=lambda pair: (pair[0], pair[1][1])) for partition in found)


class Click(NamedTuple):
    user: str
    time: int
    page: bytes


CLICKS = st.lists(st.builds(Click, st.sampled_from(["ann", "bob", "a", ""]), st.integers(0, 9), st.binary(max_size=2)))


@FEW
@given(clicks=CLICKS, how=st.sampled_from(["time", "-time", ["page", "-time"], "function"]))
def test_values_of_a_key_in_the_order_asked_for(inline: InlineExecutor, clicks: list[Click], how: Any) -> None:
    orders: dict[str, Callable[[Click], Any]] = {
        "time": lambda click: click.time,
        "-time": lambda click: -click.time,
        "['page', '-time']": lambda click: (click.page, -click.time),
        "function": lambda click: click.time % 3,
    }
    order = orders[str(how)]

    def visits(user: str, values: Iterator[Click]) -> Iterator[tuple[str, list[Click]]]:
        yield user, list(values)

    job = Shuffle(
        key=lambda click: click.user,
        sort_by=order if how == "function" else how,
        group_reduce=visits,
        partitions=2,
        split_records=7,
    )
    expected = {
        user: sorted(group, key=order)
        for user, group in groupby(sorted(clicks, key=lambda click: click.user), lambda click: click.user)
    }
    assert dict(job.run(clicks, inline)) == expected


@FEW
@given(keys=st.lists(st.integers(0, 30), max_size=300), partitions=st.integers(1, 9))
def test_ranges_are_in_order(inline: InlineExecutor, keys: list[int], partitions: int) -> None:
    pairs = [(key, place) for place, key in enumerate(keys)]
    found = partitions_of(Shuffle(partition_by="range", partitions=partitions, split_records=50).run(pairs, inline))
    assert [pair for partition in found for pair in partition] == sorted(pairs)
    assert len(found) == partitions


def test_ranges_keep_groups_whole_where_something_is_reduced(inline: InlineExecutor) -> None:
    pairs = [(number % 7, "x" * 100) for number in range(5000)]
    for partitioner in ("range", RangePartitioner(weigh="bytes")):
        job = Shuffle(
            partition_by=partitioner,
            partitions=4,
            group_reduce=lambda key, values: [(key, sum(1 for _ in values))],
            split_records=500,
        )
        assert list(job.run(pairs, inline)) == sorted(Counter(key for key, _ in pairs).items())


# --- partitioners


def test_round_robin_and_broadcast(inline: InlineExecutor) -> None:
    pairs = [({"no": "order"}, number) for number in range(10)]
    found = partitions_of(Shuffle(partition_by="round-robin", partitions=3, split_records=5).run(pairs, inline))
    assert [[value for _, value in partition] for partition in found] == [[0, 3, 7], [1, 4, 5, 8], [2, 6, 9]]
    found = partitions_of(Shuffle(partition_by="broadcast", partitions=3, split_records=5).run(pairs, inline))
    assert found == [pairs] * 3


def test_a_partitioner_of_the_user(inline: InlineExecutor) -> None:
    job = Shuffle(partition_by=lambda key, partitions: len(key) % partitions, partitions=2, reduce=operator.add)
    found = partitions_of(job.run([("a", 1), ("bb", 2), ("c", 3), ("a", 4)], inline))
    assert found == [[("bb", 2)], [("a", 5), ("c", 3)]]


@pytest.mark.parametrize(("partitions", "size"), [(2, 1), (65, 5000), (1000, 1)])
def test_every_partition_has_its_own(inline: InlineExecutor, partitions: int, size: int) -> None:
    """Also where one task reduces many, most of them empty, and where a row is longer than a block."""
    keys = [number * number % 997 for number in range(900 if size == 1 else 60)]
    pairs = [(key, "x" * (place % 3 * size)) for place, key in enumerate(keys)]
    job = Shuffle(partition_by=lambda key, count: key % count, partitions=partitions, split_records=300)
    found = partitions_of(job.run(pairs, inline))
    in_order = sorted(pairs, key=operator.itemgetter(0))
    assert found == [[pair for pair in in_order if pair[0] % partitions == number] for number in range(partitions)]

    def first_of(number: int, results: Iterator[Any]) -> Any:
        return next(results, None) if number % 2 else None

    job = Shuffle(partition_by=lambda key, count: key % count, partitions=partitions, split_records=300, write=first_of)
    with job.run(pairs, inline) as result:
        assert result.written == [(part[0] if part and number % 2 else None) for number, part in enumerate(found)]


@pytest.mark.parametrize("name", ["round-robin", "broadcast"])
def test_what_does_not_bring_keys_together_cannot_reduce(name: str) -> None:
    for choices in ({"reduce": max}, {"group_reduce": print}, {"sort_by": 0}):
        with pytest.raises(ValueError, match="does not bring equal keys together"):
            Shuffle(partition_by=name, **choices)


# --- what is the same however a job runs


def busy_job(**choices: Any) -> Shuffle:
    return Shuffle(map=floats_of, reduce=operator.add, partitions=3, split_records=600, **choices)


def floats_of(number: int) -> list[tuple[str, float]]:
    return [(str(number * 7919 % 211), 1 / (number + 1)), (str(number % 13), number / 3)]


def fingerprint(result: ShuffleResult) -> list[int]:
    return [zlib.crc32(repr(partition).encode()) for partition in partitions_of(result)]


def test_the_same_bits_for_any_slots_and_memory(workers: TaskManager) -> None:
    """Sums of floats are not associative: any other order of adding them would show."""
    with nothing_left() as directory:
        expected = fingerprint(busy_job().run(range(2500), InlineExecutor(directory)))
        with tiny.machine():
            assert fingerprint(busy_job().run(range(2500), InlineExecutor(directory, slots=4))) == expected
        assert fingerprint(busy_job().run(range(2500), workers)) == expected
        local = busy_job(slots=3, memory="440MiB", temp_dirs=[directory])
        assert fingerprint(local.run(range(2500))) == expected


@FEW
@given(lines=LINES, partitions=PARTITIONS)
def test_word_count_in_worker_processes(workers: TaskManager, lines: list[list[str]], partitions: int) -> None:
    job = Shuffle(map=pairs_of, reduce=operator.add, partitions=partitions, split_records=9)
    assert dict(job.run(lines, workers)) == Counter(word for line in lines for word in line)
