"""Groups in little memory: tables that overflow, combiners that give up, and the same bytes whatever happened."""

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory import MemoryConfigurationError
from serializers.columns.scratch import address_of
from shuffle.aggregation import aggregator as module
from shuffle.aggregation.aggregates import parse_aggregates
from shuffle.aggregation.aggregator import Aggregator, Combines, expected_groups
from shuffle.aggregation.finish import Finisher, integers_of, with_nulls
from shuffle.aggregation.group_table import ALL_BITS
from shuffle.aggregation.keys import KeyForm, Keys
from shuffle.aggregation.lane import Lane
from shuffle.aggregation.state_plan import StatePlan, ValueColumn
from shuffle.kernels.states import FLOAT, SIGNED
from shuffle.options import SortOptions
from tests import tiny
from tests.test_aggregation import twin

SIGN = 1 << 63
ASKED = parse_aggregates("count,sum:0,count:1,sum:1,mean:1,variance:1,min:0,max:1,first:1,last:1")
COLUMNS = {0: 0, 1: 1}
Record = tuple[int | None, int, float | None]


def plan() -> StatePlan:
    """Of an integer and a float."""
    return StatePlan(
        [(each, each.field if each.field is None else int(each.field)) for each in ASKED.values()], [SIGNED, FLOAT]
    )


@contextmanager
def aggregator(
    machine: tiny.Machine, *, combines: Combines = "auto", hash_bits: int = ALL_BITS, threads: int | None = None
) -> Iterator[Aggregator]:
    """One that gives everything back."""
    options = SortOptions(temp_dirs=(str(machine.temp_dir),), threads=threads)
    made = Aggregator(KeyForm(8, has_nulls=True), plan(), options, combines=combines, hash_bits=hash_bits)
    try:
        yield made
    finally:
        made.close()
        assert made._memory.verify_empty()


def add(lane: Lane, records: Sequence[Record], first_record: int) -> None:
    """Add records to a lane."""
    keys = np.array([key or 0 for key, _, _ in records], np.int64)
    nulls = np.array([key is None for key, _, _ in records], np.uint8)
    missing = np.array([value is None for _, _, value in records], np.uint8)
    columns = [
        ValueColumn(np.array([number for _, number, _ in records], np.int64)),
        ValueColumn(
            np.array([value or 0.0 for _, _, value in records], np.float64), missing if missing.any() else None
        ),
    ]
    lane.add(Keys(keys.view(np.uint64), SIGN, nulls if nulls.any() else None), columns, first_record)


def results(made: Aggregator) -> list[tuple[Any, ...]]:
    """A line for each group: its key, then what is asked."""
    finisher = Finisher(made.plan)

    def lines(keys: list[Any], states: Any) -> list[tuple[Any, ...]]:
        columns = []
        for asked in ASKED.values():
            finished = finisher.finish(asked, asked.field if asked.field is None else int(asked.field), states)
            is_wide = finished.highs is not None
            columns.append(integers_of(finished) if is_wide else with_nulls(finished.values.tolist(), finished.nulls))
        return list(zip(keys, *columns, strict=True))

    found = []
    null_state = made.null_state()
    if null_state is not None:
        found += lines([None], np.array([address_of(null_state)], np.uint64))
    for groups in made.groups():
        found += lines([key - SIGN for key in groups.key_words().tolist()], groups.states)
    return found


def expected(records: Sequence[Record]) -> list[tuple[Any, ...]]:
    """The same in plain Python."""
    groups = twin.groups_of((record[0], record[1:]) for record in records)
    ordered = sorted(groups, key=lambda key: (key is not None, key or 0))
    return [
        (
            key,
            *(
                twin.aggregate(
                    asked, [values[0 if asked.field is None else int(asked.field)] for values in groups[key]]
                )
                for asked in ASKED.values()
            ),
        )
        for key in ordered
    ]


def check(found: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]) -> None:
    """Line by line."""
    assert [line[0] for line in found] == [line[0] for line in wanted]
    kinds = ["key", *(asked.kind for asked in ASKED.values())]
    for line, right in zip(found, wanted, strict=True):
        for kind, value, right_value in zip(kinds, line, right, strict=True):
            assert twin.is_close(value, right_value, kind), (line, right)


