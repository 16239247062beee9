"""Classes with fields: dataclasses, attrs classes, annotated ones; how they are made, subclasses, order, evolution."""

import logging
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, FrozenInstanceError, dataclass, field
from functools import total_ordering
from typing import ClassVar, final

import attrs
import pytest
from hypothesis import strategies as st

from serializers.errors import (
    CorruptRecordError,
    IncompatibleTypeError,
    NotOrderableError,
    UnknownTypeError,
    ValueMismatchError,
)
from serializers.types.composite import ClassInfo
from serializers.types.containers import OptionalInfo, SetInfo
from serializers.types.numbers import BOOL, FLOAT64, INT, INT8, INT32
from serializers.types.text import STR
from serializers.types.type_information import Field
from serializers.views import BytesInput
from tests.test_serializers.conformance import check_serializer, check_type, conforms, survives_garbage


@dataclass(order=True)
class Point:
    x: int
    name: str


@dataclass(order=True)
class Place(Point):
    height: float = 0.0


@dataclass
class Stranger(Point):
    secret: object = None


@dataclass(frozen=True, slots=True, order=True)
class Frozen:
    a: int
    b: str | None = None


@dataclass
class Odd:
    """Everything that keeps a constructor from simply taking the fields."""

    limit: ClassVar[int] = 7
    a: int
    _: KW_ONLY
    b: str
    doubled: int = field(init=False)

    def __post_init__(self) -> None:
        self.a += 1
        self.doubled = 2 * self.a


@attrs.define(order=True)
class Box:
    width: int
    _label: str = ""


@attrs.frozen(hash=True, cache_hash=True)
class Cached:
    a: int


@attrs.define(slots=False, unsafe_hash=True, cache_hash=True)
class CachedInDict:
    a: int


class Base:
    a: int


class Annotated(Base):
    b: str

    def __init__(self, everything: str) -> None:
        raise AssertionError("it must not be called")


@final
@dataclass(order=True)
class Last:
    a: int
    b: str


POINT = ClassInfo(Point, (Field("x", INT), Field("name", STR)))
PLACE = ClassInfo(Place, (*POINT.fields, Field("height", FLOAT64)))
FROZEN = ClassInfo(Frozen, (Field("a", INT32), Field("b", OptionalInfo(STR))))
LAST = ClassInfo(Last, (Field("a", INT), Field("b", STR)))


def annotated(a: object, b: object) -> Annotated:
    value = Annotated.__new__(Annotated)
    value.a, value.b = a, b  # type: ignore[assignment]
    return value


def test_dataclasses() -> None:
    values = [Point(1, "a"), Point(1, "b"), Point(-1, "\0"), Point(1, "a\0"), Point(1, "a")]
    wrong = ((1, "a"), Point("a", 1), Point(None, "a"), Point(1, None), Frozen(1), Point)  # type: ignore[arg-type]
    check_type(POINT, values, wrong=wrong)


def test_frozen_slots() -> None:
    check_type(FROZEN, [Frozen(1), Frozen(1, ""), Frozen(-1, "a")], wrong=(Frozen("a"),), python_key=None)  # type: ignore[arg-type]
    serializer = FROZEN.create_serializer()
    found = serializer.from_bytes(serializer.to_bytes(Frozen(1, "x")))
    with pytest.raises(FrozenInstanceError):
        found.a = 2


def test_final_classes_come_back_from_their_keys() -> None:
    check_type(LAST, [Last(1, "a"), Last(1, ""), Last(-5, "z")], wrong=(Last(1, 1),))  # type: ignore[arg-type]
    assert LAST.create_comparator().is_invertible and not POINT.create_comparator().is_invertible
    assert ClassInfo(Point, POINT.fields, allows_generic=False).create_comparator().is_invertible


def test_constructors_are_not_run_again() -> None:
    info = ClassInfo(Odd, (Field("a", INT), Field("b", STR), Field("doubled", INT)))
    value = Odd(1, b="x")
    assert (value.a, value.doubled) == (2, 4)
    check_type(info, [value], wrong=(Odd,), python_key=None)
    with pytest.raises(ValueMismatchError, match=r"is not a whole Odd. Set its attribute doubled"):
        broken = Odd(1, b="x")
        del broken.doubled
        info.create_serializer().to_bytes(broken)


def test_attrs_classes() -> None:
    info = ClassInfo(Box, (Field("width", INT), Field("_label", STR)))
    check_type(info, [Box(1), Box(1, "a"), Box(-1, "")], wrong=(Box("a"), Point(1, "a")))  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", [Cached, CachedInDict])
def test_attrs_classes_that_keep_their_hash(cls: type) -> None:
    info = ClassInfo(cls, (Field("a", INT),))
    serializer = info.create_serializer()
    assert hash(serializer.from_bytes(serializer.to_bytes(cls(5)))) == hash(cls(5))


