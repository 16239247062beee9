"""Types within types, all kinds of them together: the whole suite, and the place that errors name."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypedDict, cast

import numpy as np
import pytest

from serializers.errors import CorruptRecordError, NullFieldError, ValueMismatchError
from serializers.types.arrays import NumpyArrayInfo, ObjectArrayInfo, PythonArrayInfo
from serializers.types.composite import ClassInfo, Row, RowInfo, TupleInfo, TypedDictInfo
from serializers.types.containers import DictInfo, ListInfo, OptionalInfo, SetInfo, UnionInfo, VariadicTupleInfo
from serializers.types.generic import GenericInfo
from serializers.types.numbers import BOOL, FLOAT64, INT, INT32
from serializers.types.temporal import DATE
from serializers.types.text import BYTES, STR
from serializers.types.type_information import Field
from tests.test_serializers.conformance import check_serializer, check_type, survives_garbage


class Point(NamedTuple):
    x: float
    y: float


class Notes(TypedDict, total=False):
    text: str
    points: list[Point]


@dataclass
class Address:
    city: str
    place: Point | None


@dataclass
class Person:
    name: str
    address: Address
    notes: Any
    extra: Any


POINT = TupleInfo((FLOAT64, FLOAT64), Point)
NOTES = TypedDictInfo(Notes, (Field("text", STR), Field("points", ListInfo(POINT))))
ADDRESS = ClassInfo(Address, (Field("city", STR), Field("place", OptionalInfo(POINT))))
EXTRA = RowInfo((Field("ids", VariadicTupleInfo(INT)), Field("either", UnionInfo((INT, STR, DATE)))))
PERSON = ClassInfo(
    Person, (Field("name", STR), Field("address", ADDRESS), Field("notes", NOTES), Field("extra", EXTRA))
)


def person(**more: Any) -> Person:
    parts: dict[str, Any] = {
        "name": "Ann",
        "address": Address("Rome", None),
        "notes": {},
        "extra": Row(ids=(), either=1),
    }
    return Person(**{**parts, **more})


def test_everything_that_has_an_order() -> None:
    people = [
        person(),
        person(name="Ann\0"),
        person(address=Address("Rome", Point(1.5, -0.0))),
        person(address=Address("Rome", Point(1.5, 0.0))),
        person(notes={"points": [Point(1.0, 2.0)]}),
        person(notes={"text": "", "points": []}),
        person(extra=Row(ids=None, either="x")),
        person(extra=Row(ids=(1, -(2**80)), either=None)),
    ]
    check_serializer(PERSON, people)
    comparator = PERSON.create_comparator()
    by_key = sorted(people, key=comparator.order_key)
    for left, right in pairwise(by_key):
        assert comparator.compare(left, right) <= 0


def test_everything_that_has_none() -> None:
    info = TupleInfo(
        (
            DictInfo(TupleInfo((INT, STR)), SetInfo(OptionalInfo(BYTES))),
            OptionalInfo(NumpyArrayInfo()),
            PythonArrayInfo(),
            ObjectArrayInfo(ListInfo(BOOL)),
            GenericInfo(object),
        )
    )
    arrays = np.empty(1, object)
    arrays[0] = [True, False]
    import array

    value = ({(1, "a"): {None, b"x"}, (2, ""): set()}, np.eye(2), array.array("d", [0.5]), arrays, {"any": print})
    check_type(info, [value, ({}, None, array.array("B"), arrays[:0], None)], wrong=((),))


test_people_survive_garbage = survives_garbage(ClassInfo(Address, ADDRESS.fields, allows_generic=False))


WRONG_PLACE: Any = (1.0, 2.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (person(address=Address(cast("str", 5), None)), "field address.city: 5 (int) is not str."),
        (person(address=Address("a", WRONG_PLACE)), "field address.place: (1.0, 2.0) (tuple) is not Point."),
        (
            person(address=Address("a", Point(1.0, cast("float", "b")))),
            "field address.place.y: 'b' (str) is not float64.",
        ),
        (person(address=None), "field address: None, where Address has no room for it."),
        (person(notes={"points": [Point(1.0, 2.0), None]}), "field notes.points.1: None, where Point"),
        (person(extra=Row(ids=(1, "2"), either=1)), "field extra.ids.1: '2' (str) is not int."),
        (person(extra=Row(ids=(), either=1.5)), "field extra.either: 1.5 (float) is not union[int, str, "),
    ],
)
def test_errors_say_where(value: Person, text: str) -> None:
    for move in (PERSON.create_serializer().to_bytes, PERSON.create_comparator().order_key):
        with pytest.raises(ValueMismatchError) as caught:
            move(value)
        assert str(caught.value).startswith(text)
        assert isinstance(caught.value, NullFieldError) == (": None, where" in text)


def test_errors_in_bytes_say_where() -> None:
    serializer = PERSON.create_serializer()
    data = serializer.to_bytes(person(extra=Row(ids=(1, 2), either="x")))
    with pytest.raises(CorruptRecordError, match=r"^field extra\.either: "):
        serializer.from_bytes(data[:-1])
    with pytest.raises(CorruptRecordError, match=r"^field extra\.ids\.1: "):
        serializer.from_bytes(data[:-4])


def test_fields_are_counted_through_all_levels() -> None:
    assert PERSON.arity == 4 and PERSON.total_fields == 1 + 2 + 2 + 2
    assert TupleInfo((INT32, TupleInfo((INT32, INT32)))).total_fields == 3
