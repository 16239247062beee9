"""Groups that overflow the tables as ranges of records: the same as in plain Python, however ranges fall out."""

import random
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shuffle
from io_manager import DiskLimitError, RunCorruptError
from shuffle.aggregation import aggregator as module
from shuffle.aggregation import range_combiner, range_reader, range_spill
from shuffle.aggregation.aggregates import parse_aggregates
from shuffle.aggregation.aggregator import Aggregator
from shuffle.aggregation.keys import KeyForm
from shuffle.aggregation.range_session import RangeSession
from shuffle.aggregation.state_plan import StatePlan
from shuffle.kernels.states import FLOAT
from shuffle.options import SortOptions
from shuffle.row_session import RowSession
from tests import tiny
from tests.test_aggregation import twin
from tests.test_aggregation.test_aggregator import Record, add, aggregator, check, expected, made_records, plan, results

BATCH = 300


class Counted:
    """How often ranges were divided, streamed and split."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.divided = self.streamed = self.split = 0
        divide, stream, split = (
            range_combiner.RangeCombiner.divide,
            range_reader.Slot._stream,
            range_reader.Slot.split,
        )

        def divided(*given: Any) -> Any:
            self.divided += 1
            return divide(*given)

        def streamed(*given: Any) -> Any:
            self.streamed += 1
            return stream(*given)

        def was_split(*given: Any) -> Any:
            self.split += 1
            return split(*given)

        patch.setattr(range_combiner.RangeCombiner, "divide", divided)
        patch.setattr(range_reader.Slot, "_stream", streamed)
        patch.setattr(range_reader.Slot, "split", was_split)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """With a small sample, and ranges that are divided as soon as they have some records."""
    monkeypatch.setattr(module, "SAMPLE_RECORDS", 600)
    monkeypatch.setattr(range_combiner, "NARROW_RECORDS", 8)
    return Counted(monkeypatch)


def put(made: Aggregator, records: list[Record]) -> None:
    """All records, some at a time."""
    lane = made.lane()
    for start in range(0, len(records), BATCH):
        add(lane, records[start : start + BATCH], start)


@contextmanager
def grouped(records: list[Record], managed_bytes: int, **terms: Any) -> Iterator[Aggregator]:
    """An aggregator that has them all; its groups are right, twice."""
    wanted = expected(records)
    with tiny.machine(managed_bytes=managed_bytes) as machine, aggregator(machine, **terms) as made:
        put(made, records)
        check(results(made), wanted)
        check(results(made), wanted)
        yield made


def test_distinct_keys_are_divided(counted: Counted) -> None:
    """The tables are given up after the sample: raw records only."""
    records = made_records(random.Random(1), 3000, 10**12)
    with grouped(records, 512 << 10) as made:
        assert isinstance(made._session, RangeSession) and made.report.gave_up
        assert counted.divided and not counted.split
        assert made.report.spilled_bytes


def test_keys_that_ascend_split_the_last_range(counted: Counted) -> None:
    """What was seen first says nothing of what came later; and what was split is not split again."""
    records: list[Record] = [(key, key, key / 4) for key in range(2500)]
    with grouped(records, 128 << 10):
        split = counted.split
        assert split
    with grouped(records[::-1], 128 << 10):
        assert counted.split > split


def test_a_hot_key_is_streamed(counted: Counted) -> None:
    rng = random.Random(2)
    records: list[Record] = [(key, 1, None) for key in range(1000)]
    records += [(5 if rng.random() < 0.9 else rng.randrange(1000), key, 0.5) for key in range(6000)]
    with grouped(records, 96 << 10):
        assert counted.streamed


@pytest.mark.parametrize("keys", [1, 2])
def test_few_keys_never_get_there(keys: int, counted: Counted) -> None:
    records: list[Record] = [(number % keys, number, 0.5) for number in range(2000)]
    with grouped(records, 96 << 10) as made:
        assert made._session is None and not counted.streamed


def test_records_and_states_of_the_same_groups(counted: Counted) -> None:
    """Tables are emptied before the lanes give up; nulls begin to come later still."""
    records: list[Record] = [(key % 700, key, 0.25) for key in range(1200)]
    records += [(key % 1500, -key, float(key)) for key in range(2500)]
    records += [(key % 1600, -key, None if key % 3 else 1.0) for key in range(2500)]
    with grouped(records, 128 << 10) as made:
        assert made.report.gave_up and made.report.tables_emptied


@pytest.mark.parametrize("managed_bytes", [96 << 10, 256 << 10])
def test_states_only(managed_bytes: int, counted: Counted) -> None:
    records = made_records(random.Random(3), 2500, 2000, hot=0.3)
    with grouped(records, managed_bytes, combines="hash") as made:
        assert made.report.gave_up is None and made.report.tables_emptied


def test_a_sample_of_null_keys_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key was seen when the sample is judged: combining goes on."""
    monkeypatch.setattr(module, "SAMPLE_RECORDS", 100)
    records = [(None, number, 0.5) for number in range(150)] + made_records(random.Random(5), 300, 40)
    with tiny.machine(managed_bytes=96 << 10) as machine, aggregator(machine) as made:
        put(made, records)
        assert made.report.gave_up is None
        check(results(made), expected(records))


