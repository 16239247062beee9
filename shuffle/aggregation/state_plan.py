"""States of a fixed length: which parts they have, where each stands, and the program that kernels follow.

    count, sum:x, mean:x   ->   | ROWS | VALUES x | FLOATS x |     one part, however many ask for it

The parts are those of `shuffle.kernels.states`. Values come as columns of 8-byte words: SIGNED, UNSIGNED or FLOAT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serializers.columns.scratch import address_of
from shuffle.aggregation.aggregates import Aggregate
from shuffle.kernels import states as kernels

Words = NDArray[np.uint64]

PARTS_OF: dict[str, tuple[int, ...]] = {
    "sum": (kernels.INTEGERS,),
    "mean": (kernels.VALUES, kernels.INTEGERS),
    "variance": (kernels.VALUES, kernels.INTEGERS, kernels.SQUARES),
    "stddev": (kernels.VALUES, kernels.INTEGERS, kernels.SQUARES),
    "min": (kernels.LEAST,),
    "max": (kernels.GREATEST,),
    "first": (kernels.EARLIEST,),
    "last": (kernels.LATEST,),
}
"""The parts that an aggregate needs. Sums of floats have parts of their own."""

OF_FLOATS = {kernels.INTEGERS: kernels.FLOATS, kernels.SQUARES: kernels.FSQUARES}
_WITH_NUMBERS = (kernels.EARLIEST, kernels.LATEST)


@dataclass(frozen=True)
class Part:
    """A part of a state: which, and of which column; None for the records themselves."""

    what: int
    column: int | None


@dataclass(frozen=True)
class ValueColumn:
    """Values of a batch: 8-byte words one behind another, and a byte for each that is not zero where it is null."""

    words: NDArray[np.generic]
    nulls: NDArray[np.uint8] | None = None

    def part(self, start: int, end: int) -> ValueColumn:
        """The values from `start` to `end`."""
        return ValueColumn(self.words[start:end], None if self.nulls is None else self.nulls[start:end])


class StatePlan:
    """States for `aggregates`, each with the number of its column (None: records); `kinds` says what is in a column."""

    def __init__(self, aggregates: Sequence[tuple[Aggregate, int | None]], kinds: Sequence[int]) -> None:
        self.aggregates, self.kinds = tuple(aggregates), tuple(kinds)
        parts = [part for each in aggregates for part in self.parts_of(*each)]
        self.parts: tuple[Part, ...] = tuple(dict.fromkeys(parts))
        sizes = [8 * kernels.PART_WORDS[part.what] for part in self.parts]
        ends = np.cumsum([0, *sizes]).tolist()
        self._offsets = dict(zip(self.parts, ends, strict=False))
        self.state_bytes = int(ends[-1])
        self.template = self._make_template()
        self.has_numbers = any(part.what in _WITH_NUMBERS for part in self.parts)

    def __reduce__(self) -> tuple[object, ...]:
        return StatePlan, (self.aggregates, self.kinds)

    def parts_of(self, aggregate: Aggregate, column: int | None) -> list[Part]:
        """The parts from which an aggregate is computed."""
        if aggregate.kind == "count":
            return [Part(kernels.ROWS if column is None else kernels.VALUES, column)]
        assert column is not None
        is_float = self.kinds[column] == kernels.FLOAT
        return [Part(OF_FLOATS.get(what, what) if is_float else what, column) for what in PARTS_OF[aggregate.kind]]

    def offset(self, part: Part) -> int:
        """Where a part stands in a state, in bytes."""
        return int(self._offsets[part])

    @property
    def column_count(self) -> int:
        """Columns of values."""
        return len(self.kinds)

    def program(self) -> Words:
        """The program of the kernels, without columns yet: they may differ in every thread."""
        lines = np.zeros((len(self.parts), kernels.PROGRAM_WORDS), np.uint64)
        for line, part in zip(lines, self.parts, strict=True):
            line[kernels.WHAT], line[kernels.OFFSET], line[kernels.STRIDE] = part.what, self.offset(part), 8
            line[kernels.KIND] = 0 if part.column is None else self.kinds[part.column]
        return lines

    def bind(self, program: Words, columns: Sequence[ValueColumn], first_record: int) -> None:
        """Let a program read these columns, of records counted from `first_record` on."""
        for line, part in zip(program, self.parts, strict=True):
            line[kernels.FIRST] = first_record
            if part.column is not None:
                column = columns[part.column]
                line[kernels.COLUMN] = address_of(column.words)
                line[kernels.NULLS] = 0 if column.nulls is None else address_of(column.nulls)

    def bind_numbers(self, program: Words, numbers: Words | None) -> None:
        """Let a program know the number of every record; None: they are counted."""
        program[:, kernels.NUMBERS] = 0 if numbers is None else address_of(numbers)

    def _make_template(self) -> Words:
        """The state of nothing."""
        template = np.zeros(self.state_bytes // 8, np.uint64)
        for part in self.parts:
            word = self.offset(part) // 8
            if part.what == kernels.INTEGERS:
                template[word + 1] = kernels.NOTHING
            elif part.what == kernels.EARLIEST:
                template[word] = 0xFFFF_FFFF_FFFF_FFFF
        return template