def made_records(rng: random.Random, count: int, key_count: int, *, hot: float = 0.0) -> list[Record]:
    """Records with so many keys, of which one may have most of them."""
    return [
        (
            rng.choice([0, None]) if rng.random() < hot else rng.randrange(-key_count, key_count),
            rng.randrange(-(1 << 63), 1 << 63),
            None if rng.random() < 0.1 else rng.uniform(-1, 1) * 10 ** rng.randrange(-3, 4),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("combines", ["auto", "hash", "sort"])
@pytest.mark.parametrize(("key_count", "hot"), [(5, 0.0), (400, 0.9), (3000, 0.0), (10**9, 0.0), (3000, 0.9)])
def test_groups_in_little_memory(
    combines: Combines, key_count: int, hot: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAMPLE_RECORDS", 700)
    records = made_records(random.Random(key_count), 4000, key_count, hot=hot)
    wanted = expected(records)
    with tiny.machine(managed_bytes=128 << 10) as machine, aggregator(machine, combines=combines) as made:
        lane = made.lane()
        for start in range(0, len(records), 300):
            add(lane, records[start : start + 300], start)
        check(results(made), wanted)
        check(results(made), wanted)
        assert made.report.records == len(records)
        assert made.report.groups == len(wanted) - any(line[0] is None for line in wanted)
        if combines != "auto" or key_count in (5, 10**9):
            assert (made.report.gave_up is not None) == (combines == "auto" and key_count > 5)
        if combines != "auto" or key_count == 5:
            assert bool(made.report.tables_emptied) == (combines == "hash" and key_count > 5)


def test_giving_up_is_said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE_RECORDS", 500)
    records = [(key, 1, 1.0) for key in range(3000)]
    with caplog.at_level("INFO"), tiny.machine(managed_bytes=1 << 20) as machine, aggregator(machine) as made:
        add(made.lane(), records[:1000], 0)
        add(made.lane(), records[1000:], 1000)
        check(results(made), expected(records))
        assert made.report.gave_up is not None and "1,000 different keys" in made.report.gave_up
    assert "combining would not pay" in caplog.text


def test_a_combiner_gives_up_later_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample found few keys, and then all are different: rows with states and rows of records meet."""
    monkeypatch.setattr(module, "SAMPLE_RECORDS", 400)
    records: list[Record] = [(key % 10, key, float(key)) for key in range(1000)]
    records += [(key, -key, None) for key in range(5000)]
    with tiny.machine() as machine, aggregator(machine) as made:
        lane = made.lane()
        for start in range(0, len(records), 500):
            add(lane, records[start : start + 500], start)
        check(results(made), expected(records))
        assert made.report.gave_up is not None and made.report.tables_emptied == 2


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("managed_bytes", [96 << 10, 1 << 20])
def test_the_same_in_any_order_and_memory(threads: int, managed_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE_RECORDS", 500)
    records = made_records(random.Random(3), 3000, 900)
    numbered = list(enumerate(records))
    random.Random(threads + managed_bytes).shuffle(numbered)
    halves = numbered[::2], numbered[1::2]
    with tiny.machine(managed_bytes=managed_bytes) as machine, aggregator(machine, threads=2) as made:
        lanes = [made.lane() for _ in range(threads)]

        def work(lane: Lane, part: list[tuple[int, Record]]) -> None:
            for number, record in part:
                add(lane, [record], number)

        workers = [threading.Thread(target=work, args=(lanes[n % threads], halves[n])) for n in range(2)]
        for worker in workers:
            worker.start()
            if threads == 1:
                worker.join()
        for worker in workers:
            worker.join()
        check(results(made), expected(records))


@settings(max_examples=25)
@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(-3, 3), st.integers(-SIGN, SIGN - 1)), st.integers(-9, 9))))
def test_any_keys_with_collisions(records: list[tuple[int | None, int]]) -> None:
    made_of = [(key, number, number / 4) for key, number in records]
    with tiny.machine() as machine, aggregator(machine, hash_bits=3) as made:
        if made_of:
            add(made.lane(), made_of, 0)
        check(results(made), expected(made_of))


def test_it_may_be_closed_at_any_time() -> None:
    records = made_records(random.Random(1), 3000, 10**9)
    with tiny.machine() as machine:
        with aggregator(machine) as made:
            add(made.lane(), records, 0)
        with aggregator(machine) as made:
            add(made.lane(), records, 0)
            next(made.groups())
        with aggregator(machine) as made:
            pass


def test_how_many_groups_are_expected() -> None:
    for groups in (1000, 50_000, 10**6):
        rng = np.random.default_rng(groups)
        seen = len(np.unique(rng.integers(0, groups, 1 << 18)))
        assert 0.9 * groups < expected_groups(seen, 1 << 18) < 1.1 * groups
    assert expected_groups(100, 100) > 10**9


def test_the_least_memory_is_enough_or_refused_at_once() -> None:
    """With the sizes of a real machine: what is taken at first leaves room for the sort that may come."""
    for memory_mib in range(50, 80, 3):
        options = SortOptions(memory_bytes=memory_mib << 20)
        try:
            made = Aggregator(KeyForm(8), plan(), options)
        except MemoryConfigurationError as error:
            assert "too little memory" in str(error) and memory_mib < 70
            continue
        made._open_session()
        made.close()
