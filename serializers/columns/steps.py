"""What the kernels follow: the steps of a batch, with the addresses of its columns.

Columns add steps in the order in which their bytes stand in a row: to those that write (`write_steps`), or to those
that read (`read_steps`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers import row_kernels as kernels
from serializers.columns.scratch import Scratch, address_of

ALL_ONES = (1 << 64) - 1
"""What inverts a word."""

COLUMN, ENDS, MARKS, SKIP = (int(word) // 8 for word in (kernels.COLUMN, kernels.ENDS, kernels.MARKS, kernels.SKIP))
"""Places of words in a step."""

_WORDS = kernels.STEP_WORDS
_STEP_BYTES = 8 * _WORDS
_MASK_BITS = 64

Words = list[int]


class BatchTooLargeError(Exception):
    """A batch takes more bytes than 32-bit offsets can tell apart."""


class UnknownBytesError(Exception):
    """The batch path met bytes that it cannot read: the serializers must look at the rows, one at a time."""


class Table:
    """The steps of one run of a kernel."""

    def __init__(self) -> None:
        self.lines: list[Words] = []
        self._masked: list[tuple[Words, int]] = []
        self._words: NDArray[np.uint64] = np.empty((0, _WORDS), np.uint64)

    def field(self, line: Words, mask: int) -> None:
        """`line` is a FIELD of the MASK step `mask`."""
        self._masked.append((line, mask))

    def fill(self) -> tuple[int, int]:
        """Where the kernel finds it: from, to."""
        self._words = np.empty((len(self.lines), _WORDS), np.uint64)
        start = address_of(self._words)
        for line, mask in self._masked:
            line[MARKS] = start + mask * _STEP_BYTES
        if self.lines:
            self._words[:] = self.lines
        return start, start + self._words.nbytes

    def final(self, line: Words, word: int) -> int:
        """What the kernel left in a word."""
        number = next(number for number, each in enumerate(self.lines) if each is line)
        return int(self._words[number, word])


class Steps:
    """What both directions have in common."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self.table = Table()
        self._held: list[NDArray[Any]] = []

    def hold(self, array: NDArray[Any]) -> int:
        """The address of an array, which lives as long as the steps that know it."""
        self._held.append(array)
        return address_of(array)

    def add(
        self, what: np.uint64, *, column: int = 0, size: int = 0, ends: int = 0, base: int = 0, marks: int = 0
    ) -> Words:
        """One more step. `size`, `ends` and `marks` are what the kernel calls so, or what stands in the same word."""
        line = [int(what), column, size, ends, 0, 0, base, marks]
        self.table.lines.append(line)
        return line

    @contextmanager
    def optional(self, line: Words) -> Iterator[None]:
        """What is added here is passed over where `line` finds a null."""
        start = len(self.table.lines)
        yield
        line[SKIP] = (len(self.table.lines) - start) * _STEP_BYTES

    @contextmanager
    def repeated(self, line: Words) -> Iterator[None]:
        """What is added here is done as often as `line` says, a REPEAT or a WHILE."""
        start = len(self.table.lines)
        yield
        span = (len(self.table.lines) - start + 1) * _STEP_BYTES
        is_counted = line[0] == kernels.REPEAT
        end = self.add(kernels.AGAIN if is_counted else kernels.BACK)
        line[SKIP], end[SKIP] = span, span if is_counted else span + _STEP_BYTES

    def mask(self, field_count: int, forbidden: int = 0) -> int:
        """The null mask of so many fields: its number, for `field`. Read it may not have the bits `forbidden`."""
        first = len(self.table.lines)
        for done in range(0, field_count, _MASK_BITS):
            size = (min(field_count - done, _MASK_BITS) + 7) // 8
            self.add(kernels.MASK, size=size, marks=forbidden >> done & ALL_ONES)
        return first

    def field(self, mask: int, bit: int, nulls: NDArray[np.uint8]) -> Words:
        """A field whose absence `mask` tells: `nulls` is 1 for null."""
        line = self.add(kernels.FIELD, column=self.hold(nulls), size=bit % _MASK_BITS)
        self.table.field(line, mask + bit // _MASK_BITS)
        return line
