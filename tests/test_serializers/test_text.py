"""str, bytes and bytearray: the whole suite, surrogates and zeros, and text of a hundred thousand letters."""

from enum import StrEnum

import numpy as np
import pytest
from hypothesis import strategies as st

from serializers.errors import CorruptRecordError, NullFieldError, ValueMismatchError
from serializers.types.text import BYTEARRAY, BYTES, STR, BytearrayInfo, BytesInfo, TextInfo
from serializers.types.type_information import TypeInformation
from serializers.views import BytesInput
from tests.test_serializers.conformance import check_type, conforms, survives_garbage

CHARACTERS = "\0\1a\x7f\x80é\u0301\u07ff\u0800\ud7ff\ud800\udbff\udc00\udfff\ue000\uffff\U00010000\U0010ffff"
"""Both sides of each boundary of UTF-8, and of the surrogates."""

TEXTS = [
    *("", "a", "ab", "b", "a\0", "a\0\0", "a\0b", "\0", "\0\0", "a\1", "e\u0301", "é", "Zebra", "zebra", "a"),
    *("\ud800", "\udfff", "\ud800\udc00", "\U00010000", "\udc00\ud800", "\uffff", "\U0010ffff", "straße", "\ue000"),
]
BYTE_STRINGS = [b"", b"\0", b"\0\0", b"\0\xff", b"\xff", b"\xff\0", b"a", b"a\0", b"a\0\0b", b"ab", b"\x01", b"", b"a"]


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


def test_text() -> None:
    check_type(STR, TEXTS, wrong=(b"a", bytearray(b"a"), 1, ["a"], ("a",), object()), damage=True)


def test_bytes() -> None:
    wrong = ("a", bytearray(b"a"), memoryview(b"a"), [1], 1, object())
    check_type(BYTES, BYTE_STRINGS, wrong=wrong, damage=True)


def test_bytearrays() -> None:
    check_type(BYTEARRAY, [bytearray(each) for each in BYTE_STRINGS], wrong=("a", b"a", memoryview(b"a"), [1]))


@pytest.mark.parametrize(
    ("letter", "count"), [("a", 100_000), ("\0", 100_000), ("é", 100_000), ("\U0001f600", 100_000), ("\ud800", 10_000)]
)
def test_huge_text(letter: str, count: int) -> None:
    huge = letter * count
    check_type(STR, [huge, huge + "a", huge[:-1], huge[:-1] + "b", letter])


def test_huge_bytes() -> None:
    check_type(BYTES, [bytes(100_000), bytes(100_001), b"\xff" * 100_000, bytes(99_999) + b"\1"])


test_text_by_chance = conforms(STR, st.text(CHARACTERS, max_size=6) | st.text(max_size=20))
test_bytes_by_chance = conforms(BYTES, st.binary(max_size=10) | st.text("\0\1\xff", max_size=4).map(str.encode))
test_text_survives_garbage = survives_garbage(STR)
test_bytes_survive_garbage = survives_garbage(BYTES)


def test_every_code_point_keeps_its_place() -> None:
    order_key, last = STR.create_comparator().order_key, b""
    for code in range(0, 0x110000, 7):
        key = order_key(chr(code))
        assert key > last
        last = key


@pytest.mark.parametrize(
    ("info", "value", "data", "key", "closed"),
    [
        (STR, "a\0", "02 61 00", "61 00", "61 00 ff 00 00"),
        (STR, "é", "02 c3 a9", "c3 a9", "c3 a9 00 00"),
        (STR, "\ud800", "03 ed a0 80", "ed a0 80", "ed a0 80 00 00"),
        (STR, "\U00010000", "04 f0 90 80 80", "f0 90 80 80", "f0 90 80 80 00 00"),
        (STR, "", "00", "", "00 00"),
        (BYTES, b"\0\xff", "02 00 ff", "00 ff", "00 ff ff 00 00"),
        (BYTEARRAY, bytearray(b"\xff"), "01 ff", "ff", "ff 00 00"),
    ],
    ids=ascii,
)
def test_the_bytes_are_these(info: TypeInformation[object], value: object, data: str, key: str, closed: str) -> None:
    assert info.create_serializer().to_bytes(value).hex(" ") == data
    comparator, out, inverted = info.create_comparator(), bytearray(), bytearray()
    assert comparator.order_key(value).hex(" ") == key
    comparator.write_key(value, out, is_last=False)
    assert out.hex(" ") == closed
    comparator.invert().write_key(value, inverted)
    assert inverted == bytes(255 - byte for byte in out)


