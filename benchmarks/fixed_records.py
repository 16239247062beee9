"""Records of 100 bytes with keys of 10, 1 GB, against GNU sort of the same file.

The file is text whose lines are all 100 bytes long, newline included, so both can sort it: we by the first 10 bytes
of each record, GNU sort by whole lines. Those 10 bytes hold 60 random bits: among 10 M records, two are equal in one
file of 20,000, and then the comparison of the outputs would say so.
"""

from benchmarks import peers
from benchmarks.measure import in_turn, outputs_are_equal
from benchmarks.report import Claim, Section, ratio_claim
from benchmarks.text_lines import gnu_sort_job
from benchmarks.workbench import RECORD_BYTES, Workbench, main

GNU_SORT_RATIO = 0.22
KEY_BYTES = 10

WHAT = f"records of {RECORD_BYTES} bytes, keys of {KEY_BYTES}, against GNU sort"


def run(bench: Workbench) -> Section:
    """One claim."""
    with bench.input("text") as source:
        peer = gnu_sort_job(bench, source)
        if peer is None:
            return Section([Claim(WHAT, GNU_SORT_RATIO, problem=peers.NO_GNU_SORT)])
        layout = ("--record-bytes", str(RECORD_BYTES), "--key-bytes", str(KEY_BYTES))
        ours, theirs = in_turn([bench.sort_job(source, *layout), peer], bench.pairs, check=outputs_are_equal)
    return Section([ratio_claim(WHAT, GNU_SORT_RATIO, ours, theirs, is_judged=bench.is_full_size)])


if __name__ == "__main__":
    main(run, __doc__)
