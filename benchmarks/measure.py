"""Run whole processes in turn, and tell what each took.

    round 0   ours, peer   outputs compared: a wrong result cannot win
    round 1   ours, peer
    ...                    each after `sync`, its input read once beforehand, its old output removed

The machine's speed changes from minute to minute, so only neighbours are compared: the ratio of each pair, and the
median of those. Wall time is from start to exit, imports included.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from memory import MIB

_CHILD = Path(__file__).with_name("child.py")
_READ_BYTES = 8 << 20
_ERROR_CHARACTERS = 2000


class BenchmarkError(RuntimeError):
    """A measured program failed, or gave a wrong result: there is no figure."""


@dataclass(frozen=True)
class Job:
    """One process to measure.

    inputs   read once before each run
    output   a file or directory, removed before each run; None where nothing is written
    scratch  other files it leaves, removed after each run
    stats    where it writes what it says of itself, as JSON
    """

    name: str
    command: Sequence[str]
    inputs: Sequence[Path] = ()
    output: Path | None = None
    scratch: Sequence[Path] = ()
    stats: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """What one run took. `peak_bytes` is the peak resident set; `stats` what the process said of itself."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    stderr: str
    stats: dict[str, Any]


Runs = list[Measured]
Check = Callable[[Sequence[Job]], None]


def in_turn(jobs: Sequence[Job], rounds: int, *, check: Check | None = None) -> list[Runs]:
    """Run all jobs, one after the other, `rounds` times: the runs of each. `check` sees the first round's outputs.

    Raises BenchmarkError.
    """
    outputs = [job.output for job in jobs if job.output is not None]
    assert rounds > 0 and len(set(outputs)) == len(outputs), "two jobs would write one file"
    runs: list[Runs] = [[] for _ in jobs]
    for number in range(rounds):
        for job, runs_of_job in zip(jobs, runs, strict=True):
            measured = run_once(job)
            runs_of_job.append(measured)
            tell(f"  {number + 1}/{rounds} {job.name:<28} {describe([measured])}")
            if number or check is None:
                _remove(job.output)
        if number == 0 and check is not None:
            check(jobs)
            for job in jobs:
                _remove(job.output)
    return runs


_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""Installed packages come with their bytecode. With this set, every process would compile our sources."""


def run_once(job: Job) -> Measured:
    """Run one job on a quiet disk. Raises BenchmarkError if it fails."""
    _remove(job.output)
    for path in job.inputs:
        read_through(path)
    os.sync()
    reader, writer = os.pipe()
    command = [sys.executable, "-I", "-S", str(_CHILD), str(writer), *job.command]
    environment = {name: value for name, value in os.environ.items() if name != _NO_BYTECODE} | dict(job.environment)
    try:
        done = subprocess.run(
            command, env=environment, pass_fds=(writer,), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    finally:
        os.close(writer)
        with os.fdopen(reader) as report:
            told = report.read().split()
        for path in job.scratch:
            _remove(path)
    stderr = done.stderr.decode(errors="replace")
    if len(told) != 4 or told[0] != "0":
        status = told[0] if told else "no status"
        raise BenchmarkError(f"{job.name} failed ({status}): {stderr[-_ERROR_CHARACTERS:].strip()}")
    stats = json.loads(job.stats.read_text()) if job.stats else {}
    return Measured(float(told[1]), float(told[2]), int(told[3]), stderr, stats)


def ratios(ours: Runs, peers: Runs) -> list[float]:
    """Wall seconds of ours over those of the peer, pair by pair."""
    return [our.wall_seconds / peer.wall_seconds for our, peer in zip(ours, peers, strict=True)]


def median_wall(runs: Runs) -> float:
    """Median wall seconds."""
    return median(run.wall_seconds for run in runs)


def median_cpu(runs: Runs) -> float:
    """Median CPU seconds, user and system."""
    return median(run.cpu_seconds for run in runs)


def peak_bytes(runs: Runs) -> int:
    """The highest peak of all runs, whoever saw it: the small parent, or the process itself."""
    return max(max(run.peak_bytes, int(run.stats.get("peak_resident_bytes", 0))) for run in runs)


def describe(runs: Runs) -> str:
    """Medians of time and the highest peak, for people."""
    return f"{median_wall(runs):.2f} s, CPU {median_cpu(runs):.2f} s, {peak_bytes(runs) / MIB:.0f} MiB"


def outputs_are_equal(jobs: Sequence[Job]) -> None:
    """A check for `in_turn`. Raises BenchmarkError unless all outputs are the same bytes."""
    first, *others = [job for job in jobs if job.output is not None]
    for other in others:
        if subprocess.run(["cmp", str(first.output), str(other.output)], stdout=sys.stderr).returncode:
            raise BenchmarkError(f"{first.name} and {other.name} do not write the same bytes")


def read_through(path: Path) -> None:
    """Read a file once, so that it is in the page cache, if it fits."""
    with path.open("rb", buffering=0) as source:
        buffer = bytearray(_READ_BYTES)
        while source.readinto(buffer):
            pass


def tell(text: str) -> None:
    """Say something to people: results alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


def _remove(path: Path | None) -> None:
    if path is not None and path.is_dir():
        shutil.rmtree(path)
    elif path is not None:
        path.unlink(missing_ok=True)
