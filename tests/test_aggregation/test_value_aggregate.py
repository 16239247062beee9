"""`aggregate` on Python values, against plain Python."""

import dataclasses
import math
import random
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serializers.errors import SerializationError
from serializers.types import Float32, UInt64
from serializers.types.row import Row
from shuffle.aggregation import aggregator as module
from shuffle.aggregation.aggregates import Aggregate, parse_aggregates
from shuffle.aggregation.errors import AggregateError
from shuffle.aggregation.operator import aggregate
from tests import tiny
from tests.test_aggregation import twin

FIXED = "count,count:1,sum:1,mean:1,min:1,max:1,first:1,last:1,variance:1"
SORTED = "min:1,max:1,first:1,last:1,count_distinct:1,collect:1,top2:1,top3:1:ascending,count:1"
TEXTS = st.text(alphabet="ab\0\udfffé", max_size=3)
KEYS = [
    st.integers(-(1 << 80), 1 << 80),
    st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf]),
    TEXTS,
    st.binary(max_size=3),
    st.one_of(st.none(), st.integers(0, 3)),
    st.one_of(st.none(), TEXTS),
    st.tuples(st.integers(0, 2), TEXTS),
    st.dates(),
    st.decimals(allow_nan=False, allow_infinity=False, places=1, min_value=0, max_value=2),
    st.booleans(),
]
NUMBERS = [st.integers(-(1 << 63), (1 << 63) - 1), st.floats(-1e6, 1e6).map(lambda value: round(value, 3))]


def group_key(value: Any) -> Any:
    """What makes two keys one group."""
    if isinstance(value, float):
        return twin.order_key(value)
    return tuple(map(group_key, value)) if isinstance(value, tuple) else value


def expected(records: Sequence[tuple[Any, Any]], asked: str) -> dict[Any, list[Any]]:
    """The results of each group."""
    groups = twin.groups_of((group_key(key), value) for key, value in records)
    wanted = parse_aggregates(asked).values()
    return {key: [twin.aggregate(each, values) for each in wanted] for key, values in groups.items()}


def check(found: list[Row], wanted: dict[Any, list[Any]], asked: str) -> None:
    """Every group once, with its results; in order where Python has one."""
    kinds = [each.kind for each in parse_aggregates(asked).values()]
    assert [group_key(line[0]) for line in found] == in_order(wanted)
    for line in found:
        for value, right, kind in zip(tuple(line)[1:], wanted[group_key(line[0])], kinds, strict=True):
            assert twin.is_close(value, right, kind), (line, right)


def in_order(keys: Any) -> list[Any]:
    """As keys order: None first, text by code point."""
    return sorted(keys, key=lambda key: (key is not None, "" if key is None else key))


@settings(max_examples=60)
@given(st.data())
def test_numbers_by_any_key(data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(KEYS))
    value = data.draw(st.sampled_from(NUMBERS))
    records = data.draw(st.lists(st.tuples(key, st.one_of(st.none(), value)), min_size=1, max_size=30))
    if all(value is None for _, value in records):
        records.append((records[0][0], 1))
    with tiny.machine() as machine, aggregate(records, 0, FIXED, temp_dirs=[str(machine.temp_dir)]) as result:
        check(list(result), expected(records, FIXED), FIXED)


@settings(max_examples=40)
@given(st.data())
def test_any_values_by_any_key(data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(KEYS))
    value = data.draw(st.sampled_from([TEXTS, st.dates(), *NUMBERS]))
    records = data.draw(st.lists(st.tuples(key, st.one_of(st.none(), value)), min_size=1, max_size=30))
    with tiny.machine() as machine, aggregate(records, 0, SORTED, temp_dirs=[str(machine.temp_dir)]) as result:
        check(list(result), expected(records, SORTED), SORTED)


