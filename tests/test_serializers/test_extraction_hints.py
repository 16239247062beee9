"""The type information of hints: everything one can write, what is generic, and what errors say."""

import array
import collections
import collections.abc
import enum
import logging
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    LiteralString,
    Never,
    NewType,
    NotRequired,
    Optional,
    Required,
    TypeVar,
    Union,
)
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pytest

from serializers.errors import UnknownTypeError
from serializers.types import enums, generic, type_info_of
from serializers.types.annotated import (
    AwareDatetime,
    Float32,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt64,
)
from serializers.types.annotated import UInt32 as Unsigned
from serializers.types.arrays import NumpyArrayInfo, ObjectArrayInfo, PythonArrayInfo
from serializers.types.composite import TupleInfo
from serializers.types.containers import DictInfo, ListInfo, OptionalInfo, SetInfo, UnionInfo, VariadicTupleInfo
from serializers.types.decimals import DECIMAL
from serializers.types.generic import GenericInfo
from serializers.types.identifiers import UUID_INFO, EnumInfo
from serializers.types.numbers import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT,
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
from serializers.types.numpy_scalars import NumpyScalarInfo
from serializers.types.temporal import AWARE_DATETIME, DATE, DATETIME, TIME, TIMEDELTA
from serializers.types.text import BYTEARRAY, BYTES, STR
from serializers.types.type_information import TypeInformation

Info = TypeInformation[Any]
ANY = GenericInfo(object)

T = TypeVar("T")
Bound = TypeVar("Bound", bound=int)
Either = TypeVar("Either", str, int)
UserId = NewType("UserId", int)
AdminId = NewType("AdminId", UserId)


class Color(enum.Enum):
    RED = 1
    BLUE = "b"


class NoMembers(enum.Enum):
    pass


@typing.runtime_checkable
class Sized(typing.Protocol):
    def __len__(self) -> int: ...


class Shaped(typing.Protocol):
    shape: str


def check(hint: Any, wanted: Info) -> None:
    assert type_info_of(hint) == wanted
    assert type_info_of(Optional[list[hint]]) == OptionalInfo(ListInfo(wanted))  # noqa: UP045


@pytest.mark.parametrize(
    ("hint", "wanted"),
    [
        (None, NONE),
        (type(None), NONE),
        (bool, BOOL),
        (int, INT),
        (float, FLOAT64),
        (Decimal, DECIMAL),
        (str, STR),
        (LiteralString, STR),
        (bytes, BYTES),
        (bytearray, BYTEARRAY),
        (date, DATE),
        (time, TIME),
        (datetime, DATETIME),
        (timedelta, TIMEDELTA),
        (UUID, UUID_INFO),
        (Color, EnumInfo(Color)),
        (array.array, PythonArrayInfo()),
        (INT32, INT32),
        (ListInfo(INT8), ListInfo(INT8)),
    ],
)
def test_python_types(hint: Any, wanted: Info) -> None:
    check(hint, wanted)


@pytest.mark.parametrize(
    ("hint", "wanted"),
    [
        (Int8, INT8),
        (Int16, INT16),
        (Int32, INT32),
        (Int64, INT64),
        (UInt8, UINT8),
        (UInt16, UINT16),
        (Unsigned, UINT32),
        (UInt64, UINT64),
        (Float32, FLOAT32),
        (Float64, FLOAT64),
        (AwareDatetime, AWARE_DATETIME),
        (Annotated[int, "of a kind", INT16, INT32], INT16),
        (Annotated[int, "of a kind"], INT),
        (Annotated[list[Int8], "short"], ListInfo(INT8)),
    ],
)
def test_annotated_types(hint: Any, wanted: Info) -> None:
    check(hint, wanted)


