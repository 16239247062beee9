"""What a type says of itself for later versions, as a whole: it is JSON, and what cannot be read is refused by name."""

import enum
import json
from dataclasses import dataclass
from itertools import permutations
from random import Random
from typing import Any

import pytest

from serializers.errors import IncompatibleTypeError
from serializers.types.arrays import NumpyArrayInfo, PythonArrayInfo
from serializers.types.composite import ClassInfo, RowInfo, TupleInfo, TypedDictInfo
from serializers.types.containers import DictInfo, ListInfo, OptionalInfo, SetInfo, UnionInfo, VariadicTupleInfo
from serializers.types.generic import GenericInfo
from serializers.types.identifiers import EnumInfo
from serializers.types.numbers import BOOL, FLOAT64, INT, INT8, INT16, NONE
from serializers.types.text import BYTES, STR
from serializers.types.type_information import Field, TypeInformation
from tests.test_serializers.random_schemas import Color, Keys, Level, Pair, random_record, random_value
from tests.test_serializers.same_value import same

Info = TypeInformation[Any]


def through_json(info: Info) -> Any:
    return json.loads(json.dumps(info.snapshot()))


def row(**fields: Info) -> RowInfo:
    return RowInfo(tuple(Field(name, info) for name, info in fields.items()))


def check_refused(now: Info, written: Info, place: str, *words: str) -> None:
    """`now` cannot read what was `written`, says where, and which two things do not fit."""
    with pytest.raises(IncompatibleTypeError) as caught:
        now.check_can_read(through_json(written))
    assert ".".join(caught.value.fields) == place
    assert all(word in caught.value.problem for word in words), caught.value.problem


WRITTEN = row(id=INT8, tags=ListInfo(row(name=STR, weight=OptionalInfo(INT8))))


@pytest.mark.parametrize(
    ("now", "place", "words"),
    [
        (row(id=INT16, tags=WRITTEN.fields[1].type_info), "id", ["int8", "int16"]),
        (
            row(id=INT8, tags=ListInfo(row(name=BYTES, weight=OptionalInfo(INT8)))),
            "tags.element.name",
            ["str", "bytes"],
        ),
        (
            row(id=INT8, tags=ListInfo(row(name=STR, weight=OptionalInfo(INT)))),
            "tags.element.weight.value",
            ["int8", "int"],
        ),
        (row(id=INT8, tags=ListInfo(row(name=STR, weight=INT8))), "tags.element.weight", ["optional[int8]"]),
        (row(id=OptionalInfo(INT8), tags=WRITTEN.fields[1].type_info), "id", ["int8", "optional[int8]"]),
        (row(id=INT8, tags=SetInfo(STR)), "tags", ["list[", "set[str]"]),
        (row(id=INT8, tags=row(name=STR)), "tags", ["list[", "row[name: str]"]),
        (row(id=INT8, tags=ListInfo(row(name=STR))), "tags.element", ["name, weight", "now has name"]),
        (TupleInfo((INT8, STR)), "", ["row[", "tuple[int8, str]"]),
        (STR, "", ["row[", "str"]),
    ],
)
def test_the_reason_names_the_field_and_both_types(now: Info, place: str, words: list[str]) -> None:
    check_refused(now, WRITTEN, place, *words)


def test_fields_cannot_be_added_removed_renamed_or_moved() -> None:
    """Not even at the end: their values would have to come from somewhere."""
    fields = {"id": INT8, "tags": STR, "note": STR}
    written = row(id=INT8, tags=STR)
    check_refused(row(**fields), written, "", "the parts id, tags, and now has id, tags, note", "the type it was")
    check_refused(written, row(**fields), "", "the parts id, tags, note, and now has id, tags")
    check_refused(row(id=INT8, labels=STR), written, "", "the parts id, tags, and now has id, labels")
    check_refused(row(tags=STR, id=INT8), written, "", "the parts id, tags, and now has tags, id")


@dataclass
class Base:
    a: int


@dataclass
class First(Base):
    b: str


@dataclass
class Second(Base):
    c: bool


BASE = ClassInfo(Base, (Field("a", INT),))
FIRST = ClassInfo(First, (Field("a", INT), Field("b", STR)))
SECOND = ClassInfo(Second, (Field("a", INT), Field("c", BOOL)))


