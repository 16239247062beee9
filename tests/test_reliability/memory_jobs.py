"""Library calls as scripts that run in a memory control group, and check what comes out.

    python -m tests.test_reliability.memory_jobs KIND GROUP_BYTES AMOUNT TEMP_DIR

The engine is loaded by a job of two records; what the process has resident then is not the budget's. What is left of
the group is `memory=` of the job itself. The budget of a shuffle is that of all its processes: there it is the group.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import shuffle
from memory import resident_bytes

KEYS = 1 << 40


def records(count: int, value_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Pairs of a number and some bytes."""
    source = Random(count)
    return ((source.randrange(KEYS), source.randbytes(value_bytes)) for _ in range(count))


def texts(count: int) -> Iterator[str]:
    """Short lines."""
    source = Random(count)
    return (f"{source.randrange(KEYS):x} and so on" for _ in range(count))


def sort_values(values: Iterator[Any], digest: Callable[[Any], int], memory_bytes: int, temp_dir: str) -> None:
    """Sort, and see that what comes out is in order, and the same records by the sum of their digests."""
    told = [0, 0]

    def noted() -> Iterator[Any]:
        for value in values:
            told[0] += 1
            told[1] += digest(value)
            yield value

    seen, seen_sum, last = 0, 0, None
    with shuffle.sort(noted(), memory=memory_bytes, temp_dirs=temp_dir) as ordered:
        for value in ordered:
            assert last is None or last <= value, (last, value)
            seen, seen_sum, last = seen + 1, seen_sum + digest(value), value
        report = ordered.report
    assert [seen, seen_sum] == told
    tell(report.runs, report.spilled_bytes)


def tell(runs: int, spilled_bytes: int) -> None:
    """What the test reads."""
    print(json.dumps({"runs": runs, "spilled_bytes": spilled_bytes}))


def sort_texts(memory_bytes: int, count: int, temp_dir: str) -> None:
    """Short texts: many small Python objects."""
    sort_values(texts(count), hash, memory_bytes, temp_dir)


def sort_pairs(memory_bytes: int, count: int, temp_dir: str) -> None:
    """Tuples of ordinary size."""
    sort_values(records(count, 100), hash, memory_bytes, temp_dir)


def sort_large(memory_bytes: int, count: int, temp_dir: str) -> None:
    """Values of 5 MB, as each stands several times in memory on its way to a row and back."""
    sort_values(records(count, 5_000_000), hash, memory_bytes, temp_dir)


def sort_many_runs(memory_bytes: int, count: int, temp_dir: str) -> None:
    """The least memory there can be, so that runs are short."""
    del memory_bytes
    sort_values(records(count, 50_000), hash, 64 << 20, temp_dir)


def table(path: str, by: str, memory_bytes: int, temp_dir: str) -> None:
    """A table file in the order of a column."""
    import pyarrow.compute as pc

    rows, last, total = 0, None, 0
    with shuffle.sort_table(path, by=by, memory=memory_bytes, temp_dirs=temp_dir) as ordered:
        for batch in ordered:
            column = batch.column(by)
            first = column[0].as_py()
            assert last is None or last <= first
            assert not len(column) or pc.all(pc.less_equal(column[:-1], column[1:])).as_py() in (True, None)
            rows, last, total = rows + len(column), column[-1].as_py(), total + pc.sum(batch.column("amount")).as_py()
        report = ordered.report
    expected = json.loads(Path(f"{path}.told").read_text())
    assert [rows, total] == expected, (rows, total, expected)
    tell(report.runs, report.spilled_bytes)


def sort_parquet(memory_bytes: int, count: int, temp_dir: str) -> None:
    """From Parquet, by a text."""
    table(f"{temp_dir}/table.parquet", "name", memory_bytes, f"{temp_dir}/spill")


def sort_csv(memory_bytes: int, count: int, temp_dir: str) -> None:
    """From CSV, by a number."""
    table(f"{temp_dir}/table.csv", "amount", memory_bytes, f"{temp_dir}/spill")


