"""Orders by several fields: what `by` may say, the laws of order, and what comes back from a key."""

from dataclasses import dataclass
from functools import cmp_to_key
from itertools import product
from typing import Any, NamedTuple, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serializers.errors import NotOrderableError, NullFieldError, SerializationError, ValueMismatchError
from serializers.types.composite import ClassInfo, Row, RowInfo, TupleInfo, TypedDictInfo
from serializers.types.containers import ListInfo, OptionalInfo, SetInfo, UnionInfo
from serializers.types.numbers import FLOAT64, INT, INT8, INT32
from serializers.types.ordering import By, OrderingComparator, OrderKey, parse_by
from serializers.types.text import STR
from serializers.types.type_information import Field, TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput
from tests.test_serializers.comparator_checks import LAWS, Ordered, check_mirrored
from tests.test_serializers.conformance import Case, same


class Sale(NamedTuple):
    country: str
    amount: float
    note: str | None


class Loose(TypedDict, total=False):
    a: int


@dataclass
class Address:
    city: str
    zip: int | None


@dataclass
class Person:
    name: str
    address: Address | None
    tags: Any = ()


SALE = TupleInfo((STR, FLOAT64, OptionalInfo(STR)), Sale)
ADDRESS = ClassInfo(Address, (Field("city", STR), Field("zip", OptionalInfo(INT))))
PERSON = ClassInfo(Person, (Field("name", STR), Field("address", OptionalInfo(ADDRESS)), Field("tags", SetInfo(STR))))
ROW = RowInfo((Field("id", INT32), Field("name", STR), Field("scores", ListInfo(INT))))
TRIPLE = TupleInfo((INT8, STR, STR))


def ordering(info: TypeInformation[Any], by: By) -> OrderingComparator:
    return OrderingComparator(info, parse_by(by))


def arranged(info: TypeInformation[Any], by: By, records: list[Any]) -> list[Any]:
    return sorted(records, key=ordering(info, by).order_key)


# --- what users write


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("field", [OrderKey(("field",))]),
        ("-amount", [OrderKey(("amount",), descending=True)]),
        (0, [OrderKey((0,))]),
        ("-0", [OrderKey(("0",), descending=True)]),
        (["country", "-amount"], [OrderKey(("country",)), OrderKey(("amount",), descending=True)]),
        (("a.b.c:nulls-last", 2), [OrderKey(("a", "b", "c"), nulls_last=True), OrderKey((2,))]),
        ("-a:nulls-last", [OrderKey(("a",), descending=True, nulls_last=True)]),
        ("a:nulls-first", [OrderKey(("a",))]),
        ([OrderKey(("a.b",)), "c"], [OrderKey(("a.b",)), OrderKey(("c",))]),
        (OrderKey(()), [OrderKey(())]),
    ],
)
def test_what_by_says(by: By, keys: list[OrderKey]) -> None:
    assert parse_by(by) == tuple(keys)


@pytest.mark.parametrize(
    "by", ["", "-", ".", "a.", "-.a", ":nulls-last", [], -1, True, None, 1.5, ["a", None], [["a"]]]
)
def test_what_by_cannot_say(by: Any) -> None:
    with pytest.raises((SerializationError, TypeError), match=r"by=|not iterable"):
        parse_by(by)


def test_by_minus_one_says_what_to_write_instead() -> None:
    with pytest.raises(SerializationError, match="'-0' for a descending order"):
        parse_by(-1)


# --- order


def test_several_fields_each_in_its_direction() -> None:
    sales = [Sale("de", 5.0, None), Sale("fr", 7.0, "x"), Sale("de", 9.0, "b"), Sale("de", 5.0, "a")]
    assert arranged(SALE, ["country", "-amount"], sales) == [sales[2], sales[0], sales[3], sales[1]]
    assert arranged(SALE, ["-country", "note"], sales) == [sales[1], sales[0], sales[3], sales[2]]
    assert arranged(SALE, 1, sales) == [sales[0], sales[3], sales[1], sales[2]]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("address.zip", "dcba"),
        ("address.zip:nulls-last", "badc"),
        ("-address.zip", "dcab"),
        ("-address.zip:nulls-last", "abdc"),
        (["-address.city", "name"], "cabd"),
        (["address.city:nulls-last", "-name"], "dbac"),
    ],
)
def test_nested_fields_and_nulls(by: By, names: str) -> None:
    people = [
        Person("b", Address("aa", 1)),
        Person("a", Address("bb", 2)),
        Person("d", Address("aa", None)),
        Person("c", None),
    ]
    found = "".join(person.name for person in arranged(PERSON, [*parse_by(by), "-name"], people))
    assert found == names


