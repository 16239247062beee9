"""A disk that is really full: a small file system for what is spilled, or for the output.

The job succeeds, or says which disk is full, and takes nothing of it away: what it wrote there is gone again.
"""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path

import pytest

from shuffle.exchange.task_errors import TaskFailedError
from tests.test_reliability import jobs
from tests.test_reliability.amounts import amount, report, source
from tests.test_reliability.jobs import OLD, Job, Room, attempt

KIB = 1 << 10


@contextmanager
def small_disk(place: Path, size_bytes: int) -> Iterator[None]:
    """A file system of so many bytes, in memory, over a directory."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", place], check=True, capture_output=True
    )
    try:
        yield
    finally:
        # Lazily: the frames of an error may hold a file until they are collected, which `attempt` looks after.
        subprocess.run(["umount", "-l", place], check=True)


@cache
def may_mount(directory: Path) -> bool:
    """Whether this process may make file systems at all."""
    try:
        with small_disk(directory, 64 * KIB):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@pytest.fixture(autouse=True)
def mounting(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where nothing can be mounted."""
    if not may_mount(tmp_path_factory.getbasetemp()):
        pytest.skip("to mount a small tmpfs takes privileges that this process has not got")


def on_small_disk(job: Job, which: str, size_bytes: int) -> Callable[[Room], AbstractContextManager[object]]:
    """Spilled files ("spill") or the output ("home") lie on a disk of so many bytes."""

    @contextmanager
    def scenery(room: Room) -> Iterator[None]:
        with small_disk(room.root / which, size_bytes):
            if which == "home" and not job.in_directory:
                room.output.write_bytes(OLD)
            yield

    return scenery


@pytest.mark.parametrize("which", ["spill", "home"])
@pytest.mark.parametrize("name", jobs.drawn("full disk", 4))
def test_a_full_disk_is_named_and_left_as_it_was(name: str, which: str) -> None:
    job, chance = jobs.job(name), source("full disk", name, which)
    if which == "home" and not job.is_publisher:
        return  # it writes no file
    refused = 0
    sizes = [chance.choice([16, 32, 64, 100, 128, 160, 200, 256, 512]) * KIB for _ in range(amount(1, 12))]
    for size_bytes in sizes:
        outcome = attempt(job, [], scenery=on_small_disk(job, which, size_bytes))
        error = outcome.error.__cause__ if isinstance(outcome.error, TaskFailedError) else outcome.error
        if error is not None:
            assert isinstance(error, OSError) and error.errno == errno.ENOSPC, repr(error)
            assert f"/{which}" in str(error), error
            refused += 1
    report(f"full disks: {name}, {which}", jobs=len(sizes), refused=refused, wrong_outputs=0, leftovers=0)


def test_a_large_enough_disk_is_enough() -> None:
    job = jobs.job("sort lines")
    for which in ("spill", "home"):
        assert attempt(job, [], scenery=on_small_disk(job, which, 2048 * KIB)).error is None
