"""A spill file that changed between writing and reading is found out, by name: no byte of it reaches the output.

It is damaged in the moment before it is opened to be merged: a bit, a page of zeros, a lost end, blocks that changed
places, a file of another job or another run in its place, or none.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from io_manager.faults import Faults, Injected
from shuffle.exchange.task_errors import TaskFailedError
from tests.test_reliability import jobs
from tests.test_reliability.amounts import amount, report, source
from tests.test_reliability.jobs import attempt

PAGE_BYTES, SECTOR_BYTES = 4096, 512
Damage = Callable[[Path, Random], object]


class Spoiler(Faults):
    """Calls `spoil` with the path of the `at`-th spill file, counted from 1, when it is first opened to be read.

    What a task has read of a map output it does not read again, so damage that comes later may concern nobody.
    """

    def __init__(self, spoil: Callable[[Path], object], at: int) -> None:
        super().__init__([])
        self.opened: set[Path] = set()
        self._spoil, self._at = spoil, at

    def _intercept(self, operation: str, function: Callable[..., Any], *args: Any) -> Any:
        if operation == "open" and is_spill(path := Path(args[0])) and args[1] & os.O_ACCMODE == os.O_RDONLY:
            with self._lock:
                is_first = path not in self.opened
                self.opened.add(path)
                if is_first and len(self.opened) == self._at:
                    self.injected.append(Injected("damage", operation, self._at, str(path)))
                    self._spoil(path)
        return super()._intercept(operation, function, *args)


def is_spill(path: Path) -> bool:
    """Whether a job put it there to read it later."""
    return path.parent.name.startswith("spillway-") and path.suffix in {".spill", ".index", ".records"}


# --- what can happen to a file


def flip(path: Path, chance: Random) -> None:
    """One bit."""
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def zero(path: Path, chance: Random) -> None:
    """A page that the disk lost."""
    data = bytearray(path.read_bytes())
    starts = [start for start in range(0, len(data), PAGE_BYTES) if any(data[start : start + PAGE_BYTES])]
    start = chance.choice(starts)
    length = len(data[start : start + PAGE_BYTES])
    data[start : start + length] = bytes(length)
    path.write_bytes(data)


def truncate(path: Path, chance: Random) -> None:
    """The end, at any byte or between two pages."""
    length = chance.randrange(path.stat().st_size)
    os.truncate(path, chance.choice([length, length // PAGE_BYTES * PAGE_BYTES]))


def extend(path: Path, chance: Random) -> None:
    """More than there was."""
    with path.open("ab") as file:
        file.write(bytes(chance.choice([1, PAGE_BYTES])))


def swap(path: Path, chance: Random) -> None:
    """Two sectors, or two pages, that differ."""
    data = bytearray(path.read_bytes())
    size = (
        chance.choice([SECTOR_BYTES, PAGE_BYTES]) if len(data) > 2 * PAGE_BYTES else min(SECTOR_BYTES, len(data) // 2)
    )
    count = len(data) // size
    while True:
        one, other = (slice(at * size, (at + 1) * size) for at in chance.sample(range(count), 2))
        if data[one] != data[other]:
            break
    data[one], data[other] = data[other], data[one]
    path.write_bytes(data)


def delete(path: Path, chance: Random) -> None:
    """All of it."""
    path.unlink()


def empty(path: Path, chance: Random) -> None:
    """All that is in it."""
    os.truncate(path, 0)


def sibling(path: Path, chance: Random) -> None:
    """Another file of the same kind of the same job; the only one there is loses its end instead."""
    others = [each for each in sorted(path.parent.iterdir()) if each.suffix == path.suffix and each != path]
    if others:
        shutil.copyfile(chance.choice(others), path)
    else:
        truncate(path, chance)


DAMAGES: dict[str, Damage] = {
    each.__name__: each for each in (flip, zero, truncate, extend, swap, delete, empty, sibling)
}


@cache
def files_read(name: str) -> int:
    """How many spill files a job reads."""
    watcher = Spoiler(lambda path: None, at=0)
    assert attempt(jobs.job(name), watcher).error is None
    assert watcher.opened, name
    return len(watcher.opened)


@cache
def stale_files(name: str) -> dict[str, bytes]:
    """Files of an earlier run of the same job, by suffix."""
    kept: dict[str, bytes] = {}
    for at in range(1, files_read(name) + 1):
        attempt(jobs.job(name), Spoiler(lambda path: kept.setdefault(path.suffix, path.read_bytes()), at))
        if {".spill", ".index", ".records"} <= kept.keys() or at > 8:
            break
    return kept


def damaged(name: str, damage: Damage, chance: Random) -> None:
    """Damage one file: the job must name it."""
    spoiler = Spoiler(lambda path: damage(path, chance), chance.randrange(1, files_read(name) + 1))
    outcome = attempt(jobs.job(name), spoiler)
    cause = outcome.error.__cause__ if isinstance(outcome.error, TaskFailedError) else outcome.error
    (done,) = outcome.injected
    assert isinstance(cause, OSError), f"{name}: {damage.__name__} of {done.target} was not found: {outcome.error!r}"
    assert Path(done.target).name in str(cause), (done.target, cause)


SPILLING = [name for name in jobs.NAMES if name != "merge lines"]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", jobs.drawn("damage", 2, SPILLING))
def test_a_damaged_file_is_named(name: str, damage: str) -> None:
    chance = source("damage", name, damage)
    tries = amount(1, 7)
    for _ in range(tries):
        damaged(name, DAMAGES[damage], chance)
    report(
        f"damaged files: {name}, {damage}", corrupted=tries, detected=tries, jobs=tries, wrong_outputs=0, leftovers=0
    )


@pytest.mark.parametrize("name", jobs.drawn("another job", 3, SPILLING))
def test_a_file_of_another_job_is_named(name: str) -> None:
    """It is whole, and of the very same records; only that this job did not write it."""
    chance = source("stale", name)
    tries, files = amount(1, 5), stale_files(name)

    def stale(path: Path, chance: Random) -> None:
        path.write_bytes(files.get(path.suffix, b""))

    for _ in range(tries):
        damaged(name, stale, chance)
    report(f"files of another job: {name}", corrupted=tries, detected=tries, jobs=tries, wrong_outputs=0, leftovers=0)
