"""The type information of classes: by their fields, with annotations that are text, type variables, and recursion."""

from __future__ import annotations

import abc
import collections
import typing
from dataclasses import KW_ONLY, InitVar, dataclass, field, make_dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    Generic,
    NamedTuple,
    NotRequired,
    Optional,
    Protocol,
    Required,
    Self,
    TypedDict,
    TypeVar,
)

import attr
import attrs
import pytest

from serializers.errors import UnknownTypeError
from serializers.types import type_info_of
from serializers.types.annotated import Int8, Int32
from serializers.types.composite import ClassInfo, Row, TupleInfo, TypedDictInfo
from serializers.types.containers import DictInfo, ListInfo, OptionalInfo, UnionInfo
from serializers.types.generic import GenericInfo
from serializers.types.numbers import FLOAT64, INT, INT8, INT32, NONE
from serializers.types.text import STR
from serializers.types.type_information import Field, TypeInformation
from tests.test_serializers.same_value import same

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForCheckers

Info = TypeInformation[Any]
ANY = GenericInfo(object)

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


def fields_of(hint: Any) -> dict[str, Info]:
    return {each.name: each.type_info for each in type_info_of(hint).fields}


def check_trip(hint: Any, *values: Any) -> None:
    serializer = type_info_of(hint).create_serializer()
    for value in values:
        assert same(serializer.from_bytes(serializer.to_bytes(value)), value)


# --- dataclasses


@dataclass
class Address:
    street: str
    number: Int32


@dataclass(frozen=True, slots=True)
class Customer:
    id: Int8
    name: str | None
    address: Address
    others: dict[str, Address] = field(default_factory=dict)


@dataclass
class Vip(Address):
    LIMIT: ClassVar[int] = 3
    seed: InitVar[int] = 0
    _: KW_ONLY
    rank: Final[float] = 0.0
    number: Int8 = 1  # narrower than in the base

    def __post_init__(self, seed: int) -> None:
        self.rank_and_seed = seed  # lost, for it is no field


def test_a_dataclass_is_its_fields() -> None:
    address = ClassInfo(Address, (Field("street", STR), Field("number", INT32)))
    assert type_info_of(Address) == address
    assert fields_of(Customer) == {
        "id": INT8,
        "name": OptionalInfo(STR),
        "address": address,
        "others": DictInfo(STR, address),
    }
    home = Address("High Street", 7)
    check_trip(Customer, Customer(1, None, home), Customer(2, "a", home, {"b": home}))


def test_fields_come_in_order_of_declaration_and_class_variables_are_none() -> None:
    assert list(fields_of(Vip).items()) == [("street", STR), ("number", INT8), ("rank", FLOAT64)]


def test_allow_generic_reaches_subclasses() -> None:
    assert type_info_of(Address) == ClassInfo(Address, type_info_of(Address).fields)
    strict = type_info_of(Address, allow_generic=False)
    assert strict == ClassInfo(Address, type_info_of(Address).fields, allows_generic=False)


def test_fields_without_a_type() -> None:
    cls = make_dataclass("Made", ["a", ("b", "int")])
    assert fields_of(cls) == {"a": ANY, "b": INT}


# --- recursion


class Node:
    value: int
    next: Optional[Node]  # noqa: UP045

    def __init__(self, value: int, following: Node | None = None) -> None:
        self.value = value
        self.next = following


@dataclass
class Tree:
    value: int
    parent: Self | None = None
    leaves: list[Leaf] = field(default_factory=list)


@dataclass
class Leaf:
    tree: Tree | None = None


class Chain(NamedTuple):
    value: int
    rest: Chain | None


def test_a_class_within_itself_is_generic_there(caplog: pytest.LogCaptureFixture) -> None:
    assert fields_of(Node) == {"value": INT, "next": OptionalInfo(GenericInfo(Node))}
    assert "Node.next" in caplog.text and "it is part of itself" in caplog.text
    leaf = ClassInfo(Leaf, (Field("tree", OptionalInfo(GenericInfo(Tree))),))
    assert fields_of(Tree) == {"value": INT, "parent": OptionalInfo(GenericInfo(Tree)), "leaves": ListInfo(leaf)}
    assert fields_of(Chain) == {"value": INT, "rest": OptionalInfo(GenericInfo(Chain))}


def test_recursive_values_come_back() -> None:
    check_trip(Chain, Chain(1, Chain(2, Chain(3, None))))
    check_trip(Tree, Tree(1, Tree(0), [Leaf(), Leaf(Tree(2))]))
    serializer = type_info_of(Node).create_serializer()
    back = serializer.from_bytes(serializer.to_bytes(Node(1, Node(2))))
    assert (back.value, back.next.value, back.next.next) == (1, 2, None)


def test_recursion_can_be_forbidden() -> None:
    with pytest.raises(UnknownTypeError) as caught:
        type_info_of(dict[str, Tree], allow_generic=False)
    assert caught.value.fields == ("value", "parent") and "for it is part of itself" in str(caught.value)