def test_subclasses_may_be_added_at_the_end() -> None:
    one, both = BASE.with_subclasses(FIRST), BASE.with_subclasses(FIRST, SECOND)
    for now, written in ((one, BASE), (both, BASE), (both, one)):
        now.check_can_read(through_json(written))
        for value in [Base(1)] + ([First(1, "b")] if written is one else []):
            assert now.create_serializer().from_bytes(written.create_serializer().to_bytes(value)) == value
    check_refused(BASE, one, "", "1 subclasses, of which 0 are registered")
    check_refused(BASE.with_subclasses(SECOND), one, "", "First", "Second")
    check_refused(ListInfo(BASE), ListInfo(both), "element", "2 subclasses")


def test_a_field_of_a_subclass_cannot_change() -> None:
    changed = ClassInfo(First, (Field("a", INT), Field("b", BYTES)))
    check_refused(BASE.with_subclasses(changed), BASE.with_subclasses(FIRST), "b", "str", "bytes")


def test_enum_members_may_be_added_at_the_end() -> None:
    older = enum.Enum("Size", {"S": 1, "M": 2})
    newer = enum.Enum("Size", {"S": 1, "M": 2, "L": 3})
    other = enum.Enum("Size", {"M": 2, "S": 1})
    row(size=EnumInfo(newer)).check_can_read(through_json(row(size=EnumInfo(older))))
    check_refused(row(size=EnumInfo(older)), row(size=EnumInfo(newer)), "size", "'L'", "add new ones behind")
    check_refused(row(size=EnumInfo(other)), row(size=EnumInfo(older)), "size", "Leave members where they are")


def test_keys_of_typed_dicts_may_become_optional_but_not_required() -> None:
    fields = (Field("a", INT), Field("b", STR))
    loose, strict = (TypedDictInfo(Keys, fields, frozenset(required)) for required in ("", "a"))
    loose.check_can_read(through_json(strict))
    check_refused(strict, loose, "", "when a could be absent")


ALL_DIFFERENT: list[Info] = [
    *(NONE, BOOL, INT, INT8, INT16, FLOAT64, STR, BYTES),
    *(OptionalInfo(INT), OptionalInfo(OptionalInfo(INT)), UnionInfo((INT, STR)), UnionInfo((STR, INT))),
    *(ListInfo(INT), VariadicTupleInfo(INT), SetInfo(INT), SetInfo(INT, frozen=True), DictInfo(INT, INT)),
    *(TupleInfo(()), TupleInfo((INT,)), TupleInfo((INT, INT)), TupleInfo((INT, INT), Pair)),
    *(row(a=INT), row(b=INT), RowInfo((Field("0", INT),), named=False), BASE, FIRST, SECOND),
    *(EnumInfo(Color), EnumInfo(Level), GenericInfo(object), GenericInfo(Base)),
    *(NumpyArrayInfo(), NumpyArrayInfo("int8"), PythonArrayInfo(), PythonArrayInfo("i")),
]


def test_no_type_reads_another() -> None:
    for now, written in permutations(ALL_DIFFERENT, 2):
        with pytest.raises(IncompatibleTypeError):
            now.check_can_read(through_json(written))


def test_a_snapshot_with_things_missing_is_refused_not_tripped_over() -> None:
    for info in ALL_DIFFERENT:
        for broken in ({}, {"type": info.name}, {"version": 1}, {"type": info.name, "version": 2, "parts": []}):
            with pytest.raises(IncompatibleTypeError):
                info.check_can_read(broken)


@pytest.mark.parametrize("seed", range(30))
def test_what_may_be_read_reads_the_same(seed: int) -> None:
    """Of two random types one reads the other only if it gives back the other's values."""
    rng = Random(seed)
    infos = [random_record(rng, depth=1, fields_max=1) for _ in range(40)]
    for now, written in permutations(infos, 2):
        try:
            now.check_can_read(through_json(written))
        except IncompatibleTypeError:
            continue
        for _ in range(20):
            value = random_value(rng, written)
            data = written.create_serializer().to_bytes(value)
            assert same(now.create_serializer().from_bytes(data), value), f"{written} as {now}"
