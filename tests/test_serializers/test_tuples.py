"""Tuples and named tuples: the whole suite, what they refuse, and what their fields are called."""

from typing import NamedTuple

import pytest
from hypothesis import strategies as st

from serializers.errors import NotOrderableError, NullFieldError, SerializationError, ValueMismatchError
from serializers.types.composite import TupleInfo
from serializers.types.containers import ListInfo, OptionalInfo, SetInfo
from serializers.types.numbers import BOOL, FLOAT64, INT, INT8, INT32, NONE
from serializers.types.text import BYTES, STR
from serializers.types.type_information import Field
from serializers.views import BytesInput
from tests.test_serializers.conformance import check_type, conforms, survives_garbage


class Point(NamedTuple):
    x: int
    name: str


class Reversed(NamedTuple):
    x: int

    def __lt__(self, other: object) -> bool:
        return tuple.__gt__(self, other)  # type: ignore[operator]


PAIR = TupleInfo((INT32, STR))
POINT = TupleInfo((INT, STR), Point)


def test_tuples() -> None:
    values = [(1, "a"), (1, "b"), (-1, "\0"), (-1, ""), (1, "a\0"), (1, "a"), (2**31 - 1, "ü")]
    wrong = ((), (1,), (1, "a", 2), [1, "a"], "1a", ("a", 1), (True, "a"), (2**31, "a"), (None, "a"), (1, None))
    check_type(PAIR, values, wrong=wrong, damage=True)


def test_text_before_another_field_is_closed() -> None:
    info = TupleInfo((STR, BYTES, STR))
    values = [
        ("a", b"b", "c"),
        ("a", b"", "bc"),
        ("", b"ab", "c"),
        ("a\0", b"", ""),
        ("a", b"\0", ""),
        ("a", b"", "\0"),
    ]
    check_type(info, values)


def test_tuples_of_one_length() -> None:
    info = TupleInfo((INT8, TupleInfo((INT32, BOOL)), FLOAT64))
    assert info.create_serializer().length == 1 + 4 + 1 + 8 == info.create_comparator().key_bytes - 0
    assert info.arity == 3 and info.total_fields == 4
    values = [(1, (2, True), 0.5), (1, (2, False), 0.5), (-1, (2, True), float("inf")), (1, (2, True), -0.0)]
    check_type(info, [*values, (1, (2, True), 0.0)], wrong=((1, 2, 0.5), (1, (2, 1), 0.5)))


@pytest.mark.parametrize(("info", "value"), [(TupleInfo(()), ()), (TupleInfo((NONE,)), (None,))])
def test_tuples_of_no_bytes(info: TupleInfo, value: tuple[object, ...]) -> None:
    check_type(info, [value, value], wrong=((1,), []), python_key=lambda value: 0)
    assert info.create_serializer().length == 0 and info.create_comparator().order_key(value) == b""


def test_named_tuples() -> None:
    values = [Point(1, "a"), Point(1, "b"), Point(-(2**70), ""), Point(1, "a")]
    check_type(POINT, values, wrong=((1, "a"), Reversed(1), Point("a", 1), [1, "a"]))  # type: ignore[arg-type]
    assert POINT.name == "Point" and POINT.fields == (Field("x", INT), Field("name", STR))


test_nested_tuples_by_chance = conforms(
    TupleInfo((STR, TupleInfo((INT, FLOAT64)), STR)),
    st.tuples(st.text(max_size=3), st.tuples(st.integers(), st.floats(allow_nan=False)), st.text(max_size=3)),
)
test_optional_parts_by_chance = conforms(
    TupleInfo((OptionalInfo(STR), OptionalInfo(INT))),
    st.tuples(st.none() | st.text(max_size=2), st.none() | st.integers(-300, 300)),
    python_key=None,
)
test_pairs_survive_garbage = survives_garbage(TupleInfo((STR, INT, OptionalInfo(BOOL))))


def test_a_named_tuple_is_a_tuple_too() -> None:
    assert type(PAIR.create_serializer().from_bytes(PAIR.create_serializer().to_bytes(Point(1, "a")))) is tuple