FIELDS = (OptionalInfo(INT8), STR, FLOAT64, ListInfo(OptionalInfo(STR)))
RECORD = TupleInfo(FIELDS)
RECORDS = st.tuples(
    st.none() | st.integers(-2, 2),
    st.text("a\0b", max_size=2),
    st.sampled_from([0.0, -0.0, 1.5, float("inf"), float("nan")]),
    st.lists(st.none() | st.text("a\0", max_size=1), max_size=2),
)
KEYS = st.builds(
    OrderKey,
    st.sampled_from([(), ("0",), ("1",), (2,), ("3",)]),
    st.booleans(),
    st.booleans(),
)


@dataclass(frozen=True)
class OrderedRecords(TypeInformation[Any]):
    """Records in one order, for the suite."""

    record_info: TypeInformation[Any]
    keys: tuple[OrderKey, ...]

    @property
    def name(self) -> str:
        return "ordered"

    @property
    def python_type(self) -> type:
        return self.record_info.python_type

    def create_serializer(self) -> TypeSerializer[Any]:
        return self.record_info.create_serializer()

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> OrderingComparator:
        comparator = OrderingComparator(self.record_info, self.keys)
        return comparator.invert() if descending else comparator


def check_laws(info: TypeInformation[Any], keys: tuple[OrderKey, ...], records: list[Any]) -> None:
    """All laws but those of the whole having one direction."""
    case = Case(OrderedRecords(info, keys), records, python_key=None)
    for law in LAWS:
        if law.__name__ not in ("check_clone_and_inverse", check_mirrored.__name__):
            law(Ordered(case, OrderingComparator(info, keys)))


@settings(max_examples=60, deadline=None)
@given(st.lists(RECORDS, min_size=2, max_size=4), st.lists(KEYS, min_size=1, max_size=3).map(tuple))
def test_the_laws_of_order(records: list[Any], keys: tuple[OrderKey, ...]) -> None:
    check_laws(RECORD, keys, records)


def field_orders(keys: tuple[OrderKey, ...]) -> Any:
    """The order of `keys`, field by field, as the types themselves compare."""
    parts = [
        (
            key.path,
            (RECORD.elements[int(key.path[0])] if key.path else RECORD).create_comparator(
                descending=key.descending, nulls_last=key.nulls_last
            ),
        )
        for key in keys
    ]

    def compare(left: Any, right: Any) -> int:
        for path, part in parts:
            order = part.compare(left[int(path[0])], right[int(path[0])]) if path else part.compare(left, right)
            if order:
                return order
        return 0

    return cmp_to_key(compare)


@settings(max_examples=100, deadline=None)
@given(st.lists(RECORDS, max_size=8), st.lists(KEYS, min_size=1, max_size=3).map(tuple))
def test_the_order_is_that_of_the_fields(records: list[Any], keys: tuple[OrderKey, ...]) -> None:
    comparator = OrderingComparator(RECORD, keys)
    found, wanted = sorted(records, key=comparator.order_key), sorted(records, key=field_orders(keys))
    assert list(map(repr, found)) == list(map(repr, wanted))


@pytest.mark.parametrize("descending", [False, True])
def test_sorting_by_all_fields_is_sorting_by_the_record(descending: bool) -> None:
    records = list(product((1, -1), ("", "a", "\0"), ("b", "")))
    by = ["-0", "-1", "-2"] if descending else [0, 1, 2]
    assert arranged(TRIPLE, by, records) == sorted(records, reverse=descending)
    assert arranged(TRIPLE, OrderKey((), descending), records) == sorted(records, reverse=descending)
    assert arranged(STR, OrderKey((), descending), ["b", "", "a"]) == sorted(["b", "", "a"], reverse=descending)


def test_mixed_numbers_as_a_field() -> None:
    info = RowInfo((Field("n", UnionInfo((INT, FLOAT64))),))
    rows = [Row(n=3), Row(n=2.5), Row(n=None), Row(n=1)]
    assert [row.n for row in arranged(info, "-n:nulls-last", rows)] == [3, 2.5, 1, None]


def test_bytes() -> None:
    record = Sale("de", 5.0, None)
    assert ordering(SALE, ["country", "-note"]).order_key(record).hex(" ") == "64 65 00 00 00"
    assert ordering(SALE, ["note:nulls-last", "country"]).order_key(record).hex(" ") == "02 64 65"
    assert ordering(SALE, "-country").order_key(record).hex(" ") == "9b 9a ff ff"
    assert ordering(SALE, "country").order_key(record) == b"de"
    assert ordering(TRIPLE, [0]).key_bytes == 1 and ordering(TRIPLE, [0, 1]).key_bytes is None


