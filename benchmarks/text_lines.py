"""Lines of text, 1 GB: against GNU sort, against DuckDB, and against the floor, copying the file twice.

GNU sort gets the same memory and as many threads. DuckDB gets four times the memory. Our time holds the `fsync` of
the output, which neither of them does.
"""

from pathlib import Path

from benchmarks import peers
from benchmarks.measure import Check, Job, in_turn, outputs_are_equal
from benchmarks.report import Claim, Section, ratio_claim
from benchmarks.workbench import Workbench, main

GNU_SORT_RATIO = 0.28
DUCKDB_RATIO = 0.38
COPY_TWICE_RATIO = 1.8


def run(bench: Workbench) -> Section:
    """Three claims on the same file."""
    with bench.input("text") as source:
        return Section([against_gnu_sort(bench, source), against_duckdb(bench, source), against_copy(bench, source)])


def against_gnu_sort(bench: Workbench, source: Path) -> Claim:
    """The same order, byte for byte."""
    what = "text lines against GNU sort"
    peer = gnu_sort_job(bench, source)
    if peer is None:
        return Claim(what, GNU_SORT_RATIO, problem=peers.NO_GNU_SORT)
    return _compare(bench, source, peer, what, GNU_SORT_RATIO, check=outputs_are_equal)


def against_duckdb(bench: Workbench, source: Path) -> Claim:
    """The same order, byte for byte."""
    what = "text lines against DuckDB with 1 GB"
    output = bench.directory / "duckdb.out"
    command = peers.duckdb_command(source, output, threads=bench.threads, temp_dir=bench.directory)
    if command is None:
        return Claim(what, DUCKDB_RATIO, problem=peers.NO_DUCKDB)
    peer = Job("DuckDB", command, inputs=(source,), output=output)
    return _compare(bench, source, peer, what, DUCKDB_RATIO, check=outputs_are_equal)


def against_copy(bench: Workbench, source: Path) -> Claim:
    """Here outputs differ, of course; ours was compared above."""
    between, output = bench.directory / "copy.tmp", bench.directory / "copy.out"
    command = peers.copy_twice_command(source, between, output)
    peer = Job("two copies", command, inputs=(source,), output=output, scratch=(between,))
    return _compare(bench, source, peer, "text lines against copying twice", COPY_TWICE_RATIO, check=None)


def gnu_sort_job(bench: Workbench, source: Path) -> Job | None:
    """GNU sort of the lines of `source`, with our terms. None without GNU sort."""
    output = bench.directory / "gnu-sort.out"
    command = peers.gnu_sort_command(
        source, output, memory_bytes=bench.memory_bytes, threads=bench.threads, temp_dir=bench.directory
    )
    if command is None:
        return None
    return Job("GNU sort", command, inputs=(source,), output=output, environment={"LC_ALL": "C"})


def _compare(bench: Workbench, source: Path, peer: Job, what: str, target: float, *, check: Check | None) -> Claim:
    ours, theirs = in_turn([bench.sort_job(source), peer], bench.pairs, check=check)
    return ratio_claim(what, target, ours, theirs, is_judged=bench.is_full_size)


if __name__ == "__main__":
    main(run, __doc__)
