"""What the long form did, added up: `python -m tests.test_reliability.figures REPORT` prints a table for people.

The report has a line of JSON from each test that ran (`amounts.report`).
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TOLD = ("faults", "kills", "corrupted", "detected", "fuzz_inputs", "jobs", "bytes")
FORBIDDEN = ("wrong_outputs", "lost_records", "leftovers", "budget_overruns")
"""None of these may be more than 0."""


def add_up(lines: Iterable[str]) -> dict[str, Counter[str]]:
    """Figures of each test, by its name; lines of one name are added. Text is left out."""
    sums: dict[str, Counter[str]] = {}
    for line in lines:
        found: dict[str, Any] = json.loads(line)
        figures = {name: value for name, value in found.items() if name in (*TOLD, *FORBIDDEN)}
        sums.setdefault(found["test"], Counter()).update(figures)
    return sums


def describe(sums: dict[str, Counter[str]]) -> str:
    """A row for each test, one for all, and one line of what must not be."""
    total = sum(sums.values(), Counter[str]())
    rows = [_row(name, figures) for name, figures in sorted(sums.items())]
    head = "| test | " + " | ".join(name.replace("_", " ") for name in TOLD) + " |"
    rule = "|---" * (len(TOLD) + 1) + "|"
    last = ", ".join(f"{total[name]} {name.replace('_', ' ')}" for name in FORBIDDEN)
    return "\n".join([head, rule, *rows, _row("all", total), "", last])


def _row(name: str, figures: Counter[str]) -> str:
    return f"| {name} | " + " | ".join(f"{figures[each]:,}" if figures[each] else "" for each in TOLD) + " |"


def main() -> int:
    """Print the table: 1 if anything happened that must not."""
    sums = add_up(Path(sys.argv[1]).read_text().splitlines())
    print(describe(sums))
    return int(any(figures[name] for figures in sums.values() for name in FORBIDDEN))


if __name__ == "__main__":
    sys.exit(main())
