"""One job in a process of its own: armed with faults, stopped by a signal, or left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from io_manager.faults import Faults
from shuffle.stress.material import Material
from shuffle.stress.trial import Trial, Verb

HANG_SECONDS = 600
"""A job that takes so long hangs."""

_COMMAND = (sys.executable, "-P", "-m", "cli")
_PARTITIONS = "16"


@dataclass(frozen=True)
class Lane:
    """Where one job at a time has its output; the spill directory is that of all lanes.

    Nothing but the output may be in its `home` when a job is over.
    """

    directory: Path
    temp_dir: Path

    def home(self, verb: Verb) -> Path:
        """Where the outputs of one command stand."""
        return self.directory / verb

    def output(self, trial: Trial) -> Path:
        """The output of a sort, or the directory that a shuffle writes."""
        return self.home(trial.verb) / "output"

    @property
    def stats(self) -> Path:
        """The report of the job."""
        return self.directory / "stats.json"

    @property
    def log(self) -> Path:
        """What was injected."""
        return self.directory / "faults.log"


@dataclass(frozen=True)
class Ended:
    """How a job ended. `hung`: it did not, and was killed. `injected` counts faults by action."""

    status: int
    message: str
    seconds: float
    hung: bool
    injected: Counter[str]
    stats: dict[str, Any] | None


def run_victim(trial: Trial, material: Material, lane: Lane, resources: tuple[str, ...], usual_seconds: float) -> Ended:
    """Run the job of `trial` on `material`. `usual_seconds` is what such a job takes when nothing is done to it."""
    for leftover in (lane.stats, lane.log):
        leftover.unlink(missing_ok=True)
    arguments = (*_COMMAND, *_job(trial, material, lane), *resources, "--stats", str(lane.stats))
    armed = Faults(trial.harm.faults, seed=trial.seed, log=lane.log)
    environment = {**os.environ, **(armed.environment() if trial.harm.faults else {})}
    started = time.perf_counter()
    victim = subprocess.Popen(arguments, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        message, hung = _follow(victim, trial, usual_seconds)
    finally:
        victim.kill()
        victim.wait()
    return Ended(victim.returncode, message.strip(), time.perf_counter() - started, hung, _injected(lane), _stats(lane))


def _job(trial: Trial, material: Material, lane: Lane) -> tuple[str, ...]:
    arguments = (trial.verb, *material.arguments, "--no-progress", "--temp-dir", str(lane.temp_dir))
    if trial.verb == "shuffle":
        arguments += ("--partitions", _PARTITIONS, "--overwrite")
    return (*arguments, str(material.path), str(lane.output(trial)))


def _follow(victim: subprocess.Popen[str], trial: Trial, usual_seconds: float) -> tuple[str, bool]:
    """What it says until it ends, and whether it had to be ended."""
    if trial.harm.signal is not None:
        with suppress(subprocess.TimeoutExpired):
            victim.wait(trial.harm.moment * usual_seconds)
        victim.send_signal(trial.harm.signal)
    try:
        return victim.communicate(timeout=HANG_SECONDS)[1], False
    except subprocess.TimeoutExpired:
        victim.kill()
        return victim.communicate()[1], True


def _injected(lane: Lane) -> Counter[str]:
    if not lane.log.exists():
        return Counter()
    return Counter(json.loads(line)["action"] for line in lane.log.read_text().splitlines())


def _stats(lane: Lane) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(lane.stats.read_text())
    except (FileNotFoundError, ValueError):  # it failed, or was killed while it wrote
        return None
    return found