EDGES = st.sampled_from([0, 1, -1, (1 << 63) - 1, -(1 << 63)])
ANY_KEY = st.one_of(st.none(), EDGES, st.integers(-40, 40), st.integers(-(1 << 63), (1 << 63) - 1))
ANY_RECORD = st.tuples(ANY_KEY, st.integers(-9, 9), st.one_of(st.none(), st.floats(-8, 8, width=16)))


@settings(max_examples=20, deadline=None)
@given(st.lists(ANY_RECORD, min_size=1, max_size=40), st.integers(1, 60), st.sampled_from(["auto", "hash"]))
def test_any_records(records: list[Record], times: int, combines: Any) -> None:
    """Repeated, with keys of their own for each round but the first few."""
    many = [
        (key if key is None or number < 3 * len(records) else (key ^ number * 0x9E3779B97F4A7C15) >> 1, value, other)
        for number, (key, value, other) in enumerate(records * times)
    ]
    many = [(None if key is None else (key + 2**63) % 2**64 - 2**63, value, other) for key, value, other in many]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SAMPLE_RECORDS", 100)
        patch.setattr(range_combiner, "NARROW_RECORDS", 20)
        with tiny.machine(managed_bytes=96 << 10) as machine, aggregator(machine, combines=combines) as made:
            put(made, many)
            check(results(made), expected(many))


def test_lanes_throw_into_the_same_rooms(counted: Counted) -> None:
    records = made_records(random.Random(4), 4000, 10**12)
    with tiny.machine(managed_bytes=256 << 10) as machine, aggregator(machine, threads=2) as made:
        lanes = [made.lane(), made.lane()]

        def work(number: int) -> None:
            for start in range(number * 100, len(records), 200):
                add(lanes[number], records[start : start + 100], start)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(results(made), expected(records))


# --- the ends


def test_a_full_disk_leaves_nothing(counted: Counted) -> None:
    """While records are thrown into ranges, and while one is split."""
    records: list[Record] = [(key, key, key / 4) for key in range(2500)]
    with tiny.machine(managed_bytes=128 << 10) as machine:
        with aggregator(machine) as made:
            put(made, records)
            check(results(made), expected(records))
            assert counted.split and isinstance(made._session, RangeSession)
            most = made._session.disk_bytes_peak
        for part in (0.1, 0.5, 0.7, 0.95):
            options = SortOptions(temp_dirs=(str(machine.temp_dir),), disk_bytes_max=int(part * most))
            made = Aggregator(KeyForm(8, has_nulls=True), plan(), options)
            with pytest.raises(DiskLimitError):
                put(made, records)
                results(made)
            made.close()
            assert made._memory.verify_empty()


@pytest.mark.parametrize("read", [0, 1, 3])
def test_it_may_be_closed_at_any_time(read: int, counted: Counted) -> None:
    """While ranges are filled, and while some are combined and one is split."""
    records: list[Record] = [(key, key, key / 4) for key in range(2500)]
    with tiny.machine(managed_bytes=128 << 10) as machine:
        with aggregator(machine) as made:
            put(made, records)
            groups = made.groups()
            for _ in range(read):
                next(groups)
        with aggregator(machine) as made:
            put(made, records)
            groups = made.groups()
            for _ in range(read):
                next(groups)
            assert isinstance(groups, Generator)
            groups.close()
            check(results(made), expected(records))


