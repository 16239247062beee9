"""The type information of Arrow schemas; and that the values Arrow gives are of it."""

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from serializers.errors import UnknownTypeError
from serializers.types import type_info_of_arrow
from serializers.types.composite import Row, RowInfo
from serializers.types.containers import DictInfo, ListInfo, OptionalInfo
from serializers.types.decimals import DECIMAL
from serializers.types.floats import FloatInfo
from serializers.types.numbers import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    NONE,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
)
from serializers.types.temporal import AWARE_DATETIME, DATE, DATETIME, TIME, TIMEDELTA
from serializers.types.text import BYTES, STR
from serializers.types.type_information import Field, TypeInformation

MOMENT = datetime(2024, 2, 29, 12, 30, 1, 250000)

PLAIN: list[tuple[Any, TypeInformation[Any], Any]] = [
    (pa.int8(), INT8, -128),
    (pa.int16(), INT16, -1),
    (pa.int32(), INT32, 1),
    (pa.int64(), INT64, 2**63 - 1),
    (pa.uint8(), UINT8, 255),
    (pa.uint16(), UINT16, 1),
    (pa.uint32(), UINT32, 1),
    (pa.uint64(), UINT64, 2**64 - 1),
    (pa.float16(), FloatInfo(16), 1.5),
    (pa.float32(), FLOAT32, 1.5),
    (pa.float64(), FLOAT64, 0.1),
    (pa.bool_(), BOOL, True),
    (pa.string(), STR, "é"),
    (pa.large_string(), STR, ""),
    (pa.string_view(), STR, "a"),
    (pa.binary(), BYTES, b"\0"),
    (pa.large_binary(), BYTES, b""),
    (pa.binary_view(), BYTES, b"a"),
    (pa.binary(3), BYTES, b"abc"),
    (pa.date32(), DATE, date(2024, 2, 29)),
    (pa.date64(), DATE, date(2024, 2, 29)),
    (pa.time32("s"), TIME, time(12, 30)),
    (pa.time64("us"), TIME, time(12, 30, 1, 5)),
    (pa.timestamp("s"), DATETIME, MOMENT.replace(microsecond=0)),
    (pa.timestamp("us"), DATETIME, MOMENT),
    (pa.timestamp("ms", "UTC"), AWARE_DATETIME, MOMENT.replace(tzinfo=UTC)),
    (pa.timestamp("us", "Europe/Berlin"), AWARE_DATETIME, MOMENT.replace(tzinfo=UTC)),
    (pa.duration("us"), TIMEDELTA, timedelta(days=-1, microseconds=1)),
    (pa.decimal128(10, 2), DECIMAL, Decimal("12.30")),
    (pa.decimal256(50, 3), DECIMAL, Decimal("-0.001")),
    (pa.dictionary(pa.int8(), pa.string()), STR, "a"),
    (pa.dictionary(pa.int32(), pa.int64()), INT64, 5),
    (pa.list_(pa.int8()), ListInfo(OptionalInfo(INT8)), [1, None]),
    (pa.list_(pa.field("item", pa.int8(), nullable=False)), ListInfo(INT8), [1, 2]),
    (pa.large_list(pa.string()), ListInfo(OptionalInfo(STR)), []),
    (pa.list_(pa.int8(), 2), ListInfo(OptionalInfo(INT8)), [1, None]),
    (pa.list_(pa.list_(pa.null())), ListInfo(OptionalInfo(ListInfo(NONE))), [[None], None]),
]


@pytest.mark.parametrize(("arrow_type", "wanted", "value"), PLAIN, ids=str)
def test_types_and_their_values(arrow_type: Any, wanted: TypeInformation[Any], value: Any) -> None:
    nullable = pa.schema([pa.field("a", arrow_type)])
    assert type_info_of_arrow(nullable) == RowInfo((Field("a", OptionalInfo(wanted)),))
    strict = pa.schema([pa.field("a", arrow_type, nullable=False)])
    assert type_info_of_arrow(strict) == RowInfo((Field("a", wanted),))
    serializer = type_info_of_arrow(nullable).create_serializer()
    for found in pa.array([value, None], arrow_type).to_pylist():
        assert serializer.from_bytes(serializer.to_bytes(Row(a=found))) == Row(a=found)


def test_null_columns() -> None:
    assert type_info_of_arrow(pa.schema([("a", pa.null())])) == RowInfo((Field("a", NONE),))


def test_structs_and_maps() -> None:
    struct = pa.struct([pa.field("x", pa.int32(), nullable=False), ("y", pa.string())])
    schema = pa.schema([("point", struct), ("tags", pa.map_(pa.string(), pa.int64()))])
    point = RowInfo((Field("x", INT32), Field("y", OptionalInfo(STR))))
    assert type_info_of_arrow(schema) == RowInfo(
        (
            Field("point", OptionalInfo(point)),
            Field("tags", OptionalInfo(DictInfo(STR, OptionalInfo(INT64)))),
        )
    )


def test_a_schema_of_nothing() -> None:
    assert type_info_of_arrow(pa.schema([])) == RowInfo(())


def test_rows_order_by_columns() -> None:
    table = pa.table({"country": ["b", None, "a"], "amount": [1.5, -1.0, float("nan")]})
    comparator = type_info_of_arrow(table.schema).create_comparator()
    rows = [Row(**each) for each in table.to_pylist()]
    assert [row.country for row in sorted(rows, key=comparator.order_key)] == [None, "a", "b"]


@pytest.mark.parametrize(
    "arrow_type",
    [pa.month_day_nano_interval(), pa.dense_union([pa.field("a", pa.int8())]), pa.uuid()],
    ids=str,
)
def test_other_types_are_refused_with_the_column(arrow_type: Any) -> None:
    with pytest.raises(UnknownTypeError) as caught:
        type_info_of_arrow(pa.schema([("fine", pa.int8()), ("odd", arrow_type)]))
    assert str(caught.value) == f"field odd: {arrow_type} has no type information. Cast the column, or leave it out"
    nested = pa.schema([("s", pa.struct([("list", pa.list_(arrow_type))]))])
    with pytest.raises(UnknownTypeError) as caught:
        type_info_of_arrow(nested)
    assert caught.value.fields == ("s", "list", "element")


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="more than one field called 'a'"):
        type_info_of_arrow(pa.schema([("a", pa.int8()), ("a", pa.int8())]))


def test_neither_pyarrow_nor_numpy_is_imported_to_find_types() -> None:
    code = (
        "import sys; from serializers.types import type_info_of, type_info_of_values, type_info_of_arrow\n"
        "type_info_of(dict[str, list[int]]), type_info_of_values([(1, 'a')])\n"
        "found = {'pyarrow', 'numpy', 'numba', 'attr', 'asyncio'} & set(sys.modules)\n"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
