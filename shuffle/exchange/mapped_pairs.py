"""What map makes of the records of a split, one after another, at the speed of C.

    split.read ─> compress(records, count) ─> map ─> pairs of one record after another ──take──> batches

The counter tells which record was on its way when something was raised, and costs each a tenth of a call. Pairs are
counted where they are used up one by one, which takes 20 ns each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, compress, count, filterfalse, islice
from operator import is_
from typing import Any

from shuffle.batches import Batches
from shuffle.exchange.splits import Split
from shuffle.exchange.task_errors import RecordFailedError

MapFunction = Callable[[Any], Iterable[Any] | None]


class MappedPairs:
    """The pairs of one split: those of `function`, or the records themselves; with `key`, keyed by it."""

    def __init__(self, split: Split, function: MapFunction | None, key: Callable[[Any], Any] | None) -> None:
        self._split = split
        self._first_record = int(getattr(split, "first_record", 0))
        self._record_counter, self._pair_counter = count(1), count(1)
        self._is_reading = False
        records: Iterator[Any] = compress(self._records(), self._record_counter)
        if function is not None:
            made: Iterator[Any] = map(function, records)
            records = chain.from_iterable(filterfalse(partial(is_, None), made))
        keyed = records if key is None else map(partial(_keyed, key), records)
        self._pairs = iter(keyed)
        self.pairs_taken = 0
        self.has_ended = False

    def take(self, batches: Batches) -> list[Any]:
        """The next batch; empty at the end. Raises RecordFailedError from what was raised."""
        with self._blamed():
            batch = batches.take(self._pairs)
        self.pairs_taken += len(batch)
        return batch

    def feed(self, use: Callable[[Iterator[Any]], None], wanted: int) -> None:
        """Let `use` take at most so many pairs, one by one. Raises as `take` does, also for what `use` raises."""
        before = _told(self._pair_counter)
        with self._blamed():
            use(islice(compress(self._pairs, self._pair_counter), wanted))
        taken = _told(self._pair_counter) - before
        self.has_ended = taken < wanted
        self.pairs_taken += taken

    @property
    def records_read(self) -> int:
        """How many records have been read."""
        return _told(self._record_counter)

    def _records(self) -> Iterator[Any]:
        """Tells errors of the split from those of map."""
        self._is_reading = True
        for record in self._split.read():
            self._is_reading = False
            yield record
            self._is_reading = True

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise RecordFailedError(self._first_record + self.records_read - (not self._is_reading)) from error


def _told(counter: count[int]) -> int:
    """How many a counter that began with 1 has counted, without making it count: it shows what comes next."""
    return int(repr(counter).removeprefix("count(").removesuffix(")")) - 1


def _keyed(key: Callable[[Any], Any], record: Any) -> tuple[Any, Any]:
    return key(record), record


def numbered_pairs(
    split: Split, function: MapFunction | None, key: Callable[[Any], Any] | None
) -> Iterator[tuple[int, Any]]:
    """The same pairs, slowly, each with the number of the record that it was made of."""
    for number, record in enumerate(split.read(), int(getattr(split, "first_record", 0))):
        for made in [record] if function is None else function(record) or ():
            yield number, made if key is None else (key(made), made)
