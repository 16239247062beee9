"""`memory=` of the library is what a call adds to its process, and `memory` of a shuffle that of all its processes.

Each job here runs in a control group that holds its process with the engine loaded, and its budget, and no byte more.
"""

import json
import os
import sys
from pathlib import Path

import pytest

from memory import MIB
from tests.test_reliability import amounts
from tests.test_reliability.cgroups import MemoryGroup, Ran, why_none
from tests.test_reliability.test_memory_promise import kept

pytestmark = pytest.mark.skipif(why_none() is not None, reason=str(why_none()))

BUDGETS = (192, 256, 512, 1024)

SHUFFLE_FLOORS = {1: 176, 2: 304}
"""MiB by slots: 48 for the calling process, and 64 for each worker with 64 for its task."""

VALUES = [
    *((budget, "sort_texts", 20_000 * budget) for budget in BUDGETS[:2]),
    *((budget, "sort_pairs", 20_000 * budget) for budget in BUDGETS[:2]),
    *((budget, "sort_large", budget) for budget in BUDGETS),
    (192, "sort_many_runs", 45_000),
]
TABLES = [
    (budget, kind, 16_000 * budget) for budget in BUDGETS[1:3] for kind in ("sort_parquet", "sort_csv", "aggregate")
]
SHUFFLED = [
    *((budget, "shuffle_pairs", 1_000_000) for budget in BUDGETS),
    *((budget, "shuffle_large", 150) for budget in BUDGETS),
    (SHUFFLE_FLOORS[2], "shuffle_large", 150),
]


def run(kind: str, budget_mib: int, amount: int, directory: Path) -> Ran:
    """The job, in a group of its own."""
    words = [sys.executable, "-m", "tests.test_reliability.memory_jobs", kind, budget_mib * MIB, amount, directory]
    with MemoryGroup(budget_mib * MIB) as group:
        return group.run(words)


@pytest.mark.parametrize(("budget_mib", "kind", "count"), amounts.amount([(192, "sort_large", 40)], VALUES))
def test_python_values(tmp_path: Path, budget_mib: int, kind: str, count: int) -> None:
    ran = run(kind, budget_mib, count, tmp_path)
    kept(ran, budget_mib * MIB, kind.replace("_", " "), records=count)
    told = json.loads(ran.stdout)
    assert told["spilled_bytes"] > 0, "too few values prove nothing"
    assert kind != "sort_many_runs" or told["runs"] >= 500, told


def make_table(directory: Path, rows: int) -> None:
    """As Parquet, in one row group that is larger than its budget, and as CSV."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    source = np.random.default_rng(rows)
    schema = pa.schema(
        [("name", pa.string()), ("amount", pa.int64()), ("city", pa.dictionary(pa.int32(), pa.string()))]
    )
    total, step = 0, 500_000
    with pq.ParquetWriter(directory / "table.parquet", schema) as parquet, (directory / "table.csv").open("wb") as text:
        for first in range(0, rows, step):
            count = min(step, rows - first)
            amount = source.integers(0, 1 << 30, count)
            names = [f"name-{each}" for each in source.integers(0, 1 << 30, count)]
            city = pa.array(source.choice(["Rome", "Oslo", "Lima"], count)).dictionary_encode()
            part = pa.table([pa.array(names), pa.array(amount), city], schema=schema)
            parquet.write_table(part, row_group_size=rows)
            csv.write_csv(part, text, csv.WriteOptions(include_header=not first))
            total += int(amount.sum())
    for name in ("table.parquet", "table.csv"):
        (directory / f"{name}.told").write_text(json.dumps([rows, total]))
    (directory / "spill").mkdir()


@pytest.mark.parametrize(("budget_mib", "kind", "rows"), amounts.amount([(256, "sort_parquet", 1_200_000)], TABLES))
def test_tables(tmp_path: Path, budget_mib: int, kind: str, rows: int) -> None:
    make_table(tmp_path, rows)
    kept(run(kind, budget_mib, rows, tmp_path), budget_mib * MIB, f"table: {kind.replace('_', ' ')}", records=rows)
    for name in ("table.parquet", "table.csv"):
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    ("budget_mib", "kind", "count"), amounts.amount([(SHUFFLE_FLOORS[1], "shuffle_large", 8)], SHUFFLED)
)
def test_shuffles(tmp_path: Path, budget_mib: int, kind: str, count: int) -> None:
    """All of them: the calling process, and a worker for each slot that fits the budget."""
    ran = run(kind, budget_mib, count, tmp_path)
    kept(ran, budget_mib * MIB, kind.replace("_", " "), records=count, processes=ran.processes)
    fitting = sum(floor <= budget_mib for floor in SHUFFLE_FLOORS.values())
    assert ran.processes >= 1 + min(fitting, len(os.sched_getaffinity(0)))
    assert json.loads(ran.stdout)["spilled_bytes"] > 0


def test_what_cannot_be_kept_is_refused_with_the_floor(tmp_path: Path) -> None:
    ran = run("shuffle_pairs", SHUFFLE_FLOORS[1] - 1, 1000, tmp_path)
    assert ran.killed == 0 and ran.status == 1
    assert f"the floor is {SHUFFLE_FLOORS[1]} MiB" in ran.stderr, ran.stderr