@pytest.mark.parametrize(
    ("hint", "wanted"),
    [
        (np.float32, NumpyScalarInfo("float32")),
        (np.bool_, NumpyScalarInfo("bool")),
        (np.longlong, NumpyScalarInfo("int64")),
        (np.complex128, NumpyScalarInfo("complex128")),
        (np.str_, STR),
        (np.bytes_, BYTES),
        (np.dtype("int8"), NumpyScalarInfo("int8")),
        (np.dtype("U5"), STR),
        (np.ndarray, NumpyArrayInfo()),
        (npt.NDArray[Any], NumpyArrayInfo()),
        (npt.NDArray[np.float64], NumpyArrayInfo("float64")),
        (npt.NDArray[np.floating], NumpyArrayInfo()),
        (npt.NDArray[np.str_], NumpyArrayInfo("str")),
        (npt.NDArray[np.datetime64], NumpyArrayInfo()),
        (np.ndarray[tuple[int, int], np.dtype[np.int16]], NumpyArrayInfo("int16")),
        (np.ndarray[Any, np.dtype("M8[us]")], NumpyArrayInfo.of(np.dtype("M8[us]"))),
        (npt.NDArray[np.object_], ObjectArrayInfo(ANY)),
    ],
)
def test_numpy_types(hint: Any, wanted: Info) -> None:
    check(hint, wanted)


@pytest.mark.parametrize(
    ("hint", "wanted"),
    [
        (list[int], ListInfo(INT)),
        (typing.List[int], ListInfo(INT)),  # noqa: UP006
        (list, ListInfo(ANY)),
        (typing.List, ListInfo(ANY)),  # noqa: UP006
        (set[str], SetInfo(STR)),
        (frozenset[str], SetInfo(STR, frozen=True)),
        (frozenset, SetInfo(ANY, frozen=True)),
        (dict[str, int], DictInfo(STR, INT)),
        (typing.Dict[str, list[int]], DictInfo(STR, ListInfo(INT))),  # noqa: UP006
        (dict, DictInfo(ANY, ANY)),
        (tuple[int, str], TupleInfo((INT, STR))),
        (typing.Tuple[int, str], TupleInfo((INT, STR))),  # noqa: UP006
        (tuple[int], TupleInfo((INT,))),
        (tuple[()], TupleInfo(())),
        (typing.Tuple[()], TupleInfo(())),  # noqa: UP006
        (tuple[int, ...], VariadicTupleInfo(INT)),
        (tuple, VariadicTupleInfo(ANY)),
        (typing.Tuple, VariadicTupleInfo(ANY)),  # noqa: UP006
        (tuple[tuple[int, ...], None], TupleInfo((VariadicTupleInfo(INT), NONE))),
    ],
)
def test_containers(hint: Any, wanted: Info) -> None:
    check(hint, wanted)


@pytest.mark.parametrize(
    ("hint", "wanted"),
    [
        (int | None, OptionalInfo(INT)),
        (Optional[int], OptionalInfo(INT)),  # noqa: UP045
        (Union[int, None, None], OptionalInfo(INT)),  # noqa: UP007
        (int | str | None, OptionalInfo(UnionInfo((INT, STR)))),
        (int | float, UnionInfo((INT, FLOAT64))),
        (Int8 | int, UnionInfo((INT, INT8))),
        (bytes | Decimal | bool | str | float, UnionInfo((BOOL, FLOAT64, DECIMAL, STR, BYTES))),
        (int | list[str | int], UnionInfo((INT, ListInfo(UnionInfo((INT, STR)))))),
        (UserId | int, INT),
        (Any | int, ANY),
        (Any | None, ANY),
        (Literal[1], INT),
        (Literal["a", "b"], STR),
        (Literal["a", 1, None], OptionalInfo(UnionInfo((INT, STR)))),
        (Literal[True], BOOL),
        (Literal[Color.RED, b"x"], UnionInfo((BYTES, EnumInfo(Color)))),
        (Either, UnionInfo((INT, STR))),
    ],
)
def test_unions(hint: Any, wanted: Info) -> None:
    assert type_info_of(hint) == wanted


def test_unions_do_not_depend_on_the_order_of_their_members() -> None:
    """`list[Union[int, str]]` may be the cached `list[Union[str, int]]`: they are equal to Python."""
    hints = (int, float, str, list[int], Color, UUID)
    found = {type_info_of(Union[*members]) for members in permutations(hints)}
    assert found == {UnionInfo((INT, FLOAT64, STR, EnumInfo(Color), UUID_INFO, ListInfo(INT)))}


@pytest.mark.parametrize(
    ("hint", "wanted"),
    [
        (UserId, INT),
        (AdminId, INT),
        (Bound, INT),
        (Final[int], INT),
        (Final, ANY),
        (ClassVar[int], INT),
        (Required[str], STR),
        (NotRequired[str], STR),
    ],
)
def test_other_names_of_types(hint: Any, wanted: Info) -> None:
    assert type_info_of(hint) == wanted


