"""Tuples as bytes against tuples as objects: 10 million of `(int32, str of 12 letters)`, by the int and by the string.

    list       a list of the tuples, list.sort(key=itemgetter(i))
    spillway   shuffle.Sorter(type_info=tuple[Int32, str], by=i), all of it in memory
    spilling   the same with so little memory that most of it is spilled
    generic    the same engine in memory, but every tuple pickled: GenericInfo(tuple), key=itemgetter(i)

After "Juggling with Bits and Bytes" (Flink's blog, 2015-05-11, by F. Hueske). `benchmarks/juggling_job.py` is the
process that is measured: it says what the tuples are, and times three phases. A total is their sum, and has the making
of the tuples in it; imports are not, but the time of the whole process is told.

    python -m benchmarks.juggling --pairs 5 --picture docs/juggling.png
    python -m benchmarks.juggling --records 100000 --pairs 1                a rehearsal; its verdicts are withheld
    python -m benchmarks.juggling_picture docs/juggling.json docs/juggling.png    draw again what was measured
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import cpu_model
from benchmarks.measure import BenchmarkError, Job, Measured, Runs, in_turn, run_once, tell
from benchmarks.report import Claim, Section, Table
from benchmarks.workbench import RECORDS, ROOT, SEED, Workbench, argument_parser, opened
from memory import MIB, format_size

LIST_RATIOS = {"int": 0.70, "string": 0.45}
LIST_PEAK_RATIO = 0.25
SPILLING_RATIO = 1.3
GENERIC_RATIO = 1 / 3
SORT_COLLECTIONS = 0

PICTURE = ROOT / "docs" / "juggling.png"

PHASES = ("fill", "sort", "emit")
KEYS = {"int": 0, "string": 1}
"""What tuples are ordered by, and where it stands in them."""


@dataclass(frozen=True)
class Way:
    """How `juggling_job` goes about it. `spills`: None where no engine is at work."""

    what: str
    memory: str = "1GiB"
    spills: bool | None = None
    strings: str = "tail"


WAYS = {
    "list": Way("list"),
    "spillway": Way("spillway", spills=False),
    "spilling": Way("spillway", "128MiB", spills=True),
    "generic": Way("generic", "2GiB", spills=False),
}
OTHER_STRINGS = {"shared": "100,000 string objects in all, as if interned", "random": "hardly any string twice"}
GENERATE = "generate"

_OTHER_ROUNDS_MAX = 2  # a remark, and no claim hangs on it
_SMALL_RECORDS = 1000
_DISK_BYTES_PER_RECORD = 32

Case = tuple[str, str]
"""A way and a key."""


@dataclass(frozen=True)
class Measurements:
    """All runs of all cases, and of generating alone: as many of each, taken in turn."""

    records: int
    threads: int
    generate: Runs
    cases: Mapping[Case, Runs]

    def pairs(self, ours: Case, peer: Case, figure: Callable[[Measured], float]) -> list[float]:
        """Ratios of a figure of neighbours."""
        both = zip(self.cases[ours], self.cases[peer], strict=True)
        return [figure(our) / figure(other) for our, other in both]

    def pairs_without_generating(self, ours: Case, peer: Case) -> list[float]:
        """Ratios of totals, each without what it takes to make the tuples alone."""
        triples = zip(self.cases[ours], self.cases[peer], self.generate, strict=True)
        return [(total(our) - total(base)) / (total(other) - total(base)) for our, other, base in triples]


def total(run: Measured) -> float:
    """Seconds of all phases."""
    return sum(phase(run, name, "seconds") for name in PHASES)


def phase(run: Measured, name: str, figure: str) -> float:
    """A figure of one phase; 0 if there was none."""
    return float(run.stats["phases"].get(name, {}).get(figure, 0))


def own_peak_bytes(run: Measured) -> int:
    """The peak resident set of the whole process, up to the end of the last phase."""
    return int(run.stats["peak_resident_bytes"])


# --- measuring


def run(bench: Workbench, picture: Path | None = None) -> Section:
    """Claims and tables. The picture is drawn at full size, or wherever it is asked for."""
    bench.check_room(bench.records * _DISK_BYTES_PER_RECORD)
    _warm_up(bench)
    found = _measure(bench, WAYS, bench.pairs)
    others = {strings: _measure_other(bench, strings) for strings in OTHER_STRINGS}
    if picture is None and _is_full_size(bench):
        picture = PICTURE
    if picture is not None:
        _draw(found, picture)
    return Section(_claims(found, is_judged=_is_full_size(bench)), [*_tables(bench, found), _others_table(others)])


def _is_full_size(bench: Workbench) -> bool:
    return bench.records == RECORDS


def _warm_up(bench: Workbench) -> None:
    """What compiles kernels is not measured."""
    small = replace(bench, records=_SMALL_RECORDS)
    for name in ("spillway", "generic"):
        for key in KEYS:
            run_once(_job(small, (name, key), WAYS[name]))


def _measure(bench: Workbench, ways: Mapping[str, Way], rounds: int) -> Measurements:
    cases = {(name, key): way for key in KEYS for name, way in ways.items()}
    jobs = [
        _generate_job(bench, next(iter(ways.values())).strings),
        *(_job(bench, case, way) for case, way in cases.items()),
    ]
    checked = [replace(job, command=(*job.command, "--check")) for job in jobs]
    runs = in_turn(checked, 1, check=_outputs_agree)
    if rounds > 1:
        runs = [first + rest for first, rest in zip(runs, in_turn(jobs, rounds - 1), strict=True)]
    found = Measurements(bench.records, bench.threads, runs[0], dict(zip(cases, runs[1:], strict=True)))
    for case, way in cases.items():
        _check_spilling(bench, case, way, found.cases[case])
    return found


def _measure_other(bench: Workbench, strings: str) -> Measurements:
    ways = {name: replace(WAYS[name], strings=strings) for name in ("list", "spillway")}
    return _measure(bench, ways, min(bench.pairs, _OTHER_ROUNDS_MAX))


def _job(bench: Workbench, case: Case, way: Way) -> Job:
    name, key = case
    options = ("--by", str(KEYS[key]), "--memory", way.memory, "--threads", str(bench.threads))
    places = ("--temp-dir", str(bench.directory))
    return _child(bench, f"{name} by {key}", way.what, *options, *places, "--strings", way.strings)


def _generate_job(bench: Workbench, strings: str) -> Job:
    return _child(bench, GENERATE, GENERATE, "--strings", strings)


def _child(bench: Workbench, name: str, *arguments: str) -> Job:
    """Hashes of strings must be the same in all processes: they are compared."""
    stats = bench.directory / f"{name}.json"
    size = ("--records", str(bench.records), "--seed", str(SEED), "--stats", str(stats))
    command = (sys.executable, "-P", "-m", "benchmarks.juggling_job", *arguments, *size)
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return Job(name, command, stats=stats, environment={"PYTHONHASHSEED": "0", "PYTHONPATH": path})


def _outputs_agree(jobs: Sequence[Job]) -> None:
    """A check for `in_turn`: all have the tuples that were generated, and the same order by the same key."""
    told = {job.name: json.loads(job.stats.read_text()) for job in jobs if job.stats}
    wrong = [name for name, stats in told.items() if stats["checksum"] != told[GENERATE]["checksum"]]
    if wrong:
        raise BenchmarkError(f"not the tuples that went in: {', '.join(wrong)}")
    for key in KEYS:
        orders = {name: stats["fingerprint"] for name, stats in told.items() if name.endswith(f" by {key}")}
        if len(set(orders.values())) > 1:
            raise BenchmarkError(f"not the same order by {key}, equal keys in input order: {orders}")


def _check_spilling(bench: Workbench, case: Case, way: Way, runs: Runs) -> None:
    """What is to be sorted in memory must be, and of what is to be spilled, most must be; a rehearsal is too small."""
    for run in runs if way.spills is not None else ():
        spilled_bytes, input_bytes = run.stats["spilled_bytes"], run.stats["input_bytes"]
        told = f"{' by '.join(case)}, {way.memory}: {format_size(spilled_bytes)} of {format_size(input_bytes)} spilled"
        if not way.spills and spilled_bytes:
            raise BenchmarkError(f"{told}, and this was to be sorted in memory: raise it in WAYS")
        if way.spills and 2 * spilled_bytes < input_bytes:
            if _is_full_size(bench):
                raise BenchmarkError(f"{told}, and most was to be: lower it in WAYS")
            tell(f"    {told}: too few records to spill most of them")


# --- telling


def _claims(found: Measurements, *, is_judged: bool) -> list[Claim]:
    def claim(what: str, target: float, ours: Case, peer: Case, figure: Callable[[Measured], float] = total) -> Claim:
        told = (_describe(found.cases[ours]), _describe(found.cases[peer]))
        values = found.pairs(ours, peer, figure)
        return Claim(what, target, values, ours=told[0], peer=told[1], is_judged=is_judged)

    claims = []
    for key in KEYS:
        ours, peer = ("spillway", key), ("list", key)
        claims += [
            claim(f"tuples by {key} against list.sort", LIST_RATIOS[key], ours, peer),
            claim(
                f"peak resident set, tuples by {key}, against list.sort", LIST_PEAK_RATIO, ours, peer, own_peak_bytes
            ),
            claim(f"tuples by {key}, spilling against in memory", SPILLING_RATIO, ("spilling", key), ours),
            claim(f"tuples by {key} against pickled ones", GENERIC_RATIO, ours, ("generic", key)),
        ]
    return [*claims, _collections_claim(found, is_judged)]


def _collections_claim(found: Measurements, is_judged: bool) -> Claim:
    counts = {key: [phase(run, "sort", "collections") for run in found.cases["spillway", key]] for key in KEYS}
    return Claim(
        "garbage collections while tuples are sorted",
        SORT_COLLECTIONS,
        [count for key in KEYS for count in counts[key]],
        unit="collections",
        ours=", ".join(f"by {key}: {max(each):.0f}" for key, each in counts.items()),
        at_worst=True,
        is_judged=is_judged,
    )


def _describe(runs: Runs) -> str:
    cpu_seconds = median(sum(phase(run, name, "cpu_seconds") for name in PHASES) for run in runs)
    peak_mib = max(map(own_peak_bytes, runs)) / MIB
    return f"{median(map(total, runs)):.2f} s, CPU {cpu_seconds:.2f} s, {peak_mib:.0f} MiB"


def _tables(bench: Workbench, found: Measurements) -> list[Table]:
    rounds = len(found.generate)
    terms = (
        f"{bench.records:,} tuples, {bench.threads} threads, {rounds} in turn. Each row is the run whose total "
        "is the median. Strings: 12 letters, Zipf (exponent 1) over 100,000, an object for each tuple. An engine sorts "
        "while it is filled, in other threads, and merges while it emits. The process begins with imports and the "
        "table of strings, and ends with freeing everything."
    )
    cases = [(GENERATE, "", found.generate), *((way, key, runs) for (way, key), runs in found.cases.items())]
    return [
        Table(
            "Tuples: seconds",
            ("way", "by", *PHASES, "total", "whole process", "its CPU"),
            [[way, key, *_seconds_cells(_typical(runs))] for way, key, runs in cases],
            terms,
        ),
        Table(
            "Tuples: CPU seconds, and garbage collections with their seconds",
            ("way", "by", *(f"CPU {name}" for name in PHASES), *(f"collections {name}" for name in PHASES)),
            [[way, key, *_collector_cells(_typical(runs))] for way, key, runs in cases],
        ),
        Table(
            "Tuples: memory",
            ("way", "by", "memory", "peak MiB", "before MiB", "growth a record", "row", "spilled", "runs, in memory"),
            [[way, key, *_memory_cells(found.records, WAYS[way], runs)] for (way, key), runs in found.cases.items()],
            "The peak is that of the whole process; growth is the peak less what was resident before the first phase, "
            "and row what a record takes as bytes, both in bytes a record.",
        ),
        _ratio_table(found),
    ]


def _typical(runs: Runs) -> Measured:
    """The run whose total is the median."""
    return sorted(runs, key=total)[(len(runs) - 1) // 2]


def _seconds_cells(run: Measured) -> list[str]:
    seconds = (*(phase(run, name, "seconds") for name in PHASES), total(run))
    whole = (run.wall_seconds - run.stats["check_seconds"], run.cpu_seconds - run.stats["check_cpu_seconds"])
    return [f"{each:.2f}" for each in (*seconds, *whole)]


def _collector_cells(run: Measured) -> list[str]:
    cpu = [f"{phase(run, name, 'cpu_seconds'):.2f}" for name in PHASES]
    figures = [(phase(run, name, "collections"), phase(run, name, "collection_seconds")) for name in PHASES]
    return [*cpu, *(f"{count:,.0f} ({seconds:.2f} s)" if count else "0" for count, seconds in figures)]


def _memory_cells(records: int, way: Way, runs: Runs) -> list[str]:
    run = max(runs, key=own_peak_bytes)
    stats = run.stats
    resident = (own_peak_bytes(run) / MIB, stats["start_resident_bytes"] / MIB, _growth_bytes(run) / records)
    cells = [f"{each:.0f}" for each in resident]
    if way.spills is None:
        return ["", *cells, "", "", ""]
    spilled = f"{stats['spilled_bytes'] / MIB:.0f} MiB, {stats['spilled_bytes'] / stats['input_bytes']:.0%}"
    row = f"{stats['input_bytes'] / records:.1f}"
    return [way.memory, *cells, row, spilled, f"{stats['runs']}, {stats['runs_in_memory']}"]


def _growth_bytes(run: Measured) -> int:
    return own_peak_bytes(run) - int(run.stats["start_resident_bytes"])


def _ratio_table(found: Measurements) -> Table:
    """Who makes tuples pays for that in any case; this is what is left."""
    comparisons = [
        ((ours, key), (peer, key))
        for key in KEYS
        for ours, peer in (("spillway", "list"), ("spilling", "spillway"), ("spillway", "generic"))
    ]
    rows = [
        [
            f"{ours[0]} / {peer[0]}",
            ours[1],
            f"{median(found.pairs(ours, peer, total)):.3f}",
            f"{median(found.pairs_without_generating(ours, peer)):.3f}",
        ]
        for ours, peer in comparisons
    ]
    header = ("totals", "by", "ratio", "without making the tuples")
    return Table("Tuples: with and without making them", header, rows, "Medians of pairs.")


def _others_table(others: Mapping[str, Measurements]) -> Table:
    rows = []
    for strings, found in others.items():
        for key in KEYS:
            ours, peer = ("spillway", key), ("list", key)
            ratios = (median(found.pairs(ours, peer, figure)) for figure in (total, own_peak_bytes))
            took = (_describe(found.cases[case]) for case in (ours, peer))
            rows.append([f"{strings}: {OTHER_STRINGS[strings]}", key, *took, *(f"{each:.3f}" for each in ratios)])
    header = ("strings", "by", "spillway", "list", "total ratio", "peak ratio")
    note = "How much a list gains depends on how often strings come twice: Python's sort finds equal ones quickly."
    return Table("Tuples with other strings", header, rows, note)


# --- the picture


def figures(found: Measurements) -> dict[str, Any]:
    """What the picture shows, for JSON."""
    return {
        "records": found.records,
        "rounds": len(found.generate),
        "threads": found.threads,
        "processor": cpu_model(),
        "generate_seconds": median(map(total, found.generate)),
        "cases": [
            {"way": way, "by": key, **_case_figures(found.records, WAYS[way], runs)}
            for (way, key), runs in found.cases.items()
        ],
    }


def _case_figures(records: int, way: Way, runs: Runs) -> dict[str, Any]:
    run = _typical(runs)
    has_rows = way.spills is not None
    return {
        "phases": run.stats["phases"],
        "total_seconds": total(run),
        "peak_resident_bytes": max(map(own_peak_bytes, runs)),
        "bytes_per_record": (run.stats["input_bytes"] if has_rows else max(map(_growth_bytes, runs))) / records,
        "spilled_bytes": run.stats["spilled_bytes"] if has_rows else 0,
        "memory": way.memory if has_rows else None,
    }


def _draw(found: Measurements, picture: Path) -> None:
    """The figures go beside the picture, so that it can be drawn again."""
    told = picture.with_suffix(".json")
    told.write_text(json.dumps(figures(found), indent=2) + "\n")
    if find_spec("matplotlib") is None:
        tell(f"    no picture, but {told}: matplotlib is not installed (pip install matplotlib)")
        return
    from benchmarks.juggling_picture import draw

    draw(figures(found), picture)
    tell(f"    {picture} shows {told}")


def main() -> None:
    """Run it alone: its tables go to standard output."""
    parser = argument_parser(__doc__)
    parser.add_argument("--picture", type=Path, help=f"where to draw it (default: {PICTURE.name}, at full size only)")
    arguments = parser.parse_args()
    try:
        with opened(arguments) as bench:
            print(run(bench, arguments.picture).render())
    except BenchmarkError as error:
        sys.exit(f"benchmark: {error}")


if __name__ == "__main__":
    main()