# --- type variables


@dataclass
class Box(Generic[T]):
    item: T
    more: list[T]
    maybe: dict[str, T | None]


@dataclass
class IntBox(Box[int]):
    extra: str


@dataclass
class Both(Generic[K, V]):
    key: K
    boxed: Box[V]


@dataclass
class Nested(Generic[T]):
    """Uses the same type variable as Box, for something else."""

    box: Box[list[T]]


@dataclass
class Twisted(Box[str], Generic[T]):
    own: T


class GenericPair(NamedTuple, Generic[K, V]):
    key: K
    value: V


def test_arguments_of_generic_classes() -> None:
    assert fields_of(Box[int]) == {
        "item": INT,
        "more": ListInfo(INT),
        "maybe": DictInfo(STR, OptionalInfo(INT)),
    }
    assert fields_of(Box) == {"item": ANY, "more": ListInfo(ANY), "maybe": DictInfo(STR, ANY)}
    assert fields_of(IntBox) == {**fields_of(Box[int]), "extra": STR}
    assert fields_of(GenericPair[int, str]) == {"key": INT, "value": STR}
    check_trip(Box[int], Box(1, [2], {"a": None, "b": 3}))


def test_arguments_are_passed_on_to_parts() -> None:
    assert fields_of(Both[int, str]) == {"key": INT, "boxed": type_info_of(Box[str])}
    assert fields_of(Nested[int]) == {"box": type_info_of(Box[list[int]])}


def test_a_type_variable_with_two_meanings_may_be_anything() -> None:
    assert fields_of(Twisted[int]) == {"item": ANY, "more": ListInfo(ANY), "maybe": DictInfo(STR, ANY), "own": ANY}


def test_a_generic_class_within_itself() -> None:
    @dataclass
    class Linked(Generic[T]):
        value: T
        rest: Linked[T] | None

    assert fields_of(Linked[int]) == {"value": INT, "rest": OptionalInfo(GenericInfo(Linked))}


# --- named tuples and TypedDicts


class Point(NamedTuple):
    x: int
    y: Int8 = 0


class Named(Point):
    """More methods, and no more fields."""

    @property
    def sum(self) -> int:
        return self.x + self.y


class Longer(Point):
    z: int


Untyped = collections.namedtuple("Untyped", "a b")


class Movie(TypedDict, total=False):
    title: Required[str]
    year: int
    cast: NotRequired[list[str]]


class Sequel(Movie):
    number: int
    note: NotRequired[str]


def test_named_tuples() -> None:
    assert type_info_of(Point) == TupleInfo((INT, INT8), Point)
    assert type_info_of(Named) == TupleInfo((INT, INT8), Named)
    assert type_info_of(Longer) == GenericInfo(Longer)
    assert type_info_of(Untyped) == TupleInfo((ANY, ANY), Untyped)
    check_trip(Point, Point(1, 2))
    check_trip(Named, Named(1, 2))


def test_typed_dicts() -> None:
    assert fields_of(Movie) == {"title": STR, "year": INT, "cast": ListInfo(STR)}
    movie, sequel = type_info_of(Movie), type_info_of(Sequel)
    assert isinstance(movie, TypedDictInfo) and movie.required == {"title"}
    assert isinstance(sequel, TypedDictInfo) and sequel.required == {"title", "number"}
    check_trip(Movie, {"title": "a"}, {"title": "a", "year": 1, "cast": []})


# --- attrs classes, and classes that only have annotations


@attrs.define
class Defined:
    a: int
    _private: str
    maybe: Defined | None = None


@attr.s
class Old:
    typed = attr.ib(type=int)
    untyped = attr.ib()


class Plain:
    limit: ClassVar[int] = 3
    x: int
    y: str = "default"
    __hidden: Int8

    def __init__(self, x: int) -> None:
        self.x = x
        self.__hidden = 7


class MorePlain(Plain):
    z: float | None = None


class Slotted:
    __slots__ = ("a",)
    a: int


class Bare:
    def __init__(self) -> None:
        self.x = 1


def test_attrs_classes() -> None:
    assert fields_of(Defined) == {"a": INT, "_private": STR, "maybe": OptionalInfo(GenericInfo(Defined))}
    assert fields_of(Old) == {"typed": INT, "untyped": ANY}
    check_trip(Defined, Defined(1, "b"), Defined(1, "b", Defined(2, "c")))
    check_trip(Old, Old(1, [2]))


def test_annotated_classes() -> None:
    assert fields_of(Plain) == {"x": INT, "y": STR, "_Plain__hidden": INT8}
    assert fields_of(MorePlain) == {**fields_of(Plain), "z": OptionalInfo(FLOAT64)}
    assert fields_of(Slotted) == {"a": INT}
    serializer = type_info_of(MorePlain).create_serializer()
    back = serializer.from_bytes(serializer.to_bytes(MorePlain(5)))
    assert vars(back) == {"x": 5, "y": "default", "_Plain__hidden": 7, "z": None}


