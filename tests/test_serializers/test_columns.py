"""Columns, type by type: the bytes of serializers and comparators, and values that come back as they were.

What is ordinary must take the quick way, or the batch path is not worth having; what is not must take the slow one.
"""

import decimal
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum, IntEnum
from itertools import chain
from random import Random
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np
import pytest

from serializers.columns.choice import column_of
from serializers.columns.column import Column, Data, KeyForm, Loose
from serializers.columns.fields import Parts
from serializers.columns.optional import Nullable
from serializers.columns.pieces import RowPieces, RowTarget
from serializers.columns.read_steps import StepsToRead
from serializers.columns.scratch import Scratch
from serializers.columns.sequences import Repeated
from serializers.columns.steps import UnknownBytesError
from serializers.columns.write_steps import StepsToWrite
from serializers.errors import SerializationError
from serializers.types.composite import ClassInfo, Row, RowInfo, TupleInfo, TypedDictInfo
from serializers.types.containers import DictInfo, ListInfo, OptionalInfo, SetInfo, UnionInfo, VariadicTupleInfo
from serializers.types.decimals import DECIMAL
from serializers.types.floats import FloatInfo
from serializers.types.identifiers import UUID_INFO, EnumInfo
from serializers.types.numbers import BOOL, FLOAT32, FLOAT64, INT, INT8, INT16, INT32, INT64, NONE, UINT8, UINT64
from serializers.types.numpy_scalars import NumpyScalarInfo
from serializers.types.temporal import AWARE_DATETIME, DATE, DATETIME, TIME, TIMEDELTA
from serializers.types.text import BYTEARRAY, BYTES, STR
from serializers.types.type_information import Field, TypeInformation
from serializers.views import BytesOutput
from tests.test_serializers.same_value import same

Info = TypeInformation[Any]

KEY_FORMS = [KeyForm(*(bool(bits >> bit & 1) for bit in range(3))) for bits in range(8)]


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Level(IntEnum):
    HIGH = 3
    LOW = -1


Wide = Enum("Wide", [f"M{number}" for number in range(200)])  # type: ignore[misc]


class Point(NamedTuple):
    x: int
    y: str


@dataclass
class Plain:
    a: int
    b: str


@dataclass(frozen=True, slots=True)
class Frozen:
    a: int
    b: str


class Checked:
    """Sets an attribute in a way of its own, and has one that is computed."""

    def __init__(self, a: int, b: str) -> None:
        self.a, self.b = a, b

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in ("a", "b")
        object.__setattr__(self, name, value)


class Keys(TypedDict):
    a: int
    b: NotRequired[str]


def class_info(cls: type) -> ClassInfo:
    return ClassInfo(cls, (Field("a", INT), Field("b", STR)))


NAN_BITS = (
    np.array([0x7FF8_0000_0000_0001, 0xFFF8_0000_0000_0000, 0x7FF0_0000_0000_0001], np.uint64).view(np.float64).tolist()
)
FLOATS = [0.0, -0.0, 1.5, -1.5, float("inf"), float("-inf"), float("nan"), -float("nan"), *NAN_BITS]
TEXTS = ["", "a", "ab", "é", "\ud800", "\U0010ffff", "x" * 127, "x" * 128, "y" * 500]
MOMENTS = [
    datetime.min,
    datetime.max,
    datetime(1970, 1, 1),
    datetime(2024, 10, 27, 2, 30, fold=1),
    datetime(1969, 12, 31, 23, 59, 59, 999_999),
]

