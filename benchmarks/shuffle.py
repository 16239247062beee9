"""Shuffles: aggregates of 100 million rows, word count over 1 GB, 1 GB sorted into 200 files.

Aggregates read and write Parquet. Our whole process stays below 512 MiB; DuckDB gets 512 MB for its buffers alone, and
Spark a driver of 1 GB. Spark takes long, so it runs once for each size. Word count runs the same two Python functions
as a pool of processes that merge their dictionaries at the end. Of several processes, peaks are those of the largest.

    python -m benchmarks.shuffle --pairs 3
    python -m benchmarks.shuffle --records 1000000 --pairs 1      a rehearsal: rows are 10 times the records
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import peers, shuffle_peers
from benchmarks.measure import BenchmarkError, Job, describe, in_turn, outputs_are_equal, tell
from benchmarks.report import Claim, Section, Table, ratio_claim
from benchmarks.shuffle_inputs import write_rows, write_words
from benchmarks.workbench import OURS, ROOT, SEED, Workbench, main

ROWS_FOR_A_RECORD = 10
DISTINCT = {"1 thousand": 1_000, "1 million": 1_000_000, "50 million": 50_000_000}
MEMORY = "512MiB"
OUR_MEMORY = "400MiB"
"""What the call may add to the process, so that the whole stays below `MEMORY`."""

DUCKDB_MEMORY = "512MB"
SPARK_MEMORY = "1g"
PARTITIONS = 200

DUCKDB_RATIO = 1.5
SPARK_RATIO = 0.35
POOL_RATIO = 0.5
PARTITIONED_RATIO = 1.25
_TOLERANCE = 1e-9


def run(bench: Workbench) -> Section:
    """All claims."""
    claims: list[Claim] = []
    rows: list[tuple[str, ...]] = []
    for name, distinct in DISTINCT.items():
        claims += aggregates(bench, name, distinct, rows)
    claims += [words(bench), partitioned(bench)]
    table = Table("Sum and count by key", ("distinct keys", "who", "took"), rows, f"Memory {MEMORY}; see the claims.")
    return Section(claims, [table])


# --- aggregates


def aggregates(bench: Workbench, name: str, distinct: int, rows: list[tuple[str, ...]]) -> list[Claim]:
    """Against DuckDB in pairs, and against Spark once."""
    row_count = bench.records * ROWS_FOR_A_RECORD
    with made(
        bench, f"rows-{distinct}.parquet", lambda path: write_rows(path, rows=row_count, distinct=distinct, seed=SEED)
    ) as source:
        ours = our_job(bench, "aggregate", source)
        return [against_duckdb(bench, name, source, ours, rows), against_spark(bench, name, source, ours, rows)]


def against_duckdb(bench: Workbench, name: str, source: Path, ours: Job, rows: list[tuple[str, ...]]) -> Claim:
    """Pairs in turn; groups are compared in the first round."""
    what = f"sum and count by {name} keys against DuckDB"
    if peers.duckdb_command(source, source, threads=1, temp_dir=source) is None:
        return Claim(what, DUCKDB_RATIO, problem=peers.NO_DUCKDB)
    output = bench.directory / "duckdb.parquet"
    command = shuffle_peers.peer_command("duckdb", source, output, bench.directory, bench.threads, DUCKDB_MEMORY)
    peer = Job("DuckDB", command, inputs=(source,), output=output)
    our_runs, their_runs = in_turn([ours, peer], bench.pairs, check=groups_are_equal)
    rows += [(name, "spillway", describe(our_runs)), (name, "DuckDB", describe(their_runs))]
    return ratio_claim(what, DUCKDB_RATIO, our_runs, their_runs, is_judged=bench.is_full_size)


def against_spark(bench: Workbench, name: str, source: Path, ours: Job, rows: list[tuple[str, ...]]) -> Claim:
    """One pair."""
    what = f"sum and count by {name} keys against Spark"
    if not shuffle_peers.has_spark():
        return Claim(what, SPARK_RATIO, problem=shuffle_peers.NO_SPARK)
    output = bench.directory / "spark.parquet"
    command = shuffle_peers.peer_command("spark", source, output, bench.directory, bench.threads, SPARK_MEMORY)
    peer = Job("Spark", command, inputs=(source,), output=output)
    try:
        our_runs, their_runs = in_turn([ours, peer], 1)
    except BenchmarkError as error:
        return Claim(what, SPARK_RATIO, problem=str(error)[:200])
    rows.append((name, "Spark", describe(their_runs)))
    return ratio_claim(what, SPARK_RATIO, our_runs, their_runs, is_judged=bench.is_full_size)


def groups_are_equal(jobs: Sequence[Job]) -> None:
    """A check for `in_turn`: the same keys and counts, and sums as near as another order of addition brings them."""
    import duckdb

    ours, theirs = [job.output for job in jobs]
    tables = f"read_parquet('{ours}') a FULL JOIN read_parquet('{theirs}') b USING (key)"
    differ = f"a.n IS DISTINCT FROM b.n OR NOT abs(a.total - b.total) <= {_TOLERANCE} * (1 + a.n)"
    found = duckdb.connect().execute(f"SELECT count(*) FROM {tables} WHERE {differ}").fetchall()
    wrong = found[0][0]
    if wrong != 0:
        raise BenchmarkError(f"{wrong} groups of {jobs[0].name} and {jobs[1].name} differ")


# --- word count and files


def words(bench: Workbench) -> Claim:
    """Against a pool of processes with dictionaries."""
    with made(bench, "words.txt", lambda path: write_words(path, size_bytes=bench.input_bytes, seed=SEED)) as source:
        ours = our_job(bench, "words", source)
        output = bench.directory / "pool.txt"
        peer = Job("pool", shuffle_peers.peer_command("pool", source, output, bench.threads), (source,), output)
        our_runs, their_runs = in_turn([ours, peer], bench.pairs, check=outputs_are_equal)
    what = "word count through Python functions against a pool with dictionaries"
    return ratio_claim(what, POOL_RATIO, our_runs, their_runs, is_judged=bench.is_full_size)


def partitioned(bench: Workbench) -> Claim:
    """Sorted into many files, against sorted into one."""
    with bench.input("text") as source:
        output = bench.directory / "parts"
        terms = ("--memory", bench.memory, "--threads", str(bench.threads), "--temp-dir", str(bench.directory))
        command = (*OURS, "shuffle", *terms, "--no-progress", "--partitions", str(PARTITIONS), str(source), str(output))
        job = Job(f"{PARTITIONS} files", command, inputs=(source,), output=output)
        our_runs, plain_runs = in_turn([job, bench.sort_job(source)], bench.pairs, check=parts_are_sorted)
    what = f"sorted into {PARTITIONS} files, against the plain sort"
    return ratio_claim(what, PARTITIONED_RATIO, our_runs, plain_runs, is_judged=bench.is_full_size)


def parts_are_sorted(jobs: Sequence[Job]) -> None:
    """A check for `in_turn`: all parts, one after another, are what the plain sort wrote."""
    parts, whole = [job.output for job in jobs]
    assert parts is not None and whole is not None
    with whole.open("rb") as file:
        for part in sorted(parts.glob("part-*")):
            if part.read_bytes() != file.read(part.stat().st_size):
                raise BenchmarkError(f"{part.name} is not what stands there in the plain sort")
        if file.read(1):
            raise BenchmarkError("the parts together are shorter than the plain sort")


# --- what they share


def our_job(bench: Workbench, what: str, source: Path) -> Job:
    """A job of `benchmarks.shuffle_job`."""
    output, stats = bench.directory / f"{what}.out.parquet", bench.directory / f"{what}.json"
    terms = ("--memory", OUR_MEMORY if what == "aggregate" else MEMORY, "--threads", str(bench.threads))
    places = ("--temp-dir", str(bench.directory), "--stats", str(stats))
    command = (sys.executable, "-P", "-m", "benchmarks.shuffle_job", what, str(source), str(output), *terms, *places)
    return Job("spillway", command, (source,), output, stats=stats, environment={"PYTHONPATH": str(ROOT)})


@contextmanager
def made(bench: Workbench, name: str, write: Callable[[Path], None]) -> Iterator[Path]:
    """An input, deleted at the end of the block."""
    path = bench.directory / name
    tell(f"generating {name}")
    write(path)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main(run, __doc__)
