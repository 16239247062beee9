"""A sort buffer filled in slices of any size, sorted and emptied, against lists. Its memory begins as noise."""

import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memory import MemoryManager
from serializers import SLACK_BYTES, RecordLayout, fixed, lines
from shuffle.sort_buffer import SortBuffer
from shuffle.word_sorter import WordSorter
from tests import naive, tiny

SORTER = WordSorter("numba")
LINES = st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=300)


@pytest.fixture(scope="module")
def manager() -> Iterator[MemoryManager]:
    with MemoryManager(1 << 30, segment_bytes=tiny.SEGMENT_BYTES) as made:
        yield made
        assert made.verify_empty()


class Reader:
    """Fills buffers as the engine does, but a few bytes at a time, and knows what must be in them."""

    def __init__(self, data: bytes, layout: RecordLayout, seed: int) -> None:
        self.data = data
        self._layout = layout
        self._random = random.Random(seed)
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at == len(self.data)

    def fill(self, buffer: SortBuffer) -> None:
        """Until the buffer is full or the data has ended, checking the buffer all the time."""
        buffer.scan()
        self._check(buffer)
        while not self.ended and (window := buffer.free_view()):
            most = self._random.choice([1, 7, 100, 5000])
            length = min(len(window), len(self.data) - self._at, self._random.randint(1, most))
            window[:length] = self.data[self._at : self._at + length]
            self._at += length
            buffer.note_read(length)
            buffer.scan()
            self._check(buffer)

    def _check(self, buffer: SortBuffer) -> None:
        """Records and tail together are the last bytes read; all whole records are found while there is room."""
        held = buffer.records_bytes + len(buffer.tail)
        assert bytes(buffer.tail) == self.data[self._at - len(buffer.tail) : self._at]
        records, rest = naive.split_records(self.data[self._at - held : self._at], self._layout)
        assert buffer.record_count <= len(records)
        assert buffer.records_bytes == sum(map(len, records[: buffer.record_count]))
        if buffer.record_count < len(records):
            assert not buffer.free_view(), "a full buffer, whose index would meet its bytes"
            assert buffer.record_count > 0
        else:
            assert bytes(buffer.tail) == rest


def leave(buffer: SortBuffer, capacity: int = 1 << 20) -> list[bytes]:
    """Everything in order, block by block."""
    blocks, position = [], 0
    while position < buffer.sorted_count:
        target = np.full(capacity + SLACK_BYTES, 0xEE, np.uint8)
        following, copied = buffer.copy_block(position, int(target.ctypes.data), capacity)
        if following == position:
            blocks.append(bytes(buffer.record(position)))
            following += 1
        else:
            blocks.append(target[:copied].tobytes())
        position = following
    return blocks


def drain(data: bytes, layout: RecordLayout, manager: MemoryManager, extent_bytes: int, seed: int) -> list[bytes]:
    """Sort all of `data` buffer by buffer, with the tail carried on: the records of each buffer, sorted."""
    reader, found = Reader(data, layout, seed), []
    buffers = [SortBuffer(tiny.noisy_extent(manager, extent_bytes), layout, descending=False) for _ in range(2)]
    for turn in range(10_000):
        buffer, following = buffers[turn % 2], buffers[(turn + 1) % 2]
        reader.fill(buffer)
        assert not buffer.is_stuck
        if reader.ended and not buffer.tail:
            following = None
        else:
            following.start(buffer.tail)
        buffer.sort(SORTER, unique=False, limit=None)
        found.append(b"".join(leave(buffer)))
        if following is None:
            break
    for each in buffers:
        each.release()
    return found


def check_drained(data: bytes, layout: RecordLayout, found: list[bytes]) -> None:
    """Each part is the sorted form of the next records of the data."""
    records, rest = naive.split_records(data, layout)
    assert not rest
    for part in found:
        count = len(naive.split_records(part, layout)[0])
        taken, records = records[:count], records[count:]
        assert part == b"".join(naive.stable_sort(taken, layout.key))
    assert not records


@settings(deadline=None, max_examples=60)
@given(parts=LINES, seed=st.integers(0, 999), pages=st.integers(1, 3))
@example(parts=[b"\n"] * 3000, seed=1, pages=1)
@example(parts=[b"x" * 3000 + b"\n", *[b"\n"] * 2000], seed=2, pages=1)
@example(parts=[*[b"\n"] * 500, b"x" * 3500 + b"\n", *[b"y\n"] * 500], seed=3, pages=1)
def test_lines_in_slices_of_any_size(parts: list[bytes], seed: int, pages: int, manager: MemoryManager) -> None:
    data = b"".join(parts)
    check_drained(data, lines(), drain(data, lines(), manager, pages * 4096, seed))


