"""The keys of a batch of records: as words, where they are short and of one length, or as rows.

A key of words is one or two native words that compare as the keys do; the first may need an exclusive-or with `flip`
first, so that a column of integers goes in as it stands. A key of rows is what a codec wrote: its order key, and behind
it what the order key does not tell (the value of the row).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serializers import RecordLayout, rows
from serializers.columns.pieces import EncodedRows
from serializers.columns.scratch import address_of
from shuffle.kernels.hash_table import words_of_rows

WORD_BYTES = 8
WORDS_BYTES_MAX = 16


@dataclass(frozen=True)
class KeyForm:
    """What is known of all keys.

    key_bytes    the length of every order key; None if it varies
    is_whole     whether the order key tells all of a key
    has_nulls    whether keys of words may be missing altogether; the group of these goes before all others
    """

    key_bytes: int | None
    is_whole: bool = True
    has_nulls: bool = False

    @property
    def key_words(self) -> int:
        """How many words a key takes; 0 for keys of bytes."""
        if self.key_bytes is None or not self.is_whole or not 0 < self.key_bytes <= WORDS_BYTES_MAX:
            return 0
        return 1 if self.key_bytes <= WORD_BYTES else 2

    @property
    def layout(self) -> RecordLayout:
        """Of the rows of groups."""
        return rows(self.key_bytes)


@dataclass(frozen=True)
class Keys:
    """The keys of a batch. `words` has one line a key; `nulls` a byte for each that is not zero where it is missing."""

    words: NDArray[np.generic] | None = None
    flip: int = 0
    nulls: NDArray[np.uint8] | None = None
    encoded: EncodedRows | None = None

    def __len__(self) -> int:
        return len(self.encoded.ends) if self.words is None and self.encoded is not None else len(self._words)

    @property
    def _words(self) -> NDArray[np.generic]:
        assert self.words is not None
        return self.words

    @property
    def words_at(self) -> tuple[int, int]:
        """Address of the first key of words, and how far the next is from it."""
        return address_of(self._words), self._words.strides[0]

    def part(self, start: int, end: int) -> Keys:
        """The keys from `start` to `end`."""
        words = None if self.words is None else self.words[start:end]
        nulls = None if self.nulls is None else self.nulls[start:end]
        rows = self.encoded
        if rows is not None and start < end:
            first = int(rows.ends[start - 1]) if start else 0
            rows = EncodedRows(
                rows.data[first:], int(rows.ends[end - 1]) - first, rows.ends[start:end] - np.uint32(first)
            )
        return Keys(words, self.flip, nulls, rows)

    def without_nulls(self) -> tuple[Keys, NDArray[np.intp], NDArray[np.intp]]:
        """The keys that are there, which they are, and which are not."""
        assert self.nulls is not None
        there, missing = np.flatnonzero(self.nulls == 0), np.flatnonzero(self.nulls)
        return Keys(self._words[there], self.flip), there, missing


def keys_of_rows(encoded: EncodedRows, form: KeyForm) -> Keys:
    """The keys that a codec wrote as rows."""
    if not form.key_words:
        return Keys(encoded=encoded)
    words = np.empty((encoded.count, form.key_words), np.uint64)
    assert form.key_bytes is not None
    words_of_rows(address_of(encoded.data), encoded.ends, form.layout.key_bytes, form.key_bytes, words)
    return Keys(words, encoded=encoded)