def test_annotated_classes() -> None:
    info = ClassInfo(Annotated, (Field("a", INT), Field("b", STR)))
    check_type(info, [annotated(1, "a"), annotated(0, ""), annotated(1, "b")], wrong=(Base(),), python_key=None)


def test_a_class_of_no_fields() -> None:
    @dataclass
    class Nothing:
        pass

    serializer = ClassInfo(Nothing, ()).create_serializer()
    assert serializer.to_bytes(Nothing()) == b"\0" and serializer.from_bytes(b"\0") == Nothing()
    assert ClassInfo(Nothing, ()).create_comparator().order_key(Nothing()) == b""


test_points_by_chance = conforms(POINT, st.builds(Point, st.integers(-9, 9), st.text(max_size=2)))
test_points_survive_garbage = survives_garbage(ClassInfo(Point, POINT.fields, allows_generic=False))


def test_what_cannot_be_made() -> None:
    class Numbers(dict):  # type: ignore[type-arg]
        a: int

    class Computed:
        a: int

        @property
        def b(self) -> int:
            return 1

    with pytest.raises(UnknownTypeError, match="Numbers is more than its fields: it derives from dict"):
        ClassInfo(Numbers, (Field("a", INT),))
    with pytest.raises(UnknownTypeError, match=r"Computed\.b is computed"):
        ClassInfo(Computed, (Field("a", INT), Field("b", INT)))
    with pytest.raises(ValueError, match="more than one field"):
        ClassInfo(Point, (Field("a", INT), Field("a", INT)))


# --- subclasses


def test_registered_subclasses_keep_their_own_fields() -> None:
    info = POINT.with_subclasses(PLACE)
    values = [Point(1, "a"), Place(1, "a", 2.5), Place(0, "b", -1.0), Point(-1, "")]
    check_type(info, values, wrong=((1, "a"), Place("a", "a")), python_key=lambda value: (value.x, value.name))  # type: ignore[arg-type]
    check_serializer(info, values, wrong=(Place(1, "a", "b"),))  # type: ignore[arg-type]
    assert info.create_serializer().to_bytes(values[1]).hex(" ") == "01 81 01 01 61 00 00 00 00 00 00 04 40"
    serializer = info.create_serializer()
    data = serializer.to_bytes(values[1])
    assert [serializer.deserialize_field(BytesInput(data), place) for place in range(2)] == [1, "a"]


def test_other_subclasses_are_pickled_loudly_and_once(caplog: pytest.LogCaptureFixture) -> None:
    serializer = POINT.create_serializer()
    value = Stranger(1, "a", {"deep": [1]})
    with caplog.at_level(logging.WARNING, logger="serializers.types.generic"):
        data = serializer.to_bytes(value)
        assert serializer.to_bytes(value) == data and data[0] == 255
    assert serializer.from_bytes(data) == value
    assert [serializer.deserialize_field(BytesInput(data), place) for place in range(2)] == [1, "a"]
    (record,) = caplog.records
    assert "Stranger has no type information and is pickled" in record.message and "with_subclasses" in record.message
    assert POINT.create_comparator().compare(value, Point(1, "b")) < 0


def test_other_subclasses_may_be_forbidden() -> None:
    info = ClassInfo(Point, POINT.fields, (PLACE,), allows_generic=False)
    serializer = info.create_serializer()
    assert serializer.from_bytes(serializer.to_bytes(Place(1, "a", 0.5))) == Place(1, "a", 0.5)
    with pytest.raises(ValueMismatchError, match=r"Stranger\) is not Point or a registered subclass"):
        serializer.to_bytes(Stranger(1, "a"))
    with pytest.raises(CorruptRecordError, match="Point has no subclass 255"):
        serializer.from_bytes(b"\xff\x00")


def test_abstract_classes_are_their_subclasses() -> None:
    class Shape(ABC):
        name: str

        @abstractmethod
        def area(self) -> float: ...

    @dataclass
    class Square(Shape):
        name: str
        side: float

        def area(self) -> float:
            return self.side**2

    square = ClassInfo(Square, (Field("name", STR), Field("side", FLOAT64)))
    info = ClassInfo(Shape, (Field("name", STR),)).with_subclasses(square)
    serializer = info.create_serializer()
    assert serializer.from_bytes(serializer.to_bytes(Square("a", 2.0))) == Square("a", 2.0)


def test_registering() -> None:
    grandchild = ClassInfo(Place, PLACE.fields)
    nested = ClassInfo(Point, POINT.fields).with_subclasses(ClassInfo(Stranger, POINT.fields), grandchild)
    assert [each.cls for each in nested.subclasses] == [Stranger, Place]
    with pytest.raises(ValueError, match="registered already"):
        POINT.with_subclasses(PLACE, PLACE)
    with pytest.raises(ValueError, match="no subclass of Point"):
        POINT.with_subclasses(FROZEN)
    with pytest.raises(ValueError, match="Place lacks the fields name of Point"):
        POINT.with_subclasses(ClassInfo(Place, (Field("x", INT),)))


