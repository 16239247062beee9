"""Unions: the whole suite, how the type of a value is found, order, and the simplest type for some members."""

from collections.abc import Sized
from dataclasses import dataclass
from datetime import date
from enum import Enum

import pytest
from hypothesis import strategies as st

from serializers.errors import CorruptRecordError, NotOrderableError, NullFieldError, ValueMismatchError
from serializers.types.composite import ClassInfo, TupleInfo
from serializers.types.containers import ListInfo, OptionalInfo, SetInfo, UnionInfo, union_of
from serializers.types.generic import GenericInfo
from serializers.types.numbers import BOOL, FLOAT64, INT, INT8, INT32, INT64, NONE
from serializers.types.temporal import DATE
from serializers.types.text import BYTES, STR
from serializers.types.type_information import Field
from tests.test_serializers.conformance import check_type, conforms, survives_garbage

TEXT_OR_DATE = UnionInfo((STR, DATE))


@dataclass
class Animal:
    name: str


@dataclass
class Dog(Animal):
    barks: bool = True


ANIMAL = ClassInfo(Animal, (Field("name", STR),))
DOG = ClassInfo(Dog, (Field("name", STR), Field("barks", BOOL)))


def by_type(*types: type) -> object:
    return lambda value: (types.index(type(value)), value)


def test_members_by_class() -> None:
    values = ["", "a", date(2020, 1, 2), "b\0", date(1, 1, 1)]
    check_type(TEXT_OR_DATE, values, wrong=(1, b"a", 1.5), python_key=by_type(str, date), damage=True)


def test_members_of_one_length() -> None:
    info = UnionInfo((DATE, BYTES, INT8))
    values = [date(1, 1, 1), b"", -5, date(2000, 1, 1), b"\0", 5]
    check_type(info, values, wrong=("a", 1.5, 300, True), python_key=by_type(date, bytes, int))
    fixed = UnionInfo((INT32, DATE))
    check_type(fixed, [1, date(2020, 1, 1), -1], wrong=(2**31, True), python_key=by_type(int, date))
    assert fixed.create_comparator().key_bytes == 5


def test_members_of_one_class() -> None:
    info = UnionInfo((ListInfo(INT), ListInfo(STR), INT8, INT64))
    check_type(info, [[1], ["a"], [], 5, 500, ["b", "a"]], wrong=([1, "a"], 2**70, (1,), True), python_key=None)
    serializer = info.create_serializer()
    assert [serializer.to_bytes(value)[0] for value in ([1], ["a"], [], 5, 500)] == [0, 1, 0, 2, 3]
    with pytest.raises(ValueMismatchError, match=r"field 0: 1\.5 \(float\) is not int.*; field 0: 1\.5 .* is not str"):
        serializer.to_bytes([1.5])


def test_the_nearest_base_is_taken() -> None:
    class Puppy(Dog):
        pass

    serializer = UnionInfo((GenericInfo(object), ANIMAL, DOG)).create_serializer()
    assert [serializer.place_of(value) for value in (Animal("a"), Dog("b"), Puppy("c"), "x", 1)] == [1, 2, 2, 0, 0]
    for value in (Animal("a"), Dog("b", False), {"x": [1]}):
        assert serializer.from_bytes(serializer.to_bytes(value)) == value


def test_classes_that_are_bases_by_declaration_only() -> None:
    serializer = UnionInfo((INT, GenericInfo(Sized))).create_serializer()
    assert serializer.from_bytes(serializer.to_bytes({1: 2})) == {1: 2}
    with pytest.raises(ValueMismatchError, match=r"1\.5 \(float\) is not union\[int, generic\[Sized\]\]"):
        serializer.to_bytes(1.5)


def test_a_bool_is_no_int() -> None:
    for info in (UnionInfo((INT, STR)), UnionInfo((INT, FLOAT64))):
        with pytest.raises(ValueMismatchError, match=r"^True \(bool\) is not int"):
            info.create_serializer().to_bytes(True)
    assert UnionInfo((INT, GenericInfo(object))).create_serializer().to_bytes(True)[0] == 1


def test_none_among_the_members_orders_as_null() -> None:
    info = UnionInfo((STR, NONE, DATE))
    assert info.allows_null
    check_type(info, ["a", None, date(2020, 1, 1), ""], wrong=(1,), python_key=None)
    assert info.create_serializer().to_bytes(None) == b"\x01"
    values = ["a", date(2020, 1, 1), None]
    assert sorted(values, key=info.create_comparator(nulls_last=True).order_key) == values
    assert sorted(values, key=info.create_comparator(descending=True).order_key) == values[::-1]
    nested = UnionInfo((OptionalInfo(STR), DATE))
    check_type(nested, ["a", None, date(2020, 1, 1)], wrong=(1,), python_key=None)
    check_type(UnionInfo((NONE, INT)), [None, 3], wrong=("a",), python_key=None)
    check_type(UnionInfo((NONE, NONE)), [None], wrong=("a",), python_key=None)
    with pytest.raises(NullFieldError):
        TEXT_OR_DATE.create_serializer().to_bytes(None)


def test_numbers_among_others_stand_together() -> None:
    info = UnionInfo((FLOAT64, STR, INT))
    values = [2, "a", 1.5, 3.5, "", 2.0, float("nan"), 2**63]
    check_type(info, values, wrong=(True, b"a"), python_key=None)
    ordered = sorted(values[:-2], key=info.create_comparator().order_key)
    assert ordered == [1.5, 2, 2.0, 3.5, "", "a"]


test_unions_by_chance = conforms(
    UnionInfo((INT, STR, TupleInfo((STR, INT)))),
    st.integers() | st.text(max_size=3) | st.tuples(st.text(max_size=2), st.integers(-1, 1)),
    python_key=by_type(int, str, tuple),
)
test_unions_survive_garbage = survives_garbage(UnionInfo((INT, STR, ListInfo(BOOL))))


def test_bytes() -> None:
    serializer, comparator = TEXT_OR_DATE.create_serializer(), TEXT_OR_DATE.create_comparator()
    assert serializer.to_bytes("a") == b"\x00\x01a" and serializer.to_bytes(date(1, 1, 1)) == b"\x01\x01\0\0\0"
    assert comparator.order_key("a") == b"\x00a" and comparator.order_key(date(1, 1, 1)) == b"\x01\0\0\0\x01"


def test_a_place_that_is_not_there_is_corrupt() -> None:
    with pytest.raises(CorruptRecordError, match=r"union\[str, date\] has no member 2"):
        TEXT_OR_DATE.create_serializer().from_bytes(b"\x02")


def test_what_has_no_order() -> None:
    with pytest.raises(NotOrderableError):
        UnionInfo((INT, SetInfo(INT))).create_comparator()
    with pytest.raises(ValueError, match="1 to 255 members, not 0"):
        UnionInfo(())


def test_the_simplest_type() -> None:
    class Color(Enum):
        RED = 1

    assert union_of([INT, INT]) == INT
    assert union_of([INT, STR, INT]) == UnionInfo((INT, STR))
    assert union_of([INT, NONE]) == OptionalInfo(INT) == union_of([OptionalInfo(INT), INT])
    assert union_of([UnionInfo((INT, OptionalInfo(STR))), DATE]) == OptionalInfo(UnionInfo((INT, STR, DATE)))
    assert union_of([NONE]) == NONE == union_of([])
    assert union_of(info for info in (OptionalInfo(NONE),)) == NONE
    assert UnionInfo((INT, STR)).name == "union[int, str]"
