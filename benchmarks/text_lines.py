"""Lines of text, 1 GB: against GNU sort, against DuckDB, and against the floors: copying twice, one durable write.

GNU sort gets the same memory and as many threads. DuckDB gets four times the memory. Our time holds the `fsync` of
the output, which neither of them does.
"""

from pathlib import Path

from benchmarks import peers
from benchmarks.measure import Check, Job, describe, in_turn, outputs_are_equal
from benchmarks.report import Claim, Section, Table, ratio_claim
from benchmarks.workbench import Workbench, main

GNU_SORT_RATIO = 0.28
DUCKDB_RATIO = 0.38
COPY_TWICE_RATIO = 1.8


def run(bench: Workbench) -> Section:
    """Three claims on the same file."""
    with bench.input("text") as source:
        claims = [against_gnu_sort(bench, source), against_duckdb(bench, source)]
        copying, floors = against_floors(bench, source)
        return Section([*claims, copying], [floors])


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


def against_floors(bench: Workbench, source: Path) -> tuple[Claim, Table]:
    """No sort at all: outputs differ, of course; ours was compared above."""
    between, output = bench.directory / "copy.tmp", bench.directory / "copy.out"
    command = peers.copy_twice_command(source, between, output)
    copies = Job("two copies", command, inputs=(source,), output=output, scratch=(between,))
    written = bench.directory / "written.out"
    write = Job("one durable write", peers.durable_write_command(written, bench.input_bytes), output=written)
    ours, copied, wrote = in_turn([bench.sort_job(source), copies, write], bench.pairs)
    what = "text lines against copying twice"
    claim = ratio_claim(what, COPY_TWICE_RATIO, ours, copied, is_judged=bench.is_full_size)
    rows = [("spillway", describe(ours)), (copies.name, describe(copied)), (write.name, describe(wrote))]
    note = "Our output is durable when we end; two copies may still be in memory."
    return claim, Table("Floors under a sort of text lines", ("what", "took"), rows, note)


def gnu_sort_job(bench: Workbench, source: Path) -> Job | None:
    """GNU sort of the lines of `source`, with our terms. None without GNU sort."""
    output = bench.directory / "gnu-sort.out"
    command = peers.gnu_sort_command(
        source, output, memory_bytes=bench.memory_bytes, threads=bench.threads, temp_dir=bench.directory
    )
    if command is None:
        return None
    return Job("GNU sort", command, inputs=(source,), output=output, environment={"LC_ALL": "C"})


def _compare(bench: Workbench, source: Path, peer: Job, what: str, target: float, *, check: Check) -> Claim:
    ours, theirs = in_turn([bench.sort_job(source), peer], bench.pairs, check=check)
    return ratio_claim(what, target, ours, theirs, is_judged=bench.is_full_size)


if __name__ == "__main__":
    main(run, __doc__)