def test_classes_of_one_length() -> None:
    fixed = (Field("x", INT32), Field("name", BOOL))
    assert ClassInfo(Point, fixed, allows_generic=False).create_serializer().length == 6
    assert ClassInfo(Point, fixed).create_serializer().length is None
    longer = ClassInfo(Place, (*fixed, Field("height", INT8)))
    assert ClassInfo(Point, fixed, (longer,), allows_generic=False).create_serializer().length is None


# --- order


def test_fields_that_do_not_compare() -> None:
    @dataclass(order=True)
    class Job:
        priority: int
        payload: object = field(compare=False)

    @attrs.define(order=True)
    class Task:
        payload: object = attrs.field(order=False, eq=False)
        priority: int = 0

    for cls, fields in (
        (Job, (Field("priority", INT), Field("payload", SetInfo(INT)))),
        (Task, (Field("payload", SetInfo(INT)), Field("priority", INT))),
    ):
        comparator = ClassInfo(cls, fields, allows_generic=False).create_comparator()
        assert not comparator.is_invertible
        values = [cls(priority=2, payload={1}), cls(priority=1, payload={2}), cls(priority=2, payload=set())]
        assert sorted(values, key=comparator.order_key) == sorted(values)
        assert comparator.order_key(values[0]) == comparator.order_key(values[2])


def test_an_inherited_order_compares_what_it_did() -> None:
    @dataclass(eq=False)
    class Child(Point):
        extra: object = None

    info = ClassInfo(Child, (*POINT.fields, Field("extra", SetInfo(INT))))
    assert info.create_comparator().order_key(Child(1, "a", {1})) == b"\x81\x01a"


def test_an_order_of_its_own_is_refused() -> None:
    @total_ordering
    @dataclass
    class Backwards:
        a: int

        def __lt__(self, other: "Backwards") -> bool:
            return self.a > other.a

    @attrs.define(order=True)
    class ByFunction:
        a: str = attrs.field(order=str.lower)

    with pytest.raises(NotOrderableError, match=r"Backwards compares in a way of its own \(Backwards.__lt__\)"):
        ClassInfo(Backwards, (Field("a", INT),)).create_comparator()
    with pytest.raises(NotOrderableError, match=r"ByFunction\.a compares by a function"):
        ClassInfo(ByFunction, (Field("a", STR),)).create_comparator()
    with pytest.raises(NotOrderableError, match=r"^field a: "):
        ClassInfo(Frozen, (Field("a", SetInfo(INT)), Field("b", STR))).create_comparator()


# --- evolution


def test_another_list_of_fields_is_refused_with_the_reason() -> None:
    for fields, reason in (
        ((Field("x", INT),), "Point was written with the parts x, name, and now has x"),
        ((Field("name", STR), Field("x", INT)), "and now has name, x"),
        ((Field("x", INT32), Field("name", STR)), "^field x: written as"),
    ):
        with pytest.raises(IncompatibleTypeError, match=reason):
            ClassInfo(Point, fields).check_can_read(POINT.snapshot())
    with pytest.raises(IncompatibleTypeError, match="written as Place, version 1, which Point, version 1"):
        POINT.check_can_read({**PLACE.snapshot(), "parts": POINT.snapshot()["parts"]})


def test_subclasses_may_be_added_behind() -> None:
    stranger = ClassInfo(Stranger, POINT.fields)
    one, two = POINT.with_subclasses(PLACE), POINT.with_subclasses(PLACE, stranger)
    two.check_can_read(one.snapshot())
    with pytest.raises(IncompatibleTypeError, match="written with 2 subclasses, of which 1 are registered"):
        one.check_can_read(two.snapshot())
    with pytest.raises(IncompatibleTypeError, match="written as Place"):
        POINT.with_subclasses(stranger, PLACE).check_can_read(one.snapshot())
    with pytest.raises(IncompatibleTypeError, match="could be generic"):
        ClassInfo(Point, POINT.fields, allows_generic=False).check_can_read(POINT.snapshot())


def test_errors_name_the_field() -> None:
    outer = ClassInfo(Frozen, (Field("a", INT32), Field("b", OptionalInfo(POINT))))
    with pytest.raises(ValueMismatchError, match=r"^field b\.x: 'no' \(str\) is not int"):
        outer.create_serializer().to_bytes(Frozen(1, Point("no", "a")))  # type: ignore[arg-type]
    with pytest.raises(ValueMismatchError, match=r"^field b\.name: 5 \(int\) is not str"):
        outer.create_comparator().order_key(Frozen(1, Point(1, 5)))  # type: ignore[arg-type]


def test_serializers_of_classes_that_stay_the_same() -> None:
    check_serializer(PLACE, [Place(1, "a", 0.5)], wrong=(Point(1, "a"),))