QUICK: list[tuple[Info, list[Any]]] = [
    (NONE, [None, None]),
    (BOOL, [True, False, True]),
    *(
        (info, [info.low, -1 if info.signed else 0, 0, 1, info.high])
        for info in (INT8, INT16, INT32, INT64, UINT8, UINT64)
    ),
    (INT, [0, 1, -1, 255, -256, 2**63 - 1, -(2**63)]),
    (FLOAT64, FLOATS),
    (FLOAT64, [1, 2.5, 2**53 - 1, -3]),
    (FLOAT32, [0.0, -0.0, 0.5, float(np.float32(3.4e38)), float("inf"), float("nan")]),
    (FloatInfo(16), [0.0, -0.0, 0.5, 65504.0, float("-inf"), float("nan"), *NAN_BITS]),
    (STR, TEXTS),
    (BYTES, [b"", b"\0", b"a\0b", b"\0\xff", b"z" * 300]),
    (BYTEARRAY, [bytearray(), bytearray(b"\0a"), bytearray(b"z" * 200)]),
    (DATE, [date.min, date.max, date(1970, 1, 1), date(1969, 12, 31)]),
    (TIME, [time.min, time.max, time(2, 30, fold=1), time(12, 34, 56, 789)]),
    (DATETIME, MOMENTS),
    (TIMEDELTA, [timedelta(), timedelta(microseconds=-1), timedelta(10**7, 5, 6), timedelta(-3, 1)]),
    (TIMEDELTA, [timedelta.min, timedelta.max, timedelta(10**8), timedelta(-(10**8))]),
    (UUID_INFO, [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.UUID(int=1)]),
    (EnumInfo(Size), [Size.LARGE, Size.SMALL]),
    (EnumInfo(Level), [Level.HIGH, Level.LOW]),
    *((NumpyScalarInfo(name), list(np.array([0, 1, 0], name))) for name in ("bool", "int8", "uint64", "float16")),
    (NumpyScalarInfo("float32"), list(np.array(FLOATS, np.float32))),
    (NumpyScalarInfo("complex64"), [np.complex64(1 + 2j), np.complex64(complex("nan"))]),
    (OptionalInfo(INT32), [1, None, 3]),
    (OptionalInfo(STR), [None, None]),
    (OptionalInfo(STR), ["a", "b"]),
    (OptionalInfo(OptionalInfo(INT)), [None, 2]),
    (TupleInfo(()), [(), ()]),
    (TupleInfo((INT32, STR)), [(1, "a"), (-2, "")]),
    (TupleInfo((INT32, TupleInfo((STR, OptionalInfo(FLOAT64))))), [(1, ("a", None)), (2, ("", 2.5))]),
    (TupleInfo((INT, STR), Point), [Point(1, "a"), Point(2, "b")]),
    (class_info(Plain), [Plain(1, "a"), Plain(2, "b")]),
    (class_info(Frozen), [Frozen(1, "a"), Frozen(2, "b")]),
    (class_info(Checked), [Checked(1, "a"), Checked(2, "b")]),
    (
        RowInfo((Field("a", INT32), Field("b", OptionalInfo(STR)))),
        [Row(a=1, b="x"), Row(a=None, b=None), Row(a=3, b=None)],
    ),
    (RowInfo((Field("0", INT32), Field("1", STR)), named=False), [Row(1, "x"), Row(2, None)]),
    (
        RowInfo(tuple(Field(f"f{place}", INT8) for place in range(70))),
        [Row(**{f"f{place}": place % 3 or None for place in range(70)})],
    ),
    (RowInfo(()), [Row(), Row()]),
    (TypedDictInfo(Keys, (Field("a", INT), Field("b", STR))), [{"a": 1, "b": "x"}, {"a": 2}, {"b": "y", "a": 3}]),
    (TypedDictInfo(Keys, (Field("a", INT), Field("b", STR))), [{"b": "x", "a": 1}, {"a": 2, "b": ""}]),
    (ListInfo(INT), [[], [1], [1, 2, 3], []]),
    (ListInfo(ListInfo(STR)), [[[], ["a", "b"]], [], [[]]]),
    (VariadicTupleInfo(OptionalInfo(STR)), [(), ("a", None), (None,)]),
    (SetInfo(INT), [{1, 2, 3}, set(), {-1}]),
    (SetInfo(STR, frozen=True), [frozenset("ab"), frozenset()]),
    (DictInfo(STR, INT), [{"a": 1, "b": 2}, {}, {"": 0}]),
    (DictInfo(INT, ListInfo(STR)), [{1: ["a"], 2: []}, {}]),
    (ListInfo(TupleInfo((INT32, STR))), [[(1, "a"), (2, "b")], []]),
]
"""Types, and values of them that need no serializer."""

