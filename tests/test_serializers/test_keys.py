"""The helpers that every kernel inlines, each by itself, against Python's bytes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serializers import SLACK_BYTES, keys, rows
from tests import naive

SHORT = st.text("ab\0\xff", max_size=40).map(lambda text: text.encode("latin-1"))


def unsigned(helper: Callable[..., Any]) -> Callable[..., Any]:
    """A helper on its own, for Python's numbers: all are unsigned words in kernels."""
    return lambda *numbers: helper(*(np.uint64(number) for number in numbers))


compare_keys = unsigned(keys.compare_keys)
common_bytes = unsigned(keys.common_bytes)
key_word = unsigned(keys.key_word)
key_span = unsigned(keys.key_span)
find_record_end = unsigned(keys.find_record_end)
read_varint = unsigned(keys.read_varint)


def find_delimiter(address: int, end: int, delimiter: int) -> int:
    return keys.find_delimiter(np.uint64(address), np.uint64(end), np.uint8(delimiter))  # type: ignore[no-any-return]


class Placed:
    """Bytes at an odd address, with `after` in the slack behind them: no answer may depend on it."""

    def __init__(self, data: bytes, after: int) -> None:
        self._memory: NDArray[np.uint8] = np.full(1 + len(data) + SLACK_BYTES, after, np.uint8)
        self._memory[1 : 1 + len(data)] = np.frombuffer(data, np.uint8)
        self.address = int(self._memory.ctypes.data) + 1
        self.length = len(data)


@pytest.mark.parametrize("after", [0, 0xFF])
@given(left=SHORT, right=SHORT)
@example(left=b"", right=b"")
@example(left=b"a", right=b"a\0")
@example(left=b"12345678", right=b"12345678\0")
@example(left=b"\x7f", right=b"\x80")
def test_compare_keys(after: int, left: bytes, right: bytes) -> None:
    x, y = Placed(left, after), Placed(right, 0xFF - after)
    assert compare_keys(x.address, x.length, y.address, y.length) == naive.compare(left, right)


@given(common=SHORT, left=SHORT, right=SHORT)
def test_compare_keys_behind_what_they_share(common: bytes, left: bytes, right: bytes) -> None:
    x, y = Placed(common + left, 0), Placed(common + right, 0xFF)
    assert compare_keys(x.address, x.length, y.address, y.length) == naive.compare(left, right)


@given(common=SHORT, left=SHORT, right=SHORT, data=st.data())
def test_common_bytes(common: bytes, left: bytes, right: bytes, data: st.DataObject) -> None:
    left, right = common + left, common + right
    limit = data.draw(st.integers(0, min(len(left), len(right))))
    x, y = Placed(left, 7), Placed(right, 7)
    expected = len(naive.common_prefix([left[:limit], right[:limit]]))
    assert common_bytes(x.address, y.address, limit) == expected


@given(key=st.binary(max_size=12), after=st.sampled_from([0, 0xFF]))
def test_key_word(key: bytes, after: int) -> None:
    placed = Placed(key, after)
    assert key_word(placed.address, placed.length) == int.from_bytes(key[:8].ljust(8, b"\0"), "big")


@given(left=SHORT, right=SHORT)
def test_words_never_contradict_their_keys(left: bytes, right: bytes) -> None:
    x, y = Placed(left, 0xFF), Placed(right, 0xFF)
    order = naive.compare(left, right)
    words = key_word(x.address, x.length), key_word(y.address, y.length)
    assert (words[0] > words[1]) - (words[0] < words[1]) in (order, 0)


def test_the_key_of_a_record() -> None:
    assert key_span(1000, 1011, 0, 0, 0) == (1000, 10)
    assert key_span(1000, 1001, 0, 0, 0) == (1000, 0)
    assert key_span(1000, 1100, 100, 20, 10) == (1020, 10)


@pytest.mark.parametrize("key", [b"", b"key", b"k" * 200])
@pytest.mark.parametrize("value", [b"", b"v" * 300, b"v" * 20000])
@pytest.mark.parametrize("key_varies", [False, True])
def test_the_key_of_a_row(key: bytes, value: bytes, key_varies: bool) -> None:
    layout = rows(None if key_varies else len(key))
    row = naive.make_row(key, value, key_varies=key_varies)
    placed = Placed(row, 0x81)
    end = placed.address + len(row)
    start, length = key_span(placed.address, end, 0, 0, layout.key_bytes)
    assert row[start - placed.address :][:length] == key
    assert find_record_end(placed.address, end, 0, layout.key_bytes, 0) == end
    assert layout.key(row) == key and layout.leading_key(memoryview(row), 2) == key[:2]
    if len(key) > 10:  # cut short: as much as there is
        assert key_span(placed.address, start + 10, 0, 0, layout.key_bytes) == (start, 10)


@given(st.integers(0, (1 << 63) - 1))
def test_varints(value: int) -> None:
    placed = Placed(naive.make_varint(value), 0x81)
    assert read_varint(placed.address) == (placed.address + len(naive.make_varint(value)), value)


@given(data=st.text("ab\n", max_size=300).map(str.encode), start=st.integers(0, 300))
@example(data=b"a" * 64 + b"\n", start=0)
@example(data=b"a" * 63 + b"\n", start=0)
@example(data=b"", start=0)
def test_find_delimiter(data: bytes, start: int) -> None:
    start = min(start, len(data))
    placed = Placed(data, ord("\n"))  # one in the slack is not to be found
    found = int(find_delimiter(placed.address + start, placed.address + len(data), ord("\n"))) - placed.address
    position = data.find(b"\n", start)
    assert found == (len(data) if position < 0 else position)
