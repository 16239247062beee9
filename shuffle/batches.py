"""Values in batches: so many that a call costs nothing for each, so few that they weigh little in memory.

Nobody knows how large the next values are, so a batch grows only as fast as those before it were small.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

BATCH_BYTES = 1 << 20
"""Of rows in a batch: as Python objects, values take from three to ten times as much."""

BATCH_VALUES_MAX = 1 << 15
BATCH_VALUES_FIRST = 1 << 8
GROWTH = 4
"""At most so many times the values of the batch before."""


class Batches:
    """How many values to take next, `first` to begin with. `note` tells what became of the last."""

    def __init__(self, first: int = BATCH_VALUES_FIRST) -> None:
        self._count = first

    def take(self, values: Iterator[T]) -> list[T]:
        """The next batch; empty at the end. Raises what the iterator raises."""
        return list(islice(values, self._count))

    def split(self, values: Iterable[T]) -> Iterator[list[T]]:
        """All values, batch after batch."""
        iterator = iter(values)
        while batch := self.take(iterator):
            yield batch

    def note(self, value_count: int, row_bytes: int) -> None:
        """A batch of so many values took so many bytes as rows."""
        fitting = BATCH_BYTES * value_count // max(1, row_bytes)
        self._count = max(1, min(fitting, self._count * GROWTH, BATCH_VALUES_MAX))
