"""The type information of values: unified over a sample, and good for reading them back."""

import array
import collections
import enum
import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serializers.errors import UnknownTypeError, ValueMismatchError
from serializers.types import generic, type_info_of, type_info_of_values
from serializers.types.annotated import Int8
from serializers.types.arrays import NumpyArrayInfo, ObjectArrayInfo, PythonArrayInfo
from serializers.types.composite import ClassInfo, Row, RowInfo, TupleInfo
from serializers.types.containers import DictInfo, ListInfo, OptionalInfo, SetInfo, UnionInfo, VariadicTupleInfo
from serializers.types.decimals import DECIMAL
from serializers.types.generic import GenericInfo
from serializers.types.identifiers import UUID_INFO, EnumInfo
from serializers.types.numbers import BOOL, FLOAT64, INT, NONE
from serializers.types.numpy_scalars import NumpyScalarInfo
from serializers.types.temporal import AWARE_DATETIME, DATE, DATETIME, TIME, TIMEDELTA
from serializers.types.text import BYTEARRAY, BYTES, STR
from serializers.types.type_information import Field, TypeInformation
from tests.test_serializers.same_value import same

Info = TypeInformation[Any]
ANY = GenericInfo(object)
NUMBER = UnionInfo((INT, FLOAT64))
MOMENT = datetime(2024, 2, 29, 12)


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: Int8
    y: list[int]


Untyped = collections.namedtuple("Untyped", "a b")


@dataclass
class Thing:
    a: int
    b: str | None


class Plain:
    a: int

    def __init__(self, a: int, **more: Any) -> None:
        self.a = a
        vars(self).update(more)


class MyText(str):
    pass


def check(sample: list[Any], wanted: Info) -> None:
    """The type is `wanted`, in whatever order the values come, and reads them back."""
    for order in list(permutations(sample))[:24]:
        assert type_info_of_values(order) == wanted
    assert type_info_of_values([tuple(sample)] * 2) == TupleInfo(tuple(type_info_of_values([each]) for each in sample))
    check_trip(sample)


def check_trip(sample: list[Any]) -> None:
    serializer = type_info_of_values(sample).create_serializer()
    for value in sample:
        assert same(serializer.from_bytes(serializer.to_bytes(value)), value)


@pytest.mark.parametrize(
    ("sample", "wanted"),
    [
        ([1, -5, 1 << 70], INT),
        ([1.5, float("nan")], FLOAT64),
        ([True], BOOL),
        (["", "a"], STR),
        ([b"a"], BYTES),
        ([bytearray(b"a")], BYTEARRAY),
        ([None], NONE),
        ([Decimal(1)], DECIMAL),
        ([UUID(int=1)], UUID_INFO),
        ([date(2024, 1, 1)], DATE),
        ([time(1)], TIME),
        ([timedelta(1)], TIMEDELTA),
        ([MOMENT], DATETIME),
        ([MOMENT.replace(tzinfo=UTC), MOMENT.replace(tzinfo=timezone(timedelta(hours=1)))], AWARE_DATETIME),
        ([MOMENT, MOMENT.replace(tzinfo=UTC)], UnionInfo((AWARE_DATETIME, DATETIME))),
        ([Color.RED], EnumInfo(Color)),
        ([Level.LOW, 1], UnionInfo((INT, EnumInfo(Level)))),
        ([np.float32(1), np.float32(2)], NumpyScalarInfo("float32")),
        ([np.bool_(True)], NumpyScalarInfo("bool")),
    ],
)
def test_values_without_parts(sample: list[Any], wanted: Info) -> None:
    check(sample, wanted)


@pytest.mark.parametrize(
    ("sample", "wanted"),
    [
        ([1, 2.5], NUMBER),
        ([1, None], OptionalInfo(INT)),
        ([1, None, 2.5], OptionalInfo(NUMBER)),
        ([1, "a", None], OptionalInfo(UnionInfo((INT, STR)))),
        ([True, 1, 1.0], UnionInfo((BOOL, INT, FLOAT64))),
        ([1, np.int64(1)], UnionInfo((INT, NumpyScalarInfo("int64")))),
        ([[1], (1,)], UnionInfo((ListInfo(INT), TupleInfo((INT,))))),
        ([{"a": 1}, {1}], UnionInfo((DictInfo(STR, INT), SetInfo(INT)))),
    ],
)
def test_values_of_several_types(sample: list[Any], wanted: Info) -> None:
    check(sample, wanted)


def test_ints_and_floats_order_as_numbers() -> None:
    sample = [3, 2.5, float("inf"), -1, 10**30, -0.5, 2**53 + 1, float(2**53)]
    comparator = type_info_of_values(sample).create_comparator()
    assert sorted(sample, key=comparator.order_key) == sorted(sample)


