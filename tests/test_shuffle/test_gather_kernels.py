"""Copying records in order, and cutting them into blocks, against lists of bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serializers import SLACK_BYTES
from shuffle.kernels.gather import gather_block, measure_blocks
from tests import naive

ORDINAL_BITS = 10
MASK = (1 << ORDINAL_BITS) - 1
UNTOUCHED = 0xAA


class Sorted:
    """Records in memory, and words that say in which order they go; the key bits are noise to be masked
    away."""

    def __init__(self, records: list[bytes], order: list[int], record_bytes: int) -> None:
        data = b"".join(records)
        self._bytes: NDArray[np.uint8] = np.zeros(len(data) + SLACK_BYTES, np.uint8)
        self._bytes[: len(data)] = np.frombuffer(data, np.uint8)
        self.record_bytes = record_bytes
        ends = np.cumsum([0, *map(len, records)], dtype=np.uint32)
        self.offsets = np.empty(0, np.uint32) if record_bytes else ends[::-1].copy()
        self.words = np.array([ordinal | (0x5A5A << 48) for ordinal in order], np.uint64)
        self.address = int(self._bytes.ctypes.data)

    def gather(self, position: int, capacity: int) -> tuple[int, bytes]:
        """One block: the position after it, and its bytes."""
        target: NDArray[np.uint8] = np.full(capacity + SLACK_BYTES, UNTOUCHED, np.uint8)
        following, copied = gather_block(
            self.words,
            position,
            int(target.ctypes.data),
            capacity,
            self.address,
            self.offsets,
            self.record_bytes,
            MASK,
        )
        assert (target[int(copied) + 32 :] == UNTOUCHED).all(), "wrote past the slack of a vector"
        return int(following), bytes(target[: int(copied)])

    def measure(self, position: int, capacity: int, blocks_max: int) -> tuple[int, list[int], list[int]]:
        """The position reached, and the ends and sizes of the blocks found."""
        ends, sizes = np.zeros(blocks_max, np.uint64), np.zeros(blocks_max, np.uint64)
        found, following = measure_blocks(
            self.words, position, capacity, self.offsets, self.record_bytes, MASK, ends, sizes
        )
        return int(following), ends[: int(found)].tolist(), sizes[: int(found)].tolist()


@st.composite
def sorted_records(draw: st.DrawFn) -> tuple[list[bytes], Sorted]:
    """Records in the order they should leave, and the buffer they leave from."""
    record_bytes = draw(st.sampled_from([0, 1, 7, 31, 32, 33, 100]))
    count = draw(st.integers(1, 60))
    sizes = [record_bytes or draw(st.integers(1, 70)) for _ in range(count)]
    records = [bytes([ordinal + 1]) * size for ordinal, size in enumerate(sizes)]
    order = draw(st.permutations(range(count)))
    return [records[i] for i in order], Sorted(records, order, record_bytes)


@given(sorted_records(), st.integers(70, 400))
def test_blocks_hold_whole_records_while_they_fit(case: tuple[list[bytes], Sorted], capacity: int) -> None:
    records, buffer = case
    capacity = max(capacity, *map(len, records))
    position, blocks = 0, []
    while position < len(records):
        following, block = buffer.gather(position, capacity)
        assert following > position
        assert block == b"".join(records[position:following])
        blocks.append([len(record) for record in records[position:following]])
        position = following
    assert blocks == naive.cut_blocks([len(record) for record in records], capacity)


@given(sorted_records(), st.integers(1, 200), st.integers(1, 5))
def test_measured_cuts_are_the_cuts_of_the_copy(
    case: tuple[list[bytes], Sorted], capacity: int, blocks_max: int
) -> None:
    records, buffer = case
    position, ends, sizes = 0, [], []
    while position < len(records):
        following, more_ends, more_sizes = buffer.measure(position, capacity, blocks_max)
        assert following == more_ends[-1] > position
        position, ends, sizes = following, ends + more_ends, sizes + more_sizes
    blocks = naive.cut_blocks([len(record) for record in records], capacity)
    assert sizes == [sum(block) for block in blocks]
    assert ends == np.cumsum([len(block) for block in blocks]).tolist()


@pytest.mark.parametrize("record_bytes", [0, 50])
def test_a_record_that_fits_no_block_is_left_to_the_caller(record_bytes: int) -> None:
    buffer = Sorted([b"a" * 50, b"b" * 50], [1, 0], record_bytes)
    assert buffer.gather(0, 49) == (0, b"")
    assert buffer.gather(1, 49) == (1, b"")
    assert buffer.measure(0, 49, 8) == (2, [1, 2], [50, 50])


def test_behind_the_last_record_is_nothing() -> None:
    buffer = Sorted([b"a\n"], [0], 0)
    assert buffer.gather(1, 100) == (1, b"")
    assert buffer.measure(1, 100, 8) == (1, [], [])