class TypeAliasType:
    """What `type Tree = int | list[Tree]` makes, from Python 3.12 on."""

    __name__ = "Tree"

    @property
    def __value__(self) -> Any:
        return int | list[self]  # type: ignore[valid-type]


TREE = TypeAliasType()


def test_an_alias_is_what_it_stands_for_and_generic_within_itself() -> None:
    assert type_info_of(TREE) == UnionInfo((INT, ListInfo(ANY))) != type_info_of(int | list[int])
    with pytest.raises(UnknownTypeError, match=r"field element: .*for it is part of itself, as Tree"):
        type_info_of(TREE, allow_generic=False)


# --- generic types

GENERIC = [
    (Any, object),
    (object, object),
    (T, object),
    (Shaped, object),
    (Sized, Sized),
    (Sequence[int], collections.abc.Sequence),
    (Mapping[str, int], collections.abc.Mapping),
    (Iterator[int], collections.abc.Iterator),
    (Callable[[int], str], collections.abc.Callable),
    (type[int], type),
    (type, type),
    (complex, complex),
    (np.floating, np.floating),
    (np.datetime64, np.datetime64),
    (np.dtype("M8[us]"), np.datetime64),
    (np.longdouble, np.longdouble),
    (np.void, np.void),
    (Fraction, Fraction),
    (memoryview, memoryview),
    (collections.OrderedDict, collections.OrderedDict),
    (collections.deque[int], collections.deque),
    (ValueError, ValueError),
    (NoMembers, NoMembers),
    (enum.Enum, enum.Enum),
    (tuple[int, *tuple[str, ...]], tuple),
]


@pytest.mark.parametrize(("hint", "cls"), GENERIC)
def test_generic_types(hint: Any, cls: type) -> None:
    assert type_info_of(hint) == GenericInfo(cls)


@pytest.mark.parametrize(("hint", "cls"), GENERIC)
def test_generic_types_can_be_forbidden(hint: Any, cls: type) -> None:
    with pytest.raises(UnknownTypeError) as caught:
        type_info_of(dict[str, tuple[int, hint]], allow_generic=False)
    assert caught.value.fields == ("value", "1")
    text = str(caught.value)
    assert text.startswith(f"field value.1: {cls.__module__}.{cls.__qualname__} could only be generic, for it ")
    assert "register type information for it" in text


def test_what_was_made_by_hand_may_be_generic() -> None:
    assert type_info_of(ListInfo(ANY), allow_generic=False) == ListInfo(ANY)
    assert type_info_of(Annotated[Any, ANY], allow_generic=False) == ANY


def test_each_generic_type_is_logged_once_for_each_place(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generic, "_logged", set())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            type_info_of(dict[str, tuple[Fraction, int]])
            type_info_of(list[Shaped])
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("field value.0: fractions.Fraction has no type information and is pickled")
    assert "it is pickled in a way of its own. Declare what it is made of" in first
    assert second.startswith("field element: builtins.object") and "it is an interface, Shaped." in second


# --- what is no type


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (5, r"5 is no type hint. If it is a value, take type_info_of_values\(\[value\]\)"),
        ([int], "is no type hint"),
        (print, "is no type hint"),
        (np.zeros(3), "is no type hint"),
        (..., "is no type hint"),
        (Never, "there are no values of Never"),
        (typing.NoReturn, "there are no values of Never"),
        (typing.Self, "is no type hint"),
        ("int", "'int' is text, whose names cannot be looked up here. Give the type itself"),
        (list["Color"], "field element: 'Color' is text"),
        (Optional["Color"], "is text"),
        (EnumInfo, r"EnumInfo is a class of type information. Did you mean EnumInfo\(\)\?"),
        (tuple[int, dict[str, 5]], "field 1.value: 5 is no type hint"),  # type: ignore[valid-type]
    ],
)
def test_what_is_no_type(hint: Any, text: str) -> None:
    with pytest.raises(UnknownTypeError, match=text):
        type_info_of(hint)


def test_what_a_type_itself_refuses_comes_with_the_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enums, "_MEMBERS_MAX", 1)
    with pytest.raises(UnknownTypeError, match=r"^field value: Color has 2 members.*Declare str or int"):
        type_info_of(dict[str, Color])
