"""The same faults in processes of their own: the installed command, and the workers of a shuffle job.

They are armed through their environment. The command says in one line what happened, and its status is 2.
"""

from __future__ import annotations

import errno
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import cli
from io_manager.faults import ENVIRONMENT, Fault, Faults
from shuffle.exchange.shuffle_job import Shuffle
from shuffle.exchange.task_errors import TaskFailedError
from shuffle.exchange.task_manager import TaskManager
from tests.test_cli import SMALL_MEMORY, Place, spillway
from tests.test_exchange.executors import nothing_left
from tests.test_reliability.amounts import IS_RELEASE, amount, report, source

REFUSALS = ["EIO", "ENOSPC", "EDQUOT", "EMFILE", "EACCES", "EROFS"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines that fit memory."""
    return generated(tmp_path_factory, "1MiB")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines that spill."""
    return generated(tmp_path_factory, "90MiB")


def generated(factory: pytest.TempPathFactory, size: str) -> Path:
    path = factory.mktemp("data") / "data"
    assert cli.run(["gen", "--size", size, str(path)]) == cli.OK
    return path


def injected(log: Path) -> list[dict[str, Any]]:
    """What happened, in whatever process."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def causes(action: str) -> list[str]:
    """How a line may say what the system said."""
    ours = {"ENOSPC": "disk is full", "EDQUOT": "disk is full", "EACCES": "permission"}
    return [os.strerror(getattr(errno, action)).lower(), ours.get(action, "\0"), "write-protected"]


def sort_with(tmp_path: Path, data: Path, fault: Fault) -> int:
    """The command, with a fault: how many there were."""
    place, log = Place(tmp_path), tmp_path / "log"
    log.unlink(missing_ok=True)
    environment = {**os.environ, **Faults([fault], log=log).environment()}
    words = place.arguments("sort", "-S", SMALL_MEMORY, "--threads", 2, data, place.output)
    ended = spillway(*words, env=environment)
    done = injected(log)
    if ended.status == cli.OK:
        assert spillway("verify", data, place.output).status == cli.OK
        place.check_clean()
        return len(done)
    assert done, ended
    line = ended.stderr.removeprefix("spillway: ")
    if not any(each["operation"] in ("unlink", "rmdir", "listdir", "stat", "open") for each in done):
        assert ended.complaint() and "could not be removed" not in line
        place.check_untouched()
    assert ended.status == cli.ERROR and "Traceback" not in ended.stderr, ended
    assert str(tmp_path.parent) in line or str(data.parent) in line or "ulimit" in line, line
    assert any(cause in line.lower() for cause in causes(fault.action)), line
    return len(done)


@pytest.mark.parametrize("part", range(amount(1, 8)))
def test_the_command_says_what_happened(tmp_path: Path, small: Path, part: int) -> None:
    chance = source("command", part)
    faults = 0
    for number in range(amount(1, 4)):
        fault = Fault(chance.choice(REFUSALS), at=chance.randrange(1, 50), lasting=chance.random() < 0.5)
        (tmp_path / str(number)).mkdir()
        faults += sort_with(tmp_path / str(number), small, fault)
    report("the command with faults", faults=faults, wrong_outputs=0, leftovers=0)


@pytest.mark.skipif(not IS_RELEASE, reason="in the long form only: each sorts 90 MiB")
@pytest.mark.parametrize("part", range(6))
def test_the_command_while_it_spills(tmp_path: Path, large: Path, part: int) -> None:
    chance = source("spilling command", part)
    fault = Fault(chance.choice(REFUSALS), at=chance.randrange(30, 400), lasting=chance.random() < 0.5)
    report("the command with faults", faults=sort_with(tmp_path, large, fault), wrong_outputs=0, leftovers=0)


@pytest.mark.parametrize("part", range(amount(1, 4)))
def test_the_command_survives_short_counts(tmp_path: Path, large: Path, part: int) -> None:
    place, log = Place(tmp_path), tmp_path / "log"
    faults = Faults(
        [Fault("short", rate=0.3), Fault("EINTR", rate=0.2)], seed=source("short", part).getrandbits(32), log=log
    )
    words = place.arguments("sort", "-S", SMALL_MEMORY, large, place.output)
    assert spillway(*words, env={**os.environ, **faults.environment()}).status == cli.OK
    assert spillway("verify", large, place.output).status == cli.OK
    place.check_clean()
    report("the command with short counts", faults=len(injected(log)), wrong_outputs=0, leftovers=0)


def word_of(number: int) -> list[tuple[str, int]]:
    """The map function."""
    return [(f"word {number % 997}", number)]


@pytest.mark.parametrize("part", range(amount(1, 12)))
def test_workers_fail_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    """A worker meets the fault; the driver tells which task, which file and why, or the result is right."""
    chance, log = source("workers", part), tmp_path / "log"
    numbers = range(40_000)
    expected: Counter[str] = Counter()
    for number in numbers:
        expected[f"word {number % 997}"] += number
    survived = random.Random(chance.random()).random() < 0.3
    faults = [Fault("short", rate=0.3), Fault("EINTR", rate=0.2)]
    if not survived:
        faults.append(Fault(chance.choice(REFUSALS), at=chance.randrange(1, 200), lasting=chance.random() < 0.5))
    monkeypatch.setenv(ENVIRONMENT, Faults(faults, seed=part, log=log).environment()[ENVIRONMENT])
    job = Shuffle(map=word_of, reduce=lambda one, other: one + other, combine=False, partitions=3, split_records=5000)
    with nothing_left() as directory, TaskManager(slots=2, memory="320MiB", temp_dirs=[directory]) as manager:
        try:
            with job.run(numbers, manager) as result:
                assert dict(result) == expected
        except TaskFailedError as error:
            assert not survived and isinstance(error.__cause__, OSError), error
            text = str(error.__cause__)
            assert str(directory) in text or "ulimit -n" in text or error.__cause__.filename, text
        for path in directory.iterdir():  # a worker that may not remove what it made says so, and leaves it
            assert any(each["operation"] in ("unlink", "rmdir", "listdir", "stat", "open") for each in injected(log)), (
                path
            )
            manager.close()
    report("workers with faults", faults=len(injected(log)), jobs=1, wrong_outputs=0)