def test_a_block_with_other_records_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, and where it should be, but not what was written there."""
    blocks = range_spill.Ranges.blocks

    def altered(self: range_spill.Ranges, number: int) -> list[range_spill.Block]:
        return [replace(block, record_count=block.record_count - 1) for block in blocks(self, number)]

    monkeypatch.setattr(module, "SAMPLE_RECORDS", 600)
    monkeypatch.setattr(range_spill.Ranges, "blocks", altered)
    with tiny.machine(managed_bytes=128 << 10) as machine, aggregator(machine) as made:
        put(made, made_records(random.Random(7), 2000, 10**12))
        with pytest.raises(RunCorruptError, match="other records than were written"):
            results(made)


# --- which way


def test_long_keys_and_long_states_are_sorted_as_rows() -> None:
    few = StatePlan([(parse_aggregates("sum:0")["sum_0"], 0)], [FLOAT])
    asked = [(parse_aggregates(f"variance:{place}")[f"variance_{place}"], place) for place in range(40)]
    with tiny.machine(managed_bytes=2 << 20) as machine:
        options = SortOptions(temp_dirs=(str(machine.temp_dir),))
        for form, plan, wanted in (
            (KeyForm(8), few, RangeSession),
            (KeyForm(16), few, RangeSession),
            (KeyForm(17), few, RowSession),
            (KeyForm(None), few, RowSession),
            (KeyForm(8, is_whole=False), few, RowSession),
            (KeyForm(8), StatePlan(asked, [FLOAT] * 40), RowSession),
        ):
            made = Aggregator(form, plan, options)
            made._open_session()
            assert isinstance(made._session, wanted), form
            made.close()


KEY_TYPES = [
    (pa.int32(), lambda rng: rng.randrange(-(1 << 31), 1 << 31)),
    (pa.uint64(), lambda rng: rng.randrange(1 << 64)),
    (pa.timestamp("us"), lambda rng: rng.randrange(1 << 50)),
    (pa.float64(), lambda rng: rng.uniform(-1, 1)),
    (pa.string(), lambda rng: f"{rng.randrange(1 << 40):x}"),
]


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize(("arrow_type", "draw"), KEY_TYPES, ids=lambda each: str(each) if not callable(each) else "")
def test_tables_with_one_key(arrow_type: Any, draw: Any, nullable: bool) -> None:
    rng = random.Random(str(arrow_type))
    keys = [None if nullable and rng.random() < 0.1 else draw(rng) for _ in range(1500)]
    keys += rng.choices(keys, k=700)
    table_check(["k"], [pa.array(keys, arrow_type)])


@pytest.mark.parametrize("by", [["k0", "k1"], ["-k0", "k1"], ["k1", "-k0"]])
@pytest.mark.parametrize("arrow_type", [pa.int16(), pa.int32()], ids=str)
def test_tables_with_two_keys(arrow_type: Any, by: list[str]) -> None:
    rng = random.Random(5)
    columns = [[rng.choice([None, *range(60)]) for _ in range(2500)] for _ in range(2)]
    table_check(by, [pa.array(column, arrow_type) for column in columns])


def table_check(by: list[str], keys: list[Any]) -> None:
    """Sums and counts of a table by `by`, in little memory, against plain Python."""
    names = [name.lstrip("-") for name in by]
    found_keys = {f"k{place}" if len(keys) > 1 else "k": column for place, column in enumerate(keys)}
    values = [float(number % 7) for number in range(len(keys[0]))]
    table = pa.table({**found_keys, "v": values})
    lines = zip(*(table[name].to_pylist() for name in names), strict=True)
    wanted: dict[Any, list[Any]] = twin.groups_of(zip(lines, values, strict=True))
    with tiny.machine(managed_bytes=160 << 10) as machine:
        asked = {"total": "sum:v", "n": "count"}
        with shuffle.aggregate(table, by=by, aggregates=asked, temp_dirs=[machine.temp_dir], threads=2) as result:
            found = result.to_table()
    groups = list(zip(*(found[name].to_pylist() for name in names), strict=True))
    signs = [-1 if name.startswith("-") else 1 for name in by]

    def place(group: tuple[Any, ...]) -> Any:
        if any(isinstance(part, str) for part in group):
            return tuple((part is not None, part or "") for part in group)
        numbers = [part if isinstance(part, int | float) or part is None else part.timestamp() for part in group]
        return tuple((part is not None, sign * (part or 0)) for sign, part in zip(signs, numbers, strict=True))

    if "-" not in "".join(by):
        assert groups == sorted(wanted, key=place)
    assert len(groups) == len(set(groups)) == len(wanted)
    totals = dict(zip(groups, zip(found["total"].to_pylist(), found["n"].to_pylist(), strict=True), strict=True))
    assert totals == {group: (sum(these), len(these)) for group, these in wanted.items()}


def test_python_values_with_two_keys() -> None:
    rng = np.random.default_rng(6)
    records = [(int(left), int(right), 1) for left, right in rng.integers(-50, 50, (3000, 2))]
    wanted: dict[Any, list[Any]] = twin.groups_of((record[:2], 1) for record in records)
    with (
        tiny.machine(managed_bytes=128 << 10) as machine,
        shuffle.aggregate(records, by=(0, 1), aggregates={"n": "sum:2"}, temp_dirs=[machine.temp_dir]) as found,
    ):
        assert [tuple(row) for row in found] == [(*key, len(wanted[key])) for key in sorted(wanted)]