SLOW: list[tuple[Info, list[Any]]] = [
    (INT32, [Level.HIGH, 1]),
    (INT, [2**63, -(2**63) - 1, 2**200, -(2**200), 5, 0]),
    (FLOAT64, [2**53 + 2, 0.5]),
    (FLOAT64, [float("nan"), 2**60]),
    (FLOAT64, [np.float64(0.5), 1.0]),
    (BYTES, [np.bytes_(b"ab"), b"c"]),
    (DECIMAL, [decimal.Decimal("1.50"), decimal.Decimal("NaN")]),
    (AWARE_DATETIME, [datetime(2024, 1, 1, tzinfo=UTC)]),
    (EnumInfo(Wide), list(Wide)),
    (UnionInfo((INT, STR)), [1, "a"]),
    (TupleInfo((INT, STR)), [Point(1, "a"), (2, "b")]),
    (
        ClassInfo(Plain, (Field("a", INT), Field("b", STR))).with_subclasses(
            ClassInfo(type("Sub", (Plain,), {}), (Field("a", INT), Field("b", STR)))
        ),
        [Plain(1, "a")],
    ),
    (ListInfo(INT), [type("Own", (list,), {})([1, 2]), [3]]),
    (RowInfo((Field("a", DECIMAL), Field("b", STR))), [Row(a=decimal.Decimal(1), b="x"), Row(a=None, b="y")]),
]
"""Values that a serializer must see, or types that nobody wrote a quick way for."""

EMPTY: list[tuple[Info, list[Any]]] = [(ListInfo(NONE), [[None, None], []]), (ListInfo(TupleInfo(())), [[()], []])]
"""Elements of no bytes are many in few bytes, so that kernels do not read them."""

CASES = [*QUICK, *SLOW, *EMPTY]


def ids(cases: list[tuple[Info, list[Any]]]) -> list[str]:
    return [info.name[:40] for info, _ in cases]


def gathered(column: Column, values: list[Any]) -> Data:
    return column.gather(list(values), Scratch())


def written(values: list[Any], write: Callable[[Scratch, StepsToWrite], None]) -> list[bytes]:
    """The bodies of the rows that `write` adds steps for."""
    for _ in range(3):
        scratch, target = Scratch(), RowTarget(len(values))
        steps = StepsToWrite(scratch)
        write(scratch, steps)
        if target.write(steps, len(values)):
            break
    encoded = target.rows()
    bodies = []
    start = 0
    for end in encoded.ends.tolist():
        row = bytes(encoded.rows[start:end])
        bodies.append(row[next(place for place, byte in enumerate(row, 1) if byte < 0x80) :])
        start = end
    return bodies


def written_values(column: Column, values: list[Any]) -> list[bytes]:
    return written(values, lambda scratch, steps: column.put(column.gather(list(values), scratch), steps))


def read(bodies: list[bytes], column: Column, get: Callable[[StepsToRead], Any]) -> list[Any]:
    out = BytesOutput()
    for body in bodies:
        out.write_sized(body)
    pieces, scratch = RowPieces(memoryview(out.data), 0, max(len(bodies), 1), 1 << 40), Scratch()
    rows, places = pieces.cut(scratch)
    steps = StepsToRead(scratch, rows, len(places), joins_texts=True)
    pending = get(steps)
    steps.run(places, 1, is_all=True)
    return column.values(pending(len(places)))


def holds_loose(data: Data) -> bool:
    """Whether any part of what was gathered are values; None is no value to speak of."""
    if isinstance(data, Loose):
        return any(value is not None for value in data.values)
    if isinstance(data, Nullable):
        return holds_loose(data.data)
    parts = data.parts if isinstance(data, Parts) else data.elements if isinstance(data, Repeated) else []
    return any(map(holds_loose, parts))


@pytest.mark.parametrize(("info", "values"), QUICK, ids=ids(QUICK))
def test_ordinary_values_take_the_quick_way(info: Info, values: list[Any]) -> None:
    column = column_of(info)
    assert not holds_loose(gathered(column, values)) and column.is_compiled
    if info.is_key_type:
        assert all(map(column.is_key_compiled, KEY_FORMS))