def test_names() -> None:
    assert (TupleInfo(()).name, PAIR.name) == ("tuple[()]", "tuple[int32, str]")
    assert [field.name for field in PAIR.fields] == ["0", "1"]
    assert [field.name for field in TupleInfo((INT, INT), names=("a", "b")).fields] == ["a", "b"]
    assert TupleInfo((INT32, STR)) == PAIR != TupleInfo((INT32, STR), names=("a", "b"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: TupleInfo((INT,), Point),
        lambda: TupleInfo((INT, INT), names=("a",)),
        lambda: TupleInfo((INT, INT), names=("a", "a")),
        lambda: TupleInfo((INT, INT), Point, names=("a", "b")),
    ],
)
def test_names_that_do_not_fit(make: object) -> None:
    with pytest.raises(ValueError, match=r"do not fit|more than one field"):
        make()  # type: ignore[operator]


def test_bytes() -> None:
    assert PAIR.create_serializer().to_bytes((-2, "hi")).hex(" ") == "fe ff ff ff 02 68 69"
    assert PAIR.create_comparator().order_key((-2, "hi")).hex(" ") == "7f ff ff fe 68 69"
    swapped = TupleInfo((STR, INT32)).create_comparator()
    assert swapped.order_key(("hi", -2)).hex(" ") == "68 69 00 00 7f ff ff fe"
    assert swapped.invert().order_key(("hi", -2)).hex(" ") == "97 96 ff ff 80 00 00 01"


def test_nulls_stay_where_they_are_in_either_direction() -> None:
    info = TupleInfo((OptionalInfo(INT8), INT8))
    for nulls_last in (False, True):
        ascending = info.create_comparator(nulls_last=nulls_last)
        descending = info.create_comparator(descending=True, nulls_last=nulls_last)
        values: list[tuple[int | None, int]] = [(None, 1), (None, 2), (3, 1), (4, 1)]
        up = sorted(values, key=ascending.order_key)
        down = sorted(values, key=descending.order_key)
        numbers, nulls = values[2:], values[:2]
        assert up == (numbers + nulls if nulls_last else nulls + numbers)
        assert down == (numbers[::-1] + nulls[::-1] if nulls_last else nulls[::-1] + numbers[::-1])
    assert info.create_comparator(descending=True).order_key((None, 1)).hex(" ") == "00 7e"


def test_errors_name_the_field() -> None:
    info = TupleInfo((INT, TupleInfo((STR, POINT))))
    with pytest.raises(ValueMismatchError, match=r"^field 1\.1\.x: 'no' "):
        info.create_serializer().to_bytes((1, ("a", Point("no", "b"))))  # type: ignore[arg-type]
    with pytest.raises(NullFieldError, match=r"^field 1\.0: None"):
        info.create_comparator().order_key((1, (None, Point(1, "b"))))
    with pytest.raises(NotOrderableError, match=r"^field 1\.0: values of set\[int\] have no order"):
        TupleInfo((INT, TupleInfo((SetInfo(INT),)))).create_comparator()
    with pytest.raises(SerializationError, match=r"^field 1\.0: "):
        info.create_serializer().from_bytes(b"\x80\x05ab")


def test_wrong_arity_is_said() -> None:
    with pytest.raises(ValueMismatchError, match=r"^\(1, 'a', 2\) has 3 fields, where tuple\[int32, str\] has 2$"):
        PAIR.create_serializer().to_bytes((1, "a", 2))


def test_an_order_of_its_own_is_refused() -> None:
    with pytest.raises(NotOrderableError, match="in a way of its own"):
        TupleInfo((INT,), Reversed).create_comparator()
    assert TupleInfo((INT,), Reversed).create_serializer().length is None


def test_one_field_is_read_without_the_others() -> None:
    info = TupleInfo((INT8, INT32, STR, BOOL, INT8, ListInfo(STR), OptionalInfo(INT), FLOAT64))
    value = (1, 2, "three", True, 5, ["six", ""], None, 8.0)
    serializer = info.create_serializer()
    data = serializer.to_bytes(value)
    assert serializer.field_count() == len(value)
    for index, part in enumerate(value):
        assert serializer.deserialize_field(BytesInput(b"??" + data, 2), index) == part
    with pytest.raises(SerializationError, match=r"^field 7: "):
        serializer.deserialize_field(BytesInput(data[:-1]), 7)
