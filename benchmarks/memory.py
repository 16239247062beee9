"""Memory is what was allowed, whatever the size; disk is what was read; time grows with the size and no faster.

    --large   10 GB beside 1 GB, in turn: seconds per GB against each other. Takes about 35 GB of disk.

The peak is the higher one of two: what the system tells the parent of the process, and what the process itself reads
at its end and writes to `--stats`.
"""

from pathlib import Path

from benchmarks.measure import Runs, describe, in_turn, peak_bytes, ratios
from benchmarks.report import Claim, Section, Table
from benchmarks.workbench import LARGE_FACTOR, RECORD_BYTES, Workbench, main
from memory import MIB

SPILLED_RATIO = 1.03
GROWTH_RATIO = 1.4

_LARGE_COPIES = 3  # input, spill and output: the small ones stand beside


def run(bench: Workbench) -> Section:
    """Peak and spilled bytes; with `--large`, twice, and growth."""
    with bench.input("text") as source:
        if bench.large:
            return _both_sizes(bench, source)
        (runs,) = in_turn([bench.sort_job(source)], bench.pairs, check=bench.verify_sorted)
    not_measured = [
        Claim(what, target, unit=unit, problem="run with --large") for what, target, unit in _large_claims(bench)
    ]
    return Section([_peak(bench, bench.records, runs), _spilled(bench, bench.records, runs), *not_measured])


def _both_sizes(bench: Workbench, source: Path) -> Section:
    records = bench.records * LARGE_FACTOR
    with bench.input("text", records=records, copies=_LARGE_COPIES) as large_source:
        jobs = [bench.sort_job(source), bench.sort_job(large_source, name="spillway-large")]
        small, large = in_turn(jobs, bench.pairs, check=bench.verify_sorted)
    growth = Claim(
        _growth_name(bench),
        GROWTH_RATIO,
        [ratio / LARGE_FACTOR for ratio in ratios(large, small)],
        ours=describe(large),
        peer=describe(small),
        is_judged=bench.is_full_size,
    )
    claims = [
        claim(bench, count, runs)
        for count, runs in ((bench.records, small), (records, large))
        for claim in (_peak, _spilled)
    ]
    return Section([*claims, growth], [_plans(bench, (small, large))])


def _peak(bench: Workbench, records: int, runs: Runs) -> Claim:
    seen = max(run.peak_bytes for run in runs)
    said = max(run.stats["peak_resident_bytes"] for run in runs)
    return Claim(
        _peak_name(records),
        bench.memory_bytes / MIB,
        [peak_bytes([run]) / MIB for run in runs],
        unit="MiB",
        ours=f"{seen / MIB:.1f} MiB as the system tells, {said / MIB:.1f} MiB as --stats does",
        at_worst=True,
        is_judged=bench.is_full_size,
    )


def _spilled(bench: Workbench, records: int, runs: Runs) -> Claim:
    return Claim(
        f"spilled bytes over input bytes, {_gigabytes(records)}",
        SPILLED_RATIO,
        [run.stats["spilled_bytes"] / run.stats["input_bytes"] for run in runs],
        ours=f"{max(run.stats['spilled_bytes'] for run in runs) / 1e9:.2f} GB spilled",
        at_worst=True,
        is_judged=bench.is_full_size,
    )


def _plans(bench: Workbench, sizes: tuple[Runs, ...]) -> Table:
    """How the engine went about each size."""
    names = ("records", "runs", "runs_in_memory", "passes", "ranges")
    rows = [[*(f"{runs[-1].stats[name]:,}" for name in names), describe(runs)] for runs in sizes]
    header = ("records", "runs", "in memory", "passes", "ranges", "medians")
    return Table("Sizes", header, rows, note=f"Memory {bench.memory}, {bench.threads} threads.")


def _large_claims(bench: Workbench) -> list[tuple[str, float, str]]:
    large_peak = (_peak_name(bench.records * LARGE_FACTOR), bench.memory_bytes / MIB, "MiB")
    return [large_peak, (_growth_name(bench), GROWTH_RATIO, "")]


def _peak_name(records: int) -> str:
    return f"peak resident set, {_gigabytes(records)}"


def _growth_name(bench: Workbench) -> str:
    large, small = _gigabytes(bench.records * LARGE_FACTOR), _gigabytes(bench.records)
    return f"seconds per GB, {large} against {small}"


def _gigabytes(records: int) -> str:
    return f"{records * RECORD_BYTES / 1e9:g} GB"


if __name__ == "__main__":
    main(run, __doc__)
