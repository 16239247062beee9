"""Records in, groups in the order of their keys out, in the memory of one plan.

    lane (a thread) ── hash table ──(full)──> states ──┐
    lane            ── hash table                      ├──> RangeSession, or RowSession ──> groups
                    └─ gives up ────────────> records ─┘
    nothing ever full: the tables' groups, put in order ────────────────────────────────> groups

Combining pays where groups are few or come again soon. Whether they do, the first `SAMPLE_RECORDS` tell: if more than
half of their keys are different, and so many groups are to be expected that the tables cannot hold them, records are
not combined from then on. A table that fills with groups of fewer than two records each says the same, later.

What overflows the tables, or passes them by, is thrown into ranges of keys (`range_job`): unsorted, and each range is
combined by itself. That takes records of a fixed length, several to a block, so keys of bytes, and states that are
longer than most records, are sorted as rows instead (`group_rows`). `Aggregator.uses_ranges` decides it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memory import MemoryConfigurationError, MemoryManager, format_size
from memory.segment import MIN_SEGMENT_BYTES
from serializers.columns.pieces import EncodedRows
from serializers.columns.scratch import address_of
from shuffle import plan as plans
from shuffle.aggregation.group_rows import BufferCombiner, Groups, GroupScan, RowWriter
from shuffle.aggregation.group_table import ALL_BITS, GroupTable, gather_keys
from shuffle.aggregation.keys import KeyForm, Keys
from shuffle.aggregation.lane import Lane
from shuffle.aggregation.range_records import RecordForm
from shuffle.aggregation.range_session import RangeSession
from shuffle.aggregation.state_plan import StatePlan, ValueColumn, Words
from shuffle.kernels.states import merge_states
from shuffle.options import SortOptions
from shuffle.row_session import RowSession
from shuffle.surroundings import look_around_for_rows

log = logging.getLogger(__name__)

SAMPLE_RECORDS = 1 << 18
"""Enough to tell a million groups from fifty million: so many records of 50 million groups repeat 700 keys."""

SEEN_KEYS = 1 << 16
"""Of a table, evenly drawn: 256 for each range."""

TABLE_FRACTION = 0.6
"""Of managed memory, for all tables. The rest is for what does not fit them, or for putting their groups in order."""

GIVE_UP_RATIO = 0.5
"""Groups for each record from which on a table is not worth its while."""

Combines = Literal["auto", "hash", "sort"]
"""What is done about equal keys: found by hash, found by sort, or whatever pays."""


@dataclass
class AggregateReport:
    """What happened. `gave_up` says why nothing was combined any more, if so."""

    records: int = 0
    groups: int = 0
    tables_emptied: int = 0
    spilled_bytes: int = 0
    gave_up: str | None = None
    seconds: float = 0.0


class Aggregator:
    """Groups of records by keys of `form`, with states of `plan`.

    options    memory, temp directories and threads, as for a sort of rows; the layout does not matter
    combines   "hash": tables never give up; "sort": every record is a row with a state, which neighbours are added to

    Raises MemoryConfigurationError if the memory is too small, and what directories do. Close it when done.
    """

    def __init__(
        self,
        form: KeyForm,
        plan: StatePlan,
        options: SortOptions,
        *,
        combines: Combines = "auto",
        hash_bits: int = ALL_BITS,
    ) -> None:
        self.form = form
        self.plan = plan
        self.report = AggregateReport()
        self.is_raw = self.sorts_states = combines == "sort"
        self.lock = threading.RLock()
        self.has_null_values = False
        self._combines = combines
        self._hash_bits = hash_bits
        self._options = replace(options, layout=form.layout, combine=BufferCombiner(form, plan))
        self._around = look_around_for_rows(self._options)
        self._sizes = plans.make_plan(self._options, self._around)
        self._lanes_max = self._sizes.threads
        self._table_bytes = self._share()
        self._memory = MemoryManager(self._table_bytes * self._lanes_max, segment_bytes=MIN_SEGMENT_BYTES)
        self._lanes: list[Lane] = []
        self._session: RangeSession | RowSession | None = None
        self._seen = np.zeros((0, form.key_words), np.uint64)
        self._sample: list[tuple[Keys, Sequence[ValueColumn], int]] | None = [] if combines == "auto" else None
        self._sampled = 0
        self._is_finished = False
        self._started = time.perf_counter()

    @property
    def uses_ranges(self) -> bool:
        """Whether what does not fit the tables is thrown into ranges, and not sorted."""
        if self.sorts_states or not self.form.key_words:
            return False
        return 8 * RecordForm(self.form, self.plan).words_max <= plans.BLOCK_BYTES_MIN // 2

    @property
    def threads(self) -> int:
        """How many lanes pay."""
        return self._lanes_max

    def lane(self) -> Lane:
        """A way in for one thread."""
        lane = Lane(self)
        self._lanes.append(lane)
        return lane

    def finish(self) -> None:
        """No more records: let what does not fit the tables be sorted. Idempotent."""
        if self._is_finished:
            return
        self._is_finished = True
        self._sample = None
        self.report.records = sum(lane.record_count for lane in self._lanes)
        if not self.form.key_words and any(lane.table for lane in self._lanes):
            self._open_session()
        if self._session is not None:
            for lane in self._lanes:
                lane.empty_table(is_last=True)
            self.report.spilled_bytes = self._session.finish().spilled_bytes
        self.report.seconds = time.perf_counter() - self._started

    def groups(self) -> Iterator[Groups]:
        """All groups in order but that without a key, some thousand at a time; each lot is good until the next.

        Once more each time it is called, one after the other.
        """
        self.finish()
        self.report.groups = 0
        if isinstance(self._session, RangeSession):
            found = self._session.read()
        else:
            views = self._views_of_tables() if self._session is None else self._session.read()
            found = GroupScan(self.form, self.plan).scan(views)
        for groups in found:
            self.report.groups += len(groups)
            yield groups

    def null_state(self) -> Words | None:
        """The state of the records without a key; None if there were none."""
        found = [lane for lane in self._lanes if lane.has_nulls]
        if not found:
            return None
        state = self.plan.template.copy()
        sources = np.array([address_of(lane.nulls) for lane in found], np.uint64)
        merge_states(self.plan.program(), np.full(len(found), address_of(state), np.uint64), sources)
        return state

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        for lane in self._lanes:
            lane.release()
        self._sample = None
        if self._session is not None:
            self._session.close()
        self._memory.shutdown()

    # --- for lanes

    def make_table(self, nulls: Words) -> GroupTable:
        """An empty table."""
        extent = self._memory.allocate_extent("group table", self._table_bytes)
        return GroupTable(extent, self.form, self.plan, nulls, hash_bits=self._hash_bits)

    def takes_sample(self, lane: Lane, keys: Keys, columns: Sequence[ValueColumn], first_record: int) -> bool:
        """While the sample is taken: whether these records went into it."""
        if self._sample is None:
            return False
        with self.lock:
            if self._sample is None:
                return False
            first = self._lanes[0]
            first.combine(keys, columns, first_record)
            self._sample.append((keys, columns, first_record))
            self._sampled += len(keys)
            if self.report.tables_emptied:  # what is in the table is no sample any more
                self._sample = None
            elif self._sampled >= SAMPLE_RECORDS:
                self._judge_sample(first, self._sample)
                self._sample = None  # last: until then nobody else touches the first table
            return True

    def note_full(self, lane: Lane) -> None:
        """A table is full: empty it, and judge whether it was worth it."""
        with self.lock:
            groups, records = len(lane.groups()), lane.records_in_table
            self._note_keys(lane.groups())
            if self._combines == "auto" and groups > GIVE_UP_RATIO * records:
                self._give_up(f"{records:,} records had {groups:,} different keys")
            self._open_session()
            lane.empty_table()
            self.report.tables_emptied += 1

    def ranges(self) -> RangeSession | None:
        """Where records are thrown into ranges; None if they are sorted."""
        if self._session is None:
            with self.lock:
                self._open_session()
        return self._session if isinstance(self._session, RangeSession) else None

    def put_rows_of(self, rows: Iterator[EncodedRows]) -> None:
        """Let rows be sorted."""
        for some in rows:
            with self.lock:
                self._open_session()
                assert isinstance(self._session, RowSession)
                self._session.put(some)

    # --- inside

    def _share(self) -> int:
        """What the table of one lane may take; the session beside it must still be able to work."""
        managed = self._sizes.memory.managed_bytes
        most = min(int(managed * TABLE_FRACTION), managed - 2 * plans.EXTENT_BYTES_MIN)
        table_bytes = most // self._lanes_max // MIN_SEGMENT_BYTES * MIN_SEGMENT_BYTES
        if table_bytes < GroupTable.bytes_min(self.plan):
            raise MemoryConfigurationError(
                f"too little memory to aggregate: {format_size(managed)} are left for hash tables and a sort, and "
                f"states of {self.plan.state_bytes} bytes need more. Give 16 MiB more, or ask for fewer aggregates."
            )
        return table_bytes

    def _judge_sample(self, lane: Lane, sample: list[tuple[Keys, Sequence[ValueColumn], int]]) -> None:
        groups = len(lane.groups())
        if groups <= GIVE_UP_RATIO * self._sampled:
            return
        expected = expected_groups(groups, self._sampled)
        if expected * 0.8 <= lane.groups().groups_max():  # any lane may meet every group
            return
        self._note_keys(lane.groups())
        self._give_up(
            f"the first {self._sampled:,} records had {groups:,} different keys, so about {expected:,.0f} are expected"
        )
        lane.forget()
        for each in sample:
            lane.pass_on(*each)

    def _give_up(self, why: str) -> None:
        self.is_raw = True
        self.report.gave_up = f"combining would not pay: {why}. Records pass by the tables"
        log.info("%s", self.report.gave_up)

    def _note_keys(self, table: GroupTable) -> None:
        """The keys of a table tell where ranges are to be cut."""
        if self.uses_ranges and not len(self._seen):
            entries = table.entries()
            entries = entries[:: max(1, len(entries) // SEEN_KEYS)].copy()
            self._seen = np.ascontiguousarray(gather_keys(entries, self.form.key_words).T)

    def _open_session(self) -> None:
        if self._session is not None:
            return
        taken = sum(lane.table_bytes for lane in self._lanes)
        if not self.is_raw:
            taken = max(taken, self._table_bytes * self._lanes_max)
        if self.uses_ranges:
            fill_bytes = self._sizes.memory.managed_bytes - taken
            options = replace(self._options, combine=None)
            sizes = {"fill_bytes": fill_bytes, "hash_bits": self._hash_bits}
            self._session = RangeSession(options, self.form, self.plan, self._seen, **sizes)
            return
        options = replace(self._options, memory_bytes=self._around.memory_bytes - taken)
        if self.is_raw and not self.sorts_states and not any(lane.table for lane in self._lanes):
            options = replace(options, combine=None)  # no row has a state that could be added to another
        self._session = RowSession(options)

    def _views_of_tables(self) -> Iterator[memoryview]:
        """The groups of all tables in order, as rows."""
        tables = [lane.table for lane in self._lanes if lane.table is not None]
        if not tables:
            return
        entries = np.concatenate([table.entries() for table in tables])
        entries = entries[_order(entries, self.form.key_words)]
        writer = RowWriter(self.form, self.plan)
        for rows in writer.rows_of_entries(tables[0], entries):
            yield rows.rows


def _order(entries: Words, key_words: int) -> NDArray[np.intp]:
    """The order of entries by their keys."""
    words = gather_keys(entries, key_words)
    return np.argsort(words[0]) if key_words == 1 else np.lexsort(words[::-1])


def expected_groups(groups: int, records: int) -> float:
    """How many groups there are, if the first `records`, drawn evenly, hit so many of them: n = D (1 - exp(-r / D))."""
    low, high = float(groups), 1e15
    while high - low > 1 + low / 1000:
        middle = (low * high) ** 0.5
        if middle * -np.expm1(-records / middle) < groups:
            low = middle
        else:
            high = middle
    return low
