"""Whichever call to the operating system fails, a job ends in the right output, or in an error that says what happened.

The first call fails, then the second, and so on to the last: once, or from then on. What `attempt` demands of each job
is in `jobs`. A fault has one of so many kinds at each call; the seed says which, so that many runs see them all.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from random import Random

import pytest

from io_manager import RunCorruptError
from io_manager.faults import READS, WRITES, Fault
from shuffle.exchange.task_errors import TaskFailedError
from tests.test_reliability import jobs
from tests.test_reliability.amounts import amount, report, source
from tests.test_reliability.jobs import Broken, Outcome, attempt

REFUSALS = ("EIO", "ENOSPC", "EDQUOT", "EMFILE", "EACCES", "EROFS", "EFBIG", "ENOMEM")
SPILLS = "*/spillway-*/*"
PARTS = amount(1, 2)
"""The long loops are cut into so many, each with every so many-th call."""


@cache
def calls_of(name: str) -> int:
    """How many calls a job makes if nothing fails."""
    outcome = attempt(jobs.job(name), [])
    assert outcome.error is None
    return outcome.calls.total()


def tally(name: str, outcomes: Sequence[Outcome]) -> None:
    """Tell what was done."""
    report(
        name,
        faults=sum(len(each.injected) for each in outcomes),
        jobs=len(outcomes),
        right_outputs=sum(each.error is None for each in outcomes),
        typed_errors=sum(each.error is not None for each in outcomes),
        wrong_outputs=0,
        leftovers=0,
    )


def cause_of(outcome: Outcome) -> BaseException | None:
    """What a task failed of, or what the job did."""
    return outcome.error.__cause__ if isinstance(outcome.error, TaskFailedError) else outcome.error


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("name", jobs.drawn("any_call_may_be_refused", 8))
def test_any_call_may_be_refused(name: str, lasting: bool, part: int) -> None:
    chance = source("refused", name, lasting, part)
    total = calls_of(name)
    numbers = amount(chance.sample(range(1, total + 1), 1), list(range(1 + part, total + 1, PARTS)))
    outcomes = [
        attempt(jobs.job(name), [Fault(chance.choice(REFUSALS), at=number, lasting=lasting)]) for number in numbers
    ]
    tally(f"any call may be refused: {name}", outcomes)


@pytest.mark.parametrize("name", jobs.drawn("interruptions_and_short_counts_are_nobodys_business", 3))
def test_interruptions_and_short_counts_are_nobodys_business(name: str) -> None:
    """Every second call moves less than it was asked to, every tenth is interrupted, some come late: nobody notices."""
    faults = [Fault("short", rate=0.5), Fault("EINTR", rate=0.1), Fault("delay", rate=0.02, seconds=0.002)]
    seeds = source("short", name)
    outcomes = [attempt(jobs.job(name), faults, seed=seeds.getrandbits(32)) for _ in range(amount(1, 12))]
    assert [each.error for each in outcomes] == [None] * len(outcomes)
    tally(f"interruptions and short counts: {name}", outcomes)


@pytest.mark.parametrize("name", jobs.drawn("a_file_that_seems_to_end_is_never_taken_for_the_end", 3))
def test_a_file_that_seems_to_end_is_never_taken_for_the_end(name: str) -> None:
    chance = source("end", name)
    outcomes = []
    for _ in range(amount(1, 40)):
        operations = tuple(sorted(chance.choice([READS, WRITES])))
        fault = Fault("end", operations=operations, at=chance.randrange(1, 60), lasting=chance.random() < 0.5)
        outcomes.append(attempt(jobs.job(name), [fault]))
    tally(f"early ends: {name}", outcomes)


@pytest.mark.parametrize("name", jobs.drawn("a_disk_that_fills_up", 3))
def test_a_disk_that_fills_up(name: str) -> None:
    chance = source("full", name)
    outcomes = []
    for _ in range(amount(1, 25)):
        where = chance.choice(["*", SPILLS, "*/home/*"])
        fault = Fault("full", room_bytes=chance.randrange(250_000), files=where)
        outcomes.append(attempt(jobs.job(name), [fault]))
        cause = cause_of(outcomes[-1])
        assert cause is None or (isinstance(cause, OSError) and cause.errno == errno.ENOSPC), repr(cause)
    tally(f"disks that fill up: {name}", outcomes)


@pytest.mark.parametrize("action", ["flip", "zero", "swap"])
@pytest.mark.parametrize("name", jobs.drawn("bytes_that_change_on_their_way_are_found_out", 3))
def test_bytes_that_change_on_their_way_are_found_out(name: str, action: str) -> None:
    """On the way to a run or back: no block of it is used."""
    chance = source("bytes", name, action)
    outcomes = []
    for _ in range(amount(1, 12)):
        operations = chance.choice([("preadv",), ("pwritev",)])
        fault = Fault(action, operations=operations, at=chance.randrange(1, 60), files="*/spillway-*/run-*")
        outcomes.append(attempt(jobs.job(name), [fault], seed=chance.getrandbits(32)))
        if outcomes[-1].injected:
            cause = cause_of(outcomes[-1])
            assert isinstance(cause, RunCorruptError) and ".spill" in str(cause), (fault, cause)
    detected = sum(bool(each.injected) for each in outcomes)
    tally(f"changed bytes: {name}", outcomes)
    report(f"changed bytes: {name}", corrupted=detected, detected=detected)


@pytest.mark.parametrize("name", jobs.drawn("several_things_go_wrong_at_once", 3))
def test_several_things_go_wrong_at_once(name: str) -> None:
    """And again while the job cleans up after the first."""
    chance = source("several", name)
    outcomes = []
    for _ in range(amount(1, 30)):
        faults = [
            Fault(chance.choice(REFUSALS), rate=chance.choice([0.003, 0.01, 0.1])),
            Fault("short", rate=0.2),
            Fault("EINTR", rate=0.05),
        ]
        outcomes.append(attempt(jobs.job(name), faults, seed=chance.getrandbits(32)))
    tally(f"several faults at once: {name}", outcomes)


# --- signals of the system itself


@contextmanager
def alarms() -> Iterator[None]:
    """A thousand signals in a second, each of which interrupts what the main thread is waiting for."""
    before = signal.signal(signal.SIGALRM, lambda number, frame: None)
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ["sort lines", "sort objects", "shuffle file by hash"])
def test_signals_that_mean_nothing_change_nothing(name: str) -> None:
    with alarms():
        assert attempt(jobs.job(name), []).error is None


# --- the judge is judged


def test_a_wrong_output_would_be_noticed() -> None:
    right = jobs.job("sort lines")
    wrong = jobs.Job("wrong", right.inputs, right.run, right.expected[:-1])
    with pytest.raises(Broken, match="the output is wrong, and nobody was told"):
        attempt(wrong, [])


def test_an_error_that_says_nothing_would_be_noticed() -> None:
    def fail(room: jobs.Room) -> None:
        room.input().read_bytes()
        (room.temp / "spoil").write_bytes(b"")
        (room.temp / "spoil").unlink()
        from io_manager import system

        system.close_written(os.dup(0))

    with pytest.raises(Broken, match="no file is named"):
        attempt(jobs.Job("silent", (b"",), fail, None, is_publisher=False), [Fault("EIO", operations=("close",), at=1)])


@pytest.mark.parametrize("left", ["spill", "home"])
def test_a_file_that_is_left_would_be_noticed(left: str) -> None:
    def leave(room: jobs.Room) -> None:
        (room.root / left / "file").write_bytes(b"")

    with pytest.raises(Broken, match="files left"):
        attempt(jobs.Job("untidy", (), leave, None, is_publisher=False), [])


def test_a_descriptor_that_is_left_would_be_noticed() -> None:
    gc.collect()  # garbage of other tests may hold one, which would come free meanwhile, and make up for it
    left = []
    with pytest.raises(Broken, match="descriptors left"):
        attempt(jobs.Job("untidy", (), lambda room: left.append(os.dup(0)), None, is_publisher=False), [])
    os.close(left[0])


def test_a_seed_repeats_what_was_drawn() -> None:
    assert Random("1:x").random() == Random("1:x").random()
    assert source("a").random() == source("a").random() != source("b").random()
