"""Equal keys found by hash against equal keys found by sort, in this process: sum and count of (int64, float64) by key.

    hash    tables of groups, updated in place; what does not fit is sorted
    sort    every record a row with a state, rows with equal keys added up in sort buffers and as they are merged
    auto    what the engine picks: tables, or rows of records where tables do not pay

Records come from memory, two threads, in turn; seconds are medians, records are per second of the quickest way.
"""

import time
from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import BenchmarkError, tell
from benchmarks.report import Claim, Section, Table
from benchmarks.workbench import SEED, Workbench, main
from memory import MIB
from shuffle.aggregation.aggregates import Aggregate
from shuffle.aggregation.aggregator import Aggregator, Combines
from shuffle.aggregation.finish import Finisher
from shuffle.aggregation.keys import KeyForm, Keys
from shuffle.aggregation.lane import Lane
from shuffle.aggregation.lanes import run_lanes
from shuffle.aggregation.state_plan import StatePlan, ValueColumn
from shuffle.kernels.states import FLOAT
from shuffle.options import SortOptions

RECORDS = 20_000_000
KEY_COUNTS = (1_000, 1_000_000, 10_000_000)
MEMORY_BYTES = 512 * MIB
HASH_TO_SORT = 1 / 3
"""Of the time of sort-combine that hash-combine may take, with a thousand keys."""

AUTO_TO_BEST = 1.25
_BATCH_RECORDS = 1 << 16
_SUM, _COUNT = Aggregate("sum", 0), Aggregate("count")
_WAYS: tuple[Combines, ...] = ("hash", "sort", "auto")

Columns = tuple[NDArray[np.int64], NDArray[np.float64]]


def run(bench: Workbench) -> Section:
    """Two claims and a table."""
    records = min(RECORDS, bench.records * 2)
    is_judged = records == RECORDS
    found = {count: _in_turn(bench, _columns(records, count)) for count in KEY_COUNTS}
    few = found[KEY_COUNTS[0]]
    hash_to_sort = [ours / theirs for ours, theirs in zip(few["hash"], few["sort"], strict=True)]
    picks = [median(seconds["auto"]) / min(median(seconds[way]) for way in _WAYS[:2]) for seconds in found.values()]
    claims = [
        Claim("hash-combine to sort-combine, 1 thousand keys", HASH_TO_SORT, hash_to_sort, is_judged=is_judged),
        Claim("what the engine picks to the better one", AUTO_TO_BEST, picks, at_worst=True, is_judged=is_judged),
    ]
    header = ("keys", "hash s", "sort s", "auto s", "million records/s")
    rows = [_row(records, count, seconds) for count, seconds in found.items()]
    note = f"{records:,} records in batches of {_BATCH_RECORDS:,}; {MEMORY_BYTES // MIB} MiB."
    return Section(claims, [Table("Combining by hash and by sort", header, rows, note)])


def _row(records: int, count: int, seconds: dict[Combines, list[float]]) -> list[str]:
    medians = [median(seconds[way]) for way in _WAYS]
    cells = [f"{each:.2f}" for each in medians]
    tell(f"  {count:,} keys: {', '.join(cells)} s")
    return [f"{count:,}", *cells, f"{records / min(medians) / 1e6:.1f}"]


def _columns(records: int, key_count: int) -> Columns:
    made = np.random.default_rng(SEED)
    return made.integers(0, key_count, records) * 7919, made.random(records)


def _in_turn(bench: Workbench, columns: Columns) -> dict[Combines, list[float]]:
    seconds: dict[Combines, list[float]] = {way: [] for way in _WAYS}
    for _ in range(bench.pairs):
        totals = set()
        for way in _WAYS:
            started = time.perf_counter()
            totals.add(_total(bench, columns, way))
            seconds[way].append(time.perf_counter() - started)
        if len(totals) > 1:
            raise BenchmarkError(f"ways to combine do not agree: {totals}")
    return seconds


def _total(bench: Workbench, columns: Columns, way: Combines) -> tuple[int, int, float]:
    """Aggregate everything: (groups, records, a sum of all sums)."""
    plan = StatePlan([(_SUM, 0), (_COUNT, None)], [FLOAT])
    options = SortOptions(memory_bytes=MEMORY_BYTES, temp_dirs=(str(bench.directory),), threads=bench.threads)
    aggregator = Aggregator(KeyForm(8), plan, options, combines=way)
    try:
        starts = ((range(at, at + 1), at) for at in range(0, len(columns[0]), _BATCH_RECORDS))
        run_lanes(starts, [_taker(aggregator.lane(), columns) for _ in range(aggregator.threads)])
        return _finished(aggregator, plan)
    finally:
        aggregator.close()


def _taker(lane: Lane, columns: Columns):  # type: ignore[no-untyped-def]
    keys, values = columns

    def take(start: int, first_record: int) -> int:
        end = min(start + _BATCH_RECORDS, len(keys))
        lane.add(Keys(keys[start:end].view(np.uint64), 1 << 63), [ValueColumn(values[start:end])], start)
        return end - start

    return take


def _finished(aggregator: Aggregator, plan: StatePlan) -> tuple[int, int, float]:
    finisher = Finisher(plan)
    group_count = record_count = 0
    sums: list[NDArray[np.float64]] = []
    for groups in aggregator.groups():
        sums.append(finisher.finish(_SUM, 0, groups.states).values)
        record_count += int(finisher.finish(_COUNT, None, groups.states).values.sum())
        group_count += len(groups)
    return group_count, record_count, _sum_of(sums)


def _sum_of(sums: Sequence[NDArray[np.float64]]) -> float:
    return float(np.concatenate(sums).sum()) if sums else 0.0


if __name__ == "__main__":
    main(run, __doc__)
