"""Types of any shape, and values of them: random, extreme, equal without being the same, and hostile to order keys.

    info = random_schema(rng, depth=3)              any type, nested up to three levels
    info = random_record(rng, depth=2)              one with fields
    value = random_value(rng, info)

`orderable` and `hashable` say what is wanted of the values. A `random.Random` with the same seed gives the same again.
"""

from __future__ import annotations

import array
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum, auto
from fractions import Fraction
from functools import lru_cache
from pathlib import PurePosixPath
from random import Random
from typing import Any, NamedTuple, NotRequired, TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

from serializers.types.arrays import NumpyArrayInfo, ObjectArrayInfo, PythonArrayInfo
from serializers.types.composite import ClassInfo, Row, RowInfo, TupleInfo, TypedDictInfo
from serializers.types.containers import DictInfo, ListInfo, OptionalInfo, SetInfo, UnionInfo, VariadicTupleInfo
from serializers.types.decimals import DECIMAL
from serializers.types.floats import FloatInfo
from serializers.types.generic import GenericInfo
from serializers.types.identifiers import UUID_INFO, EnumInfo
from serializers.types.numbers import BOOL, INT, NONE, IntegerInfo
from serializers.types.numpy_scalars import NumpyScalarInfo
from serializers.types.temporal import AWARE_DATETIME, DATE, DATETIME, TIME, TIMEDELTA
from serializers.types.text import BYTEARRAY, BYTES, STR
from serializers.types.type_information import Field, TypeInformation

Info = TypeInformation[Any]
Maker = Callable[[Random], Any]

# --- classes whose fields may be of any type


class Color(Enum):
    RED = "r"
    GREEN = "g"
    BLUE = "a"
    CRIMSON = "r"  # noqa: PIE796 (an alias)


class Level(IntEnum):
    HIGH = 30
    LOW = -10
    MIDDLE = 20


class Mode(StrEnum):
    WRITE = auto()
    APPEND = auto()


class Permission(Flag):
    READ = auto()
    WRITE = auto()
    EXECUTE = auto()


@dataclass(frozen=True)
class One:
    a: Any


@dataclass(frozen=True, order=True)
class Three:
    a: Any
    b: Any
    c: Any


@dataclass(frozen=True)
class More(Three):
    d: Any


@dataclass(frozen=True)
class Partly:
    """A class that does not compare by one of its fields."""

    a: Any
    b: Any = dataclasses.field(compare=False)


class Pair(NamedTuple):
    first: Any
    second: Any


class Keys(TypedDict):
    a: Any
    b: NotRequired[Any]
    c: NotRequired[Any]


# --- schemas

_ORDERED: tuple[Info, ...] = (
    *(IntegerInfo(bits, signed) for bits in (8, 16, 32, 64) for signed in (True, False)),
    *(FloatInfo(bits) for bits in (16, 32, 64)),
    *(NumpyScalarInfo(name) for name in ("bool", "int8", "uint16", "int64", "float16", "float32", "float64")),
    *(EnumInfo(cls) for cls in (Color, Level, Mode, Permission)),
    *(NONE, BOOL, INT, INT, STR, STR, STR, BYTES, DECIMAL, UUID_INFO),
    *(DATE, TIME, DATETIME, AWARE_DATETIME, TIMEDELTA),
)
_ORDERED_UNHASHABLE: tuple[Info, ...] = (BYTEARRAY, *(PythonArrayInfo(code) for code in "bQdu"))
_UNORDERED: tuple[Info, ...] = (NumpyScalarInfo("complex64"), NumpyScalarInfo("complex128"), GenericInfo(object))
_UNORDERED_UNHASHABLE: tuple[Info, ...] = (
    *(NumpyArrayInfo(name) for name in (None, "int32", "float64", "bool", "str")),
    PythonArrayInfo(),
)


def random_schema(rng: Random, depth: int, *, orderable: bool = False, hashable: bool = False) -> Info:
    """A type of up to `depth` levels of others within it."""
    if depth <= 0 or rng.random() < 0.25:
        return _leaf(rng, orderable, hashable)
    makers: tuple[Callable[..., Info], ...] = _HASHABLE_MAKERS if hashable else _MAKERS
    if not orderable:
        makers += (_set_of,) if hashable else _UNORDERED_MAKERS
    return rng.choice(makers)(rng, _Wanted(depth - 1, orderable, hashable))


