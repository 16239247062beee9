"""Worker processes and their drivers, killed and stopped at any step.

worker   the job fails with an error that says so, or does not need it any more; nothing is left; the next job is right
driver   its workers end with it; what it could not remove the next job does
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from io_manager import sweep
from shuffle.exchange.shuffle_job import Shuffle
from shuffle.exchange.task_errors import TaskFailedError, WorkerDiedError
from shuffle.exchange.task_manager import TaskManager
from tests.test_exchange.executors import children, task_manager
from tests.test_reliability.amounts import IS_RELEASE, amount, report, source
from tests.test_reliability.moments import Moment, arm, disarm_unless, spread

ROOT = Path(__file__).parents[2]
RECORDS, SPLIT, KEYS = 3000, 500, 40
EXPECTED = sorted((key, RECORDS // KEYS * 3) for key in range(KEYS))
SECONDS_MAX = 10.0
"""Until a job knows that its worker is dead, and has cleaned up."""

WORKER_KILLS = amount(2, 75)
DRIVER_SIGNALS = amount(1, 10)
"""For each way."""

STEPS_AT_LEAST = 60
"""Of a worker, behind the first record of the job. To count them takes a job of its own."""


@pytest.fixture(scope="module")
def workers() -> Iterator[TaskManager]:
    """Each job kills one of them."""
    with task_manager(slots=2, memory="320MiB") as manager:
        yield manager


def job(moment: Moment, at_record: int, struck: Path, counts: Path | None = None) -> Shuffle:
    """Counts keys. The worker that meets the record is the one to be hit; when that was is written to `struck`."""

    def map_record(number: int) -> list[tuple[int, int]]:
        if number == at_record:
            arm(moment, struck)
        elif number % SPLIT == 0:
            disarm_unless(moment)
        return [(number % KEYS, 1)] * 3

    def total(key: int, values: Iterator[int]) -> Iterator[tuple[int, int]]:
        yield key, sum(values)
        if counts is not None:
            counts.write_text(str(arm(moment, struck).count))

    return Shuffle(
        map=map_record, group_reduce=total, split_records=SPLIT, partitions=4, type_info=tuple[int, int], combine=False
    )


def check_nothing_left(manager: TaskManager) -> None:
    """No file, and no process but those that wait for work."""
    assert [path for directory in manager.temp_dirs for path in Path(directory).iterdir()] == []
    assert len([child for child in children() if not serves_the_stage(child)]) <= manager.slots


def serves_the_stage(process_id: int) -> bool:
    """Whether it belongs to other tests in this process."""
    try:
        return b"stage" in Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:
        return False


def steps_of_a_worker(tmp_path: Path) -> int:
    """How many there are behind the first record; the worker that has counted them is gone."""
    counts, struck = tmp_path / "counts", tmp_path / "struck"
    with task_manager(slots=1, memory="192MiB") as alone:
        assert sorted(job(Moment(1 << 40, ()), 0, struck, counts).run(range(RECORDS), alone)) == EXPECTED
    return int(counts.read_text())


@pytest.mark.parametrize("part", range(amount(1, 3)))
def test_a_worker_killed_at_any_step(workers: TaskManager, tmp_path: Path, part: int) -> None:
    steps = steps_of_a_worker(tmp_path) if IS_RELEASE else STEPS_AT_LEAST
    rng, died, struck = source("workers", part), 0, tmp_path / "struck"
    calls = spread(rng, steps, WORKER_KILLS // amount(1, 3))
    for call in calls:
        mortal = job(Moment(call, (signal.SIGKILL,)), rng.randrange(RECORDS), struck)
        try:
            with mortal.run(range(RECORDS), workers) as result:
                assert sorted(result) == EXPECTED
        except WorkerDiedError as error:
            assert time.monotonic() - float(struck.read_text()) < SECONDS_MAX, call
            assert error.exit_code == -signal.SIGKILL and "was killed (SIGKILL)" in str(error)
            died += 1
        check_nothing_left(workers)
    with job(Moment(1 << 40, ()), -1, struck).run(range(RECORDS), workers) as result:
        assert sorted(result) == EXPECTED
    assert died
    report(f"kills of worker processes, part {part}", kills=died, jobs=len(calls), leftovers=0)


def test_a_worker_that_stops_answering_memory(workers: TaskManager) -> None:
    """It is told that there is no memory: the task fails, the worker lives."""

    def greedy(number: int) -> list[tuple[int, int]]:
        if number == RECORDS // 2:
            raise MemoryError
        return [(number, 1)]

    with pytest.raises(TaskFailedError, match=r"record 1500: MemoryError"):
        Shuffle(map=greedy, split_records=SPLIT, type_info=tuple[int, int]).run(range(RECORDS), workers)
    check_nothing_left(workers)


# --- drivers

SCRIPT = """
    import json, sys
    from signal import Signals
    from shuffle.exchange.shuffle_job import Shuffle
    from tests.test_reliability.moments import Moment, Steps

    def words(number):
        return [(number % 40, 1)] * 3

    call, signals, whole_group, delay, directory = json.loads(sys.argv[1])
    moment = Moment(call, tuple(map(Signals, signals)), delay, whole_group)
    steps = Steps(moment, lambda now: print("struck", now, flush=True))
    steps.watch()
    job = Shuffle(map=words, reduce=lambda a, b: a + b, partitions=4, slots=2, memory="320MiB", temp_dirs=directory,
                  split_records=500, type_info=tuple[int, int])
    with job.run(range(3000)) as result:
        assert sorted(result) == [(key, 225) for key in range(40)]
    steps.end()
    print("steps", steps.count)
