"""Does compressing what is spilled pay? Whole sorts with each codec in turn.

    words    lines of common words, which shrink
    fixed    random bytes, which hardly shrink: 5 in 100 are zeros, of the number each record carries

Times are medians; the ratio is the median of wall time over that of the uncompressed sort of the same round. `auto`
should be near the better of the two.
"""

from statistics import median

from benchmarks.measure import Runs, in_turn, median_cpu, median_wall, outputs_are_equal, peak_bytes, ratios
from benchmarks.report import Section, Table
from benchmarks.workbench import RECORD_BYTES, Workbench, main
from memory import MIB

CODECS = ("none", "lz4", "zstd", "auto")
LAYOUTS = {"words": (), "fixed": ("--record-bytes", str(RECORD_BYTES), "--key-bytes", "10")}
HEADER = ("data", "codec", "wall s", "CPU s", "wall over none", "spilled over input", "peak MiB")


def run(bench: Workbench) -> Section:
    """One table."""
    rows = [row for kind in LAYOUTS for row in _rows(bench, kind)]
    return Section(tables=[Table("Compressing what is spilled", HEADER, rows, bench.describe())])


def _rows(bench: Workbench, kind: str) -> list[list[str]]:
    with bench.input(kind, copies=2 + len(CODECS)) as source:
        jobs = [bench.sort_job(source, *LAYOUTS[kind], "--compress", codec, name=f"{kind}-{codec}") for codec in CODECS]
        runs = in_turn(jobs, bench.pairs, check=outputs_are_equal)
    return [_row(kind, codec, runs_of_codec, runs[0]) for codec, runs_of_codec in zip(CODECS, runs, strict=True)]


def _row(kind: str, codec: str, runs: Runs, uncompressed: Runs) -> list[str]:
    spilled = median(run.stats["spilled_bytes"] / run.stats["input_bytes"] for run in runs)
    return [
        kind,
        codec,
        f"{median_wall(runs):.2f}",
        f"{median_cpu(runs):.2f}",
        f"{median(ratios(runs, uncompressed)):.2f}",
        f"{spilled:.2f}",
        f"{peak_bytes(runs) / MIB:.0f}",
    ]


if __name__ == "__main__":
    main(run, __doc__)
