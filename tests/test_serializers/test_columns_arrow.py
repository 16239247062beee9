"""Arrow tables to rows and back: the rows of Python's values, and tables that come back equal."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pytest

from serializers.arrow_columns import ArrowCodec
from serializers.columns import arrow_in, pieces
from serializers.errors import CorruptRecordError, SerializationError
from serializers.row_codec import RowCodec
from serializers.types.arrow_types import type_info_of_arrow
from serializers.types.composite import Row
from serializers.types.ordering import OrderingComparator, parse_by
from tests.test_serializers.guarded import GuardedBytes
from tests.test_serializers.same_value import same

pa: Any = pytest.importorskip("pyarrow")

DAY = date(2024, 2, 29)
MOMENT = datetime(1969, 12, 31, 23, 59, 59, 999_000)


def numbers(kind: str) -> list[Any]:
    info = np.iinfo(kind)
    return [int(info.min), 0, 1, int(info.max)]


QUICK: list[tuple[Any, list[Any]]] = [
    *(
        (getattr(pa, kind)(), numbers(kind))
        for kind in ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")
    ),
    (pa.float64(), [0.0, -0.0, 1.5, float("inf"), float("nan")]),
    (pa.float32(), [0.0, -0.0, 1.5, float("-inf"), float("nan")]),
    (pa.float16(), [0.5, -2.0, float("nan")]),
    (pa.bool_(), [True, False, False]),
    (pa.string(), ["", "a", "é\0", "x" * 300, "\U0010ffff"]),
    (pa.large_string(), ["", "a", "b\0c"]),
    (pa.string_view(), ["", "a", "longer than twelve bytes"]),
    (pa.binary(), [b"", b"\0", b"\xff" * 200]),
    (pa.large_binary(), [b"", b"\0\xff"]),
    (pa.binary_view(), [b"", b"\0" * 20]),
    (pa.binary(3), [b"abc", b"\0\0\0"]),
    (pa.date32(), [date.min, date.max, DAY]),
    (pa.date64(), [date.min, DAY]),
    *((pa.timestamp(unit), [MOMENT.replace(microsecond=0), datetime(2000, 1, 1)]) for unit in ("s", "ms", "us", "ns")),
    (pa.timestamp("us"), [datetime.min, datetime.max, MOMENT]),
    (pa.time32("s"), [time(), time(23, 59, 59)]),
    (pa.time64("us"), [time(1, 2, 3, 4), time.max]),
    (pa.duration("us"), [timedelta(), timedelta(microseconds=-1), timedelta(10**7)]),
    (pa.duration("ms"), [timedelta(seconds=1), timedelta(-5)]),
    (pa.dictionary(pa.int8(), pa.string()), ["a", "b", "a"]),
    (pa.struct([("x", pa.int32()), ("y", pa.string())]), [{"x": 1, "y": "a"}, {"x": None, "y": "b"}]),
    (pa.struct([]), [{}, {}]),
    (pa.list_(pa.int64()), [[1, 2], [], [None, 3]]),
    (pa.list_(pa.field("item", pa.int64(), nullable=False)), [[1, 2], []]),
    (pa.large_list(pa.string()), [["a", None], [], ["b"]]),
    (pa.list_(pa.int16(), 2), [[1, 2], [3, None]]),
    (pa.list_(pa.list_(pa.struct([("x", pa.float64())]))), [[[{"x": 0.5}], []], [], [[{"x": None}]]]),
]
"""Types whose arrays become rows without Python objects, and values."""

SLOW: list[tuple[Any, list[Any]]] = [
    (pa.null(), [None, None]),
    (pa.decimal128(9, 2), [Decimal("1.50"), Decimal("-3.00")]),
    (pa.map_(pa.string(), pa.int64()), [[("a", 1), ("b", None)], []]),
    (pa.timestamp("us", "UTC"), [datetime(2024, 1, 1).astimezone(), datetime(1970, 1, 1).astimezone()]),
    (pa.timestamp("us", "Europe/Berlin"), [datetime(2024, 10, 27, 0, 30).astimezone()]),
    (pa.run_end_encoded(pa.int32(), pa.string()), ["a", "a", "b"]),
    (pa.run_end_encoded(pa.int32(), pa.int64()), [1, 1, None]),
    (pa.list_view(pa.int64()), [[1], []]),
    (pa.list_(pa.decimal128(5, 1)), [[Decimal("1.5")], [None]]),
    (pa.struct([("m", pa.map_(pa.string(), pa.struct([("x", pa.int8())])))]), [{"m": [("a", {"x": 1})]}, {"m": None}]),
]

CASES = [*QUICK, *SLOW]
IDS = [str(kind)[:30] for kind, _ in CASES]


def codec_of(schema: Any, *keys: str | int) -> ArrowCodec:
    info = type_info_of_arrow(schema)
    return ArrowCodec(schema, OrderingComparator(info, parse_by(keys)) if keys else None)


def rows_of_table(table: Any) -> list[Row]:
    """The Rows of a table, made one by one."""
    info = type_info_of_arrow(table.schema)
    columns = [
        arrow_in.values_of_array(column.combine_chunks(), field.type_info)
        for column, field in zip(table.columns, info.fields, strict=True)
    ]
    names = table.schema.names
    return [Row(**dict(zip(names, parts, strict=True))) for parts in zip(*columns, strict=True)]


def check_table(table: Any, *keys: str | int) -> ArrowCodec:
    """Encode, compare with the rows of Python's values, and decode both ways."""
    codec = codec_of(table.schema, *keys)
    encoded = codec.encode_table(table)
    values = rows_of_table(table)
    plain = RowCodec(codec.plan.type_info, codec.plan.comparator)
    wanted = plain.encode(values)
    assert bytes(encoded.rows) == bytes(wanted.rows) and encoded.ends.tolist() == wanted.ends.tolist()
    found = codec.decode_table(GuardedBytes(bytes(encoded.rows)).array)
    found.validate(full=True)
    assert found.schema == table.schema
    assert same_table(found, table)
    assert same(codec.decode(encoded.rows), values)
    return codec