@pytest.mark.parametrize("asked", [FIXED, "count_distinct:1,collect:1,top4:1,first:1,sum:1"])
@pytest.mark.parametrize("hot", [0.0, 0.9])
def test_all_spills(asked: str, hot: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than fits, a group larger than memory, and the results read twice."""
    monkeypatch.setattr(module, "SAMPLE_RECORDS", 2000)
    rng = random.Random(7)
    records = [("hot" if rng.random() < hot else rng.randbytes(4).hex(), rng.randrange(-99, 99)) for _ in range(8000)]
    with (
        tiny.machine(managed_bytes=96 << 10) as machine,
        aggregate(iter(records), 0, asked, temp_dirs=[str(machine.temp_dir)]) as result,
    ):
        wanted = expected(records, asked)
        check(list(result), wanted, asked)
        check(list(result), wanted, asked)
        assert result.report.records == len(records)
        assert bool(result.report.combiner_note) == (hot == 0.0)


# --- records of every kind


@dataclasses.dataclass
class Address:
    city: str
    zip: int | None = None


@dataclasses.dataclass
class Sale:
    home: Address | None
    amount: float
    count: int


class Point(NamedTuple):
    x: int
    y: float


def test_fields_of_fields_and_directions() -> None:
    sales = [Sale(Address("b"), 1.5, 2), Sale(Address("a", 7), 2.5, 3), Sale(None, 4.0, 5), Sale(Address("b"), 0.5, 1)]
    asked = {"total": "sum:amount", "zips": "count:home.zip", "least": "min:home.zip"}
    assert [tuple(row) for row in aggregate(sales, "-home.city:nulls-last", asked)] == [
        ("b", 2.0, 0, None),
        ("a", 2.5, 1, 7),
        (None, 4.0, 0, None),
    ]
    row = next(iter(aggregate(sales, "count", {"n": "count"}, nulls_last=True)))
    assert row == Row(count=1, n=1)


def test_dictionaries_and_several_keys() -> None:
    records = [
        {"k": "a", "n": 1, "v": 2},
        {"k": None, "n": 1, "v": 3},
        {"k": "a", "n": 2, "v": None},
        {"k": "a", "n": 1, "v": 5},
    ]
    assert list(aggregate(records, ["-n", "k"], "sum:v,count")) == [
        Row(n=2, k="a", sum_v=None, count=1),
        Row(n=1, k=None, sum_v=3, count=1),
        Row(n=1, k="a", sum_v=7, count=2),
    ]


def test_integers_have_any_size_and_flags_stay_flags() -> None:
    records = [("a", (1 << 63) - 1, True)] * 3 + [("b", -(1 << 63), False)]
    assert list(aggregate(records, 0, "sum:1,max:2,sum:2,mean:1")) == [
        Row(**{"0": "a", "sum_1": 3 * ((1 << 63) - 1), "max_2": True, "sum_2": 3, "mean_1": float(1 << 63)}),
        Row(**{"0": "b", "sum_1": -(1 << 63), "max_2": False, "sum_2": 0, "mean_1": -float(1 << 63)}),
    ]


def test_declared_types() -> None:
    hint = tuple[str, UInt64, Float32]
    records = [("a", (1 << 64) - 1, 0.5), ("a", 1, 0.25)]
    (row,) = aggregate(records, 0, "sum:1,max:1,sum:2", type_info=hint)
    assert tuple(row) == ("a", 1 << 64, (1 << 64) - 1, 0.75)
    (row,) = aggregate([("a", 1), ("a", 2.5), ("a", None)], 0, "sum:1,first:1,max:1")
    assert tuple(row) == ("a", 3.5, 1, 2.5)


def test_moments_have_no_sum_but_an_order() -> None:
    days = [date(2024, 1, 1) + timedelta(days=number) for number in range(5)]
    (row,) = aggregate([("a", day) for day in days], 0, "min:1,max:1,count_distinct:1,top1:1")
    assert tuple(row) == ("a", days[0], days[-1], 5, [days[-1]])
    with pytest.raises(AggregateError, match="values of type date have no sum"):
        list(aggregate([("a", day) for day in days], 0, "sum:1"))


def test_nothing() -> None:
    assert list(aggregate([], "k", "sum:v")) == []
    (row,) = aggregate([("a", None)], 0, "sum:1,count:1,count,first:1,collect:1")
    assert tuple(row) == ("a", None, 0, 1, None, [])


# --- what goes wrong


def test_a_value_of_another_type_names_its_record_and_field() -> None:
    for wrong in ("x", 2.5, 1 << 64):
        records = [("a", number) for number in range(1500)] + [("a", wrong)]
        with pytest.raises(SerializationError, match="record 1500, field 1"):
            list(aggregate(records, 0, "sum:1"))


def test_an_unknown_field_names_those_there_are() -> None:
    with pytest.raises(SerializationError, match="its fields are x, y"):
        list(aggregate([Point(1, 2.0)], "z", "count"))
    with pytest.raises(SerializationError, match="its fields are x, y"):
        list(aggregate([Point(1, 2.0)], "x", "sum:z"))
    with pytest.raises(AggregateError, match="would be called 'x'"):
        aggregate([Point(1, 2.0)], "x", {"x": "sum:y"})


def failing(count: int) -> Iterator[tuple[int, int]]:
    """Values, then an error."""
    for number in range(count):
        yield number, number
    raise RuntimeError("no more")


def test_an_input_that_fails_leaves_nothing() -> None:
    for count in (10, 5000):
        with tiny.machine() as machine:
            result = aggregate(failing(count), 0, "sum:1,collect:1", temp_dirs=[str(machine.temp_dir)])
            with pytest.raises(RuntimeError, match="no more"):
                list(result)
            with pytest.raises(RuntimeError, match="no more"):
                list(result)


def test_it_may_be_closed_half_way() -> None:
    records = [(number, str(number)) for number in range(6000)]
    with tiny.machine() as machine:
        result = aggregate(records, 0, "collect:1,count", temp_dirs=[str(machine.temp_dir)])
        assert next(iter(result)) == Row(**{"0": 0, "collect_1": ["0"], "count": 1})
        result.close()
        with pytest.raises(ValueError, match="closed"):
            list(result)


def test_too_little_memory_says_what_shares_it() -> None:
    with pytest.raises(ValueError, match="too little memory") as caught:
        list(aggregate([("a", "b", "c")], 0, "collect:1,min:1,top1:2,first:2", memory="70MiB"))
    assert "are shared by the hash tables and 4 sorts" in caught.value.__notes__[0]


def test_descriptions_and_text_are_one() -> None:
    assert list(aggregate([("a", 1)], 0, [Aggregate("sum", 1)])) == list(aggregate([("a", 1)], 0, "sum:1"))