"""

WAYS = {
    "interrupted": ((signal.SIGINT,), False),
    "interrupted with its workers": ((signal.SIGINT,), True),
    "terminated": ((signal.SIGTERM,), False),
    "terminated with its workers": ((signal.SIGTERM,), True),
    "killed": ((signal.SIGKILL,), False),
}


def run_script(directory: Path, moment: Moment) -> tuple[int, str, dict[str, float], float]:
    """(status, standard error, what it said, when it and all that have its pipes had ended)."""
    words = json.dumps([moment.call, moment.signals, moment.whole_group, moment.delay, str(directory)])
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), words]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        stdout, stderr = process.communicate(timeout=60)
    ended_at = time.monotonic()
    with suppress(ProcessLookupError):
        while time.monotonic() < ended_at + SECONDS_MAX:  # who closed its pipes may not have been reaped yet
            os.killpg(process.pid, 0)
            time.sleep(0.01)
        raise AssertionError("a process of its group lives")
    said = {line.split()[0]: float(line.split()[1]) for line in stdout.splitlines()}
    return process.returncode, stderr, said, ended_at


@pytest.mark.parametrize("way", amount(["interrupted with its workers"], list(WAYS)))
def test_a_driver_stopped_at_any_step(tmp_path: Path, way: str) -> None:
    (signals, whole_group), rng, struck = WAYS[way], source("drivers", way), 0
    for call in (rng.randrange(20, 150) for _ in range(DRIVER_SIGNALS)):
        moment = Moment(call, signals, rng.choice([0.0, rng.uniform(0.0, 0.3)]), whole_group)
        status, stderr, said, ended_at = run_script(tmp_path, moment)
        if "steps" in said:
            assert (status, stderr) == (0, "") and "struck" not in said, (moment, stderr)
            continue
        struck += 1
        assert status == -signals[0], (moment, status, stderr)
        assert ended_at - said["struck"] < SECONDS_MAX, moment
        if signals == (signal.SIGINT,):
            assert "KeyboardInterrupt" in stderr and list(tmp_path.iterdir()) == [], (moment, stderr)
        sweep(tmp_path)
        assert list(tmp_path.iterdir()) == [], moment
    report(f"drivers {way}", signals=struck, jobs=DRIVER_SIGNALS, leftovers=0)