def same_table(left: Any, right: Any) -> bool:
    """Whether values are the same; a NaN is like any other."""
    return bool(left.equals(right)) or same([*map(str, left.to_pylist())], [*map(str, right.to_pylist())])


def with_nulls(values: list[Any], seed: int) -> list[Any]:
    random = Random(seed)
    return [None if random.random() < 0.3 else random.choice(values) for _ in range(50)]


@pytest.mark.parametrize(("kind", "values"), CASES, ids=IDS)
def test_columns_of_every_type(kind: Any, values: list[Any]) -> None:
    for some in (values, with_nulls(values, 1), [None] * 3, values[:1], []):
        array = pa.array(some, kind)
        check_table(pa.table({"a": array}))
        check_table(
            pa.table({"n": pa.array(range(len(some)), pa.int32()), "a": array, "s": ["x"] * len(some)}), "-s", "n"
        )


@pytest.mark.parametrize(("kind", "values"), CASES, ids=IDS)
def test_slices_of_columns(kind: Any, values: list[Any]) -> None:
    table = pa.table({"a": pa.array(with_nulls(values, 2), kind), "n": pa.array(range(50), pa.int64())})
    for start, length in ((1, 7), (8, 9), (49, 1), (3, 0), (17, 33)):
        check_table(table.slice(start, length), "-n")


@pytest.mark.parametrize(("kind", "values"), QUICK, ids=IDS[: len(QUICK)])
def test_columns_that_need_no_python_values(kind: Any, values: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"a": pa.array(with_nulls(values, 3), kind)})
    wanted = check_table(table).encode_table(table)

    def refuse(*_: Any) -> None:
        raise AssertionError("became Python values")

    monkeypatch.setattr(arrow_in, "values_of_array", refuse)
    codec = codec_of(table.schema)
    assert bytes(codec.encode_table(table).rows) == bytes(wanted.rows)
    assert codec.slow_batches == 0


KEYED = pa.table(
    {
        "i": pa.array(with_nulls([-5, 0, 7], 4), pa.int32()),
        "f": pa.array(with_nulls([0.0, -0.0, 1.5, float("nan")], 5), pa.float64()),
        "s": pa.array(with_nulls(["", "a", "a\0", "b" * 200], 6), pa.string()),
        "d": pa.array(with_nulls([DAY, date.min], 7), pa.date32()),
        "t": pa.array(with_nulls([MOMENT, datetime.max], 8), pa.timestamp("ms")),
        "r": pa.array(
            with_nulls([{"x": 1, "y": "a"}, {"x": None, "y": ""}], 9), pa.struct([("x", pa.int8()), ("y", pa.string())])
        ),
        "l": pa.array(with_nulls([[1], [], [1, None]], 10), pa.list_(pa.int16())),
        "b": pa.array(with_nulls([True, False], 11), pa.bool_()),
    }
)


@pytest.mark.parametrize(
    "keys",
    [
        ("i",),
        ("-i:nulls-last", "s"),
        ("s", "-f"),
        ("-s", "i"),
        ("d", "t"),
        ("r", "b"),
        ("-l", "s"),
        ("r.y", "-r.x"),
        ("f",),
    ],
)
def test_tables_in_any_order(keys: tuple[str, ...]) -> None:
    assert check_table(KEYED, *keys).slow_batches == 0


def test_natural_order_of_a_table() -> None:
    info = type_info_of_arrow(KEYED.schema)
    for comparator in (info.create_comparator(), info.create_comparator(descending=True, nulls_last=True)):
        codec = ArrowCodec(KEYED.schema, comparator)
        encoded = codec.encode_table(KEYED)
        assert bytes(encoded.rows) == bytes(RowCodec(info, comparator).encode(rows_of_table(KEYED)).rows)
        assert same_table(codec.decode_table(encoded.rows), KEYED)


