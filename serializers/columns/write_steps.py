"""The steps that write a batch, and how many bytes all its rows may take, so that the kernel needs no check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers import row_kernels as kernels
from serializers.columns.scratch import Scratch, address_of
from serializers.columns.steps import ALL_ONES, COLUMN, BatchTooLargeError, Steps, Words

ROW_HEAD_BYTES_MAX = 10
"""Two varints of numbers below 2**32."""

_COUNT_BYTES_MAX = 5
_INTEGER_BYTES_MAX = 9


class StepsToWrite(Steps):
    """Steps that write rows. `bytes_max` is what all rows take at most, without their lengths."""

    def __init__(self, scratch: Scratch) -> None:
        super().__init__(scratch)
        self.bytes_max = 0
        self._key_varies = False
        self._separated: list[tuple[Words, int, Callable[[], None]]] = []

    def copy(self, column: NDArray[Any]) -> None:
        """The items of a contiguous array, one a row. Its memory has slack."""
        size = column.dtype.itemsize
        self.add(kernels.COPY, column=self.hold(column), size=size, ends=size)
        self.bytes_max += column.nbytes

    def constant(self, byte: int, count: int) -> None:
        """The same byte in each row, `count` times in all."""
        column = self.scratch.empty(1, np.uint8)
        column[0] = byte
        self.add(kernels.COPY, column=self.hold(column), size=1)
        self.bytes_max += count

    def check_text_bytes(self, text_bytes: int) -> None:
        """Raise BatchTooLargeError unless the texts of a column can be told apart."""
        if text_bytes >= 1 << 32:
            raise BatchTooLargeError

    def text(
        self, form: np.uint64, data: NDArray[np.uint8], ends: NDArray[np.uint32], *, inverted: bool = False
    ) -> None:
        """Texts that stand side by side in `data`: number i from `ends[i]` to `ends[i + 1]`."""
        marks = ALL_ONES if inverted else 0
        self.add(kernels.TEXT, column=self.hold(data), size=int(form), ends=self.hold(ends), marks=marks)
        text_bytes = int(ends[-1]) - int(ends[0])
        self._count_text(text_bytes * 2 if form == kernels.CLOSED else text_bytes, len(ends) - 1)

    def separated_text(
        self, form: np.uint64, data: NDArray[np.uint8], count: int, if_not: Callable[[], None], *, inverted: bool
    ) -> None:
        """Texts with a zero byte behind each. `if_not` is called in the end if one of them held a zero byte itself."""
        marks = ALL_ONES if inverted else 0
        line = self.add(kernels.TEXT, column=self.hold(data), size=int(form), marks=marks)
        self._separated.append((line, address_of(data) + data.size, if_not))
        self._count_text(data.size, count)

    def _count_text(self, text_bytes: int, count: int) -> None:
        self.bytes_max += text_bytes + count * _COUNT_BYTES_MAX

    def integers(self, column: NDArray[np.int64], *, inverted: bool = False) -> None:
        """Unbounded ints of at most 64 bits."""
        self.add(kernels.INTEGER, column=self.hold(column), marks=ALL_ONES if inverted else 0)
        self.bytes_max += len(column) * _INTEGER_BYTES_MAX

    def option(self, nulls: NDArray[np.uint8], null_mark: int, value_mark: int) -> Words:
        """A mark for each of `nulls`, which is 1 for null."""
        self.bytes_max += len(nulls)
        return self.add(kernels.OPTION, column=self.hold(nulls), marks=value_mark | null_mark << 8)

    def repeat(self, counts: NDArray[np.uint32], *, is_key: bool = False) -> Words:
        """How many elements each list has; in a key there is no count."""
        self.bytes_max += len(counts) * _COUNT_BYTES_MAX
        form = kernels.OPEN if is_key else kernels.SIZED
        return self.add(kernels.REPEAT, column=self.hold(counts), size=int(form))

    def key_end(self) -> None:
        """Here the order key ends; its length is to stand before it."""
        self._key_varies = True
        self.add(kernels.KEY_END)

    def run(self, data: NDArray[np.uint8], size: int, ends: NDArray[np.uint32]) -> int | None:
        """Write `len(ends)` rows from `data[size]` on: where they end. None if a separated text held a zero byte."""
        end: int = kernels.write_rows(*self.table.fill(), self._key_varies, address_of(data), size, ends)
        is_whole = True
        for line, expected, if_not in self._separated:
            if self.table.final(line, COLUMN) != expected:
                is_whole = False
                if_not()
        return end if is_whole else None