def aggregate(memory_bytes: int, count: int, temp_dir: str) -> None:
    """Nearly as many groups as rows: the hash table overflows."""
    import pyarrow.compute as pc

    path = f"{temp_dir}/table.parquet"
    rows, total = json.loads(Path(f"{path}.told").read_text())
    made = shuffle.aggregate(path, by="name", aggregates="count,sum:amount", memory=memory_bytes, temp_dirs=temp_dir)
    counted = summed = 0
    with made:
        for batch in made:
            counted, summed = counted + pc.sum(batch.column(1)).as_py(), summed + pc.sum(batch.column(2)).as_py()
    assert (counted, summed) == (rows, total)
    tell(0, 0)


def shuffle_pairs(memory_bytes: int, count: int, temp_dir: str) -> None:
    """Numbers to pairs in worker processes, and groups of them counted."""
    run_shuffle(numbered, counted, memory_bytes, count, temp_dir, expected=count)


def shuffle_large(memory_bytes: int, count: int, temp_dir: str) -> None:
    """Values of 5 MB."""
    run_shuffle(with_large_value, measured, memory_bytes, count, temp_dir, expected=count * 5_000_000)


def run_shuffle(
    mapper: Callable[[int], Any],
    reducer: Callable[[Any, Iterator[Any]], Any],
    memory_bytes: int,
    count: int,
    temp_dir: str,
    *,
    expected: int,
) -> None:
    """A job whose results are pairs of a key and a number, which add up to `expected`."""
    job = shuffle.Shuffle(
        map=mapper, group_reduce=reducer, partitions=8, memory=memory_bytes, split_records=4096, temp_dirs=temp_dir
    )
    with job.run(range(count)) as results:
        pairs = list(results)
        assert len(pairs) == len({key for key, _ in pairs})
        assert sum(number for _, number in pairs) == expected
        report = results.report
    tell(report.map_tasks, report.spilled_bytes + report.shuffled_disk_bytes)


def numbered(number: int) -> Iterator[tuple[int, str]]:
    """A map function."""
    yield number * 2654435761 % 10007, f"value-{number}"


def counted(key: int, values: Iterator[str]) -> Iterator[tuple[int, int]]:
    """A reduce function."""
    yield key, sum(1 for _ in values)


def with_large_value(number: int) -> Iterator[tuple[int, bytes]]:
    """A map function."""
    yield number % 7, Random(number).randbytes(5_000_000)


def measured(key: int, values: Iterator[bytes]) -> Iterator[tuple[int, int]]:
    """A reduce function."""
    yield key, sum(map(len, values))


VALUES = {job.__name__: job for job in (sort_texts, sort_pairs, sort_large, sort_many_runs)}
TABLES = {job.__name__: job for job in (sort_parquet, sort_csv, aggregate)}
SHUFFLES = {job.__name__: job for job in (shuffle_pairs, shuffle_large)}


def load_engine(kind: str) -> None:
    """What every job of its kind finds in its process, from the second one on."""
    list(shuffle.sort([(2, b"b"), (1, b"a")]))
    list(shuffle.sort(["b", "a"]))
    if kind in TABLES:
        import pyarrow as pa
        import pyarrow.compute
        import pyarrow.csv
        import pyarrow.parquet

        small = pa.table({"name": ["b", "a"], "amount": [1, 2]})
        with shuffle.sort_table(small, by="name") as ordered:
            assert ordered.report.records == 2
        with shuffle.aggregate(small, by="name", aggregates="count,sum:amount") as groups:
            assert sum(batch.num_rows for batch in groups) == 2


def main(kind: str, group_bytes: int, amount: int, temp_dir: str) -> None:
    """Run one job."""
    if kind in SHUFFLES:
        SHUFFLES[kind](group_bytes, amount, temp_dir)
        return
    load_engine(kind)
    {**VALUES, **TABLES}[kind](group_bytes - resident_bytes(), amount, temp_dir)


if __name__ == "__main__":
    from tests.test_reliability import memory_jobs  # functions of a shuffle are found by their module

    memory_jobs.main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