@pytest.mark.parametrize(("info", "values"), SLOW, ids=ids(SLOW))
def test_others_do_not(info: Info, values: list[Any]) -> None:
    assert holds_loose(gathered(column_of(info), values))


@pytest.mark.parametrize(("info", "values"), CASES, ids=ids(CASES))
def test_values_have_the_bytes_of_their_serializer(info: Info, values: list[Any]) -> None:
    serializer, column = info.create_serializer(), column_of(info)
    many = [Random(number).choice(values) for number in range(40)]
    for some in (values, many, values[:1], []):
        wanted = [serializer.to_bytes(value) for value in some]
        assert written_values(column, some) == wanted
        assert same(read(wanted, column, column.get), [serializer.from_bytes(data) for data in wanted])


@pytest.mark.parametrize("form", KEY_FORMS)
@pytest.mark.parametrize(("info", "values"), CASES, ids=ids(CASES))
def test_order_keys_are_those_of_the_comparator(info: Info, values: list[Any], form: KeyForm) -> None:
    if not info.is_key_type:
        return
    comparator = info.create_comparator(descending=form.descending, nulls_last=form.nulls_last)
    column = column_of(info)
    wanted = []
    for value in values:
        key = bytearray()
        comparator.write_key(value, key, is_last=form.is_last)
        wanted.append(bytes(key))
    assert (
        written(values, lambda scratch, steps: column.put_key(column.gather(list(values), scratch), form, steps))
        == wanted
    )
    read(wanted, column, lambda steps: skipping(column, form, steps))
    if comparator.is_invertible:
        serializer = info.create_serializer()
        plain = [serializer.from_bytes(serializer.to_bytes(value)) for value in values]
        assert same(read(wanted, column, lambda steps: column.get_key(form, steps)), plain)


def skipping(column: Column, form: KeyForm, steps: StepsToRead) -> Any:
    column.skip_key(form, steps)
    return lambda count: Loose([])


WRONG: list[tuple[Info, list[Any]]] = [
    (INT32, [True, 1.0, "1", None, 2**31, np.int32(1)]),
    (INT, [True, 1.0, None]),
    (BOOL, [1, 0, None, np.True_]),
    (FLOAT64, ["1", None, 2**53 + 1, True]),
    (FLOAT32, [0.1, 1e300, 2**24 + 1]),
    (STR, [b"a", None, 1]),
    (BYTES, ["a", None, bytearray()]),
    (DATE, [datetime(2024, 1, 1), None]),
    (TIME, [time(1, tzinfo=UTC), None]),
    (DATETIME, [datetime(2024, 1, 1, tzinfo=UTC), date(2024, 1, 1)]),
    (TIMEDELTA, [1, None]),
    (UUID_INFO, ["a", None]),
    (EnumInfo(Size), ["s", None, Level.LOW]),
    (NumpyScalarInfo("int8"), [1, np.int16(1)]),
    (NONE, [0]),
    (TupleInfo((INT, STR)), [(1,), (1, "a", 2), [1, "a"], (1, None), None]),
    (class_info(Plain), [(1, "a"), Plain(1, None), object.__new__(Plain)]),  # type: ignore[arg-type]
    (RowInfo((Field("a", INT),)), [Row(1), Row(b=1), Row(a="x"), (1,), Row(a=1, b=2)]),
    (TypedDictInfo(Keys, (Field("a", INT), Field("b", STR))), [{}, {"b": "x"}, {"a": 1, "c": 2}, {"a": 1, "b": None}]),
    (ListInfo(INT), [(1,), [None], None]),
    (DictInfo(STR, INT), [{1: 1}, {"a": None}, [("a", 1)]]),
    (SetInfo(INT), [{None}, frozenset()]),
]