# --- containers


@pytest.mark.parametrize(
    ("sample", "wanted"),
    [
        ([[1], [2, 3]], ListInfo(INT)),
        ([[1], [], ["a"]], ListInfo(UnionInfo((INT, STR)))),
        ([[[]], [[1]], []], ListInfo(ListInfo(INT))),
        ([[None], [1]], ListInfo(OptionalInfo(INT))),
        ([(1, "a"), (2, None)], TupleInfo((INT, OptionalInfo(STR)))),
        ([(1, "a"), (2.5, "b")], TupleInfo((NUMBER, STR))),
        ([(1, []), (2, [1])], TupleInfo((INT, ListInfo(INT)))),
        ([(), ()], TupleInfo(())),
        ([(1,), (1, 2)], VariadicTupleInfo(INT)),
        ([(), (1, "a")], VariadicTupleInfo(UnionInfo((INT, STR)))),
        ([{1}, set()], SetInfo(INT)),
        ([frozenset({"a"})], SetInfo(STR, frozen=True)),
        ([{"a": 1}, {"b": None, "c": 2}, {}], DictInfo(STR, OptionalInfo(INT))),
        ([{1: {}}, {2: {"a": "b"}}], DictInfo(INT, DictInfo(STR, STR))),
        ([{(1, 2): [3]}], DictInfo(TupleInfo((INT, INT)), ListInfo(INT))),
        ([None, [None]], OptionalInfo(ListInfo(NONE))),
    ],
)
def test_containers(sample: list[Any], wanted: Info) -> None:
    assert type_info_of_values(sample) == type_info_of_values(sample[::-1]) == wanted
    check_trip(sample)


@pytest.mark.parametrize(
    ("sample", "wanted"),
    [
        ([array.array("i", [1]), array.array("i")], PythonArrayInfo("i")),
        ([array.array("i", [1]), array.array("d")], PythonArrayInfo()),
        ([np.zeros(3), np.zeros((2, 2))], NumpyArrayInfo("float64")),
        ([np.zeros(3), np.zeros(3, "int8")], NumpyArrayInfo()),
        ([np.array(["a", "bcd"]), np.array([""])], NumpyArrayInfo("str")),
        ([np.array([1], "M8[us]")], NumpyArrayInfo.of(np.dtype("M8[us]"))),
        ([np.zeros(2, ">i4")], NumpyArrayInfo.of(np.dtype(">i4"))),
        ([np.zeros(2, [("a", "i4")])], NumpyArrayInfo.of(np.dtype([("a", "i4")]))),
        ([np.array([1, "a"], object), np.array([], object)], ObjectArrayInfo(UnionInfo((INT, STR)))),
    ],
)
def test_arrays(sample: list[Any], wanted: Info) -> None:
    assert type_info_of_values(sample) == type_info_of_values(sample[::-1]) == wanted
    check_trip(sample)


def test_arrays_of_objects_and_others() -> None:
    sample = [np.array([None, 1], object), np.zeros(2)]
    assert type_info_of_values(sample) == UnionInfo((NumpyArrayInfo("float64"), ObjectArrayInfo(OptionalInfo(INT))))
    check_trip(sample)


# --- records


def test_classes_say_what_their_fields_are() -> None:
    assert type_info_of_values([Point(1, []), Point(2, [3])]) == type_info_of(Point)
    assert type_info_of_values([Thing(1, None)]) == type_info_of(Thing)
    assert type_info_of_values([Thing(1, None), Point(1, [])]) == UnionInfo((type_info_of(Point), type_info_of(Thing)))
    check_trip([Thing(1, None), Point(1, [2]), Thing(2, "b")])


def test_named_tuples_without_hints_are_what_they_hold() -> None:
    sample = [Untyped(1, "a"), Untyped(None, "b")]
    assert type_info_of_values(sample) == TupleInfo((OptionalInfo(INT), STR), Untyped)
    check_trip(sample)


def test_rows() -> None:
    named = [Row(a=1, b=None), Row(a=2, b="c")]
    assert type_info_of_values(named) == RowInfo((Field("a", INT), Field("b", OptionalInfo(STR))))
    bare = [Row(1, None), Row(2, None)]
    assert type_info_of_values(bare) == RowInfo((Field("0", INT), Field("1", NONE)), named=False)
    assert isinstance(type_info_of_values(named + bare), UnionInfo)
    check_trip([*named, *bare, Row(), Row(c=1)])


