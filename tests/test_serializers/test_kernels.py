"""`scan_lines` against `split`, in buffers with room to spare and in buffers that fill up."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serializers import SLACK_BYTES
from serializers.kernels import LINE_INDEX_BYTES, find_byte, find_changes, scan_lines
from tests import naive

RESERVED_BYTES = SLACK_BYTES + 24

TEXT = st.text("ab;\n", max_size=400).map(str.encode)


class Buffer:
    """A sort buffer: bytes at the front, offsets at the end, and old delimiters everywhere between."""

    def __init__(self, size_bytes: int) -> None:
        assert size_bytes % 4 == 0
        self.bytes: NDArray[np.uint8] = np.full(size_bytes, ord("\n"), np.uint8)
        self.offsets = self.bytes.view(np.uint32)
        self.filled = self.count = self.end = 0

    def append(self, data: bytes) -> None:
        self.bytes[self.filled : self.filled + len(data)] = np.frombuffer(data, np.uint8)
        self.filled += len(data)

    def scan(self, delimiter: bytes = b"\n") -> None:
        address = int(self.bytes.ctypes.data)
        found = scan_lines(address, self.offsets, self.count, self.end, self.filled, delimiter[0])
        self.count, self.end = map(int, found)

    def lines(self) -> list[bytes]:
        starts = [int(self.offsets[-1 - i]) for i in range(self.count + 1)] if self.count else [0]
        assert starts[0] == 0
        assert starts[-1] == self.end
        return [bytes(self.bytes[x:y]) for x, y in pairwise(starts)]


@given(data=TEXT, delimiter=st.sampled_from([b"\n", b";", b"\0"]))
@example(data=b"", delimiter=b"\n")
@example(data=b"a" * 63 + b"\n" + b"b" * 64 + b"\n", delimiter=b"\n")
def test_finds_every_line_where_there_is_room(data: bytes, delimiter: bytes) -> None:
    buffer = Buffer(8192)
    buffer.append(data)
    buffer.scan(delimiter)
    lines, rest = naive.split_lines(data, delimiter)
    assert buffer.lines() == lines
    assert bytes(buffer.bytes[buffer.end : buffer.filled]) == rest


@given(pieces=st.lists(TEXT, max_size=6))
def test_goes_on_where_it_stopped(pieces: list[bytes]) -> None:
    buffer = Buffer(64 << 10)
    for piece in pieces:
        buffer.append(piece)
        buffer.scan()
    assert buffer.lines() == naive.split_lines(b"".join(pieces))[0]


@given(data=TEXT, spare_bytes=st.integers(0, 1200))
@example(data=b"\n" * 400, spare_bytes=0)
@example(data=b"\n" * 400, spare_bytes=700)
def test_stops_before_the_index_meets_the_bytes(data: bytes, spare_bytes: int) -> None:
    buffer = Buffer((len(data) + RESERVED_BYTES + spare_bytes + 3) // 4 * 4)
    size_bytes = len(buffer.bytes)
    buffer.append(data)
    buffer.scan()
    lines = naive.split_lines(data)[0]
    assert buffer.lines() == lines[: buffer.count]
    assert bytes(buffer.bytes[: buffer.filled]) == data, "the index has overwritten what was read"
    if buffer.count:
        offsets_bytes = 4 * (buffer.count + 1)
        assert buffer.filled + RESERVED_BYTES + offsets_bytes <= size_bytes
        assert buffer.end + RESERVED_BYTES + LINE_INDEX_BYTES * buffer.count <= size_bytes, "no room for the words"
    if buffer.count < len(lines):
        next_end = buffer.end + len(lines[buffer.count])
        too_many_bytes = next_end + RESERVED_BYTES + LINE_INDEX_BYTES * (buffer.count + 1) > size_bytes
        too_many_offsets = buffer.filled + RESERVED_BYTES + 4 * (buffer.count + 2) > size_bytes
        assert too_many_bytes or too_many_offsets, "stopped too soon"


@pytest.mark.parametrize(("data", "expected"), [(b"ab;c", 2), (b"abcd", 4), (b"", 0), (b";", 0)])
def test_find_byte(data: bytes, expected: int) -> None:
    memory = np.full(len(data) + SLACK_BYTES, ord(";"), np.uint8)
    memory[: len(data)] = np.frombuffer(data, np.uint8)
    address = int(memory.ctypes.data)
    assert int(find_byte(address, address + len(data), ord(";"))) - address == expected


@given(st.lists(st.sampled_from([b"", b"a", b"ab", b"b" * 8, b"b" * 9, b"b" * 8 + b"c", b"c" * 70]), min_size=1))
@example([b""])
def test_find_changes(texts: list[bytes]) -> None:
    data = np.frombuffer(b"".join(texts) + bytes(SLACK_BYTES), np.uint8)
    ends = np.cumsum([0, *map(len, texts)], dtype=np.uint32)
    changes = np.empty(len(texts), np.uint32)
    count = int(find_changes(int(data.ctypes.data), ends, changes))
    assert changes[:count].tolist() == [i for i, text in enumerate(texts) if i == 0 or text != texts[i - 1]]
