"""Other shapes of data, each 1 GB of 100-byte lines, against random text of the same size, by us in both cases.

    equal          one line, over and over        skewed       10,000 lines, as often as words in language (Zipf)
    duplicates     100 lines                      reversed     in descending order
    common-prefix  40 bytes the same in each      presorted    in order: one scan should see it

No shape may be a trap, and order that is there already should be worth something.
"""

from pathlib import Path

from benchmarks.measure import in_turn
from benchmarks.report import Claim, Section, ratio_claim
from benchmarks.workbench import Workbench, main

NO_TRAP_RATIO = 1.4
PRESORTED_RATIO = 0.7

TARGETS = {
    "equal": NO_TRAP_RATIO,
    "common-prefix": NO_TRAP_RATIO,
    "skewed": NO_TRAP_RATIO,
    "duplicates": NO_TRAP_RATIO,
    "reversed": NO_TRAP_RATIO,
    "presorted": PRESORTED_RATIO,
}


def run(bench: Workbench) -> Section:
    """One claim for each shape."""
    with bench.input("text") as text:
        return Section([_compare(bench, text, shape, target) for shape, target in TARGETS.items()])


def _compare(bench: Workbench, text: Path, shape: str, target: float) -> Claim:
    with bench.input(shape) as source:
        jobs = [bench.sort_job(source, name=shape), bench.sort_job(text, name="text")]
        ours, random_text = in_turn(jobs, bench.pairs, check=bench.verify_sorted)
    return ratio_claim(f"{shape} against random text", target, ours, random_text, is_judged=bench.is_full_size)


if __name__ == "__main__":
    main(run, __doc__)
