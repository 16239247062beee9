"""Layouts: what can be, what cannot, and which bytes are the key."""

import pickle

import pytest

from serializers import LayoutError, RecordLayout, fixed, lines


def test_lines_have_the_whole_line_as_key() -> None:
    layout = lines()
    assert layout.is_lines
    assert layout.key(b"abc\n") == b"abc"
    assert layout.key(b"\n") == b""
    assert lines(b"\0").key(b"a\nb\0") == b"a\nb"


def test_fixed_has_a_slice_as_key() -> None:
    layout = fixed(10, key_offset=2, key_bytes=3)
    assert not layout.is_lines
    assert layout.key(b"0123456789") == b"234"
    assert fixed(10).key(b"0123456789") == b"0123456789"
    assert fixed(10, key_offset=7).key(b"0123456789") == b"789"


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
@pytest.mark.parametrize(
    ("layout", "record"),
    [
        (lines(), b"abc\n"),
        (lines(), b"a\n"),
        (lines(), b"\n"),
        (lines(b";"), b"a\nb;"),
        (fixed(10, key_offset=2, key_bytes=3), b"0123456789"),
    ],
)
def test_leading_key_is_the_beginning_of_the_key(layout: RecordLayout, record: bytes, limit: int) -> None:
    for after in (b"", b"next record\n;"):
        assert layout.leading_key(memoryview(record + after), limit) == layout.key(record)[:limit]


def test_lines_cost_an_offset_more_than_records_of_one_length() -> None:
    assert lines().index_bytes == 12
    assert fixed(100).index_bytes == 8


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (lines(), r"lines ended by \n"),
        (lines(b"\0"), "lines ended by NUL"),
        (lines(b";"), "lines ended by byte 59"),
        (fixed(100, key_bytes=10), "records of 100 bytes, key in bytes 0 to 9"),
    ],
)
def test_describe(layout: RecordLayout, words: str) -> None:
    assert layout.describe() == words


@pytest.mark.parametrize("delimiter", [b"", b"\r\n"])
def test_a_delimiter_is_one_byte(delimiter: bytes) -> None:
    with pytest.raises(LayoutError, match=f"one byte, not {len(delimiter)}"):
        lines(delimiter)


@pytest.mark.parametrize(
    ("record_bytes", "key_offset", "key_bytes", "named"),
    [
        (0, 0, None, "--record-bytes 0"),
        (-1, 0, None, "--record-bytes -1"),
        (10, 10, None, "--key-offset 10.* 0 to 9"),
        (10, -1, None, "--key-offset -1"),
        (10, 4, 7, "--key-bytes 7.* 1 to 6"),
        (10, 0, 0, "--key-bytes 0.* 1 to 10"),
    ],
)
def test_what_cannot_be_says_what_could(record_bytes: int, key_offset: int, key_bytes: int | None, named: str) -> None:
    with pytest.raises(LayoutError, match=named) as caught:
        fixed(record_bytes, key_offset=key_offset, key_bytes=key_bytes)
    assert isinstance(caught.value, ValueError)


def test_layouts_are_values() -> None:
    assert fixed(10) == fixed(10, key_offset=0, key_bytes=10)
    assert len({lines(), lines(b"\n"), lines(b"\0")}) == 2
    assert pickle.loads(pickle.dumps(fixed(10, key_bytes=3))) == fixed(10, key_bytes=3)