def random_record(rng: Random, depth: int, *, orderable: bool = False, fields_max: int = 6) -> Info:
    """A type with fields, one level or more above what stands in them."""
    makers = (_row, _row, _tuple, _named_tuple, _class, _class, _typed_dict)
    return rng.choice(makers)(rng, _Wanted(depth - 1, orderable, False, fields_max))


def _leaf(rng: Random, orderable: bool, hashable: bool) -> Info:
    kinds = _ORDERED
    if not hashable:
        kinds += _ORDERED_UNHASHABLE
    if not orderable and rng.random() < 0.25:
        kinds = _UNORDERED if hashable else _UNORDERED + _UNORDERED_UNHASHABLE
    return rng.choice(kinds)


@dataclass(frozen=True)
class _Wanted:
    """What is wanted of the parts of a type."""

    depth: int
    orderable: bool
    hashable: bool
    fields_max: int = 4

    def one(self, rng: Random) -> Info:
        return random_schema(rng, self.depth, orderable=self.orderable, hashable=self.hashable)

    def some(self, rng: Random, names: str) -> tuple[Field, ...]:
        return tuple(Field(name, self.one(rng)) for name in names)

    def any_number(self, rng: Random) -> tuple[Field, ...]:
        return self.some(rng, "abcdefghijklmnopq"[: rng.randint(1, self.fields_max)])


def _optional(rng: Random, wanted: _Wanted) -> Info:
    inner = wanted.one(rng)
    return inner if inner.allows_null else OptionalInfo(inner)


def _union(rng: Random, wanted: _Wanted) -> Info:
    """Members of different classes, so that it is plain to anyone which of them a value is of."""
    infos = [wanted.one(rng) for _ in range(rng.randint(2, 4))]
    opened = [member for info in infos for member in (info.members if isinstance(info, UnionInfo) else (info,))]
    members = {info.python_type: info for info in opened if not info.allows_null}
    return UnionInfo(tuple(members.values()) or (BOOL,))


def _row(rng: Random, wanted: _Wanted) -> Info:
    fields = wanted.any_number(rng)
    if rng.random() < 0.7:
        return RowInfo(fields)
    return RowInfo(tuple(Field(str(place), each.type_info) for place, each in enumerate(fields)), named=False)


def _tuple(rng: Random, wanted: _Wanted) -> Info:
    return TupleInfo(tuple(each.type_info for each in wanted.any_number(rng)))


def _named_tuple(rng: Random, wanted: _Wanted) -> Info:
    return TupleInfo((wanted.one(rng), wanted.one(rng)), Pair)


def _class(rng: Random, wanted: _Wanted) -> Info:
    cls, names = rng.choice(((One, "a"), (Three, "abc"), (Partly, "ab")))
    info = ClassInfo(cls, wanted.some(rng, names))
    if cls is not Three or rng.random() < 0.5:
        return info
    return info.with_subclasses(ClassInfo(More, (*info.fields, *wanted.some(rng, "d"))))


def _typed_dict(rng: Random, wanted: _Wanted) -> Info:
    return TypedDictInfo(Keys, wanted.some(rng, "abc"))


def _list(rng: Random, wanted: _Wanted) -> Info:
    return ListInfo(wanted.one(rng))


def _variadic_tuple(rng: Random, wanted: _Wanted) -> Info:
    return VariadicTupleInfo(wanted.one(rng))


def _set_of(rng: Random, wanted: _Wanted) -> Info:
    element = random_schema(rng, wanted.depth, hashable=True)
    return SetInfo(element, frozen=wanted.hashable or rng.random() < 0.5)


def _dict(rng: Random, wanted: _Wanted) -> Info:
    return DictInfo(random_schema(rng, wanted.depth, hashable=True), wanted.one(rng))


def _object_array(rng: Random, wanted: _Wanted) -> Info:
    return ObjectArrayInfo(wanted.one(rng))


