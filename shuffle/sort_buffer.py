"""One extent full of records, sorted where they stand.

    0                     filled                                            end
    | records, as they were read | free | words (when sealed) | <- line offsets |

Bytes are read straight into the front. Fixed-length records need no index; lines have their offsets written from the
end downwards as they are found, rows as they are appended. Sealing puts one word for each record below the offsets;
sorting moves words only, and records leave in order by being copied out (`copy_block`).

A line that is longer than the whole buffer leaves it full with no record in it: `is_stuck`.
"""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from io_manager import InputFile
from memory import Extent
from serializers import LINE_INDEX_BYTES, SLACK_BYTES, RecordLayout
from serializers.kernels import scan_lines
from shuffle.kernels import gather, sort
from shuffle.word_sorter import WordSorter

_KEPT_BYTES = SLACK_BYTES + 24
"""Read past the last record, align the words, one offset more than lines: as `scan_lines` counts."""

_FIRST_LINE_GUESS = 24
"""Until lines have been seen, they are taken to be this short: too much room kept costs one more small read."""

_FULL_BELOW_BYTES = 64 << 10
"""A buffer with less free room than this, or than a hundredth, is full: reading more would cost more than it brings."""

_ALL_ONES = 0xFFFF_FFFF_FFFF_FFFF


_IDENTITY_RECORDS = 1 << 14
"""Looked at together when asking whether the order is that of the input: 128 KiB of words."""


@dataclass(frozen=True)
class InputPlace:
    """Where in an input file bytes stand."""

    source: InputFile
    offset: int


@dataclass(frozen=True)
class Cuts:
    """Where a sorted buffer is cut into blocks: block i ends before position `ends[i]`, and is `sizes[i]` bytes."""

    ends: NDArray[np.uint64]
    sizes: NDArray[np.uint64]


