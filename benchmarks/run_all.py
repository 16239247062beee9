"""Every benchmark, one after the other, and RESULTS.md written anew. Takes some minutes, on a machine left alone.

    python -m benchmarks.run_all [--large]

What fails is told in its place, and the others go on. Exit status 1 if anything failed; a missed target is a result.
"""

import sys
import traceback
from pathlib import Path

from benchmarks import (
    combine,
    compression,
    fixed_records,
    io_blocks,
    juggling,
    memory,
    rows,
    shapes,
    shuffle,
    sort_words,
    start_up,
    text_lines,
)
from benchmarks.machine import describe_machine
from benchmarks.measure import BenchmarkError, tell
from benchmarks.report import Section, render_claims, render_rows
from benchmarks.workbench import Benchmark, Workbench, argument_parser, opened

RESULTS = Path(__file__).with_name("RESULTS.md")

BENCHMARKS: dict[str, Benchmark] = {
    "text_lines": text_lines.run,
    "fixed_records": fixed_records.run,
    "memory": memory.run,
    "shapes": shapes.run,
    "start_up": start_up.run,
    "sort_words": sort_words.run,
    "io_blocks": io_blocks.run,
    "compression": compression.run,
    "rows": rows.run,
    "juggling": juggling.run,
    "combine": combine.run,
    "shuffle": shuffle.run,
}


def main() -> int:
    """Run all, print the results, write them down."""
    parser = argument_parser(__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to write them (default: %(default)s)")
    arguments = parser.parse_args()
    sections: dict[str, Section] = {}
    failures: dict[str, str] = {}
    with opened(arguments) as bench:
        machine = describe_machine(bench.directory)
        for name, benchmark in BENCHMARKS.items():
            tell(f"== {name}")
            _run_one(name, benchmark, bench, sections, failures)
            text = render(machine, bench, sections, failures)
            arguments.results.write_text(text)  # after each, so that an interruption loses one only
    print(text)
    return 1 if failures else 0


def _run_one(
    name: str, benchmark: Benchmark, bench: Workbench, sections: dict[str, Section], failures: dict[str, str]
) -> None:
    try:
        sections[name] = benchmark(bench)
    except BenchmarkError as error:
        failures[name] = str(error)
        tell(f"{name} failed: {error}")
    except Exception as error:  # a bug in one benchmark is no reason to lose the others
        failures[name] = f"{type(error).__name__}: {error}"
        traceback.print_exc()


def render(
    machine: list[tuple[str, str]], bench: Workbench, sections: dict[str, Section], failures: dict[str, str]
) -> str:
    """The whole page: what failed, the claims, where it was measured, and all figures."""
    claims = [claim for section in sections.values() for claim in section.claims]
    parts = [
        "# Results of the benchmarks",
        "Written by `python -m benchmarks.run_all`. Each claim has a script of its own in this directory that says "
        "what is measured. Whole processes, imports included, kernels compiled beforehand; pairs in turn, each run "
        "after `sync`, its input read once. Ratios are wall time, ours over the peer's, the median of the pairs; "
        "seconds are medians, peaks the highest.",
        bench.describe() + ("" if bench.is_full_size else ". **A rehearsal: not the size that is claimed.**"),
        *(f"**{name} failed:** {problem}" for name, problem in failures.items()),
        "## Claims",
        render_claims(claims),
        "## Where",
        render_rows(("what", "here"), machine),
        "## Figures",
        *(table.render() for section in sections.values() for table in section.tables),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
