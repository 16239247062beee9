"""How long before anything happens: help, a sort of 1 KB, and the very first run, which compiles the kernels.

The first run has an empty kernel cache of its own, and must say why it takes so long. Python's own bytecode cache is
warm in all of them.
"""

import sys
import tempfile
from dataclasses import replace

from benchmarks.measure import BenchmarkError, Job, Measured, Runs, describe, in_turn, run_once, tell
from benchmarks.report import Claim, Section
from benchmarks.workbench import OURS, RECORD_BYTES, Workbench, main
from serializers.kernel_cache import CACHE_VARIABLE

HELP_SECONDS = 0.2
SMALL_SORT_SECONDS = 0.6
FIRST_RUN_SECONDS = 20.0

SMALL_BYTES = 1000
NOTICE = "compiling the kernels"
_FIRST_RUNS_MAX = 3  # ten seconds each, and the same work every time


def run(bench: Workbench) -> Section:
    """Three claims. They do not depend on the size of anything."""
    bare = Job("python -c pass", (sys.executable, "-c", "pass"))
    helped, python = in_turn([Job("--help", (*OURS, "--help")), bare], bench.pairs)
    with bench.input("text", records=SMALL_BYTES // RECORD_BYTES) as source:
        small = bench.sort_job(source, name="sort of 1 KB")
        sorted_small, python_again = in_turn([small, bare], bench.pairs)
        first = [_first_run(bench, small) for _ in range(min(bench.pairs, _FIRST_RUNS_MAX))]
    return Section(
        [
            _claim("`--help`", HELP_SECONDS, helped, python),
            _claim("sort of 1 KB", SMALL_SORT_SECONDS, sorted_small, python_again),
            _claim("first run ever, with its notice", FIRST_RUN_SECONDS, first),
        ]
    )


def _first_run(bench: Workbench, job: Job) -> Measured:
    """Raises BenchmarkError if it keeps silent while it compiles."""
    with tempfile.TemporaryDirectory(dir=bench.directory) as cache:
        measured = run_once(replace(job, environment={CACHE_VARIABLE: cache}))
    tell(f"    first run: {describe([measured])}")
    if NOTICE not in measured.stderr:
        raise BenchmarkError(f"the first run did not say that it is {NOTICE}: {measured.stderr!r}")
    return measured


def _claim(what: str, target: float, runs: Runs, python: Runs | None = None) -> Claim:
    seconds = [run.wall_seconds for run in runs]
    peer = f"`python -c pass`: {describe(python)}" if python else ""
    return Claim(f"start-up: {what}", target, seconds, unit="s", ours=describe(runs), peer=peer)


if __name__ == "__main__":
    main(run, __doc__)
