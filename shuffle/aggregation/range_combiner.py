"""The groups of one range of records, combined in a stretch of memory, in the order of their keys.

    divided     | records in narrower ranges | entries, index of the table |   a table for each narrower range, in turn
                                             | block | block | block ...  |   before
    streamed    | block | block | entries ...                      index |     one table for all

A table that the cache does not hold costs three times as much for each record, so a range that fits memory with all of
its records is thrown into narrower ranges once more, each of which is combined in a table of its own. The entries stay,
one behind another, while the index of the next table is made behind them. A larger range may still have few groups,
such as one with a hot key, so its blocks are combined as they come. If that fills the table, the range must be split.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from io_manager import HEADER_BYTES
from memory import Extent
from serializers.columns.scratch import address_of
from shuffle.aggregation.group_table import GroupTable, in_order
from shuffle.aggregation.keys import KeyForm
from shuffle.aggregation.range_records import KINDS, STATE, Columns, RecordForm
from shuffle.aggregation.range_rooms import find, splitters_of
from shuffle.aggregation.range_spill import Block
from shuffle.aggregation.state_plan import StatePlan, Words
from shuffle.kernels.ranges import LIMIT, POSITION, ROOM_WORDS, scatter
from shuffle.kernels.states import PROGRAM_WORDS, SETTLE_VALUES, merge_states

NARROW_RECORDS = 1 << 14
"""In a range whose table the second-level cache holds: 8,192 entries of 64 bytes, and an index of 128 KiB."""

STREAM_WINDOWS = 2
_PIECE_RECORDS = 1 << 13
_SAMPLE_KEYS = 32
"""For each range: then none is more than half as large again as it should be, mostly."""

_ORDER_BYTES = 40
"""For each group while all are put in order at once."""

_LINE_BYTES = 64
_PAGE_BYTES = 4096


class Window:
    """A place for a block in memory that belongs to somebody else."""

    def __init__(self, view: memoryview) -> None:
        self._view = view

    @property
    def view(self) -> memoryview:
        return self._view

    def release(self) -> None:
        """Nothing is to be given back."""


class RangeCombiner:
    """Combines one range after another in `extent`. The groups of one are gone when the next begins."""

    def __init__(self, extent: Extent, form: KeyForm, plan: StatePlan, block_bytes: int, *, hash_bits: int) -> None:
        self._extent = extent
        self._records = RecordForm(form, plan)
        self._block_bytes = block_bytes
        self._table = GroupTable(extent, form, plan, plan.template.copy(), hash_bits=hash_bits)
        self._words = np.frombuffer(extent.view, np.uint64)
        self._base = address_of(self._words)
        self._program = plan.program()
        self._no_program = np.zeros((0, PROGRAM_WORDS), np.uint64)
        self._states, self._hashes = (np.empty(_PIECE_RECORDS, np.uint64) for _ in range(2))
        self._unsettled = 0

    # --- streamed

    def windows(self) -> list[Window]:
        """Where the blocks of a range are read that is streamed."""
        return self._windows_from(0, STREAM_WINDOWS)

    def begin(self, record_count: int) -> None:
        """No groups yet, of so many records to come."""
        first, size = STREAM_WINDOWS * self._block_bytes, self._extent.size_bytes
        entry_bytes = self._table.entry_bytes
        room = (size - first) * (entry_bytes + 26) // (entry_bytes + 26 + _ORDER_BYTES) // _LINE_BYTES * _LINE_BYTES
        self._table.begin(self._base + first, self._base + first + room, record_count)

    def add(self, block: Block, window: int) -> bool:
        """Combine the records of a block in a window; False if the table is full, and the range is to be split."""
        return self._add(block.kind, window * self._block_bytes + HEADER_BYTES, block.record_count)

    def groups(self) -> Words:
        """The entries in the order of their keys."""
        return in_order(self._table.entries(), self._records.key_words)

    # --- divided

    def can_divide(self, blocks: Sequence[Block]) -> bool:
        """Whether a range is to be divided: it is large, and all fits."""
        record_count = sum(block.record_count for block in blocks)
        if record_count <= 2 * NARROW_RECORDS:
            return False
        size_bytes = self._extent.size_bytes
        if self._region_offset(blocks) + len(blocks) * self._block_bytes > size_bytes:
            return False
        return divided_bytes(self._records_bytes(blocks), record_count, self._table.entry_bytes) <= size_bytes

    def windows_of(self, blocks: Sequence[Block]) -> list[Window]:
        """Where the blocks of a range are read that is divided."""
        return self._windows_from(self._region_offset(blocks), len(blocks))

    def divide(self, blocks: Sequence[Block]) -> Words:
        """Combine the records of all blocks, which are in their windows: the entries in the order of their keys."""
        region = self._region_offset(blocks)
        starts = [region + place * self._block_bytes + HEADER_BYTES for place in range(len(blocks))]
        stored = [self._stored(block, start) for block, start in zip(blocks, starts, strict=True)]
        ranges = _ranges_in(sum(block.record_count for block in blocks))
        splitters = splitters_of(self._sample(blocks, starts, ranges * _SAMPLE_KEYS), ranges)
        parts = self._scatter(stored, splitters)
        return self._combine_parts(parts, region, ranges)

    def _scatter(self, stored: list[Columns], splitters: Words) -> dict[int, tuple[Words, Words]]:
        """Throw all records into narrower ranges: for each kind, where each range begins, and how many are in it."""
        ranges = len(splitters) + 1
        counts = {kind: np.zeros(ranges, np.uint64) for kind in KINDS}
        numbers_at = self._records_bytes(stored) // 4
        numbers = self._words.view(np.uint32)[numbers_at : numbers_at + sum(each.count for each in stored)]
        first = 0
        for each in stored:
            those = numbers[first : first + each.count]
            find(each, splitters, those)
            counts[each.kind] += np.bincount(those, minlength=ranges).astype(np.uint64)
            first += each.count
        parts: dict[int, tuple[Words, Words]] = {}
        rooms: dict[int, Words] = {}
        offset = 0
        for kind in KINDS:
            record_bytes = np.uint64(8 * self._records.words(kind))
            ends = np.uint64(offset) + np.cumsum(counts[kind]) * record_bytes
            rooms[kind] = np.zeros((ranges, ROOM_WORDS), np.uint64)
            parts[kind] = ends - counts[kind] * record_bytes, counts[kind]
            rooms[kind][:, POSITION] = parts[kind][0] + np.uint64(self._base)
            rooms[kind][:, LIMIT] = ends + np.uint64(self._base)
            offset = int(ends[-1])
        first = 0
        for each in stored:
            those = numbers[first : first + each.count]
            done = int(scatter(each.lines, those, 0, each.count, rooms[each.kind]))
            assert done == each.count, (done, each.count)
            first += each.count
        return parts

    def _combine_parts(self, parts: dict[int, tuple[Words, Words]], region: int, ranges: int) -> Words:
        found, first = [np.zeros(0, np.uint64)], self._base + region
        starts = {kind: offsets.tolist() for kind, (offsets, _) in parts.items()}
        counts = {kind: numbers.tolist() for kind, (_, numbers) in parts.items()}
        for number in range(ranges):
            record_count = sum(each[number] for each in counts.values())
            room = GroupTable.room_bytes(self._table.entry_bytes, record_count) // 8 * 8
            self._table.begin(first, first + room, record_count)
            for kind in KINDS:
                is_all = self._add(kind, starts[kind][number], counts[kind][number])
                assert is_all, "there is room for as many groups as records"
            found.append(self.groups())
            first = -(-self._table.end // _LINE_BYTES) * _LINE_BYTES
        return np.concatenate(found)

    # --- both

    def _add(self, kind: int, offset: int, record_count: int) -> bool:
        words = self._records.words(kind)
        records = self._words[offset // 8 : offset // 8 + record_count * words].reshape(record_count, words)
        for first in range(0, record_count, _PIECE_RECORDS):
            piece = records[first : first + _PIECE_RECORDS]
            if not (self._merge(piece) if kind == STATE else self._update(kind, piece)):
                return False
            self._unsettled += len(piece)
            if self._unsettled >= SETTLE_VALUES:
                self._table.settle(self._program)
                self._unsettled = 0
        return True

    def _update(self, kind: int, records: Words) -> bool:
        """Add the values of records to the states of their groups."""
        arrays = self._records.bind(self._program, kind, records)
        scratch = self._states, self._hashes
        done = self._table.add(self._records.keys(records), 0, len(records), self._program, *scratch)
        del arrays  # what the program read until now
        return done == len(records)

    def _merge(self, records: Words) -> bool:
        """Add states to those of their groups."""
        count, keys = len(records), self._records.keys(records)
        if self._table.add(keys, 0, count, self._no_program, self._states, self._hashes) < count:
            return False
        first = np.uint64(address_of(records) + 8 * self._records.key_words)
        sources = first + np.arange(count, dtype=np.uint64) * np.uint64(records.strides[0])
        merge_states(self._program, self._states[:count], sources)
        return True

    def _sample(self, blocks: Sequence[Block], starts: Sequence[int], wanted: int) -> Words:
        """Keys from all over the blocks."""
        step = max(1, sum(block.record_count for block in blocks) // wanted)
        samples = [self.keys_of(block, start, step) for block, start in zip(blocks, starts, strict=True)]
        return np.concatenate(samples)

    def keys_of(self, block: Block, offset: int, step: int) -> Words:
        """Every `step`-th key of a block whose records begin at `offset`."""
        words = self._records.words(block.kind)
        records = self._words[offset // 8 : offset // 8 + block.record_count * words].reshape(-1, words)
        return records[::step, : self._records.key_words].copy()

    def _stored(self, block: Block, offset: int) -> Columns:
        return self._records.stored(block.kind, self._base + offset, block.record_count)

    def _windows_from(self, offset: int, count: int) -> list[Window]:
        size, view = self._block_bytes, self._extent.view
        return [Window(view[offset + place * size : offset + (place + 1) * size]) for place in range(count)]

    def _records_bytes(self, parts: Iterable[Block] | Iterable[Columns]) -> int:
        return sum(
            8 * self._records.words(part.kind) * (part.record_count if isinstance(part, Block) else part.count)
            for part in parts
        )

    def _region_offset(self, blocks: Sequence[Block]) -> int:
        """Behind the records in narrower ranges, and the number of the range of each."""
        return _region_offset(self._records_bytes(blocks), sum(block.record_count for block in blocks))


def divided_bytes(records_bytes: int, record_count: int, entry_bytes: int) -> int:
    """The memory that a range takes that is divided, if all keys are different."""
    entries = GroupTable.room_bytes(entry_bytes, record_count)
    beside = record_count * 8 + _LINE_BYTES * _ranges_in(record_count)
    return _region_offset(records_bytes, record_count) + entries + beside


def _region_offset(records_bytes: int, record_count: int) -> int:
    return -(-(records_bytes + 4 * record_count) // _PAGE_BYTES) * _PAGE_BYTES


def _ranges_in(record_count: int) -> int:
    return 1 << max(0, (record_count // NARROW_RECORDS - 1).bit_length())