def test_a_class_without_fields() -> None:
    @dataclass
    class Empty:
        pass

    assert type_info_of(Empty) == ClassInfo(Empty, ())
    assert type_info_of(Bare) == GenericInfo(Bare)
    with pytest.raises(UnknownTypeError, match="Bare could only be generic, for it has no annotated fields"):
        type_info_of(Bare, allow_generic=False)


# --- classes that are more than their fields


class Shape(abc.ABC):
    name: str

    @abc.abstractmethod
    def area(self) -> float: ...


class Square(Shape):
    side: float

    def area(self) -> float:
        return self.side**2


class HasName(Protocol):
    name: str


class Implements(HasName):
    def __init__(self) -> None:
        self.name = "a"


@dataclass
class Counted(dict[str, int]):
    total: int = 0


class OwnPickle:
    x: int

    def __getstate__(self) -> object:
        return {}


class TextWithMore(str):
    more: int


@pytest.mark.parametrize(
    ("cls", "reason"),
    [
        (Shape, "is an interface"),
        (Counted, "is more than its fields, being a dict"),
        (OwnPickle, "is pickled in a way of its own"),
        (TextWithMore, "is more than its fields, being a str"),
        (Longer, "is more than its fields, being a tuple"),
        (Row, "is pickled in a way of its own"),
        (collections.OrderedDict, "is written in C"),
    ],
)
def test_what_is_more_than_its_fields_is_generic(cls: type, reason: str) -> None:
    assert type_info_of(cls) == GenericInfo(cls)
    with pytest.raises(UnknownTypeError, match=f"{cls.__qualname__} could only be generic, for it {reason}, and"):
        type_info_of(cls, allow_generic=False)


def test_what_implements_an_interface_is_its_fields() -> None:
    assert fields_of(Square) == {"name": STR, "side": FLOAT64}
    assert fields_of(Implements) == {"name": STR}


# --- names that cannot be found


@dataclass
class Lost:
    fine: int
    price: list[OnlyForCheckers]


class Outer:
    @dataclass
    class Inner:
        same: Optional[Outer.Inner]  # noqa: UP045
        module: Address


def test_a_name_that_only_checkers_know() -> None:
    with pytest.raises(UnknownTypeError) as caught:
        type_info_of(list[Lost])
    assert str(caught.value).startswith(
        "field element.price: an annotation of Lost names OnlyForCheckers, which its module "
        f"{__name__} does not have. Define or import OnlyForCheckers there"
    )


def test_classes_within_functions_know_themselves_and_their_module() -> None:
    @dataclass
    class Local:
        address: Address
        again: Local | None

    assert fields_of(Local) == {"address": type_info_of(Address), "again": OptionalInfo(GenericInfo(Local))}

    @dataclass
    class Stranger:
        local: Local

    with pytest.raises(UnknownTypeError, match=r"field local: an annotation of .*Stranger names Local"):
        type_info_of(Stranger)


def test_classes_within_classes() -> None:
    assert fields_of(Outer.Inner) == {"same": OptionalInfo(GenericInfo(Outer.Inner)), "module": type_info_of(Address)}


def test_a_field_may_have_the_name_of_its_type() -> None:
    class Shadow:
        Address: Address | None = None
        again: Address | None = None

    assert fields_of(Shadow)["again"] == OptionalInfo(type_info_of(Address))

    class Unknown:
        Address: Address | None = None
        again: Unknown | Address | None = None

    union = UnionInfo((type_info_of(Address), GenericInfo(Unknown)))
    assert fields_of(Unknown)["again"] == OptionalInfo(union)


def test_an_annotation_that_is_no_hint() -> None:
    cls = make_dataclass("Wrong", [("a", "int"), ("b", "5")])
    with pytest.raises(UnknownTypeError, match="field b: 5 is no type hint"):
        type_info_of(cls)
    cls = make_dataclass("Unreadable", [("a", "list[")])
    with pytest.raises(UnknownTypeError, match="an annotation of Unreadable cannot be read"):
        type_info_of(cls)


def test_an_error_deep_inside_names_the_whole_path() -> None:
    @dataclass
    class Deep:
        rows: dict[str, list[tuple[int, Any]]]

    with pytest.raises(UnknownTypeError) as caught:
        type_info_of(Deep, allow_generic=False)
    assert caught.value.fields == ("rows", "value", "element", "1")


def test_fields_may_have_any_type_at_all() -> None:
    cls = make_dataclass("Mixed", [("a", int | str), ("b", typing.Literal["x"]), ("c", None)])
    assert fields_of(cls) == {"a": UnionInfo((INT, STR)), "b": STR, "c": NONE}