@pytest.mark.parametrize("record_bytes", [1, 7, 100, 4096 - 200])
def test_fixed_records_in_slices_of_any_size(record_bytes: int, manager: MemoryManager) -> None:
    data = random.Random(record_bytes).randbytes(max(3, 20_000 // record_bytes) * record_bytes)
    for seed in range(3):
        check_drained(data, fixed(record_bytes), drain(data, fixed(record_bytes), manager, 4096, seed))


def test_one_byte_lines_fill_the_buffer_with_index(manager: MemoryManager) -> None:
    """Twelve bytes of index for each byte of data: the index meets bytes that were read already, and they move on."""
    buffer = SortBuffer(tiny.noisy_extent(manager, 16384), lines(), descending=False)
    rest = tiny.fill(buffer, b"\n" * 50_000)
    assert 16384 // 13 - 20 < buffer.record_count <= 16384 // 13
    assert len(buffer.tail) > 5000
    tail = bytes(buffer.tail)
    assert len(tail) + buffer.record_count + len(rest) == 50_000
    buffer.sort(SORTER, unique=False, limit=None)
    assert b"".join(leave(buffer)) == b"\n" * buffer.record_count
    buffer.release()


def test_a_line_longer_than_the_buffer_is_stuck_and_one_that_fits_is_not(manager: MemoryManager) -> None:
    extent_bytes, stuck = 4096, []
    for length in range(3900, 4200):
        buffer = SortBuffer(tiny.noisy_extent(manager, extent_bytes), lines(), descending=False)
        rest = tiny.fill(buffer, b"z" * (length - 1) + b"\n")
        assert buffer.is_stuck != (buffer.record_count == 1), length
        stuck.append(buffer.is_stuck)
        if not buffer.is_stuck:
            assert not rest
            buffer.sort(SORTER, unique=False, limit=None)
            assert leave(buffer) == [b"z" * (length - 1) + b"\n"]
        buffer.release()
    assert stuck == sorted(stuck), "all that fit are shorter than all that do not"
    assert 0 < sum(stuck) < 250


def test_neither_empty_nor_ended_nor_half_full_is_stuck(manager: MemoryManager) -> None:
    buffer = SortBuffer(tiny.noisy_extent(manager, 4096), lines(), descending=False)
    assert not buffer.is_stuck
    tiny.fill(buffer, b"no end")
    assert not buffer.is_stuck
    assert bytes(buffer.tail) == b"no end"
    buffer.end_line()
    buffer.scan()
    assert (buffer.record_count, bytes(buffer.tail)) == (1, b"")
    buffer.start(memoryview(b""))
    buffer.end_line()
    buffer.scan()
    assert buffer.record_count == 0, "an empty input has no last line"
    buffer.release()


def test_an_unfinished_line_gets_its_delimiter_even_in_a_full_buffer(manager: MemoryManager) -> None:
    """Room for one delimiter is kept whatever was read."""
    for delimiter in (b"\n", b"\0"):
        for length in range(1, 4096):
            buffer = SortBuffer(tiny.noisy_extent(manager, 4096), lines(delimiter), descending=False)
            rest = tiny.fill(buffer, b"y" * length)
            if not rest:
                buffer.end_line()
                buffer.scan()
                assert buffer.record_count == 1 and not buffer.tail, length
            buffer.release()


@settings(deadline=None, max_examples=60)
@given(
    keys=st.lists(st.binary(max_size=3) | st.just(b"prefix of all " * 5), max_size=200),
    descending=st.booleans(),
    unique=st.booleans(),
    limit=st.none() | st.integers(0, 60),
    capacity=st.integers(1, 300),
)
def test_order_unique_limit_and_blocks(
    keys: list[bytes], descending: bool, unique: bool, limit: int | None, capacity: int, manager: MemoryManager
) -> None:
    """Fixed records that carry their number behind the key, so that stability shows; and the same keys as lines."""
    numbered = [key[:2].ljust(2, b"\0") + number.to_bytes(4, "big") for number, key in enumerate(keys)]
    texts = [key.replace(b"\n", b"") + b"\n" for key in keys]
    for layout, records in ((fixed(6, key_bytes=2), numbered), (lines(), texts)):
        buffer = SortBuffer(tiny.noisy_extent(manager, 64 << 10), layout, descending=descending)
        assert not tiny.fill(buffer, b"".join(records))
        buffer.sort(SORTER, unique=unique, limit=limit)
        expected = tiny.sorted_bytes(b"".join(records), layout, reverse=descending, unique=unique, limit=limit)
        ordered = naive.split_records(expected, layout)[0]
        assert buffer.sorted_count == len(ordered)
        assert [bytes(buffer.record(position)) for position in range(len(ordered))] == ordered
        blocks = naive.cut_blocks([len(record) for record in ordered], capacity)
        cuts = buffer.measure(capacity)
        assert cuts.sizes.tolist() == [sum(block) for block in blocks]
        assert cuts.ends.tolist() == np.cumsum([len(block) for block in blocks], dtype=int).tolist()
        assert [len(block) for block in leave(buffer, capacity)] == cuts.sizes.tolist()
        assert b"".join(leave(buffer, capacity)) == expected
        buffer.release()


def test_a_buffer_is_used_again_and_again(manager: MemoryManager) -> None:
    buffer = SortBuffer(tiny.noisy_extent(manager, 8192), lines(), descending=True)
    for turn in range(20):
        records = [b"%d\n" % ((number * 7919 + turn) % 1000) for number in range(turn * 10)]
        buffer.start(memoryview(b"".join(records)))
        buffer.scan()
        buffer.sort(SORTER, unique=False, limit=None)
        assert b"".join(leave(buffer)) == tiny.sorted_bytes(b"".join(records), reverse=True)
    buffer.release()


def test_release_gives_the_extent_back(manager: MemoryManager) -> None:
    buffer = SortBuffer(manager.allocate_extent("sort buffer", 4096), lines(), descending=False)
    buffer.release()
    assert manager.verify_empty()
