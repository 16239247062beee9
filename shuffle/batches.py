"""Values in batches: so many that a call costs nothing for each, so few that they weigh little in memory.

Nobody knows how large the next values are, so a batch grows only as fast as those before it were small; and while it is
taken, a value is weighed now and then, so that large ones end it.
"""

import sys
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

T = TypeVar("T")

BATCH_BYTES = 1 << 20
"""Of rows in a batch: as Python objects, values take from three to ten times as much."""

BATCH_VALUES_MAX = 1 << 15
BATCH_VALUES_FIRST = 1 << 8
GROWTH = 4
"""At most so many times the values of the batch before."""

WEIGHT_MAX = 4 << 20
"""Of the values of a batch, or of a sample, as `weigh` counts."""

SAMPLE_VALUES = 1000
"""Looked at where no type is given."""

_STEP_FIRST = 1
STEP_VALUES = 1 << 7
"""Values that are taken without a look at one: to weigh one takes 1 us, and to write one to a row 0.1 or more."""

_ITEMS_WEIGHED = 16
_DEPTH = 3


class Batches:
    """How many values to take next, `first` to begin with, at `most`. `note` tells what became of the last.

    `step` values are taken without a look at one.
    """

    def __init__(
        self, first: int = BATCH_VALUES_FIRST, *, most: int = BATCH_VALUES_MAX, step: int = STEP_VALUES
    ) -> None:
        self._count = first
        self._most = most
        self._step = step

    def take(self, values: Iterator[T]) -> list[T]:
        """The next batch; empty at the end. Raises what the iterator raises."""
        batch: list[T] = []
        wanted = min(_STEP_FIRST, self._count)
        while wanted > 0:
            before = len(batch)
            batch += islice(values, wanted)
            if len(batch) < before + wanted:
                break
            fitting = WEIGHT_MAX // (1 + weigh(batch[-1]))
            wanted = min(self._count, fitting, len(batch) + min(self._step, wanted * GROWTH)) - len(batch)
        return batch

    def split(self, values: Iterable[T]) -> Iterator[list[T]]:
        """All values, batch after batch."""
        iterator = iter(values)
        while batch := self.take(iterator):
            yield batch
            del batch  # or it would stay until the next has been taken

    def note(self, value_count: int, row_bytes: int) -> None:
        """A batch of so many values took so many bytes as rows."""
        fitting = BATCH_BYTES * value_count // max(1, row_bytes)
        self._count = max(1, min(fitting, self._count * GROWTH, self._most))


class Sample(Generic[T]):
    """The first values, from which the type of all is found: 1,000, or fewer if they are heavy, but one at least."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._weight = 0

    @property
    def is_complete(self) -> bool:
        """Whether it wants no more."""
        return len(self.values) >= SAMPLE_VALUES or self._weight >= WEIGHT_MAX

    def take(self, values: Iterator[T]) -> bool:
        """Take as many as are wanted; whether it is complete."""
        while not self.is_complete:
            following = list(islice(values, 1))
            if not following:
                return False
            self.values += following
            self._weight += weigh(following[0])
        return True


def first_values(values: Iterator[T]) -> list[T]:
    """A sample of what an iterator gives; the rest is still in it."""
    sample = Sample[T]()
    sample.take(values)
    return sample.values


def weigh(value: Any, depth: int = _DEPTH) -> int:
    """About how many bytes of content a value has. It follows from the value alone, as batches have to."""
    if isinstance(value, str | bytes | bytearray):
        return len(value)
    if isinstance(value, int | float) or depth == 0:
        return 8
    if isinstance(value, dict):
        return _weigh_items(value.keys(), depth) + _weigh_items(value.values(), depth)
    if isinstance(value, tuple | list | set | frozenset):
        return _weigh_items(value, depth)
    numpy = sys.modules.get("numpy")  # who has not imported it has no arrays
    if numpy is not None and isinstance(value, numpy.ndarray):
        return int(value.nbytes)
    return _weigh_items(_fields(value), depth)


def _fields(value: object) -> Collection[Any]:
    """What an object of a class of somebody's holds."""
    fields = getattr(value, "__dict__", None)
    if isinstance(fields, dict):
        return fields.values()
    slots = getattr(type(value), "__slots__", ())
    return [getattr(value, slot, None) for slot in slots] if isinstance(slots, tuple | list) else ()


def _weigh_items(items: Collection[Any], depth: int) -> int:
    """Of long ones the first few stand for all."""
    count = len(items)
    weighed = sum(weigh(item, depth - 1) for item in islice(items, _ITEMS_WEIGHED))
    return 8 * count + weighed * count // max(1, min(count, _ITEMS_WEIGHED))
