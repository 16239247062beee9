"""Few descriptors, small files, little address space: the right output, or one line that says which limit to raise."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cli
from tests.test_cli import SMALL_MEMORY, Place, spillway
from tests.test_reliability import jobs
from tests.test_reliability.amounts import IS_RELEASE, amount, report, source

ROOT = Path(__file__).parents[2]
in_long_form = pytest.mark.skipif(not IS_RELEASE, reason="in the long form only: each takes seconds to load everything")

SPILLING = ["sort lines", "shuffle objects"]


def under(limit: str, number: str, names: list[str]) -> dict[str, str]:
    """What each job comes to in a process with this limit."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "tests.test_reliability.limited", limit, number, *names]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    outcomes: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    for name, outcome in outcomes.items():
        assert not outcome.startswith("BROKEN"), (limit, number, name, outcome)
    report(f"{limit} {number}", jobs=len(names), right_outputs=list(outcomes.values()).count("right"), wrong_outputs=0)
    return outcomes


@pytest.mark.parametrize("number", amount(["32"], ["256", "64", "32", "24", "16"]))
def test_few_descriptors(number: str) -> None:
    outcomes = under("RLIMIT_NOFILE", number, amount(SPILLING, list(jobs.NAMES)))
    if int(number) >= 64:
        assert set(outcomes.values()) == {"right"}, outcomes
    assert all(outcome == "right" or "ulimit -n" in outcome for outcome in outcomes.values()), outcomes


@in_long_form
@pytest.mark.parametrize("number", ["+0", "+1", "+2", "+4", "+8", "+12"])
def test_hardly_any_descriptors(number: str) -> None:
    """Not even those that a job begins with."""
    under("RLIMIT_NOFILE", number, source("limit", number).sample(jobs.NAMES, 5))


@in_long_form
@pytest.mark.parametrize("number", ["4096", "30000", "60000", "150000"])
def test_small_files(number: str) -> None:
    """The signal that goes with it is Python's business; the error is ours."""
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
    outcomes = under("RLIMIT_FSIZE", number, source("limit", number).sample(jobs.NAMES, 5))
    assert all(outcome == "right" or "ulimit -f" in outcome for outcome in outcomes.values()), outcomes


# --- the command


def limited(limit: int, number: int) -> Callable[[], None]:
    """For `preexec_fn`."""
    return lambda: resource.setrlimit(limit, (number, number))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines: they spill in the long form."""
    path = tmp_path_factory.mktemp("data") / "data"
    assert cli.run(["gen", "--size", amount("1MiB", "90MiB"), str(path)]) == cli.OK
    return path


@pytest.mark.parametrize(
    ("limit", "number"),
    amount(
        [(resource.RLIMIT_NOFILE, 20)],
        [
            *((resource.RLIMIT_NOFILE, number) for number in (256, 64, 32, 20, 12, 8)),
            *(
                (resource.RLIMIT_AS, number << 20)
                for number in (100, 200, 300, 400, 600, 620, 680, 700, 760, 800, 1200)
            ),
            *((resource.RLIMIT_FSIZE, number << 10) for number in (0, 64, 1000, 20_000)),
        ],
    ),
)
def test_the_command_under_a_limit(tmp_path: Path, data: Path, limit: int, number: int) -> None:
    place = Place(tmp_path)
    ended = spillway(
        *place.arguments("sort", "-S", SMALL_MEMORY, data, place.output), preexec_fn=limited(limit, number)
    )
    if ended.status == cli.OK:
        assert spillway("verify", data, place.output).status == cli.OK
        place.check_clean()
    elif ended.status == cli.ERROR and ended.stderr.startswith("spillway: "):
        ended.complaint()
        place.check_untouched()
    else:  # the interpreter itself has not come up
        assert "MemoryError" in ended.stderr or "ImportError" in ended.stderr or "OSError" in ended.stderr, ended
        place.check_untouched()
    report("the command under a limit", jobs=1, wrong_outputs=0, leftovers=0)
