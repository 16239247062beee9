"""The door of the hash table: keys of a batch to the states of their groups, in one extent of managed memory.

The extent is taken whole, but costs only the pages that were touched: a small table stays small. It refuses keys when
it is full (`shuffle.kernels.hash_table`); whoever asked then empties it, and goes on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memory import Extent
from serializers.columns.scratch import address_of
from shuffle.aggregation.keys import KeyForm, Keys
from shuffle.aggregation.state_plan import StatePlan, Words
from shuffle.kernels import hash_table as kernels
from shuffle.kernels import states as state_kernels
from shuffle.kernels.sort import SCRATCH_WORDS, sort_words

SLOT_BITS_FIRST = 10

LOOKED_UP_RECORDS = 1 << 13
"""Whose groups are found by keys of bytes, and then added to: their entries are still in the second-level cache."""

_LINE_BYTES = 64
ALL_BITS = 0xFFFF_FFFF_FFFF_FFFF


class GroupTable:
    """Groups of one kind of key with states of `plan`. Not for two threads at once.

    `null_state` is the state of records without a key, which nobody clears. `hash_bits` are the bits of a hash that
    count: fewer than all make keys collide, for tests.
    """

    def __init__(
        self, extent: Extent, form: KeyForm, plan: StatePlan, null_state: Words, *, hash_bits: int = ALL_BITS
    ) -> None:
        self.form = form
        self.plan = plan
        self._extent = extent
        base = address_of(np.frombuffer(extent.view, np.uint8))
        self._table = np.zeros(kernels.TABLE_ENTRIES, np.uint64)
        self._table[kernels.END] = base + extent.size_bytes // 8 * 8
        self._table[kernels.KEY_WORDS], self._table[kernels.STATE_BYTES] = form.key_words, plan.state_bytes
        self._table[kernels.ENTRY_BYTES] = self.entry_bytes
        self._table[kernels.TEMPLATE] = address_of(plan.template)
        self._table[kernels.HASH_BITS] = hash_bits
        self._table[kernels.NULL_STATE] = address_of(null_state)
        self._table[kernels.BASE] = base
        self.clear()

    @staticmethod
    def bytes_min(plan: StatePlan) -> int:
        """The least extent that holds a few groups with short keys."""
        return (8 << SLOT_BITS_FIRST) + 16 * (plan.state_bytes + 256)

    def clear(self) -> None:
        """Forget all groups."""
        kernels.clear_table(self._table, SLOT_BITS_FIRST)

    def begin(self, first: int, end: int, records: int) -> None:
        """Begin anew between two addresses within the extent, which are multiples of 8, for about so many groups."""
        self._table[kernels.BASE], self._table[kernels.END] = first, end
        bits = max(SLOT_BITS_FIRST, (records * 8 // 5).bit_length())
        while bits > SLOT_BITS_FIRST and 8 << bits > (end - first) // 4:
            bits -= 1
        kernels.clear_table(self._table, bits)

    @classmethod
    def room_bytes(cls, entry_bytes: int, records: int) -> int:
        """What so many groups of words take at most, from `begin` on."""
        return records * entry_bytes + (16 << max(SLOT_BITS_FIRST, (records * 8 // 5).bit_length())) + _LINE_BYTES * 2

    def add(self, keys: Keys, first: int, end: int, program: NDArray[np.uint64], states: Words, hashes: Words) -> int:
        """Add records `first` to `end` to the groups of their keys, as `program` says: how far it came.

        That is less than `end` if the table is full. `states` and `hashes` are scratch, a word for each record.
        """
        if self.form.key_words:
            nulls = 0 if keys.nulls is None else address_of(keys.nulls)
            words = (*keys.words_at, keys.flip, nulls)
            return int(kernels.combine_words(self._table, *words, first, end, states, hashes, program))
        rows = keys.encoded
        assert rows is not None
        while first < end:
            wanted = min(first + LOOKED_UP_RECORDS, end)
            where = (address_of(rows.data), rows.ends[:wanted], self.form.layout.key_bytes)
            stop = int(kernels.find_bytes(self._table, *where, first, 0, states, hashes))
            state_kernels.update_states(program, states, first, stop)
            first = stop
            if stop < wanted:
                break
        return first

    # --- what is in it

    def __len__(self) -> int:
        return int(self._table[kernels.COUNT])

    @property
    def has_null(self) -> bool:
        """Whether there were records without a key."""
        return bool(self._table[kernels.NULL_USED])

    @property
    def entry_bytes(self) -> int:
        """The size of an entry of words."""
        return entry_bytes_of(self.form, self.plan)

    @property
    def extent_bytes(self) -> int:
        """What it may come to take."""
        return self._extent.size_bytes

    def groups_max(self) -> int:
        """About how many groups of words, or of bytes like those it holds, have room."""
        room = int(self._table[kernels.END] - self._table[kernels.BASE])
        taken = int(self._table[kernels.TOP] - self._table[kernels.BASE])
        entry_bytes = taken / len(self) if len(self) else self.entry_bytes + 32
        return int(room / (entry_bytes + 20))

    @property
    def first_entry(self) -> int:
        """The address of the first entry; of words, the others stand behind it, `entry_bytes` each."""
        return int(self._table[kernels.BASE])

    @property
    def end(self) -> int:
        """The address behind the last entry."""
        return int(self._table[kernels.TOP])

    def entries(self) -> Words:
        """The addresses of all entries."""
        base = int(self._table[kernels.BASE])
        if self.form.key_words:
            return np.arange(len(self), dtype=np.uint64) * np.uint64(self.entry_bytes) + np.uint64(base)
        entries = np.empty(len(self), np.uint64)
        count, _ = kernels.list_entries(self._table, base, entries)
        return entries[: int(count)]

    def write_rows(self, entries: Words, data: NDArray[np.uint8], ends: NDArray[np.uint32]) -> int:
        """Write the rows of some entries into `data`, with room for them and slack: how many bytes they take."""
        length = self.form.key_bytes
        varies = length is None
        return int(kernels.write_entries(self._table, entries, length or 0, varies, address_of(data), ends))

    def row_bytes_max(self, entries: Words) -> int:
        """What the rows of some entries take at most."""
        head = 2 * 5 + 1 + 8
        if self.form.key_words:
            return len(entries) * (head + self.entry_bytes)
        sizes = np.empty(len(entries), np.uint64)
        state_kernels.gather_words(entries, 8, sizes)
        return int((sizes >> np.uint64(32)).sum()) + len(entries) * (head + self.plan.state_bytes)

    def settle(self, program: Words) -> None:
        """Make room in sums for more values; see `shuffle.kernels.states`."""
        if self.form.key_words:
            first = int(self._table[kernels.BASE]) + 8 * self.form.key_words
            state_kernels.settle_states(program, first, self.entry_bytes, len(self))
        else:
            for entry in self.entries().tolist():
                state_kernels.settle_states(program, entry + kernels.ENTRY_HEAD_BYTES, 0, 1)

    def release(self) -> None:
        """Give the memory back; the table is dead. Idempotent."""
        self._extent.release()


def entry_bytes_of(form: KeyForm, plan: StatePlan) -> int:
    """The size of an entry of words: short ones are padded, so that none is in two lines of the cache."""
    size = 8 * form.key_words + plan.state_bytes
    return 1 << (size - 1).bit_length() if size <= _LINE_BYTES else size


def gather_keys(entries: Words, key_words: int) -> Words:
    """The keys of entries of words: a line for each word of a key."""
    words = np.empty((key_words, len(entries)), np.uint64)
    for word in range(key_words):
        state_kernels.gather_words(entries, 8 * word, words[word])
    return words


def in_order(entries: Words, key_words: int) -> Words:
    """The entries of words in the order of their keys."""
    words = gather_keys(entries, key_words)
    order = _packed_order(words[0]) if key_words == 1 else None
    return entries[np.lexsort(words[::-1]) if order is None else order]


def _packed_order(words: Words) -> NDArray[np.intp] | None:
    """The order of different words, sorted with their places packed into them; None if too few of their bits fit.

    That moves one word a key, and takes half the time of `argsort`.
    """
    if not len(words):
        return np.zeros(0, np.intp)
    least = words.min()
    place_bits = max(1, (len(words) - 1).bit_length())
    dropped = max(0, int(words.max() - least).bit_length() + place_bits - 64)
    packed = ((words - least) >> np.uint64(dropped)) << np.uint64(place_bits)
    packed |= np.arange(len(words), dtype=np.uint64)
    sort_words(packed, np.empty(SCRATCH_WORDS, np.uint64))
    if dropped:
        leading = packed >> np.uint64(place_bits)
        if (leading[1:] == leading[:-1]).any():
            return None
    order: NDArray[np.intp] = (packed & np.uint64((1 << place_bits) - 1)).astype(np.intp)
    return order
