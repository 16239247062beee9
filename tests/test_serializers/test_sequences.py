"""Lists and tuples of any length: the whole suite, their bytes, the order of Python."""

from collections import UserList

import pytest
from hypothesis import strategies as st

from serializers.errors import (
    CorruptRecordError,
    NotOrderableError,
    NullFieldError,
    SerializationError,
    ValueMismatchError,
)
from serializers.row_codec import RowCodec
from serializers.types.composite import TupleInfo
from serializers.types.containers import ListInfo, OptionalInfo, SetInfo, VariadicTupleInfo
from serializers.types.numbers import FLOAT64, INT, INT8, INT32, NONE
from serializers.types.sequences import BARE_ELEMENTS_MAX
from serializers.types.text import STR
from serializers.views import BytesInput, BytesOutput
from tests.test_serializers.conformance import check_type, conforms, survives_garbage

TEXTS = ListInfo(STR)


def test_lists() -> None:
    values = [[], [""], ["a"], ["a", "b"], ["a", ""], ["\0"], ["\0", "a"], ["a\0"], ["b"], ["a"] * 200]
    check_type(TEXTS, values, wrong=("a", ("a",), [1], [None], {"a"}, UserList(["a"])), damage=True)
    check_type(ListInfo(INT32), [[], [1], [1, 2], [-1], [2**31 - 1] * 3], wrong=([2**31], [True], 1), damage=True)
    check_type(ListInfo(FLOAT64), [[0.0], [-0.0], [float("inf"), 1.0], []], wrong=(["a"],))


def test_tuples_of_any_length() -> None:
    info = VariadicTupleInfo(TupleInfo((STR, INT)))
    values = [(), (("a", 1),), (("a", 1), ("a", 2)), (("", 0),), (("a\0", 0),)]
    check_type(info, values, wrong=([("a", 1)], (("a", "b"),), ("a", 1)), damage=True)


def test_nested_and_optional_elements() -> None:
    info = ListInfo(ListInfo(OptionalInfo(INT8)))
    check_type(info, [[], [[]], [[None]], [[1]], [[1], [None]], [[], []], [[None, 1]]], wrong=([1],), python_key=None)
    check_type(ListInfo(NONE), [[], [None], [None, None]], wrong=([1],), python_key=len)


def test_elements_that_take_no_bytes_are_bounded() -> None:
    info = ListInfo(NONE)
    most, serializer = [None] * BARE_ELEMENTS_MAX, info.create_serializer()
    assert RowCodec(info, None).decode(RowCodec(info, None).encode([most]).rows) == [most]
    for write in (
        lambda value: RowCodec(info, None).encode([value]),
        lambda value: serializer.serialize(value, BytesOutput()),
    ):
        with pytest.raises(SerializationError, match=r"a list\[None\] of 65537 elements, which take no bytes"):
            write([*most, None])
    hostile = BytesOutput()
    hostile.write_varint(1 << 60)
    for read in (serializer.deserialize, serializer.skip):
        with pytest.raises(CorruptRecordError, match="1152921504606846976 elements of no bytes"):
            read(BytesInput(hostile.data))


test_lists_by_chance = conforms(TEXTS, st.lists(st.text(max_size=2), max_size=3))
test_nested_by_chance = conforms(
    VariadicTupleInfo(ListInfo(OptionalInfo(STR))),
    st.lists(st.lists(st.none() | st.text(max_size=1), max_size=2), max_size=2).map(tuple),
    python_key=None,
)
test_lists_survive_garbage = survives_garbage(ListInfo(OptionalInfo(STR)))
test_fixed_elements_survive_garbage = survives_garbage(ListInfo(INT32))


def test_nulls_within_a_descending_list_stay_first() -> None:
    info = ListInfo(OptionalInfo(INT8))
    values: list[list[int | None]] = [[1], [None], [2], [1, None], []]
    assert sorted(values, key=info.create_comparator(descending=True).order_key) == [[None], [2], [1, None], [1], []]
    assert sorted(values, key=info.create_comparator(nulls_last=True).order_key) == [[], [1], [1, None], [2], [None]]


def test_bytes() -> None:
    serializer, comparator = TEXTS.create_serializer(), TEXTS.create_comparator()
    assert serializer.to_bytes(["a", ""]).hex(" ") == "02 01 61 00"
    assert comparator.order_key(["a", ""]).hex(" ") == "01 61 00 00 01 00 00 00"
    assert comparator.invert().order_key([]).hex(" ") == "ff"


def test_a_subclass_is_taken_as_a_list() -> None:
    class Stack(list):  # type: ignore[type-arg]
        pass

    serializer = TEXTS.create_serializer()
    assert type(serializer.from_bytes(serializer.to_bytes(Stack("ab")))) is list


def test_more_elements_than_bytes_are_corrupt_at_once() -> None:
    with pytest.raises(CorruptRecordError, match="1152921504606846975 elements of 4 bytes are said to follow"):
        ListInfo(INT32).create_serializer().from_bytes(b"\xff" * 8 + b"\x0f")
    with pytest.raises(CorruptRecordError, match=r"^field 1: "):
        TEXTS.create_serializer().from_bytes(b"\xff\xff\xff\x0f\x00")
    with pytest.raises(CorruptRecordError, match="no key has 7"):
        TEXTS.create_comparator().read_key(BytesInput(b"\x07"))


def test_errors_name_the_element() -> None:
    info = ListInfo(VariadicTupleInfo(STR))
    with pytest.raises(ValueMismatchError, match=r"^field 1\.2: 5 \(int\) is not str"):
        info.create_serializer().to_bytes([(), ("a", "b", 5)])
    with pytest.raises(NullFieldError, match=r"^field 0\.0: None"):
        info.create_comparator().order_key([(None,)])
    with pytest.raises(NotOrderableError, match=r"^field element: "):
        ListInfo(SetInfo(INT)).create_comparator()


def test_names() -> None:
    assert (TEXTS.name, VariadicTupleInfo(TEXTS).name) == ("list[str]", "tuple[list[str], ...]")
    assert ListInfo(INT) != VariadicTupleInfo(INT) and ListInfo(STR) == TEXTS