def test_the_inverse() -> None:
    records = [Sale("de", 5.0, None), Sale("de", 9.0, "b"), Sale("fr", 7.0, "x")]
    comparator = ordering(SALE, ["country", "-amount"])
    assert sorted(records, key=comparator.invert().order_key) == sorted(records, key=comparator.order_key)[::-1]
    assert comparator.invert().keys == parse_by(["-country", "amount"])


def test_hashes_know_nothing_of_directions_and_of_other_fields() -> None:
    record, other = Sale("de", 5.0, None), Sale("de", 7.0, None)
    orders = [["country", "note"], ["-country", "note:nulls-last"], ["country:nulls-last", "-note"]]
    assert len({ordering(SALE, by).hash(each) for by in orders for each in (record, other)}) == 1


# --- what is refused


def test_fields_that_are_not_there_or_have_no_order() -> None:
    with pytest.raises(
        SerializationError, match="there is no field 'land' in Sale: its fields are country, amount, note"
    ):
        ordering(SALE, ["amount", "-land"])
    with pytest.raises(NotOrderableError, match=r"^field tags: values of set\[str\] have no order"):
        ordering(PERSON, "tags")
    with pytest.raises(NotOrderableError, match=r"^field tags: "):
        ordering(PERSON, OrderKey(()))


def test_errors_name_the_field() -> None:
    comparator = ordering(PERSON, ["address.city", "name"])
    with pytest.raises(ValueMismatchError, match=r"^field address\.city: 5 \(int\) is not str"):
        comparator.order_key(Person("a", Address(5, None)))  # type: ignore[arg-type]
    with pytest.raises(NullFieldError, match=r"^field name: None"):
        comparator.order_key(Person(None, None))  # type: ignore[arg-type]
    with pytest.raises(NullFieldError, match=r"^None, where Person"):
        comparator.order_key(None)


# --- what comes back


def test_which_fields_come_back() -> None:
    assert ordering(SALE, ["country", "-amount", "note"]).recoverable == {"country", "note"}
    assert ordering(PERSON, ["name", "address.city"]).recoverable == {"name"}
    assert ordering(ROW, ["-id", "scores"]).recoverable == {"id", "scores"}
    assert ordering(TRIPLE, OrderKey(())).recoverable == {"0", "1", "2"}
    assert ordering(SALE, OrderKey(())).recoverable == frozenset()
    assert ordering(STR, OrderKey(())).recoverable == frozenset()
    loose = TypedDictInfo(Loose, (Field("a", INT),))
    assert ordering(loose, "a").recoverable == frozenset()
    assert ordering(TypedDictInfo(Loose, loose.fields, frozenset("a")), "a").recoverable == {"a"}


def test_reading_fields_from_a_key() -> None:
    record = Sale("de", 5.0, None)
    for by in (["country", "-amount", "note"], ["-note", "amount", "country:nulls-last"], ["amount", "-country"]):
        comparator = ordering(SALE, by)
        found = comparator.read_fields(BytesInput(comparator.order_key(record)))
        assert found == {name: getattr(record, name) for name in comparator.recoverable}
    row = Row(id=None, name="x", scores=[3, 2**70])
    comparator = ordering(ROW, ["-scores", "id"])
    assert comparator.read_fields(BytesInput(comparator.order_key(row))) == {"id": None, "scores": [3, 2**70]}
    comparator = ordering(TRIPLE, ["-2", OrderKey(())])
    assert comparator.read_fields(BytesInput(comparator.order_key((1, "a", "b")))) == {"0": 1, "1": "a", "2": "b"}


@pytest.mark.parametrize("by", [[1, 0, 2], ["-2", 1, "-0"], [OrderKey(())], ["-1", OrderKey((), descending=True)]])
def test_whole_records_from_a_key(by: By) -> None:
    comparator = ordering(TRIPLE, by)
    assert comparator.is_invertible
    for record in ((1, "", "\0"), (-128, "a\0b", "")):
        for is_last in (True, False):
            out = bytearray(b"?")
            comparator.write_key(record, out, is_last=is_last)
            source = BytesInput(bytes(out) + (b"" if is_last else b"!"), 1)
            found = comparator.read_key(source, is_last=is_last)
            assert same(found, record) and source.remaining == (0 if is_last else 1)


def test_a_record_that_may_be_of_a_subclass_does_not_come_back() -> None:
    info = ClassInfo(Address, ADDRESS.fields)
    open_order = ordering(info, ["city", "zip"])
    assert open_order.recoverable == {"city", "zip"} and not open_order.is_invertible
    closed = ordering(ClassInfo(Address, ADDRESS.fields, allows_generic=False), ["zip", "-city"])
    value = Address("Rome", None)
    assert closed.is_invertible and closed.read_key(BytesInput(closed.order_key(value))) == value