def test_chunks_of_any_size() -> None:
    """Some smaller, some larger than what is worked on at once."""
    chunks = [
        list(range(start, start + size))
        for start, size in ((0, 1), (1, 40_000), (40_001, 0), (40_001, 3), (40_004, 30_000))
    ]
    column = pa.chunked_array(chunks, pa.int64())
    table = pa.table({"n": column, "s": pa.chunked_array([[str(number) for number in range(70_004)]])})
    codec = codec_of(table.schema, "-n")
    encoded = codec.encode_table(table)
    assert encoded.count == 70_004 and codec.slow_batches == 0
    assert codec.decode_table(encoded.rows).equals(table)
    assert codec.decode(encoded.rows)[70_003] == Row(n=70_003, s="70003")


def test_a_record_batch_is_a_small_table() -> None:
    table = pa.table({"a": [1, None], "b": ["x", "y"]})
    codec = codec_of(table.schema, "a")
    (batch,) = table.to_batches()
    assert bytes(codec.encode_table(batch).rows) == bytes(codec.encode_table(table).rows)
    with pytest.raises(AssertionError, match="announced"):
        codec.encode_table(table.select(["b", "a"]))


def test_memory_without_slack_is_not_read_beyond() -> None:
    """Arrays over foreign memory end where it ends."""
    texts, counts = b"abcdefgh" * 10, np.arange(20, dtype=np.int32)
    ends = np.arange(0, 84, 4, dtype=np.int32)
    guarded = [GuardedBytes(bytes(data)) for data in (counts.tobytes()[:-64], b"")]
    assert guarded
    number_column = pa.Array.from_buffers(pa.int32(), 20, [None, pa.py_buffer(unslacked(counts.tobytes()))])
    text_column = pa.Array.from_buffers(
        pa.string(), 20, [None, pa.py_buffer(unslacked(ends.tobytes())), pa.py_buffer(unslacked(texts))]
    )
    check_table(pa.table({"n": number_column, "s": text_column}), "-s")


def unslacked(data: bytes) -> Any:
    """`data` just before a page that nobody may touch."""
    return GuardedBytes(data[:-64]).with_slack(data[-64:])


def test_the_most_that_fits_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "ROWS_BYTES_MAX", 2000)
    table = pa.table({"s": ["x" * 98] * 50})
    codec = codec_of(table.schema)
    encoded = codec.encode_some_of_table(table)
    assert encoded.count == 19
    with pytest.raises(SerializationError, match="only 19 fit"):
        codec.encode_table(table)


WRONG: list[tuple[Any, Callable[[], Any], str]] = [
    (pa.timestamp("ns"), lambda: pa.array([1], pa.timestamp("ns")), "field a: timestamp"),
    (pa.timestamp("s"), lambda: pa.array([10**15], pa.timestamp("s")), "field a: timestamp"),
    (pa.date32(), lambda: pa.array([10**8], pa.int32()).cast(pa.date32()), "field a: date32"),
    (pa.time64("ns"), lambda: pa.array([1], pa.time64("ns")), "field a: time64"),
]


@pytest.mark.parametrize(("kind", "make", "text"), WRONG, ids=[str(each[0]) for each in WRONG])
def test_what_python_has_no_value_for_is_refused(kind: Any, make: Callable[[], Any], text: str) -> None:
    table = pa.table({"a": make()})
    with pytest.raises(SerializationError, match=text):
        codec_of(table.schema).encode_table(table)


def test_what_arrow_has_no_value_for_is_refused() -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.timestamp("s")), ("c", pa.duration("s"))])
    codec = codec_of(schema)
    for row, field in (
        (Row(a="\ud800", b=None, c=None), "a"),
        (Row(a="", b=datetime(2024, 1, 1, microsecond=1), c=None), "b"),
        (Row(a="", b=None, c=timedelta.max), "c"),
    ):
        with pytest.raises(SerializationError, match=f"field {field}"):
            codec.decode_table(codec.encode([row]).rows)


def test_moments_are_not_cut_to_what_a_column_can_hold() -> None:
    for unit, zone in (("s", "UTC"), ("ms", None)):
        schema = pa.schema([("t", pa.timestamp(unit, zone))])
        moment = datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC if zone else None)
        codec = codec_of(schema)
        with pytest.raises(SerializationError, match="field t: timestamp"):
            codec.decode_table(codec.encode([Row(t=moment)]).rows)


def test_corrupt_rows_are_named() -> None:
    table = pa.table({"a": pa.array([True, False, True]), "d": pa.array([DAY] * 3)})
    codec = codec_of(table.schema)
    data = bytearray(codec.encode_table(table).rows)
    for place in (8, 9):
        damaged = data.copy()
        damaged[place + 7] = 0xFF
        with pytest.raises(CorruptRecordError, match="record 2"):
            codec.decode_table(memoryview(damaged))
    with pytest.raises(CorruptRecordError, match="record 12"):
        codec.decode_table(memoryview(data[:-1]), 10)
    assert codec.decode_table(memoryview(b"")).num_rows == 0