_HASHABLE_MAKERS = (_optional, _optional, _union, _row, _tuple, _named_tuple, _class, _variadic_tuple)
_MAKERS = (*_HASHABLE_MAKERS, _typed_dict, _list)
_UNORDERED_MAKERS = (_set_of, _dict, _object_array)

# --- values


def random_value(rng: Random, info: Info) -> Any:
    """A value of type `info`."""
    return value_maker(info)(rng)


@lru_cache(maxsize=1000)
def value_maker(info: Info) -> Maker:
    """What makes values of type `info`."""
    return _VALUES[type(info).__name__](info)


def _from(extreme: tuple[Any, ...], maker: Maker, share: float = 0.5) -> Maker:
    """One of the extreme values every now and then."""
    return lambda rng: rng.choice(extreme) if rng.random() < share else maker(rng)


def _bits(rng: Random, low: int, high: int) -> int:
    """A number between two others, of any size."""
    size = rng.randrange(max(low.bit_length(), high.bit_length()) + 1)
    return min(max(rng.getrandbits(size + 1) * rng.choice((-1, 1)), low), high)


def _integers(info: Any) -> Maker:
    low, high = info.low, info.high
    near = (low, low + 1, 0, 1, high - 1, high, *((-1,) if low else ()))
    return _from(near, lambda rng: _bits(rng, low, high))


def _big_integer(rng: Random) -> int:
    return rng.getrandbits(rng.choice((1, 8, 9, 63, 64, 65, 200))) * rng.choice((-1, 1))


_BIG_INTEGERS = tuple(sign * (1 << bits) + more for bits in (8, 64, 72) for sign in (-1, 1) for more in (-1, 0, 1))

_FLOATS = {
    16: (6.1e-5, 65504.0, -65504.0, 5.960464477539063e-08),
    32: (3.4028234663852886e38, -3.4028234663852886e38, 1.401298464324817e-45, 16777216.0),
    64: (1.7976931348623157e308, 5e-324, -5e-324, 2.2250738585072014e-308, 9007199254740993.0),
}
_ANY_FLOATS = (0.0, -0.0, 1.0, -1.0, 1.5, float("inf"), float("-inf"), float("nan"), -float("nan"))


def _floats(bits: int) -> Maker:
    kind: Any = {16: np.float16, 32: np.float32, 64: np.float64}[bits]
    extreme = tuple(float(kind(value)) for value in (*_ANY_FLOATS, *_FLOATS[bits]))
    near = tuple(float(kind(number / 4)) for number in range(-8, 8))
    return _from(extreme, lambda rng: rng.choice(near) if rng.random() < 0.5 else float(kind(rng.gauss(0, 100))))


def _numpy_scalars(info: Any) -> Maker:
    cls, kind = info.python_type, np.dtype(info.dtype_name).kind
    if kind == "c":
        return lambda rng: cls(complex(rng.choice(_ANY_FLOATS), rng.gauss(0, 9)))
    if kind == "b":
        return lambda rng: cls(rng.random() < 0.5)
    bits = 8 * np.dtype(info.dtype_name).itemsize
    numbers = _floats(bits) if kind == "f" else value_maker(IntegerInfo(bits, kind == "i"))
    return lambda rng: cls(numbers(rng))


_LETTERS = ("a", "b", "\0", "\1", "\xff", "é", "\u0800", "\ud800", "\udfff", "\uffff", "\U00010000", "\U0010ffff")
_TEXTS = ("", "\0", "\0\0", "a", "a\0", "a\0\0", "a\0\xff", "a\1", "aa", "\uffff", "\U00010000", "\ud800", "b" * 300)
_BYTES = (b"", b"\0", b"\0\0", b"\0\xff", b"a", b"a\0", b"a\0\0", b"a\0\xff", b"a\1", b"\xff", b"\xff\xff", b"z" * 200)


def _text(rng: Random) -> str:
    return "".join(rng.choices(_LETTERS, k=rng.randrange(6)))


def _blob(rng: Random) -> bytes:
    return bytes(rng.choices(b"\0\1\x7f\x80\xfe\xff", k=rng.randrange(6)))