def test_annotated_classes_with_more_than_their_annotations_are_generic(caplog: pytest.LogCaptureFixture) -> None:
    assert type_info_of_values([Plain(1)]) == type_info_of(Plain)
    assert isinstance(type_info_of(Plain), ClassInfo)
    assert type_info_of_values([Plain(1), Plain(2, more=3)]) == GenericInfo(Plain)
    assert "it has the attribute more without an annotation" in caplog.text
    check_trip([Plain(1), Plain(2, more=3)])


# --- what is generic


STRANGERS = [1, "a", b"a", True, 1.5, Decimal(1), UUID(int=1), [1], None]


def test_up_to_eight_types_make_a_union() -> None:
    info = type_info_of_values(STRANGERS)
    assert isinstance(info, OptionalInfo) and isinstance(info.inner, UnionInfo) and len(info.inner.members) == 8
    check_trip(STRANGERS)
    assert type_info_of_values([*STRANGERS, (1,)]) == ANY
    check_trip([*STRANGERS, (1,)])
    with pytest.raises(UnknownTypeError, match=r"field element: .*for it is of more than 8 types"):
        type_info_of_values([[*STRANGERS, (1,)]], allow_generic=False)


@pytest.mark.parametrize(
    ("value", "cls"),
    [
        (Fraction(1, 3), Fraction),
        (MyText("a"), MyText),
        (1j, complex),
        (np.datetime64(1, "us"), np.datetime64),
        (time(1, tzinfo=UTC), time),
        (int, type),
        (collections.OrderedDict(a=1), collections.OrderedDict),
        (np.array([1]).view(np.matrix), np.matrix),
    ],
)
def test_generic_values(value: Any, cls: type) -> None:
    assert type_info_of_values([value]) == GenericInfo(cls)
    check_trip([value])
    with pytest.raises(UnknownTypeError, match=rf"^field value\.element: .*\.{cls.__name__} could only be generic, "):
        type_info_of_values([{"a": [value]}], allow_generic=False)


def test_arrays_that_are_not_plain_memory_are_generic() -> None:
    array_of_pairs = np.array([(Fraction(1), 2)], [("a", object), ("b", "i4")])
    info = type_info_of_values([array_of_pairs])
    assert info == GenericInfo(np.ndarray)
    serializer = info.create_serializer()
    assert serializer.from_bytes(serializer.to_bytes(array_of_pairs)).tolist() == array_of_pairs.tolist()


def test_generic_values_are_logged_once_with_their_place(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generic, "_logged", set())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            type_info_of_values([(1, Fraction(1))])
    assert [record.getMessage().partition(" has no")[0] for record in caplog.records] == ["field 1: fractions.Fraction"]


def test_what_was_empty_throughout_may_hold_anything() -> None:
    assert type_info_of_values([[]]) == ListInfo(ANY)
    assert type_info_of_values([{}]) == DictInfo(ANY, ANY)
    assert type_info_of_values([np.array([], object)]) == ObjectArrayInfo(ANY)
    with pytest.raises(UnknownTypeError, match=r"field 0\.element: .*for it was nowhere in the sample"):
        type_info_of_values([([],), ([],)], allow_generic=False)


def test_a_list_within_itself_ends_somewhere() -> None:
    endless: list[Any] = []
    endless += [endless] * 1000
    info = type_info_of_values([endless])
    assert info.name.startswith("list[list[list[") and "generic[object]" in info.name
    wide: list[Any] = [1]
    for _ in range(100):
        wide = [wide, wide]
    assert "generic[object]" in type_info_of_values([wide]).name


# --- samples


def test_an_empty_sample_says_what_to_do() -> None:
    with pytest.raises(UnknownTypeError, match=r"there are no values to find a type from. Give type_info="):
        type_info_of_values([])


def test_any_iterable_is_a_sample() -> None:
    assert type_info_of_values(number for number in range(3)) == INT
    assert type_info_of_values({"a": 1}) == STR


def test_what_the_sample_did_not_show_is_refused_later() -> None:
    serializer = type_info_of_values([(1, "a")]).create_serializer()
    with pytest.raises(ValueMismatchError, match=r"^field 1: None"):
        serializer.to_bytes((1, None))


def is_nan(value: Any) -> bool:
    return isinstance(value, float | Decimal) and Decimal(value).is_nan()


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.just(UTC))
    | st.decimals()
    | st.dates()
)
HASHABLE = st.recursive(LEAVES.filter(lambda value: not is_nan(value)), lambda inner: st.tuples(inner, inner))
NESTED = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.sets(HASHABLE, max_size=3)
        | st.lists(inner, max_size=3).map(lambda values: Row(*values))
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.lists(NESTED, min_size=1, max_size=6))
def test_any_values_come_back(sample: list[Any]) -> None:
    check_trip(sample)
