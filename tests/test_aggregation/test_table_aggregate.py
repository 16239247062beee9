"""`aggregate` on tables: columns in, columns out, against plain Python; chunks with offsets and nulls, and files."""

import math
import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from shuffle.aggregation import aggregator as module
from shuffle.aggregation.aggregates import Aggregate, parse_aggregates
from shuffle.aggregation.errors import AggregateError, AggregateOverflowError
from shuffle.aggregation.operator import aggregate
from shuffle.aggregation.table_parts import _parquet_parts
from shuffle.tables.kinds import TableError
from tests import tiny
from tests.test_aggregation import twin

FIXED = "count,count:v,sum:v,mean:v,min:v,max:v,first:v,last:v,variance:v,stddev:v"
SORTED = "min:v,max:v,first:v,last:v,count_distinct:v,collect:v,top2:v,top3:v:ascending,count:v"


def check(found: pa.Table, keys: Sequence[Any], values: Sequence[Any], asked: str) -> None:
    """The results of `asked` on column v by column k."""
    wanted = parse_aggregates(asked)
    groups = twin.groups_of(zip(keys, values, strict=True))
    ordered = sorted(groups, key=lambda key: (key is not None, twin.order_key(key) if key is not None else 0))
    assert found.column_names == ["k", *wanted]
    assert found.column("k").to_pylist() == ordered
    for name, each in wanted.items():
        results = found.column(name).to_pylist()
        for key, result in zip(ordered, results, strict=True):
            right = twin.aggregate(each, groups[key])
            assert twin.is_close(result, right, each.kind), (name, key, result, right)


