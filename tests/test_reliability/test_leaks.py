"""A thousand jobs in one process, of which half fail, are cancelled or dropped half-read: at the end it holds no more.

Open files, threads, children, spill files and managed memory are the same after every round; the resident set, once
freed memory is given back to the system, grows by less than a twentieth once it is warm.
"""

import json
import subprocess
import sys
from pathlib import Path

from tests.test_reliability.amounts import amount, report

ROOT = Path(__file__).parents[2]
ROUNDS = amount(3, 46)
"""Of 22 jobs each."""

WARM = amount(1, 9)
"""The round from which on memory is compared. The heap finds its shape in some 200 jobs; a leak does not end then."""

GROWTH_MAX = 0.05


def test_a_thousand_jobs_leave_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.test_reliability.many_jobs", str(tmp_path), str(ROUNDS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    jobs, resident = (list(map(int, (each.pop(name) for each in rounds))) for name in ("jobs", "resident_bytes"))
    assert len(rounds) == ROUNDS and sum(jobs) >= amount(60, 1000)
    for number, held in enumerate(rounds):
        assert held == rounds[0], number
    assert rounds[0]["children"] == 0 and rounds[0]["held"] == rounds[0]["files"] == [], rounds[0]
    growth = resident[-1] / resident[WARM] - 1
    assert growth < GROWTH_MAX, [size_bytes >> 10 for size_bytes in resident]
    report(
        "a thousand jobs in one process",
        jobs=sum(jobs),
        resident_bytes=resident[-1],
        resident_growth_percent=round(100 * growth, 2),
        leaks=0,
    )
