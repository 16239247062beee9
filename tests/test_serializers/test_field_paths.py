"""Paths to fields within records: by name and place, through optional records, and steps that lead nowhere."""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import pytest

from serializers.errors import NullFieldError, SerializationError, ValueMismatchError
from serializers.types.composite import ClassInfo, Row, RowInfo, TupleInfo, TypedDictInfo
from serializers.types.containers import ListInfo, OptionalInfo
from serializers.types.field_paths import FieldPath
from serializers.types.numbers import FLOAT64, INT
from serializers.types.text import STR
from serializers.types.type_information import Field, TypeInformation


class Point(NamedTuple):
    x: int
    y: str


class Extra(TypedDict, total=False):
    note: str


@dataclass
class Address:
    city: str
    point: Any


@dataclass
class Person:
    name: str
    address: Any
    extra: Any = None


POINT = TupleInfo((INT, STR), Point)
EXTRA = TypedDictInfo(Extra, (Field("note", STR),))
ADDRESS = ClassInfo(Address, (Field("city", STR), Field("point", POINT)))
PERSON = ClassInfo(Person, (Field("name", STR), Field("address", ADDRESS), Field("extra", OptionalInfo(EXTRA))))
LODGER = ClassInfo(Person, (Field("name", STR), Field("address", OptionalInfo(ADDRESS))))
ROW = RowInfo((Field("id", INT), Field("inner", RowInfo((Field("score", FLOAT64),)))))

ANN = Person("Ann", Address("Rome", Point(3, "p")), {"note": "n"})


@pytest.mark.parametrize(
    ("info", "record", "path", "value", "field_info"),
    [
        (PERSON, ANN, (), ANN, PERSON),
        (PERSON, ANN, ("name",), "Ann", STR),
        (PERSON, ANN, (0,), "Ann", STR),
        (PERSON, ANN, ("address", "city"), "Rome", STR),
        (PERSON, ANN, ("address", "point", "x"), 3, INT),
        (PERSON, ANN, ("address", "point", "1"), "p", STR),
        (PERSON, ANN, ("extra", "note"), "n", OptionalInfo(STR)),
        (PERSON, Person("Bo", None), ("extra", "note"), None, OptionalInfo(STR)),
        (PERSON, Person("Bo", None, {}), ("extra", "note"), None, OptionalInfo(STR)),
        (LODGER, ANN, ("address", "point", "x"), 3, OptionalInfo(INT)),
        (LODGER, Person("Bo", None), ("address", "point", "x"), None, OptionalInfo(INT)),
        (ROW, Row(id=1, inner=Row(score=0.5)), ("inner", "score"), 0.5, OptionalInfo(FLOAT64)),
        (ROW, Row(id=1, inner=None), ("inner", "score"), None, OptionalInfo(FLOAT64)),
        (ROW, Row(id=None, inner=None), ("id",), None, OptionalInfo(INT)),
        (OptionalInfo(POINT), None, ("x",), None, OptionalInfo(INT)),
        (TupleInfo((INT, POINT)), (1, Point(2, "b")), ("1", "y"), "b", STR),
        (TupleInfo((INT, STR), names=("a", "0")), (1, "b"), ("0",), "b", STR),
        (STR, "text", (), "text", STR),
    ],
)
def test_values_and_types(
    info: TypeInformation[Any], record: Any, path: tuple[str | int, ...], value: Any, field_info: TypeInformation[Any]
) -> None:
    found = FieldPath(info, path)
    assert found.get(record) == value and found.field_info == field_info
    assert found.name == ".".join(map(str, path)) and found.depth == len(path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (("nam",), "there is no field 'nam' in Person: its fields are name, address, extra. Did you mean name?"),
        (("zzz",), "there is no field 'zzz' in Person: its fields are name, address, extra"),
        ((3,), "there is no field 3 in Person: its fields are name, address, extra"),
        (("7",), "there is no field 7 in Person: its fields are name, address, extra"),
        (("address", "town"), "there is no field 'town' in Address: its fields are city, point"),
        (("name", "first"), "there is no field 'first' in str: it has no fields"),
        (("extra", "not"), "there is no field 'not' in Extra: its fields are note. Did you mean note?"),
    ],
)
def test_steps_that_lead_nowhere(path: tuple[str | int, ...], reason: str) -> None:
    with pytest.raises(SerializationError) as caught:
        FieldPath(PERSON, path)
    assert str(caught.value) == reason
    with pytest.raises(SerializationError, match=r"in list\[int\]: it has no fields"):
        FieldPath(ListInfo(INT), (0,))


def test_records_of_another_type() -> None:
    path = FieldPath(PERSON, ("address", "point", "x"))
    with pytest.raises(ValueMismatchError, match=r"^'Ann' \(str\) is not Person"):
        path.get("Ann")
    with pytest.raises(NullFieldError, match=r"^None, where Person has no room"):
        path.get(None)
    with pytest.raises(NullFieldError, match=r"^field address\.point\.x: None on the way"):
        path.get(Person("Bo", None))
    with pytest.raises(ValueMismatchError, match=r"^field address\.point\.x: 'Rome' \(str\) is not a record with"):
        path.get(Person("Bo", "Rome"))


def test_from_the_outermost_field_on() -> None:
    path = FieldPath(LODGER, ("address", "point", "x"))
    assert path.top_index == 1 and path.get_within(ANN.address) == 3 and path.get_within(None) is None


@dataclass(frozen=True)
class Own(TypeInformation[Any]):
    """A user's type that says what its fields are, and no more."""

    @property
    def name(self) -> str:
        return "own"

    @property
    def python_type(self) -> type:
        return Address

    @property
    def fields(self) -> tuple[Field, ...]:
        return ADDRESS.fields

    def create_serializer(self) -> Any:
        return ADDRESS.create_serializer()


def test_fields_of_a_type_of_the_users_own_are_attributes() -> None:
    path = FieldPath(Own(), ("point", "y"))
    assert path.get(ANN.address) == "p" and path.field_info == STR
