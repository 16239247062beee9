"""Closed bytes and unbounded integers: their forms, their order, and what is not one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serializers.errors import CorruptRecordError, ValueMismatchError
from serializers.types.order_bytes import (
    big_integer_bytes,
    find_bytes,
    read_big_integer,
    read_closed,
    skip_big_integer,
    skip_closed,
    write_big_integer,
    write_closed,
)
from serializers.views import BytesInput

BOUNDARIES = sorted(
    {sign * (2**bits + step) for bits in (0, 7, *range(8, 90, 8), 256, 2040) for step in (-1, 0, 1) for sign in (-1, 1)}
)


def closed(data: bytes) -> bytes:
    out = bytearray()
    write_closed(data, out)
    return bytes(out)


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (b"", "00 00"),
        (b"a", "61 00 00"),
        (b"a\0", "61 00 ff 00 00"),
        (b"\0\0", "00 ff 00 ff 00 00"),
        (b"\0\xff", "00 ff ff 00 00"),
        (b"\xff\xff", "ff ff 00 00"),
    ],
)
def test_closed_bytes_are_these(data: bytes, form: str) -> None:
    assert closed(data).hex(" ") == form


@given(st.lists(st.text("\0\1\xfe\xff", max_size=5).map(lambda text: text.encode("latin-1")), min_size=2), st.binary())
def test_closed_bytes_end_by_themselves_and_keep_the_order(texts: list[bytes], after: bytes) -> None:
    assert sorted(texts) == sorted(texts, key=closed)
    for text in texts:
        for kind in (bytes, bytearray, memoryview):
            source = BytesInput(kind(b"\0" + closed(text) + after), 1)
            ahead = source.fork()
            assert read_closed(source) == text
            skip_closed(ahead)
            assert ahead.position == source.position and source.remaining == len(after)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("data", [b"", b"a", b"\0", b"a\0", b"a\0\xff", b"\0\x01\0\0", b"\0\xfe\0\0", b"x" * 1000])
def test_closed_bytes_that_do_not_end_are_corrupt(kind: type, data: bytes) -> None:
    for move in (read_closed, skip_closed):
        with pytest.raises(CorruptRecordError):
            move(BytesInput(kind(data)))
        with pytest.raises(CorruptRecordError):
            move(BytesInput(kind(data + b"\0\0\0\0"), 0, len(data)))  # what stands behind the end is not read


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("pattern", [b"\0", b"\0\1", b"\0\0\0"])
def test_bytes_are_found_wherever_they_stand(kind: type, pattern: bytes) -> None:
    for place in (0, 1, 253, 254, 255, 256, 257, 510, 511, 512, 765, 766, 767, 768, 1990):
        data = bytearray(b"\2" * 2000)
        data[place : place + len(pattern)] = pattern
        end = place + len(pattern)
        assert find_bytes(BytesInput(kind(data)), pattern, 0) == place
        assert find_bytes(BytesInput(kind(data), 0, end), pattern, place) == place
        assert find_bytes(BytesInput(kind(data)), pattern, place + 1) == -1
        assert find_bytes(BytesInput(kind(data), 0, end - 1), pattern, 0) == -1


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (0, "80"),
        (1, "81 01"),
        (-1, "7f fe"),
        (255, "81 ff"),
        (-255, "7f 00"),
        (256, "82 01 00"),
        (-256, "7e fe ff"),
        (2**64 - 1, "88 ff ff ff ff ff ff ff ff"),
        (1 - 2**64, "78 00 00 00 00 00 00 00 00"),
        (2**64, "ff 00 00 00 09 01 00 00 00 00 00 00 00 00"),
        (-(2**64), "00 ff ff ff f6 fe ff ff ff ff ff ff ff ff"),
    ],
)
def test_integers_are_these_bytes(value: int, form: str) -> None:
    assert big_integer_bytes(value).hex(" ") == form


def check_integer(value: int) -> None:
    out = bytearray(b"before")
    write_big_integer(value, out)
    source = BytesInput(bytes(out) + b"after", 6)
    ahead = source.fork()
    assert read_big_integer(source) == value
    skip_big_integer(ahead)
    assert ahead.position == source.position == len(out)


def test_integers_at_each_length_keep_their_order() -> None:
    for low, high in pairwise(BOUNDARIES):
        assert big_integer_bytes(low) < big_integer_bytes(high), (low, high)
        assert not big_integer_bytes(high).startswith(big_integer_bytes(low))
    for value in BOUNDARIES:
        check_integer(value)


def test_an_integer_of_ten_thousand_digits() -> None:
    check_integer(10**10_000)
    check_integer(-(10**10_000))


@given(st.lists(st.one_of(st.integers(), st.integers(-300, 300), st.sampled_from(BOUNDARIES)), min_size=2))
def test_integers_keep_their_order(values: list[int]) -> None:
    assert sorted(values) == sorted(values, key=big_integer_bytes)
    for value in values:
        check_integer(value)


@pytest.mark.parametrize(
    "form",
    [
        "",
        "81",
        "81 00",  # zero is 80
        "7f ff",
        "82 00 ff",  # leading zeros
        "7e ff 00",
        "ff 00 00 00 08 01 01 01 01 01 01 01 01",  # eight bytes have a short head
        "00 ff ff ff f7 01 01 01 01 01 01 01 01",
        "ff 00 00 00 09 00 01 01 01 01 01 01 01 01",
        "ff 00 00 00",
        "ff ff ff ff ff 01",
        "00 00 00 00 00 01",
        "01",
        "77 " + "01 " * 20,
        "89 " + "01 " * 20,
        "fe " + "01 " * 20,
    ],
)
def test_other_forms_of_integers_are_corrupt(form: str) -> None:
    with pytest.raises(CorruptRecordError):
        read_big_integer(BytesInput(bytes.fromhex(form)))


@pytest.mark.parametrize("form", ["", "81", "ff 00 00 00", "ff 00 00 00 08 01", "01", "fe", "ff 00 00 00 09 01"])
def test_what_is_no_integer_is_not_passed_over(form: str) -> None:
    with pytest.raises(CorruptRecordError):
        skip_big_integer(BytesInput(bytes.fromhex(form)))


def test_an_integer_of_four_gigabytes_is_refused() -> None:
    class Endless(int):
        def bit_length(self) -> int:
            return 8 << 32

    with pytest.raises(ValueMismatchError, match="at most 4294967295"):
        big_integer_bytes(Endless(1))
