"""The steps that read a batch, and how many values a column may get.

Where the bytes of a type cannot be told from those that follow without its serializer, reading goes in stages: all rows
up to there, that type in all rows, all rows behind it (`StepsToRead.call`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers import row_kernels as kernels
from serializers.columns.scratch import Scratch, address_of
from serializers.columns.steps import ALL_ONES, ENDS, Steps, Table, UnknownBytesError, Words
from serializers.views import BytesInput


class RowBytes:
    """The bytes of the rows that are being read. `data` has slack."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self.address = address_of(data)
        self.size = data.size
        self.data = data
        self._bytes: bytes | None = None

    def input(self, start: int, end: int) -> BytesInput:
        """What stands between two addresses."""
        if self._bytes is None:
            self._bytes = self.data.tobytes()
        return BytesInput(self._bytes, start - self.address, end - self.address)


ReadOne = Callable[[BytesInput], None]
"""Reads a part of one row in Python; gets what is left of the region."""


class StepsToRead(Steps):
    """Steps that read rows. `capacity` is how many values the next column may get."""

    def __init__(self, scratch: Scratch, rows: RowBytes, count: int, *, joins_texts: bool) -> None:
        """`joins_texts`: let texts have zero bytes between them, where that helps to make values of them."""
        super().__init__(scratch)
        self.rows = rows
        self.count = count
        self.capacity = count
        self.joins_texts = joins_texts
        self._stages: list[tuple[Table, ReadOne, NDArray[np.uint8] | None]] = []
        self._nulls: NDArray[np.uint8] | None = None

    def of_other_region(self) -> StepsToRead:
        """Steps for another region of the same rows."""
        return StepsToRead(self.scratch, self.rows, self.count, joins_texts=self.joins_texts)

    def copy(self, dtype: Any) -> NDArray[Any]:
        """An array that gets one item of each row."""
        column = self.scratch.empty(self.capacity, dtype)
        self.add(kernels.COPY, column=self.hold(column), size=column.dtype.itemsize)
        return column

    def constant(self, byte: int) -> None:
        """A byte that must be there."""
        self.add(kernels.CONSTANT, size=byte)

    def skip(self, size: int) -> None:
        """Bytes that nobody wants."""
        self.add(kernels.PASS, size=size)

    def text(
        self, form: np.uint64, *, is_separated: bool, inverted: bool = False
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        """Where texts go, and their ends: number i from `ends[i]` to `ends[i + 1]`, less a zero byte if separated."""
        data = self.scratch.empty(self.rows.size + self.capacity, np.uint8)
        ends = self.scratch.empty(self.capacity + 1, np.uint32)
        ends[0] = 0
        size = int(form | kernels.SEPARATED if is_separated else form)
        marks = ALL_ONES if inverted else 0
        base = self.hold(data)
        self.add(kernels.TEXT, column=base, size=size, ends=self.hold(ends) + 4, base=base, marks=marks)
        return data, ends

    def integers(self, *, inverted: bool = False) -> tuple[NDArray[np.int64], Callable[[], list[int]]]:
        """Where unbounded ints go, and what tells later which have more than 64 bits: those are addresses."""
        column = self.scratch.empty(self.capacity, np.int64)
        wide = self.scratch.empty(self.capacity, np.uint32)
        base, start = self.hold(column), self.hold(wide)
        marks = ALL_ONES if inverted else 0
        line, table = self.add(kernels.INTEGER, column=base, ends=start, base=base, marks=marks), self.table
        return column, lambda: wide[: (table.final(line, ENDS) - start) // 4].tolist()

    def option(self, null_mark: int, value_mark: int) -> tuple[Words, NDArray[np.uint8]]:
        """A mark, and where it is noted: 1 for null."""
        nulls = self.scratch.empty(self.capacity, np.uint8)
        return self.add(kernels.OPTION, column=self.hold(nulls), marks=value_mark | null_mark << 8), nulls

    def masked(self, mask: int, bit: int) -> tuple[Words, NDArray[np.uint8]]:
        """A field whose absence `mask` tells, and where it is noted: 1 for null."""
        nulls = self.scratch.empty(self.capacity, np.uint8)
        return self.field(mask, bit, nulls), nulls

    def given(self, nulls: NDArray[np.uint8]) -> Words:
        """A field whose absence was noted by an earlier step."""
        return self.add(kernels.GIVEN, column=self.hold(nulls))

    def repeat(self) -> tuple[Words, NDArray[np.uint32]]:
        """How many elements each list has."""
        counts = self.scratch.empty(self.capacity, np.uint32)
        return self.add(kernels.REPEAT, column=self.hold(counts)), counts

    def repeat_while(self, element_mark: int, end_mark: int) -> tuple[Words, NDArray[np.uint32]]:
        """The same where a mark goes before each element, and another behind the last."""
        counts = self.scratch.empty(self.capacity, np.uint32)
        return self.add(kernels.WHILE, column=self.hold(counts), marks=element_mark | end_mark << 8), counts

    @contextmanager
    def elements(self, line: Words, bytes_min: int) -> Iterator[None]:
        """What is added here is read for each element of lists, which takes at least `bytes_min` bytes."""
        # One more than fit: of the last element the row may hold the beginning only, and is found out behind that.
        outside, self.capacity = self.capacity, self.rows.size // bytes_min + 1
        with self.repeated(line):
            yield
        self.capacity = outside

    def call(self, read: ReadOne) -> None:
        """Here `read` reads a part of every row, or of those that `only_given` left."""
        self._stages.append((self.table, read, self._nulls))
        self.table = Table()

    @contextmanager
    def only_given(self, nulls: NDArray[np.uint8]) -> Iterator[None]:
        """What is called here is not, for rows whose field an earlier step noted as null."""
        outside, self._nulls = self._nulls, nulls
        yield
        self._nulls = outside

    def run(self, places: NDArray[np.uint64], region: int, *, is_all: bool) -> None:
        """Read one region of all rows. Raises UnknownBytesError if a row is not what the steps say."""
        for table, read, nulls in self._stages:
            self._run(table, places, region, is_all=False)
            self._run_in_python(read, nulls, places, region)
        self._run(self.table, places, region, is_all=is_all)

    def _run(self, table: Table, places: NDArray[np.uint64], region: int, *, is_all: bool) -> None:
        if kernels.read_fields(*table.fill(), places, region, is_all) < len(places):
            raise UnknownBytesError

    def _run_in_python(
        self, read: ReadOne, nulls: NDArray[np.uint8] | None, places: NDArray[np.uint64], region: int
    ) -> None:
        starts, limits = places[:, region].tolist(), places[:, region + 1].tolist()
        numbers = range(len(places)) if nulls is None else np.flatnonzero(nulls[: len(places)] == 0).tolist()
        for number in numbers:
            source = self.rows.input(starts[number], limits[number])
            read(source)
            starts[number] = self.rows.address + source.position
        places[:, region] = starts
