"""A range job, for plain Python.

lanes' threads              engine thread
find, put ──── call ──────> RangeJob
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serializers import SLACK_BYTES
from serializers.columns.pieces import EncodedRows
from shuffle.aggregation.group_rows import Groups
from shuffle.aggregation.group_table import gather_keys
from shuffle.aggregation.keys import KeyForm
from shuffle.aggregation.range_job import RangeJob
from shuffle.aggregation.range_records import Columns
from shuffle.aggregation.range_rooms import find
from shuffle.aggregation.range_spill import SPARES
from shuffle.aggregation.state_plan import StatePlan, Words
from shuffle.job_session import JobSession
from shuffle.options import SortOptions
from shuffle.report import SortReport

GIVEN_GROUPS = 1 << 14
"""Groups that are given out together: their states stay in a cache while they are finished."""


class RangeSession(JobSession[RangeJob]):
    """Records in, then groups out as often as wanted. But for `find`, for one thread at a time."""

    def __init__(
        self, options: SortOptions, form: KeyForm, plan: StatePlan, sample: Words, *, fill_bytes: int, hash_bits: int
    ) -> None:
        self._form = form
        super().__init__(RangeJob(options, form, plan, sample, fill_bytes=fill_bytes, hash_bits=hash_bits))

    def find(self, columns: Columns) -> NDArray[np.uint32]:
        """The range of each record, for `put`. For any number of threads."""
        return find(columns, self._job.splitters)

    def put(self, columns: Columns, numbers: NDArray[np.uint32]) -> None:
        """Add records; what they stand in may be overwritten afterwards. Raises what made the job fail."""
        job, rooms = self._job, self._job.rooms
        for filled in rooms.change_kind(columns.kind):
            job.waiting.append(filled)
            if len(job.waiting) >= SPARES:
                self._call(job.refill())
        first = 0
        while (first := rooms.scatter(columns, numbers, first)) < columns.count:
            number = int(numbers[first])
            job.waiting += rooms.take(number)
            if not job.spares:
                self._call(job.refill())
            rooms.give(number, job.spares.pop())

    def finish(self) -> SortReport:
        """No more records: get ready to be read."""
        return self._call(self._job.finish())

    @property
    def disk_bytes_peak(self) -> int:
        """The most that was on disk until now, before it is closed."""
        return self._job.means.io.stats.disk_bytes_peak

    def read(self) -> Iterator[Groups]:
        """All groups in order, some thousand at a time; each lot is good until the next. One reader at a time."""
        for entries in self._read(self._job.read):
            for start in range(0, len(entries), GIVEN_GROUPS):
                yield TableGroups.at(entries[start : start + GIVEN_GROUPS], self._form)


@dataclass(frozen=True)
class TableGroups(Groups):
    """Groups as entries of a hash table, whose keys are words."""

    @staticmethod
    def at(entries: Words, form: KeyForm) -> TableGroups:
        """Those at these addresses."""
        return TableGroups(None, entries + np.uint64(8 * form.key_words), form)

    def key_words(self) -> Words:
        """Keys of one word."""
        words: Words = self._words()[0]
        return words

    def key_rows(self) -> EncodedRows:
        """The keys as the rows of a codec: the length, one byte, and the leading bytes of the words."""
        length = self.form.key_bytes
        assert length is not None
        octets = self._words().T.astype(">u8", order="C").view(np.uint8).reshape(len(self), -1)
        data = np.zeros(len(self) * (1 + length) + SLACK_BYTES, np.uint8)
        rows = data[: len(self) * (1 + length)].reshape(len(self), -1)
        rows[:, 0], rows[:, 1:] = length, octets[:, :length]
        ends = np.arange(1, len(self) + 1, dtype=np.uint32) * np.uint32(1 + length)
        return EncodedRows(data, len(self) * (1 + length), ends)

    def _words(self) -> Words:
        key_words = self.form.key_words
        return gather_keys(self.states - np.uint64(8 * key_words), key_words)
