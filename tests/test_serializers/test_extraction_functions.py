"""The type information of what functions return and yield."""

from __future__ import annotations

import functools
import operator
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pytest

from serializers.errors import UnknownTypeError
from serializers.types import type_info_of, type_info_of_function
from serializers.types.annotated import Int32
from serializers.types.composite import TupleInfo
from serializers.types.containers import ListInfo, OptionalInfo
from serializers.types.generic import GenericInfo
from serializers.types.numbers import INT, INT32, NONE
from serializers.types.text import STR

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers


@dataclass
class Point:
    x: int

    def norm(self) -> Int32:
        return abs(self.x)

    @classmethod
    def origin(cls) -> Point:
        return cls(0)

    @staticmethod
    def label() -> str:
        return "point"

    def moved(self) -> Self:
        return self


class Caller:
    def __call__(self, value: int) -> tuple[int, str]:
        return value, str(value)


class SilentCaller:
    def __call__(self, value):  # type: ignore[no-untyped-def]
        return value


def returns_text(value: OnlyForCheckers) -> str:
    return str(value)


def returns_nothing(value: int) -> None:
    pass


def says_nothing(value):  # type: ignore[no-untyped-def]
    return value


def returns_maybe(value: int) -> list[int] | None:
    return None


def returns_lost() -> list[OnlyForCheckers]:
    return []


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


async def returns_later() -> int:
    return 1


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (returns_text, STR),
        (returns_nothing, NONE),
        (returns_maybe, OptionalInfo(ListInfo(INT))),
        (returns_later, INT),
        (logged(returns_text), STR),
        (functools.partial(functools.partial(returns_text, 1)), STR),
        (Point(1).norm, INT32),
        (Point.norm, INT32),
        (Point.origin, type_info_of(Point)),
        (Point.label, STR),
        (Caller(), TupleInfo((INT, STR))),
        (Point, type_info_of(Point)),
        (str, STR),
        (list[int], ListInfo(INT)),
    ],
)
def test_what_a_function_returns(function: Any, wanted: Any) -> None:
    assert type_info_of_function(function) == wanted


def says_any() -> Any:
    return 1


def says_object() -> object:
    return 1


@pytest.mark.parametrize(
    "function",
    [
        says_nothing,
        says_any,
        says_object,
        lambda value: value,
        len,
        operator.itemgetter(0),
        SilentCaller(),
        "a".join,
        object(),
    ],
)
def test_what_says_nothing(function: Any) -> None:
    assert type_info_of_function(function) is None
    assert type_info_of_function(function, yields=True) is None


def yields_iterator() -> Iterator[int]:
    yield 1


def yields_iterable() -> Iterable[int]:
    return [1]


def yields_generator() -> Generator[int, str, bytes]:
    yield 1
    return b""


async def yields_later() -> AsyncIterator[int]:
    yield 1


def yields_bare() -> Iterator:  # type: ignore[type-arg]
    yield 1


@pytest.mark.parametrize("function", [yields_iterator, yields_iterable, yields_generator, yields_later])
def test_what_a_function_yields(function: Any) -> None:
    assert type_info_of_function(function, yields=True) == INT
    assert isinstance(type_info_of_function(function), GenericInfo)


def test_an_iterator_of_nobody_knows_what() -> None:
    assert type_info_of_function(yields_bare, yields=True) is None


def test_what_yields_must_be_an_iterator() -> None:
    with pytest.raises(UnknownTypeError, match=r"returns_text is to yield values, and is annotated to return .*str"):
        type_info_of_function(returns_text, yields=True)
    with pytest.raises(UnknownTypeError, match=r"returns_maybe is to yield .*Annotate it with Iterator\[...\]"):
        type_info_of_function(returns_maybe, yields=True)


def test_errors_name_the_annotation() -> None:
    with pytest.raises(UnknownTypeError, match="field return: an annotation of returns_lost names OnlyForCheckers"):
        type_info_of_function(returns_lost)
    with pytest.raises(UnknownTypeError, match=r"typing.Self is no type hint"):
        type_info_of_function(Point.moved)


def test_generic_types_can_be_forbidden() -> None:
    def anything() -> tuple[int, Any]:
        return 1, 2

    assert type_info_of_function(anything) == TupleInfo((INT, GenericInfo(object)))
    with pytest.raises(UnknownTypeError, match=r"field 1: builtins.object could only be generic"):
        type_info_of_function(anything, allow_generic=False)