@pytest.mark.parametrize(("info", "values"), WRONG, ids=ids(WRONG))
def test_a_wrong_value_is_refused_as_the_serializer_does(info: Info, values: list[Any]) -> None:
    good = next((values for known, values in CASES if known == info), [])
    for wrong in values:
        column = column_of(info)
        some = [*good, wrong, *good]
        with pytest.raises(SerializationError) as expected:
            info.create_serializer().to_bytes(wrong)
        with pytest.raises(type(expected.value)):
            written_values(column, some)


CORRUPT: list[tuple[Info, list[str]]] = [
    (BOOL, ["02", "ff"]),
    (NumpyScalarInfo("bool"), ["02"]),
    (DATE, ["00000000", "ffffffff", "ffffff7f"]),
    (TIME, ["ffffffffffffffff", "ffffffffffffff7f"]),
    (DATETIME, ["ffffffffffffffff", "ffffffffffffff7f"]),
    (TIMEDELTA, ["ffffff7f0000000000000000", "00000000ffffffffffffffff", "0000000000000000ffffff7f"]),
    (EnumInfo(Size), ["02", "80"]),
    (STR, ["01ff", "02c3", "01c3"]),
    (SetInfo(UINT8), ["020101"]),
    (DictInfo(UINT8, UINT8), ["0201000101"]),
    (OptionalInfo(UINT8), ["02", "0100ff", ""]),
]


@pytest.mark.parametrize(("info", "bodies"), CORRUPT, ids=[info.name for info, _ in CORRUPT])
def test_bytes_that_no_value_left_are_refused(info: Info, bodies: list[str]) -> None:
    for body in bodies:
        column = column_of(info)
        with pytest.raises((UnknownBytesError, SerializationError)):
            read([bytes.fromhex(body)], column, column.get)


def test_a_column_that_met_a_zero_byte_joins_texts_no_more() -> None:
    column, serializer = column_of(STR), STR.create_serializer()
    texts = ["a", "b\0c", "", "\0", "\0\0", "é\0"]
    wanted = list(map(serializer.to_bytes, texts))
    assert read(wanted, column, column.get) == texts
    for _ in range(2):
        assert written_values(column, texts) == wanted
        assert read(wanted, column, column.get) == texts
    assert isinstance(gathered(column, ["a", 1]), Loose) and isinstance(gathered(column, ["a", b"b"]), Loose)


def test_attributes_may_have_any_name() -> None:
    info = ClassInfo(type("Odd", (), {}), (Field("class", INT), Field("a b", STR)))
    value = info.cls()
    setattr(value, "class", 1)
    setattr(value, "a b", "x")
    column = column_of(info)
    wanted = [info.create_serializer().to_bytes(value)]
    assert not holds_loose(gathered(column, [value])) and written_values(column, [value]) == wanted
    assert same(read(wanted, column, column.get), [value])


def test_types_may_nest_deeper_than_columns() -> None:
    info: Info = INT32
    value: Any = 7
    for level in range(120):
        info, value = (TupleInfo((info,)), (value,)) if level % 2 else (ListInfo(info), [value])
    column = column_of(info)
    wanted = [info.create_serializer().to_bytes(value)] * 3
    assert written_values(column, [value] * 3) == wanted
    assert read(wanted, column, column.get) == [value] * 3


def test_an_element_that_is_cut_short_has_room() -> None:
    """Its first fields are read before that is found out, and may be large."""
    inner: Info = TupleInfo((INT64,) * 60)
    for _ in range(20):
        inner = TupleInfo((inner,))
    for element, bytes_min in ((TupleInfo((inner, INT64)), 488), (TupleInfo((STR, inner, STR)), 482)):
        info = ListInfo(element)
        column = column_of(info)
        whole = info.create_serializer().to_bytes([])
        for size in (*range(0, bytes_min, 7), *range(bytes_min - 10, bytes_min)):
            with pytest.raises((UnknownBytesError, SerializationError)):
                read([whole, b"\1" + bytes(size)], column, column.get)
        assert len(read([whole, b"\1" + bytes(bytes_min)], column, column.get)[1]) == 1


def test_every_case_is_here_once() -> None:
    kinds = {type(info).__name__ for info, _ in chain(QUICK, SLOW)}
    assert len(kinds) >= 20, kinds