def test_long_text_has_a_longer_length() -> None:
    assert STR.create_serializer().to_bytes("x" * 127)[:2] == b"\x7fx"
    assert STR.create_serializer().to_bytes("x" * 128)[:3] == b"\x80\x01x"
    assert len(STR.create_serializer().to_bytes("é" * 64)) == 130


@pytest.mark.parametrize("data", ["01 80", "01 ff", "02 c3 28", "02 c0 80", "03 e0 80 80", "04 f5 80 80 80", "01 c3"])
def test_what_is_no_utf8_is_corrupt(data: str) -> None:
    with pytest.raises(CorruptRecordError, match="is not UTF-8"):
        STR.create_serializer().from_bytes(bytes.fromhex(data))


def test_a_key_that_is_no_utf8_is_corrupt() -> None:
    for is_last in (True, False):
        with pytest.raises(CorruptRecordError):
            STR.create_comparator().read_key(BytesInput(b"\xff\0\0"), is_last=is_last)


def test_a_length_beyond_the_data_is_corrupt_and_takes_no_memory() -> None:
    with pytest.raises(CorruptRecordError):
        STR.create_serializer().from_bytes(b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f")
    with pytest.raises(CorruptRecordError):
        STR.create_serializer().from_bytes(b"\xff" * 11)


def test_a_subclass_comes_back_plain() -> None:
    for info, value, plain in (
        (STR, Colour.RED, "red"),
        (STR, np.str_("red"), "red"),
        (BYTES, np.bytes_(b"red"), b"red"),
    ):
        serializer = info.create_serializer()
        found = serializer.from_bytes(serializer.to_bytes(value))
        assert found == plain and type(found) is type(plain)
        assert info.create_comparator().order_key(value) == info.create_comparator().order_key(plain)


def test_text_that_orders_itself_otherwise_is_ordered_as_text() -> None:
    class Backwards(str):
        __slots__ = ()

        def __lt__(self, other: str) -> bool:
            return str(self) > str(other)

        __gt__ = str.__lt__

    comparator = STR.create_comparator()
    assert comparator.compare(Backwards("a"), Backwards("b")) < 0
    assert comparator.order_key(Backwards("a")) < comparator.order_key(Backwards("b"))


def test_bytes_come_back_as_their_own_objects() -> None:
    value = bytearray(b"abc")
    serializer = BYTEARRAY.create_serializer()
    data = bytearray(serializer.to_bytes(value))
    found = serializer.from_bytes(data)
    data[1:] = b"xyz"
    value += b"d"
    assert found == b"abc"


def test_a_comparison_refuses_what_is_no_text() -> None:
    with pytest.raises(NullFieldError):
        STR.create_comparator().compare(None, "a")  # type: ignore[arg-type]
    with pytest.raises(ValueMismatchError, match=r"value\.encode\(\) if it is a str"):
        BYTES.create_comparator().compare(b"a", "a")  # type: ignore[arg-type]


def test_types_are_equal_by_what_they_are() -> None:
    assert TextInfo() == STR and BytesInfo() == BYTES and BytearrayInfo() == BYTEARRAY
    assert len({STR, BYTES, BYTEARRAY}) == 3
    assert [str(info) for info in (STR, BYTES, BYTEARRAY)] == ["str", "bytes", "bytearray"]
