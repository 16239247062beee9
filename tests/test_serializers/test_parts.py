"""What all types with parts share: nesting without end, cycles, snapshots, clones."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import pytest

from serializers.errors import IncompatibleTypeError, ValueMismatchError
from serializers.types.composite import ClassInfo, Row, RowInfo, TupleInfo
from serializers.types.containers import DictInfo, ListInfo, OptionalInfo, SetInfo, UnionInfo, VariadicTupleInfo
from serializers.types.generic import GenericInfo
from serializers.types.numbers import INT, INT8, INT32, NONE
from serializers.types.parts import PartedInfo, TooDeepError
from serializers.types.text import STR
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import Field, TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView, OutputView

LEVELS = 500


def nested(levels: int) -> TypeInformation[Any]:
    """tuple[int8, optional[tuple[int8, optional[...]]]], `levels` deep."""
    info: TypeInformation[Any] = INT8
    for level in range(levels):
        info = TupleInfo((info,)) if level % 2 else OptionalInfo(info)
    return info


def nested_value(levels: int) -> Any:
    value: Any = 5
    for level in range(levels):
        value = (value,) if level % 2 else value
    return value


def test_types_that_nest_500_levels() -> None:
    info, value = nested(LEVELS), nested_value(LEVELS)
    serializer, comparator = info.create_serializer(), info.create_comparator()
    data = serializer.to_bytes(value)
    assert data == b"\x01" * (LEVELS // 2) + b"\x05" and serializer.from_bytes(data) == value
    source = BytesInput(data)
    serializer.skip(source)
    assert source.remaining == 0
    assert (
        comparator.compare(value, value) == 0 and comparator.compare_serialized(BytesInput(data), BytesInput(data)) == 0
    )
    key = comparator.order_key(value)
    assert key == b"\x01" * (LEVELS // 2) + b"\x85" and comparator.read_key(BytesInput(key)) == value
    assert comparator.invert().order_key(value) == b"\x01" * (LEVELS // 2) + b"\x7a"
    assert info.name.count("optional") == LEVELS // 2
    with pytest.raises(ValueMismatchError, match=r"^field 0\.0\.0\."):
        serializer.to_bytes(nested_value(LEVELS - 2))


def test_lists_that_nest_500_levels() -> None:
    info: TypeInformation[Any] = INT8
    value: Any = 5
    for _ in range(LEVELS):
        info, value = ListInfo(info), [value]
    data = info.create_serializer().to_bytes(value)
    assert (
        info.create_serializer().from_bytes(data) == value and len(info.create_comparator().order_key(value)) > LEVELS
    )


# --- types that refer to themselves, and values that do


@dataclass
class Node:
    value: int
    next: Any = None


@dataclass(frozen=True)
class Link(TypeInformation[Any]):
    """Refers to a type by a name, as a user's recursive type would."""

    target: str

    @property
    def name(self) -> str:
        return self.target

    @property
    def python_type(self) -> type:
        return TYPES[self.target].python_type

    def create_serializer(self) -> LinkSerializer:
        return LinkSerializer(self.target)

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> LinkComparator:
        return LinkComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


class LinkSerializer(TypeSerializer[Any]):
    def __init__(self, target: str) -> None:
        self.target = target

    def serialize(self, value: Any, out: OutputView) -> None:
        TYPES[self.target].create_serializer().serialize(value, out)

    def deserialize(self, source: InputView) -> Any:
        return TYPES[self.target].create_serializer().deserialize(source)

    def skip(self, source: InputView) -> None:
        TYPES[self.target].create_serializer().skip(source)


class LinkComparator(TypeComparator[Any]):
    serializer: LinkSerializer

    def compare(self, left: Any, right: Any) -> int:
        return TYPES[self.serializer.target].create_comparator().compare(left, right)

    def write_ascending(self, value: Any, out: bytearray, *, is_last: bool) -> None:
        TYPES[self.serializer.target].create_comparator().write_ascending(value, out, is_last=is_last)

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        TYPES[self.serializer.target].create_comparator().skip_ascending(source, is_last=is_last)


TYPES: dict[str, TypeInformation[Any]] = {
    "node": ClassInfo(Node, (Field("value", INT), Field("next", OptionalInfo(Link("node"))))),
    "lists": ListInfo(Link("lists")),
    "dicts": DictInfo(STR, Link("dicts")),
    "rows": RowInfo((Field("next", Link("rows")),)),
    "either": ListInfo(UnionInfo((INT, Link("either")))),
}


def test_a_type_may_refer_to_itself() -> None:
    value = Node(1, Node(2, Node(3)))
    serializer = TYPES["node"].create_serializer()
    assert serializer.from_bytes(serializer.to_bytes(value)) == value
    comparator = TYPES["node"].create_comparator()
    assert comparator.order_key(value) > comparator.order_key(Node(1, Node(2)))