def chunked(values: Sequence[Any], arrow_type: pa.DataType) -> pa.ChunkedArray:
    """Chunks that are slices of longer arrays, with other values and nulls before and behind."""
    cuts = [0, 1, len(values) // 3, len(values) // 3, len(values)]
    chunks = []
    for start, end in pairwise(cuts):
        padded = [None, *values[:2], *values[start:end], None]
        chunks.append(pa.array(padded, arrow_type).slice(1 + len(values[:2]), end - start))
    return pa.chunked_array(chunks, arrow_type)


def drawn(rng: random.Random, arrow_type: pa.DataType) -> Any:
    """A value of a type."""
    if pa.types.is_boolean(arrow_type):
        return rng.random() < 0.5
    if pa.types.is_floating(arrow_type):
        return float(np.dtype(arrow_type.to_pandas_dtype()).type(rng.choice([0.0, 1.5, math.inf, rng.uniform(-9, 9)])))
    if pa.types.is_integer(arrow_type):
        bits = arrow_type.bit_width
        low = 0 if pa.types.is_unsigned_integer(arrow_type) else -(1 << bits - 1)
        top = (1 << min(bits, 58) - 2) - 1
        return rng.choice([rng.randrange(max(low, -top), top), rng.randrange(3)])
    if pa.types.is_decimal(arrow_type):
        return Decimal(rng.randrange(-999, 999)).scaleb(-2)
    if pa.types.is_date(arrow_type):
        return date(2000, 1, 1) + timedelta(days=rng.randrange(-9999, 9999))
    if pa.types.is_timestamp(arrow_type):
        return datetime(2000, 1, 1) + timedelta(seconds=rng.randrange(-9999, 9999))
    return rng.choice(["", "a", "é", "long " * rng.randrange(9)])


NUMBERS = [pa.int8(), pa.int32(), pa.int64(), pa.uint16(), pa.uint64(), pa.float32(), pa.float64(), pa.bool_()]
KEYS = [*NUMBERS, pa.string(), pa.large_string(), pa.date32(), pa.timestamp("us"), pa.decimal128(9, 2)]


@pytest.mark.parametrize("arrow_type", NUMBERS, ids=str)
def test_numbers(arrow_type: pa.DataType) -> None:
    rng = random.Random(str(arrow_type))
    keys = [rng.choice([None, *range(9)]) for _ in range(400)]
    values = [None if rng.random() < 0.2 else drawn(rng, arrow_type) for _ in range(400)]
    table = pa.table({"v": chunked(values, arrow_type), "k": chunked(keys, pa.int64())})
    with tiny.machine(), aggregate(table, "k", FIXED) as result:
        check(result.to_table(), keys, [int(v) if isinstance(v, bool) else v for v in values], FIXED)


@pytest.mark.parametrize("arrow_type", KEYS, ids=str)
def test_keys(arrow_type: pa.DataType) -> None:
    rng = random.Random(str(arrow_type))
    keys = [rng.choice([None, drawn(rng, arrow_type)]) for _ in range(300)]
    values = [rng.randrange(100) for _ in keys]
    table = pa.table({"k": chunked(keys, arrow_type), "v": chunked(values, pa.int32())})
    with tiny.machine(), aggregate(table, "k", FIXED) as result:
        found = result.to_table()
        check(found, keys, values, FIXED)
        assert found.schema.field("k") == table.schema.field("k")
        assert found.equals(result.to_table())


@pytest.mark.parametrize(
    "arrow_type", [pa.string(), pa.date32(), pa.int16(), pa.float64(), pa.decimal128(9, 2)], ids=str
)
def test_values_in_order(arrow_type: pa.DataType) -> None:
    rng = random.Random(str(arrow_type))
    keys = [rng.choice(["", "a", "b", None]) for _ in range(300)]
    values = [None if rng.random() < 0.2 else drawn(rng, arrow_type) for _ in keys]
    table = pa.table({"k": chunked(keys, pa.string()), "v": chunked(values, arrow_type)})
    with tiny.machine(), aggregate(table, "k", SORTED) as result:
        found = result.to_table()
        check(found, keys, values, SORTED)
        assert found.schema.field("min_v").type == arrow_type
        assert found.schema.field("collect_v").type == pa.list_(arrow_type)


@pytest.mark.parametrize("row_group_size", [100, 7000])
@pytest.mark.parametrize("key_count", [5, 10**6])
def test_a_file_in_little_memory(
    row_group_size: int, key_count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAMPLE_RECORDS", 1000)
    rng = np.random.default_rng(key_count)
    table = pa.table({"x": rng.random(7000), "k": rng.integers(0, key_count, 7000), "v": rng.normal(size=7000)})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet", row_group_size=row_group_size)
    asked = "count,sum:v,first:v,last:v,variance:v"
    with (
        tiny.machine(managed_bytes=256 << 10) as machine,
        aggregate(tmp_path / "in.parquet", "k", asked, temp_dirs=[machine.temp_dir]) as result,
    ):
        found = result.to_table()
        check(found, table.column("k").to_pylist(), table.column("v").to_pylist(), asked)
        assert (result.report.gave_up is None) == (key_count == 5)
        with aggregate(table, "k", asked) as other:
            assert other.to_table().equals(found)
        assert result.write(tmp_path / "out.parquet") == found.num_rows
        assert pyarrow.parquet.read_table(tmp_path / "out.parquet").equals(found)


def test_several_keys_in_other_directions() -> None:
    table = pa.table({"a": [1, 2, 1, None], "b": ["x", "y", "x", "x"], "v": [1, 2, 3, 4]})
    with aggregate(table.to_reader(), ["-a:nulls-last", "b"], {"t": "sum:v"}) as result:
        assert pa.table(result).to_pylist() == [
            {"a": 2, "b": "y", "t": 2},
            {"a": 1, "b": "x", "t": 4},
            {"a": None, "b": "x", "t": 4},
        ]


def test_decimals_and_spans_have_sums() -> None:
    prices = [Decimal("1.25"), None, Decimal("9999999999999999.99")]
    table = pa.table(
        {
            "k": [1, 1, 1],
            "p": pa.array(prices, pa.decimal128(18, 2)),
            "d": pa.array([timedelta(seconds=1), None, timedelta(days=1)], pa.duration("ms")),
        }
    )
    with aggregate(pa.concat_tables([table] * 50), "k", "sum:p,sum:d,max:p") as result:
        assert result.schema.field("sum_p").type == pa.decimal128(38, 2)
        (line,) = result.to_table().to_pylist()
    assert line["sum_p"] == 50 * Decimal("10000000000000001.24")
    assert line["sum_d"] == 50 * timedelta(days=1, seconds=1) and line["max_p"] == prices[2]


def test_a_sum_that_does_not_fit_names_its_group() -> None:
    table = pa.table({"k": ["a", "b", "b"], "v": [1, (1 << 63) - 1, 1]})
    with pytest.raises(AggregateOverflowError, match=r"sum_v of the group 'b' does not fit int64: cast the column"):
        aggregate(table, "k", "sum:v").to_table()
    large = pa.table({"k": [1, 1], "v": pa.array([1 << 63, (1 << 63) - 1], pa.uint64())})
    assert aggregate(large, "k", "sum:v").to_table().column("sum_v").to_pylist() == [(1 << 64) - 1]


def test_what_columns_do_not_have() -> None:
    table = pa.table({"k": [1], "s": ["a"], "t": pa.array([1], pa.timestamp("s")), "n": [{"x": 1}]})
    for asked, cure in (("sum:s", "a column of string has no sum"), ("mean:t", "Cast the column to float64")):
        with pytest.raises(AggregateError, match=cure):
            aggregate(table, "k", asked)
    with pytest.raises(TableError, match="no column 'z'"):
        aggregate(table, "k", "sum:z")
    with pytest.raises(AggregateError, match="would be called 'k'"):
        aggregate(table, "k", {"k": "count"})
    with pytest.raises(AggregateError, match=r"Table\.flatten"):
        aggregate(table, "n.x", "count")
    with pytest.raises(AggregateError, match="4 columns"):
        aggregate(table, "k", [Aggregate("sum", 9)])


def test_one_reader_at_a_time() -> None:
    with aggregate(pa.table({"k": np.arange(20_000)}), "k", "count") as result:
        reading = iter(result)
        next(reading)
        with pytest.raises(RuntimeError, match="being read already"):
            result.to_table()
        assert 0 < sum(batch.num_rows for batch in reading) < 20_000
        assert result.to_table().num_rows == 20_000


def test_columns_in_other_clothes() -> None:
    """Dictionaries, half floats, and a column that is both key and value."""
    words, halves = ["a", None, "b", "a"], [1.5, 2.0, None, 0.5]
    table = pa.table(
        {
            "w": pa.array(words).dictionary_encode(),
            "h": pa.array([None if half is None else np.float16(half) for half in halves], pa.float16()),
            "k": pa.array([1, 2, 1, 1], pa.uint8()),
        }
    )
    with aggregate(table, "w", "sum:h,min:h,count:w,first:w,max:k") as result:
        found = result.to_table()
    assert found.column("w").to_pylist() == [None, "a", "b"] == found.column("first_w").to_pylist()
    assert found.column("sum_h").to_pylist() == [2.0, 2.0, None] and found.column("max_k").to_pylist() == [2, 1, 1]
    assert found.column("min_h").to_pylist() == [2.0, 0.5, None] and found.column("count_w").to_pylist() == [0, 2, 1]
    with aggregate(table, "k", "sum:k,collect:w,count_distinct:k") as result:
        assert result.to_table().to_pylist() == [
            {"k": 1, "sum_k": 3, "collect_w": ["a", "b", "a"], "count_distinct_k": 1},
            {"k": 2, "sum_k": 2, "collect_w": [], "count_distinct_k": 1},
        ]


def test_no_rows() -> None:
    table = pa.table({"k": pa.array([], pa.int64()), "v": pa.array([], pa.string())})
    for by in ("k", "v"):
        with aggregate(table, by, "count,collect:v,sum:k" if by == "v" else "count,collect:v") as result:
            found = result.to_table()
            assert found.num_rows == 0 and found.column_names[0] == by


def test_a_reader_that_fails_leaves_nothing() -> None:
    schema = pa.schema([("k", pa.int64()), ("v", pa.float64())])

    def batches() -> Any:
        for number in range(30):
            yield pa.record_batch([np.arange(1000) + number * 1000, np.ones(1000)], schema=schema)
        raise OSError("gone")

    with tiny.machine() as machine:
        reader = pa.RecordBatchReader.from_batches(schema, batches())
        result = aggregate(reader, "k", "sum:v,collect:v", temp_dirs=[machine.temp_dir])
        for _ in range(2):
            with pytest.raises(OSError, match="gone"):
                result.to_table()


def test_it_may_be_closed_half_way() -> None:
    table = pa.table({"k": np.arange(30_000), "v": np.ones(30_000)})
    with tiny.machine() as machine:
        result = aggregate(table, "k", "sum:v", temp_dirs=[machine.temp_dir])
        next(iter(result))
        result.close()
        with pytest.raises(ValueError, match="closed"):
            result.to_table()
        aggregate(table, "k", "sum:v", temp_dirs=[machine.temp_dir]).close()


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pyarrow.parquet.write_table(pa.table({"k": np.arange(9000), "v": np.random.default_rng(1).random(9000)}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:1000] + b"\xff" * 3000 + whole[4000:])
    with pytest.raises(TableError, match=r"in\.parquet"):
        aggregate(path, "k", "sum:v").to_table()


def test_records_are_counted_without_any_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of records that have a key and nothing else, some without a key."""
    monkeypatch.setattr(module, "SAMPLE_RECORDS", 500)
    keys = [None if number % 5 == 0 else number * 7919 % 8009 for number in range(9000)]
    for column in (pa.array(keys, pa.int64()), pa.array([key if key is None else str(key) for key in keys])):
        with (
            tiny.machine() as machine,
            aggregate(pa.table({"k": column}), "k", "count", temp_dirs=[machine.temp_dir]) as result,
        ):
            check(result.to_table(), column.to_pylist(), keys, "count")
            assert result.report.gave_up is not None


def test_the_footer_of_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many row groups are read by themselves."""
    path = tmp_path / "k.parquet"
    pa.parquet.write_table(pa.table({"k": [1, 2, 3, 4], "v": [1.5, 2.5, 3.5, 4.5]}), path, row_group_size=1)
    schema, footers = pa.parquet.read_schema(path), 0
    real = pa.parquet.ParquetFile

    def opened(*given: Any, **terms: Any) -> Any:
        nonlocal footers
        footers += terms.get("metadata") is None
        return real(*given, **terms)

    monkeypatch.setattr(pa.parquet, "ParquetFile", opened)
    groups = [(first, [batch.num_rows for batch in part]) for part, first in _parquet_parts(str(path), schema)]
    assert groups == [(0, [1]), (1, [1]), (2, [1]), (3, [1])] and footers == 1
