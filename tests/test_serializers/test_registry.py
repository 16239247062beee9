"""Type information that users bring: registered, or in the class; it goes before all else."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NewType, TypeVar

import pytest

from serializers.errors import UnknownTypeError
from serializers.types import register_type, type_info_of, type_info_of_values, unregister_type
from serializers.types.annotated import Int8
from serializers.types.composite import ClassInfo, TupleInfo
from serializers.types.containers import ListInfo, OptionalInfo, UnionInfo
from serializers.types.generic import GenericInfo
from serializers.types.numbers import INT, INT8, INT16, INT32, INT64
from serializers.types.text import STR
from serializers.types.type_information import Field, TypeInformation

Info = TypeInformation[Any]
T = TypeVar("T")
UserId = NewType("UserId", int)


@dataclass
class Point:
    x: int


class MorePoint(Point):
    pass


class Opaque:
    def __init__(self) -> None:
        self.x = 1


class Box(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item


NARROW = ClassInfo(Point, (Field("x", INT8),))


def box_info(cls: type, *arguments: Info) -> Info:
    return ClassInfo(cls, (Field("item", arguments[0] if arguments else STR),))


@pytest.fixture
def registered() -> Iterator[list[Any]]:
    """What is put into it is forgotten after the test."""
    classes: list[Any] = []
    yield classes
    for cls in classes:
        unregister_type(cls)


def register(registered: list[Any], cls: Any, factory: Any) -> None:
    register_type(cls, factory)
    registered.append(cls)


def test_what_is_registered_goes_before_the_structure(registered: list[Any]) -> None:
    plain = type_info_of(Point)
    register(registered, Point, lambda cls: NARROW)
    assert plain != NARROW == type_info_of(Point)
    assert type_info_of(list[Point | None]) == ListInfo(OptionalInfo(NARROW))
    assert type_info_of_values([(1, Point(1))]) == TupleInfo((INT, NARROW))
    unregister_type(registered.pop())
    assert type_info_of(Point) == plain


def test_the_factory_is_given_the_class_and_the_types_of_its_arguments(registered: list[Any]) -> None:
    register(registered, Box, box_info)
    assert type_info_of(Box) == box_info(Box)
    assert type_info_of(Box[int]) == box_info(Box, INT)
    assert type_info_of(Box[list[Int8]]) == box_info(Box, ListInfo(INT8))
    with pytest.raises(UnknownTypeError, match=r"field 0\.element: .*object could only be generic"):
        type_info_of(Box[list[Any]], allow_generic=False)


def test_subclasses_bring_their_own(registered: list[Any]) -> None:
    register(registered, Point, lambda cls: NARROW)
    assert type_info_of(MorePoint) == ClassInfo(MorePoint, (Field("x", INT),))


def test_known_types_may_be_registered_too(registered: list[Any]) -> None:
    register(registered, int, lambda cls: INT64)
    register(registered, UserId, lambda cls: INT32)
    assert type_info_of(dict[str, int]).create_serializer().to_bytes({"a": 1}) == b"\1\1a\1" + bytes(7)
    assert type_info_of(UserId) == INT32
    assert type_info_of_values([1, 2, None]) == OptionalInfo(INT64)
    assert type_info_of(bool) != INT64


def test_a_second_registration_replaces_the_first(registered: list[Any]) -> None:
    register(registered, Opaque, lambda cls: INT8)
    register_type(Opaque, lambda cls: INT16)
    assert type_info_of(Opaque) == INT16


def test_what_is_not_registered_cannot_be_forgotten() -> None:
    with pytest.raises(KeyError, match="Opaque is not registered"):
        unregister_type(Opaque)


# --- the class attribute


class WithInfo:
    __type_info__ = INT16
    x: int


class WithInfoChild(WithInfo):
    y: int


class WithMethod(Generic[T]):
    @classmethod
    def __type_info__(cls, *arguments: Info) -> Info:
        return ClassInfo(cls, (Field("x", arguments[0] if arguments else INT),))


class WithMethodChild(WithMethod[Any]):
    pass


class WithFunction:
    __type_info__: ClassVar[Any] = lambda: INT8


def test_a_class_attribute_is_type_information_or_returns_it() -> None:
    assert type_info_of(WithInfo) == INT16
    assert type_info_of(WithFunction) == INT8
    assert type_info_of(WithMethod) == ClassInfo(WithMethod, (Field("x", INT),))
    assert type_info_of(WithMethod[str]) == ClassInfo(WithMethod, (Field("x", STR),))
    assert type_info_of(WithInfo | str) == UnionInfo((INT16, STR))


def test_an_inherited_attribute_describes_the_base_unless_it_is_a_class_method() -> None:
    assert type_info_of(WithInfoChild) == ClassInfo(WithInfoChild, (Field("x", INT), Field("y", INT)))
    assert type_info_of(WithMethodChild) == ClassInfo(WithMethodChild, (Field("x", INT),))


def test_what_is_registered_goes_before_the_attribute(registered: list[Any]) -> None:
    register(registered, WithInfo, lambda cls: INT8)
    assert type_info_of(WithInfo) == INT8


# --- errors


def test_a_factory_must_be_something_to_call() -> None:
    for wrong in (INT8, None, 5):
        with pytest.raises(TypeError, match="the factory of Opaque is something to call, such as `lambda cls: "):
            register_type(Opaque, wrong)  # type: ignore[arg-type]
    assert type_info_of(Opaque) == GenericInfo(Opaque)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (None, "gave None, which is no TypeInformation. Return one"),
        (int, "gave <class 'int'>, which is no TypeInformation. Return one"),
        (ListInfo, r"gave .*ListInfo.*, which is no TypeInformation. Did you mean ListInfo\(\)\?"),
    ],
)
def test_a_factory_must_return_type_information(registered: list[Any], made: Any, text: str) -> None:
    register(registered, Opaque, lambda cls: made)
    with pytest.raises(UnknownTypeError, match=f"^field element: the factory registered for Opaque {text}"):
        type_info_of(list[Opaque])


def test_an_attribute_must_be_type_information() -> None:
    class Wrong:
        __type_info__ = "int"

    with pytest.raises(UnknownTypeError, match=r"the attribute __type_info__ of .*Wrong gave 'int', which is no"):
        type_info_of(Wrong)


def test_what_a_factory_raises_comes_through(registered: list[Any]) -> None:
    register(registered, Opaque, lambda cls: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        type_info_of(Opaque)


# --- threads


def test_many_threads_register_and_look_up_at_once() -> None:
    classes = [type(f"C{number}", (), {}) for number in range(50)]
    wrong: list[Any] = []
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        for number, cls in enumerate(classes):
            register_type(cls, lambda cls, number=number: ListInfo(INT8 if number % 2 else INT16))
            if type_info_of(cls) != ListInfo(INT8 if number % 2 else INT16):
                wrong.append(cls)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for cls in classes:
        unregister_type(cls)
    assert wrong == []