_DECIMAL_TEXTS = "0 -0 0E+9 1 1.0 1.00 -1 10 1E+1 9 9.9 -9.9 0.1 0.10 1E-30 1E+30 123456789012345678901 Infinity"
_DECIMALS = tuple(map(Decimal, _DECIMAL_TEXTS.split(" ")))
_ODD_DECIMALS = tuple(map(Decimal, ("-Infinity", "NaN", "-NaN", "NaN123", "1E+999999", "-1E-999999", "9" * 40)))


def _decimal(rng: Random) -> Decimal:
    return Decimal(rng.randint(-1000, 1000)).scaleb(rng.randint(-4, 4))


_DAYS = (date.min, date.max, date(1970, 1, 1), date(2024, 2, 29))
_TIMES = (time.min, time.max, time(2, 30), time(2, 30, fold=1), time(12, 0, 0, 1))
_MOMENTS = (
    datetime.min,
    datetime.max,
    datetime(1970, 1, 1),
    datetime(2024, 10, 27, 2, 30),
    datetime(2024, 10, 27, 2, 30, fold=1),
)
_ZONES = (UTC, timezone(timedelta(hours=1)), timezone(timedelta(hours=-3, seconds=7), "odd"), ZoneInfo("Europe/Berlin"))
_SPANS = (timedelta.min, timedelta.max, timedelta(0), timedelta(microseconds=-1), timedelta(days=1))


def _moment(rng: Random) -> datetime:
    return datetime(2024, 10, 27) + timedelta(minutes=30 * rng.randrange(12), microseconds=rng.randrange(2))


def _aware(rng: Random) -> datetime:
    return _moment(rng).replace(fold=rng.randrange(2), tzinfo=rng.choice(_ZONES))


_AWARE = (
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
    datetime(2024, 10, 27, 2, 30, tzinfo=_ZONES[3]),
    datetime(2024, 10, 27, 2, 30, tzinfo=_ZONES[3], fold=1),
    datetime(2024, 10, 27, 1, 30, tzinfo=UTC),
    datetime(2024, 3, 31, 2, 30, tzinfo=_ZONES[3]),
)
_UUIDS = (UUID(int=0), UUID(int=1), UUID(int=(1 << 128) - 1), UUID(int=1 << 127))
_THINGS: tuple[Any, ...] = (None, 1 + 2j, Fraction(1, 3), PurePosixPath("a/b"), range(3), frozenset({1}), "text", 7)


def _enums(info: Any) -> Maker:
    members = list(info.cls)
    if issubclass(info.cls, Flag):
        members = [info.cls(number) for number in range(8)]
    return lambda rng: rng.choice(members)


# --- values made of others


def _optionals(info: Any) -> Maker:
    inner = value_maker(info.inner)
    return lambda rng: None if rng.random() < 0.3 else inner(rng)


def _unions(info: Any) -> Maker:
    members = [value_maker(member) for member in info.members]
    return lambda rng: rng.choice(members)(rng)


def _fields(info: Info) -> list[tuple[str, Maker]]:
    return [(each.name, value_maker(each.type_info)) for each in info.fields]


def _rows(info: Any) -> Maker:
    fields = _fields(info)

    def make(rng: Random) -> Row:
        values = {name: None if rng.random() < 0.15 else maker(rng) for name, maker in fields}
        return Row(**values) if info.named else Row(*values.values())

    return make


def _tuples(info: Any) -> Maker:
    makers = [maker for _, maker in _fields(info)]
    cls = info.tuple_type
    if cls is None:
        return lambda rng: tuple([maker(rng) for maker in makers])
    return lambda rng: cls(*[maker(rng) for maker in makers])


def _objects(info: Any) -> Maker:
    own = _fields(info)
    shapes = [(info.cls, own), *((each.cls, _fields(each)) for each in info.subclasses)]

    def make(rng: Random) -> Any:
        cls, fields = rng.choice(shapes)
        return cls(**{name: maker(rng) for name, maker in fields})

    return make


def _typed_dicts(info: Any) -> Maker:
    fields = _fields(info)

    def make(rng: Random) -> dict[str, Any]:
        return {name: maker(rng) for name, maker in fields if name in info.required or rng.random() < 0.7}

    return make


