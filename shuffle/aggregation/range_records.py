"""Records of fixed length, as they are thrown into ranges: which words they have, from where, and what is read of them.

    RAW        key | value of each column | number                   a record none of whose values is null
    RAW_NULLS  key | value of each column | number | a bit a column  a record; a bit that is set: that value is null
    STATE      key | state                                           a group, or part of one

Words are native. A key is one or two of them, which compare as the keys do. The number of a record is there where the
plan asks which came first. Only keys of words (`KeyForm.key_words`) make such records: those of bytes vary in length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from io_manager import HEADER_BYTES
from serializers.columns.scratch import address_of
from shuffle.aggregation.group_table import GroupTable
from shuffle.aggregation.keys import KeyForm, Keys
from shuffle.aggregation.state_plan import StatePlan, ValueColumn, Words
from shuffle.kernels import states as state_kernels
from shuffle.kernels.ranges import ADDRESS, COLUMN_WORDS, FLIP, STRIDE

RAW, RAW_NULLS, STATE = KINDS = range(3)
_MASK_BITS = 64


@dataclass(frozen=True)
class Columns:
    """The words of some records wherever they stand: a line for each word (`shuffle.kernels.ranges`).

    `arrays` are what the lines point into.
    """

    kind: int
    lines: Words
    count: int
    arrays: tuple[NDArray[np.generic], ...] = ()

    def parts(self, count: int) -> Iterator[Columns]:
        """The same, at most `count` records at a time."""
        for first in range(0, self.count, count):
            lines = self.lines.copy()
            lines[:, ADDRESS] += np.uint64(first) * lines[:, STRIDE]
            yield Columns(self.kind, lines, min(count, self.count - first), self.arrays)


class RecordForm:
    """The records of one kind of key with values and states of `plan`."""

    def __init__(self, form: KeyForm, plan: StatePlan) -> None:
        assert form.key_words, "keys of bytes make no records of fixed length"
        self.key_words = form.key_words
        self._plan = plan
        self._value_words = plan.column_count + plan.has_numbers
        self._mask_words = -(-plan.column_count // _MASK_BITS)

    def words(self, kind: int) -> int:
        """The words of a record."""
        if kind == STATE:
            return self.key_words + self._plan.state_bytes // 8
        return self.key_words + self._value_words + (self._mask_words if kind == RAW_NULLS else 0)

    @property
    def words_max(self) -> int:
        """The words of the longest."""
        return max(self.words(kind) for kind in KINDS)

    # --- where records come from

    def of_values(self, keys: Keys, columns: Sequence[ValueColumn], *, with_nulls: bool) -> Columns:
        """Records: keys, none of which is missing, and the values of each column, the numbers last if there are any."""
        first, stride = keys.words_at
        lines = [(first + 8 * word, stride, 0 if word else keys.flip) for word in range(self.key_words)]
        lines += [(address_of(column.words), 8, 0) for column in columns]
        masks = self._masks(columns, len(keys)) if with_nulls else []
        lines += [(address_of(mask), 8, 0) for mask in masks]
        return Columns(RAW_NULLS if with_nulls else RAW, np.array(lines, np.uint64), len(keys), tuple(masks))

    def of_table(self, table: GroupTable) -> Columns:
        """All groups of a table."""
        return self._of_lines(STATE, table.first_entry, table.entry_bytes, len(table))

    def in_block(self, view: memoryview, kind: int, count: int) -> Columns:
        """The records of a block in a buffer."""
        block = np.frombuffer(view, np.uint8)
        return replace(self.stored(kind, address_of(block) + HEADER_BYTES, count), arrays=(block,))

    def stored(self, kind: int, address: int, count: int) -> Columns:
        """Records one behind another."""
        return self._of_lines(kind, address, 8 * self.words(kind), count)

    def _of_lines(self, kind: int, address: int, stride: int, count: int) -> Columns:
        lines = np.zeros((self.words(kind), COLUMN_WORDS), np.uint64)
        lines[:, ADDRESS] = np.uint64(address) + np.arange(len(lines), dtype=np.uint64) * np.uint64(8)
        lines[:, STRIDE], lines[:, FLIP] = stride, 0
        return Columns(kind, lines, count)

    def _masks(self, columns: Sequence[ValueColumn], count: int) -> list[Words]:
        masks = [np.zeros(count, np.uint64) for _ in range(self._mask_words)]
        for place, column in enumerate(columns[: self._plan.column_count]):
            if column.nulls is not None:
                word, bit = divmod(place, _MASK_BITS)
                masks[word] |= (column.nulls != 0).astype(np.uint64) << np.uint64(bit)
        return masks

    # --- what is read of them

    def keys(self, records: Words) -> Keys:
        """The keys of records, a line of words each."""
        return Keys(records[:, : self.key_words])

    def bind(self, program: Words, kind: int, records: Words) -> tuple[NDArray[np.generic], ...]:
        """Let a program read the values of raw records, a line of words each: what must live as long as it does so."""
        first, columns = self.key_words, self._plan.column_count
        nulls: list[NDArray[np.uint8] | None] = [None] * columns
        if kind == RAW_NULLS:
            masks = records[:, first + self._value_words :]
            for place in range(columns):
                word, bit = divmod(place, _MASK_BITS)
                nulls[place] = ((masks[:, word] >> np.uint64(bit)) & np.uint64(1)).astype(np.uint8)
        values = [ValueColumn(records[:, first + place], nulls[place]) for place in range(columns)]
        self._plan.bind(program, values, 0)
        program[:, state_kernels.STRIDE] = records.strides[0]
        numbers = records[:, first + columns].copy() if self._plan.has_numbers else None
        self._plan.bind_numbers(program, numbers)
        return (records, *(each for each in (*nulls, numbers) if each is not None))