def cyclic_values() -> dict[str, Any]:
    node = Node(1)
    node.next = Node(2, node)
    lists: list[Any] = []
    lists.append(lists)
    dicts: dict[str, Any] = {}
    dicts["own"] = dicts
    row = Row(next=None)
    object.__setattr__(row, "_values", (row,))  # the only way: a Row cannot be changed
    either: list[Any] = [1]
    either.append(either)
    return {"node": node, "lists": lists, "dicts": dicts, "rows": row, "either": either}


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("node", "next.next."),
        ("lists", "0.0."),
        ("dicts", r"'own'\.'own'\."),
        ("rows", "next.next."),
        ("either", "1.1."),
    ],
)
def test_a_cyclic_value_is_refused_with_its_field(name: str, place: str) -> None:
    value, info = cyclic_values()[name], TYPES[name]
    with pytest.raises(TooDeepError, match=f"^field {place}.*: the value nests deeper than Python's stack") as caught:
        info.create_serializer().to_bytes(value)
    assert len(str(caught.value)) < 250
    if info.is_key_type:
        with pytest.raises(TooDeepError, match=f"^field {place}"):
            info.create_comparator().order_key(value)


@pytest.mark.parametrize("name", ["node", "lists", "dicts", "either"])
def test_a_cyclic_value_is_fine_where_it_is_generic(name: str) -> None:
    serializer = TupleInfo((GenericInfo(object),)).create_serializer()
    (found,) = serializer.from_bytes(serializer.to_bytes((cyclic_values()[name],)))
    assert type(found) is type(cyclic_values()[name])


def test_a_cyclic_value_in_a_type_that_ends() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueMismatchError, match=r"^field 0\.0: \[+\.\.\.\]+ \(list\) is not int"):
        ListInfo(ListInfo(INT)).create_serializer().to_bytes(value)


# --- snapshots


class OtherVersion(ListInfo):
    @property
    def version(self) -> int:
        return 2


@pytest.mark.parametrize(
    ("written", "info", "reason"),
    [
        (ListInfo(INT8), ListInfo(INT32), "^field element: written as"),
        (OptionalInfo(ListInfo(INT8)), OptionalInfo(ListInfo(INT32)), r"^field value\.element: "),
        (DictInfo(STR, INT8), DictInfo(STR, INT32), "^field value: "),
        (TupleInfo((INT8, STR)), TupleInfo((INT8,)), r"tuple\[int8\] was written with the parts 0, 1, and now has 0\."),
        (TupleInfo((INT8,)), VariadicTupleInfo(INT8), "written with the parts 0, and now has element"),
        (TupleInfo(()), TupleInfo((INT8,)), "written with the parts none, and now has 0"),
        (ListInfo(INT8), SetInfo(INT8), r"written as list\[int8\], version 1, which set\[int8\]"),
        (SetInfo(INT8), SetInfo(INT8, frozen=True), "written as set"),
        (INT8, ListInfo(INT8), "written as int8, version 1"),
        (UnionInfo((INT8, STR)), UnionInfo((STR, INT8)), "^field 0: "),
        (ListInfo(INT8), OtherVersion(INT8), "version 1, which list.*version 2"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    written: TypeInformation[Any], info: TypeInformation[Any], reason: str
) -> None:
    info.check_can_read(info.snapshot())
    with pytest.raises(IncompatibleTypeError, match=reason):
        info.check_can_read(written.snapshot())


@pytest.mark.parametrize("info", [ListInfo(INT), TYPES["node"], TYPES["rows"], UnionInfo((INT, STR))], ids=str)
def test_clones(info: PartedInfo[Any]) -> None:
    serializer, comparator = info.create_serializer(), info.create_comparator(descending=True, nulls_last=True)
    assert pickle.loads(pickle.dumps(serializer)).type_info == info
    clone = pickle.loads(pickle.dumps(comparator))
    assert (clone.type_info, clone.descending, clone.nulls_last) == (info, True, True)


def test_hashes_know_nothing_of_direction_and_nulls() -> None:
    info = TupleInfo((OptionalInfo(STR), ListInfo(OptionalInfo(INT))))
    value = (None, [1, None])
    assert len({info.create_comparator(descending=d, nulls_last=n).hash(value) for d in (0, 1) for n in (0, 1)}) == 1


# --- what a user's own type gets wrong


@dataclass(frozen=True)
class Careless(TypeInformation[int]):
    """Writes one byte and reads `reads`."""

    reads: int

    @property
    def name(self) -> str:
        return "careless"

    @property
    def python_type(self) -> type:
        return int

    def create_serializer(self) -> CarelessSerializer:
        return CarelessSerializer(self.reads)


class CarelessSerializer(TypeSerializer[int]):
    def __init__(self, reads: int) -> None:
        self.reads = reads

    def serialize(self, value: int, out: OutputView) -> None:
        out.write_byte(value)

    def deserialize(self, source: InputView) -> int:
        return int.from_bytes(source.read(self.reads), "big")

    def skip(self, source: InputView) -> None:
        source.skip(self.reads)


@pytest.mark.parametrize("info", [TupleInfo((Careless(2),)), ListInfo(Careless(2)), OptionalInfo(Careless(2))], ids=str)
def test_reading_more_than_was_written_is_found(info: TypeInformation[Any]) -> None:
    value = {"tuple": (7,), "list": [7], "optional": 7}[info.name.partition("[")[0]]
    with pytest.raises(ValueError, match=r"2 bytes wanted at byte ., 1 are left"):
        info.create_serializer().from_bytes(info.create_serializer().to_bytes(value))


def test_reading_less_than_was_written_is_found() -> None:
    for info, value in ((TupleInfo((Careless(0), NONE)), (7, None)), (ListInfo(Careless(0)), [7])):
        serializer = info.create_serializer()
        with pytest.raises(ValueError, match=r"1 bytes are left behind the value: .* reads less than was written"):
            serializer.from_bytes(serializer.to_bytes(value))