def _many(element: Info, cls: Callable[[list[Any]], Any], count_max: int = 3) -> Maker:
    maker = value_maker(element)
    return lambda rng: cls([maker(rng) for _ in range(rng.randint(0, count_max))])


def _dicts(info: Any) -> Maker:
    keys, values = value_maker(info.key), value_maker(info.value)
    return lambda rng: {keys(rng): values(rng) for _ in range(rng.randint(0, 3))}


def _python_arrays(info: Any) -> Maker:
    def make(rng: Random) -> array.array[Any]:
        code = info.typecode or rng.choice("bQdu")
        elements: dict[str, tuple[Any, ...]] = {"u": ("a", "b", "\U0010ffff"), "d": _ANY_FLOATS, "Q": (0, 1, 2**64 - 1)}
        return array.array(code, rng.choices(elements.get(code, (-128, -1, 0, 1, 127)), k=rng.randrange(4)))

    return make


_SHAPES = ((0,), (3,), (2, 2), (), (2, 0))


def _numpy_arrays(info: Any) -> Maker:
    def make(rng: Random) -> Any:
        name = info.dtype_name or rng.choice(("int8", "float32", "M8[us]", "S3", ">i4"))
        shape = rng.choice(_SHAPES)
        texts = np.array(rng.choices(("", "a", "bc\uffff"), k=int(np.prod(shape))), dtype=str)
        return texts.reshape(shape) if name == "str" else np.full(shape, rng.randrange(2)).astype(name)

    return make


def _object_arrays(info: Any) -> Maker:
    maker = value_maker(info.element)

    def make(rng: Random) -> Any:
        shape = rng.choice(_SHAPES)
        made = np.empty(shape, dtype=object)
        for place in np.ndindex(*shape):
            made[place] = maker(rng)
        return made

    return make


_VALUES: dict[str, Callable[[Any], Maker]] = {
    "NoneInfo": lambda info: lambda rng: None,
    "BoolInfo": lambda info: lambda rng: rng.random() < 0.5,
    "IntegerInfo": _integers,
    "BigIntegerInfo": lambda info: _from((0, 1, -1, 255, -255, *_BIG_INTEGERS), _big_integer),
    "FloatInfo": lambda info: _floats(info.bits),
    "NumpyScalarInfo": _numpy_scalars,
    "TextInfo": lambda info: _from(_TEXTS, _text),
    "BytesInfo": lambda info: _from(_BYTES, _blob),
    "BytearrayInfo": lambda info: lambda rng: bytearray(rng.choice(_BYTES)),
    "DecimalInfo": lambda info: _from(_DECIMALS + _ODD_DECIMALS, _decimal),
    "DateInfo": lambda info: _from(_DAYS, lambda rng: _moment(rng).date()),
    "TimeInfo": lambda info: _from(_TIMES, lambda rng: _moment(rng).time()),
    "DatetimeInfo": lambda info: _from(_MOMENTS, _moment),
    "AwareDatetimeInfo": lambda info: _from(_AWARE, _aware),
    "TimedeltaInfo": lambda info: _from(_SPANS, lambda rng: timedelta(rng.randint(-2, 2), rng.randint(-2, 2))),
    "UuidInfo": lambda info: _from(_UUIDS, lambda rng: UUID(int=rng.getrandbits(128))),
    "EnumInfo": _enums,
    "GenericInfo": lambda info: lambda rng: rng.choice(_THINGS),
    "OptionalInfo": _optionals,
    "UnionInfo": _unions,
    "RowInfo": _rows,
    "TupleInfo": _tuples,
    "ClassInfo": _objects,
    "TypedDictInfo": _typed_dicts,
    "ListInfo": lambda info: _many(info.element, list),
    "VariadicTupleInfo": lambda info: _many(info.element, tuple),
    "SetInfo": lambda info: _many(info.element, frozenset if info.frozen else set),
    "DictInfo": _dicts,
    "PythonArrayInfo": _python_arrays,
    "NumpyArrayInfo": _numpy_arrays,
    "ObjectArrayInfo": _object_arrays,
}
