"""Where each partition of a map output begins and ends, found while its blocks go by.

block 7 ┌──────────────┊────┊──────────┐ block 8 ┌───────...
        │ partition 41 ┊ 42 ┊ 45       │         │ 45
        └──────────────┊────┊──────────┘         └───────...
                            └─ 43 and 44 are empty: they begin and end here
"""

import numpy as np
from numpy.typing import NDArray

from io_manager import HEADER_BYTES, KEY_BYTES_MAX, BlockIndex, checksum
from serializers import RecordLayout
from serializers.errors import CorruptRecordError
from serializers.layouts import ROW_FLAG, ROW_KEYS_VARY
from shuffle.exchange.partition_entry import ENTRY
from shuffle.kernels import partition as kernels
from shuffle.runs import payload_address

_NOBODY = kernels.NO_PARTITION


class PartitionBorders:
    """Fills one index entry for each of `partitions`, from blocks of rows that begin with a partition number."""

    def __init__(self, partitions: int, layout: RecordLayout, partition_bytes: int) -> None:
        assert layout.is_rows and partition_bytes, "only rows have partition numbers"
        self._entries = np.zeros(partitions, ENTRY)
        self._layout = layout
        self._partition_bytes = partition_bytes
        varies = layout.key_bytes & ROW_KEYS_VARY
        self._key_bytes = kernels.VARIES if varies else layout.key_bytes - ROW_FLAG
        self._found = np.empty((0, kernels.BORDER_WORDS), np.uint64)
        self._current = -1
        self._last_key = b""

    def note_rows(self, block: int, payload: memoryview) -> bytes:
        """A block of whole rows: the leading bytes of its last key."""
        start = payload_address(payload) - HEADER_BYTES
        found, count, last, stop = kernels.find_borders(
            start,
            start + len(payload),
            self._key_bytes,
            self._partition_bytes,
            _NOBODY if self._current < 0 else self._current,
            len(self._entries),
            self._room(len(payload)),
        )
        if stop != len(payload):
            raise CorruptRecordError(f"block {block}: the row at byte {stop} is out of order, or of no partition")
        base = 0
        for partition, offset, ordinal, before in self._found[: int(found)].tolist():
            self._count(ordinal - base)
            if offset:
                self._last_key = self._key(payload[before:])
            self._begin(partition, block, offset, self._key(payload[offset:]))
            base = ordinal
        self._count(int(count) - base)
        self._last_key = self._key(payload[int(last) :])
        return self._last_key

    def note_span(self, block: int, payload: memoryview) -> bytes:
        """The first block of a row that spans blocks: the leading bytes of its key."""
        key = self._key(payload)
        partition = int.from_bytes(key[: self._partition_bytes], "big")
        if not self._current <= partition < len(self._entries):
            raise CorruptRecordError(f"block {block} is out of order, or of no partition")
        if partition != self._current:
            self._begin(partition, block, 0, key)
        self._count(1)
        self._last_key = key
        return key

    def entries(self, index: BlockIndex) -> NDArray[np.void]:
        """All blocks have gone by: the entries, whole but for what names run and partition."""
        self._end_at(len(self._entries), len(index), 0)
        add_sizes(self._entries, index)
        return self._entries

    def _begin(self, partition: int, block: int, offset: int, key: bytes) -> None:
        self._end_at(partition, block, offset)
        entry = self._entries[partition]
        entry["start_block"], entry["start_offset"] = block, offset
        put_key(entry, "first_key", key)
        self._current = partition

    def _end_at(self, partition: int, block: int, offset: int) -> None:
        """The partition that was the last ends here, and those between it and the next are empty."""
        if self._current >= 0:
            entry = self._entries[self._current]
            entry["stop_block"], entry["stop_offset"] = block, offset
            put_key(entry, "last_key", self._last_key)
        between = self._entries[self._current + 1 : partition]
        between["start_block"] = between["stop_block"] = block
        between["start_offset"] = between["stop_offset"] = offset

    def _count(self, records: int) -> None:
        if records:
            self._entries[self._current]["records"] += records

    def _key(self, rows: memoryview) -> bytes:
        return self._layout.leading_key(rows, KEY_BYTES_MAX)

    def _room(self, payload_bytes: int) -> NDArray[np.uint64]:
        """For as many borders as there can be: a row takes its length and its partition number at least."""
        most = min(len(self._entries), payload_bytes // (1 + self._partition_bytes) + 1)
        if len(self._found) < most:
            self._found = np.empty((most, kernels.BORDER_WORDS), np.uint64)
        return self._found


def whole_entries(partitions: int, index: BlockIndex, last_key: bytes) -> NDArray[np.void]:
    """Entries that all say: everything."""
    entries = np.zeros(partitions, ENTRY)
    entries["stop_block"] = len(index)
    entries["records"] = index.record_counts.sum(dtype=np.uint64)
    if len(index):
        put_key(entries, "first_key", index.first_key(0))
        put_key(entries, "last_key", last_key)
    add_sizes(entries, index)
    return entries


def add_sizes(entries: NDArray[np.void], index: BlockIndex) -> None:
    """Bytes of records, and the checksum of the index entries of the blocks that they are in."""
    before = np.concatenate([[0], np.cumsum(index.raw_lengths, dtype=np.uint64)]).astype(np.uint64)
    stops = before[entries["stop_block"].astype(np.int64)] + entries["stop_offset"]
    entries["raw_bytes"] = stops - (before[entries["start_block"].astype(np.int64)] + entries["start_offset"])
    first, stop = entries["start_block"], entries["stop_block"] + (entries["stop_offset"] > 0)
    known: dict[tuple[int, int], int] = {}
    for place in np.flatnonzero(entries["raw_bytes"]).tolist():
        part = int(first[place]), int(stop[place])
        if part not in known:
            known[part] = checksum(index.part_bytes(*part))
        entries["index_checksum"][place] = known[part]


def put_key(entries: NDArray[np.void] | np.void, name: str, key: bytes) -> None:
    """Set a key of one entry, or of several."""
    padded = np.frombuffer(key.ljust(KEY_BYTES_MAX, b"\0"), np.uint8)
    entries[name][...] = padded
    entries[f"{name}_length"] = len(key)