class SortBuffer:
    """Records of one `layout` in one `extent`. Not for two threads at once."""

    def __init__(self, extent: Extent, layout: RecordLayout, *, descending: bool) -> None:
        self.extent = extent
        self.layout = layout
        self._inverted = _ALL_ONES if descending else 0
        self._bytes = np.frombuffer(extent.view, np.uint8)
        self._offsets = self._bytes.view(np.uint32)
        self._address = int(self._bytes.ctypes.data)
        self._words: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._mask = 0
        self.start(memoryview(b""))

    def touch(self) -> None:
        """Let the system provide every page now, and not while records are read into them."""
        self._bytes[:: mmap.PAGESIZE] = 0

    # --- filling

    def start(self, carried: memoryview) -> None:
        """Empty the buffer, and begin with bytes carried over from the one before it."""
        assert len(carried) <= len(self._bytes) - _KEPT_BYTES, "what one buffer held, the next can hold"
        self.records_bytes = 0
        self.record_count = 0
        self.place: InputPlace | None = None
        self.is_in_input_order = False
        self._is_one_stretch = True
        self._words = self._words[:0]
        self._filled = len(carried)
        self.extent.view[: len(carried)] = carried

    def free_view(self) -> memoryview:
        """Where to read more bytes to; empty when the buffer is full."""
        room = self._room()
        if room < min(_FULL_BELOW_BYTES, len(self._bytes) // 100) and self.layout.is_indexed and self.record_count:
            room = 0
        return self.extent.view[self._filled : self._filled + room]

    def _room(self) -> int:
        size = len(self._bytes) - _KEPT_BYTES
        if not self.layout.is_indexed:
            record_bytes = self.layout.record_bytes
            return size // (record_bytes + self.layout.index_bytes) * record_bytes - self._filled
        room = size - 1 - self._filled - self.layout.index_bytes * (self.record_count + 1)
        seen = self.record_count
        line_bytes = self.records_bytes / seen if seen else max(self._filled, _FIRST_LINE_GUESS)
        return max(0, int(room * line_bytes / (line_bytes + self.layout.index_bytes)))

    def note_place(self, source: InputFile, offset: int) -> None:
        """What comes to stand at the front of the next `free_view` is read from `offset` of `source`.

        `place` stays known as long as all bytes of the buffer come from one stretch of one file.
        """
        place = InputPlace(source, offset - self._filled)
        if self.place is None and self._is_one_stretch and place.offset >= 0:
            self.place = place
        elif place != self.place:
            self.place, self._is_one_stretch = None, False

    def note_read(self, length: int) -> None:
        """`length` more bytes stand at the front of the last `free_view`."""
        self._filled += length

    def end_line(self) -> None:
        """The input ended: give a last line without a delimiter its own."""
        if self.layout.is_lines and self._filled > 0 and self._bytes[self._filled - 1] != self.layout.delimiter:
            self._bytes[self._filled] = self.layout.delimiter
            self._filled += 1
            self.place, self._is_one_stretch = None, False

    def scan(self) -> None:
        """Find the records among the bytes read so far."""
        if not self.layout.is_lines:
            self.record_count = self._filled // self.layout.record_bytes
            self.records_bytes = self.record_count * self.layout.record_bytes
            return
        count, end = scan_lines(
            self._address,
            self._offsets,
            self.record_count,
            self.records_bytes,
            self._filled,
            self.layout.delimiter,
        )
        self.record_count, self.records_bytes = int(count), int(end)

    def append_rows(self, data: NDArray[np.uint8], ends: NDArray[np.uint32], first: int) -> int:
        """Copy rows from row `first` on while they fit: how many. Row i of `data` ends at `ends[i]`."""
        start = int(ends[first - 1]) if first else 0
        room = len(self._bytes) - _KEPT_BYTES - self._filled - LINE_INDEX_BYTES * (self.record_count + 1)
        lengths = (ends[first:] - np.uint32(start)).astype(np.int64)
        taken = lengths + np.arange(1, len(lengths) + 1) * LINE_INDEX_BYTES
        count = int(np.searchsorted(taken, room, "right"))
        if count:
            size = int(lengths[count - 1])
            self._bytes[self._filled : self._filled + size] = data[start : start + size]
            top = len(self._offsets) - 1 - self.record_count
            self._offsets[top] = self._filled
            self._offsets[top - count : top] = (lengths[:count] + self._filled)[::-1]
            self.record_count += count
            self._filled += size
            self.records_bytes = self._filled
        return count

    @property
    def tail(self) -> memoryview:
        """Bytes behind the last whole record: the beginning of what the next buffer holds."""
        return self.extent.view[self.records_bytes : self._filled]

    @property
    def is_stuck(self) -> bool:
        """Full, and not one whole record in it."""
        return self.record_count == 0 and self._filled > 0 and not len(self.free_view())

    # --- sorting

    def sort(
        self, sorter: WordSorter, *, unique: bool, limit: int | None, combine: Callable[..., int] | None = None
    ) -> None:
        """Put the records in order; keep the first of equal keys if `unique`, and the first `limit` of all.

        Equal keys are made one record by `combine`, if it is given (`SortOptions`).
        """
        self._words = self._place_words()
        if not self.record_count:
            return
        ordinal_bits = (self.record_count - 1).bit_length() or 1
        self._mask = (1 << ordinal_bits) - 1
        keys = (self._address, self._offsets, *self._geometry())
        skip, order = sort.make_words(self._words, *keys, self._inverted, ordinal_bits)
        sorter.sort(self._words, order)
        stack = np.empty(2 * (isqrt(len(self._bytes)) + 64), np.uint64)
        sort.refine_words(self._words, *keys, self._inverted, ordinal_bits, skip, sorter.scratch(), stack)
        if unique:
            self._words = self._words[: sort.drop_equal(self._words, *keys, self._mask)]
        if combine is not None:
            self._words = self._words[: combine(self._words, self._address, self._offsets, self._mask)]
        self._words = self._words[:limit]
        self.is_in_input_order = order == sort.ASCENDING and self._is_identity()

    def _is_identity(self) -> bool:
        """Whether every record is still where it was read."""
        if len(self._words) < self.record_count:
            return False
        mask = np.uint64(self._mask)
        for start in range(0, self.record_count, _IDENTITY_RECORDS):
            ordinals = self._words[start : start + _IDENTITY_RECORDS] & mask
            if (ordinals != np.arange(start, start + len(ordinals), dtype=np.uint64)).any():
                return False
        return True

    def _place_words(self) -> NDArray[np.uint64]:
        offsets_bytes = 4 * (self.record_count + 1) if self.layout.is_indexed else 0
        top = (len(self._bytes) - offsets_bytes) // 8
        assert (top - self.record_count) * 8 >= self.records_bytes + SLACK_BYTES or not self.record_count
        return self._bytes[: len(self._bytes) // 8 * 8].view(np.uint64)[top - self.record_count : top]

    def _geometry(self) -> tuple[int, int, int]:
        return self.layout.record_bytes, self.layout.key_offset, self.layout.key_bytes

    # --- leaving in order

    @property
    def sorted_count(self) -> int:
        """Records that `sort` kept."""
        return len(self._words)

    def copy_block(self, position: int, target: int, capacity: int) -> tuple[int, int]:
        """Copy records from `position` on to address `target` while they fit: (next position, bytes)."""
        next_position, copied = gather.gather_block(
            self._words,
            position,
            target,
            capacity,
            self._address,
            self._offsets,
            self.layout.record_bytes,
            self._mask,
        )
        return int(next_position), int(copied)

    def record(self, position: int) -> memoryview:
        """The record at `position` of the order, where it stands."""
        ordinal = int(self._words[position]) & self._mask
        if self.layout.is_indexed:
            start, end = int(self._offsets[-1 - ordinal]), int(self._offsets[-2 - ordinal])
        else:
            start = ordinal * self.layout.record_bytes
            end = start + self.layout.record_bytes
        return self.extent.view[start:end]

    def measure(self, capacity: int, *, first_capacity: int | None = None) -> Cuts:
        """The blocks of at most `capacity` bytes that `copy_block` would make; a longer record makes its own.

        The first block may be made shorter than the others.
        """
        blocks_max = 64 + 2 * (self.records_bytes // capacity + 1)
        parts: list[Cuts] = []
        position = 0
        while position < self.sorted_count:
            if position == 0 and first_capacity is not None:
                part, position = self._measure(0, first_capacity, 1)
            else:
                part, position = self._measure(position, capacity, blocks_max)
            parts.append(part)
        empty = np.empty(0, np.uint64)
        return Cuts(
            np.concatenate([empty, *(part.ends for part in parts)]),
            np.concatenate([empty, *(part.sizes for part in parts)]),
        )

    def _measure(self, position: int, capacity: int, blocks_max: int) -> tuple[Cuts, int]:
        ends, sizes = np.empty(blocks_max, np.uint64), np.empty(blocks_max, np.uint64)
        found, next_position = gather.measure_blocks(
            self._words,
            position,
            capacity,
            self._offsets,
            self.layout.record_bytes,
            self._mask,
            ends,
            sizes,
        )
        return Cuts(ends[: int(found)], sizes[: int(found)]), int(next_position)

    def release(self) -> None:
        """Give the extent back; the buffer is dead."""
        del self._bytes, self._offsets, self._words
        self.extent.release()
