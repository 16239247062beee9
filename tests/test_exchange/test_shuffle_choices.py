"""What shuffle jobs take and give, what types they find, when combiners give up, and choices that make no sense."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serializers.errors import NotOrderableError, SerializationError, UnknownTypeError, ValueMismatchError
from shuffle.exchange import combining, sum_combiner, window_combiner
from shuffle.exchange.shuffle_job import Shuffle
from shuffle.exchange.shuffle_result import ShuffleResult
from shuffle.exchange.task_errors import TaskFailedError
from tests.test_exchange.executors import InlineExecutor

FEW = settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = st.sampled_from(["to", "be", "or", "not", "", "é", "\x00", "a\x00b", "hot"])


def partitions_of(result: ShuffleResult) -> list[list[Any]]:
    with result:
        assert result.report.results == len(result)
        return [list(result.partition(number)) for number in range(result.partitions)]


class Click(NamedTuple):
    user: str
    time: int
    page: bytes


# --- inputs and outputs


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("choices", [{}, {"reduce": max}, {"partition_by": "range"}, {"type_info": tuple[str, int]}])
def test_no_input(inline: InlineExecutor, partitions: int, choices: dict[str, Any]) -> None:
    for inputs in ([], ["nothing comes of it"] * 3):
        job = Shuffle(map=lambda record: None, partitions=partitions, split_records=2, **choices)
        with job.run(inputs, inline) as result:
            assert partitions_of(result) == [[]] * partitions
            assert result.report.records == len(inputs) and result.report.map_tasks == -(-len(inputs) // 2)


def test_text_files(inline: InlineExecutor, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("to be\nor not\nto b\udcffe".encode("utf-8", "surrogateescape"))
    job = Shuffle(map=lambda line: [(word.encode("utf-8", "surrogateescape"), 1) for word in line.split()], reduce=max)
    assert sorted(key for key, _ in job.run(path, inline)) == sorted([b"to", b"be", b"or", b"not", b"b\xffe"])


def test_parquet_files(inline: InlineExecutor, tmp_path: Path) -> None:
    rows = [{"city": "abc"[number % 3], "sales": number} for number in range(100)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "sales.parquet", row_group_size=30)
    job = Shuffle(map=lambda row: [(row["city"], row["sales"])], reduce=operator.add)
    with job.run([tmp_path / "sales.parquet"], inline) as result:
        assert dict(result) == {"abc"[place]: sum(range(place, 100, 3)) for place in range(3)}
        assert result.report.map_tasks == 4


def test_results_written_where_they_are_made(inline: InlineExecutor, tmp_path: Path) -> None:
    def write(partition: int, results: Iterable[Any]) -> int:
        (tmp_path / str(partition)).write_text("".join(f"{key} {value}\n" for key, value in results))
        return partition * 10

    job = Shuffle(map=lambda number: [(number % 5, number)], reduce=operator.add, partitions=4, write=write)
    with job.run(range(100), inline) as result:
        assert result.written == [0, 10, 20, 30] and list(result) == []
    lines = [line for number in range(4) for line in (tmp_path / str(number)).read_text().splitlines()]
    assert sorted(lines) == [f"{key} {sum(range(key, 100, 5))}" for key in range(5)]


def test_a_writer_may_stop_early(inline: InlineExecutor) -> None:
    pairs = [(number, "x" * 1000) for number in range(2000)]
    job = Shuffle(partitions=2, write=lambda partition, results: next(results)[0], split_records=500)
    with job.run(pairs, inline) as result:
        assert sorted(result.written)[0] == 0 and len(result.written) == 2


def test_a_result_is_read_as_often_as_wanted_until_it_is_closed(inline: InlineExecutor) -> None:
    result = Shuffle(partitions=2).run([(1, "a"), (2, "b")], inline)
    assert sorted(result) == sorted(result) == [(1, "a"), (2, "b")]
    assert len(result) == 2 and result.partitions == 2
    with pytest.raises(IndexError, match="partition 2: there are 2"):
        result.partition(2)
    result.close()
    result.close()
    with pytest.raises(ValueError, match="closed"):
        list(result)


def test_a_result_that_is_dropped_has_been_closed(inline: InlineExecutor) -> None:
    assert len(list(Shuffle().run([(1, "a"), (2, "b")], inline))) == 2


def test_a_result_half_read(inline: InlineExecutor) -> None:
    with Shuffle(partitions=1).run([(number, "x") for number in range(5000)], inline) as result:
        reader = iter(result)
        assert next(reader) == (0, "x")


def test_the_report(inline: InlineExecutor) -> None:
    job = Shuffle(map=lambda number: [(number % 10, 1)] * 3, reduce=operator.add, partitions=100, split_records=100)
    with job.run(range(1000), inline) as result:
        report = result.report
    assert (report.records, report.pairs, report.pairs_written, report.results) == (1000, 3000, 100, 10)
    assert (report.partitions, report.map_tasks, report.reduce_tasks) == (100, 10, 50)
    assert report.shuffled_bytes and report.shuffled_disk_bytes and report.result_disk_bytes
    assert report.as_dict()["pairs_combined"] == 2900 and "2,900 of them combined" in report.describe()
    assert report.leaked == {} and report.combiner_notes == []


# --- the combiner


@pytest.mark.parametrize("fold", [operator.add, lambda a, b: b + a])
def test_a_combiner_that_finds_nothing_gives_up_and_says_so(
    inline: InlineExecutor, monkeypatch: pytest.MonkeyPatch, fold: Callable[[int, int], int]
) -> None:
    monkeypatch.setattr(combining, "SAMPLE_PAIRS", 2000)
    monkeypatch.setattr(sum_combiner, "TARGET_PAIRS", 4096)
    with Shuffle(reduce=fold, split_records=9000).run([(number, 1) for number in range(9000)], inline) as result:
        assert result.report.combiner_notes == ["only 0 of 4096 pairs could be combined"]
        assert result.report.pairs_written == 9000
        assert sorted(result) == [(number, 1) for number in range(9000)]


def test_windows_end_by_themselves(inline: InlineExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_combiner, "_STEP_PAIRS", 7)
    monkeypatch.setattr(window_combiner, "WINDOW_PAIRS", 30)
    monkeypatch.setattr(window_combiner, "WINDOW_KEYS_MAX", 4)
    pairs = [(number % 9, number) for number in range(1000)]
    with Shuffle(reduce=lambda a, b: b + a).run(pairs, inline) as result:
        assert dict(result) == {key: sum(range(key, 1000, 9)) for key in range(9)}
        assert result.report.pairs == 1000 and 9 < result.report.pairs_written < 1000


def moment(number: int) -> datetime:
    """The same instant on two clocks."""
    return datetime(2020, 1, 1, 12, tzinfo=UTC).astimezone(timezone(timedelta(hours=number % 2)))


@pytest.mark.parametrize("key", [lambda number: [number % 3], moment])
def test_keys_that_a_dictionary_would_not_take_or_confuse_are_not_combined(
    inline: InlineExecutor, key: Callable[[int], Any]
) -> None:
    pairs = [(key(number), 1) for number in range(30)]
    with Shuffle(reduce=lambda a, b: a + b, combine=False).run(pairs, inline) as result:
        expected = sorted(result)
    with Shuffle(reduce=lambda a, b: a + b).run(pairs, inline) as result:
        assert sorted(result) == expected and sum(count for _, count in expected) == 30
        assert "may be equal in Python, and not in order" in result.report.combiner_notes[0]


@FEW
@given(keys=st.lists(st.one_of(st.booleans(), st.sampled_from([0.0, -0.0, 1.0, 0.5, 1, 0, 2])), max_size=60))
def test_combining_takes_as_equal_what_the_order_does(inline: InlineExecutor, keys: list[float]) -> None:
    pairs = [(key, 1) for key in keys]
    with_it, without = (Shuffle(reduce=max, combine=combine, partitions=1) for combine in (True, False))
    assert [key for key, _ in with_it.run(pairs, inline)] == [key for key, _ in without.run(pairs, inline)]


# --- types


def test_a_declared_type_holds_for_all(inline: InlineExecutor) -> None:
    with Shuffle(type_info=tuple[float, int], partitions=1).run([(2.0, 1), (1.0, 2)], inline) as result:
        assert list(result) == [(1.0, 2), (2.0, 1)]
    with pytest.raises(TaskFailedError, match=r"map task 0 .*, record 1: .*field 0") as caught:
        Shuffle(type_info=tuple[float, int]).run([(2.0, 1), ("x", 2)], inline)
    assert isinstance(caught.value.__cause__, ValueMismatchError)
    with pytest.raises(UnknownTypeError, match="map makes pairs"):
        Shuffle(type_info=int).run([1], inline)


def test_what_does_not_fit_later_is_named(inline: InlineExecutor) -> None:
    pairs: list[tuple[int, Any]] = [(number, 1) for number in range(6000)]
    pairs[4321] = (4321, "text")
    for combine in (False, max):
        job = Shuffle(
            map=lambda pair: [pair] * 2, split_records=2500, combine=combine, group_reduce=lambda key, _: [key]
        )
        with pytest.raises(TaskFailedError, match=r"map task 1 \(from record 2500 on\), record 4321: ") as caught:
            job.run(pairs, inline)
        assert isinstance(caught.value.__cause__, ValueMismatchError | TypeError)


def test_what_is_no_pair_is_named(inline: InlineExecutor) -> None:
    with pytest.raises(SerializationError, match="record 1: 5 is not a tuple of a key and a value"):
        Shuffle().run([(1, 1), 5], inline)


def test_keys_without_an_order_are_refused(inline: InlineExecutor) -> None:
    with pytest.raises(NotOrderableError, match="have no order"):
        Shuffle().run([({"a": 1}, 1)], inline)


def test_sort_keys_that_cannot_be_are_refused(inline: InlineExecutor) -> None:
    with pytest.raises(SerializationError, match="no fields to sort by"):
        Shuffle(sort_by="time").run([(1, 1)], inline)
    with pytest.raises(SerializationError, match="nothing"):
        Shuffle(sort_by="nothing").run([(1, Click("a", 1, b""))], inline)
    with pytest.raises(NotOrderableError, match="sort_by= makes values of"):
        Shuffle(sort_by=lambda value: {"a": value}).run([(1, 1)], inline)


# --- choices that make no sense


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ({"reduce": max, "group_reduce": print}, "Give one of them"),
        ({"combine": max}, "combine= is a function"),
        ({"map": 5}, "map= is 5, and must be a function"),
        ({"partitions": 0}, "0 partitions"),
        ({"split_records": 0}, "split_records is 0"),
        ({"partition_by": "size"}, "'size' is no partitioner"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_choices_are_checked_before_anything_runs(choices: dict[str, Any], text: str) -> None:
    with pytest.raises((ValueError, TypeError), match=text):
        Shuffle(**choices)


def test_what_is_the_executors_is_not_the_jobs(inline: InlineExecutor) -> None:
    with pytest.raises(ValueError, match="are the executor's"):
        Shuffle(slots=2).run([], inline)
    with pytest.raises(ValueError, match="give 'local'"):
        Shuffle().run([], "ray")  # type: ignore[arg-type]
