"""Shuffle jobs that go wrong: the error names the task and the record, the others stop, and nothing is left."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from io_manager import RunCorruptError, sweep
from memory import MemoryConfigurationError
from shuffle.exchange.partitioners import PartitionerError
from shuffle.exchange.shuffle_job import Shuffle
from shuffle.exchange.task_errors import TaskFailedError, TaskNotSendableError, WorkerDiedError
from shuffle.exchange.task_manager import TaskManager
from tests.test_exchange.executors import InlineExecutor, nothing_left, task_manager

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def workers() -> Iterator[TaskManager]:
    """Every test uses it after the one before has made it fail."""
    with task_manager(slots=2, memory="320MiB") as manager:
        yield manager


def files_of(executor: Any) -> list[Path]:
    return [path for directory in executor.temp_dirs for path in Path(directory).iterdir()]


def numbered(number: int) -> list[tuple[int, int]]:
    return [(number, number)] * 3


# --- functions that raise


def fails_at(place: int) -> Any:
    def function(number: int) -> Iterator[tuple[int, int]]:
        yield number, 1
        if number == place:
            raise ZeroDivisionError(f"no {number}")
        yield number, 2

    return function


@pytest.mark.parametrize("place", [0, 777, 1999, 2000, 5999])
@pytest.mark.parametrize("combine", [True, False])
def test_map_raises(inline: InlineExecutor, place: int, combine: bool) -> None:
    job = Shuffle(map=fails_at(place), reduce=max, combine=combine, split_records=2000, type_info=tuple[int, int])
    text = rf"map task {place // 2000} \(from record {place // 2000 * 2000} on\), record {place}: ZeroDivisionError: no"
    with pytest.raises(TaskFailedError, match=text) as caught:
        job.run(range(6000), inline)
    assert caught.value.record == place and isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "in function" in caught.value.trace
    assert files_of(inline) == []


def test_map_raises_while_the_driver_looks_at_a_sample(inline: InlineExecutor) -> None:
    with pytest.raises(TaskFailedError, match=r"map task 0 \(from record 0 on\), record 3: ZeroDiv") as caught:
        Shuffle(map=fails_at(3)).run(range(10), inline)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_key_raises(inline: InlineExecutor) -> None:
    with pytest.raises(TaskFailedError, match="record 4: ZeroDivisionError"):
        Shuffle(key=lambda number: 1 // (number - 4), type_info=tuple[int, int]).run(range(10), inline)


def test_a_split_raises(inline: InlineExecutor) -> None:
    with pytest.raises(TaskFailedError, match=r"map task 1 \(Broken\(3\)\), record 3: OSError: gone"):
        Shuffle(type_info=tuple[int, int]).run([Broken(None), Broken(3)], inline)


class Broken:
    """A split that ends early."""

    def __init__(self, place: int | None) -> None:
        self.place = place

    def __repr__(self) -> str:
        return f"Broken({self.place})"

    def read(self) -> Iterator[tuple[int, int]]:
        for number in range(10):
            if number == self.place:
                raise OSError("gone")
            yield number, number


def test_reduce_raises_while_combining(inline: InlineExecutor) -> None:
    def fold(left: int, right: int) -> int:
        if right == 5000:
            raise ZeroDivisionError
        return left

    pairs = [(number % 10, number) for number in range(6000)]
    with pytest.raises(TaskFailedError, match=r"map task 2 .*, record 5000: ZeroDivisionError"):
        Shuffle(reduce=fold, split_records=2000).run(pairs, inline)


def test_reduce_raises_behind_the_sort(inline: InlineExecutor) -> None:
    def fold(left: int, right: int) -> int:
        return 1 // (left - right)

    pairs = [(f"key {number % 10}", number % 10 if number < 3000 else 7) for number in range(3001)]
    with pytest.raises(TaskFailedError, match=r"reduce task for partition .: key 'key .': ZeroDivisionError"):
        Shuffle(reduce=fold, combine=False, split_records=1000).run(pairs, inline)
    assert files_of(inline) == []


def test_reduce_returns_what_does_not_fit(inline: InlineExecutor) -> None:
    pairs = [(number % 10, number) for number in range(100)]
    with pytest.raises(TaskFailedError, match=r"map task 0 .*field 1") as caught:
        Shuffle(reduce=lambda a, b: "text").run(pairs, inline)
    assert caught.value.record is None and "what reduce= returned" in caught.value.trace


def test_group_reduce_raises(inline: InlineExecutor) -> None:
    def function(key: int, values: Iterator[int]) -> Iterator[int]:
        yield next(values)
        if key == 7:
            raise ZeroDivisionError

    pairs = [(number % 10, number) for number in range(5000)]
    with pytest.raises(TaskFailedError, match=r"reduce task for partition .: key 7: ZeroDivisionError"):
        Shuffle(group_reduce=function, partitions=2, split_records=1000).run(pairs, inline)
    with pytest.raises(TaskFailedError, match=r"reduce task for partition .*TypeError"):
        Shuffle(group_reduce=lambda key: 5, partitions=2).run(pairs, inline)
    assert files_of(inline) == []


def test_write_raises(inline: InlineExecutor) -> None:
    def write(partition: int, results: Iterator[Any]) -> None:
        next(results)
        raise ZeroDivisionError

    with pytest.raises(TaskFailedError, match="reduce task for partition 0: ZeroDivisionError"):
        Shuffle(write=write, partitions=1).run([(number, number) for number in range(3000)], inline)


def test_sort_by_raises(inline: InlineExecutor) -> None:
    pairs = [(number, number) for number in range(3000)]
    with pytest.raises(TaskFailedError, match=r"map task 1 .*, record 2500: ZeroDivisionError"):
        Shuffle(sort_by=lambda number: 1 // (number - 2500), split_records=2000).run(pairs, inline)


@pytest.mark.parametrize("answer", [-1, 3, None, 1.0, True, "1"])
def test_a_partitioner_returns_what_is_no_partition(inline: InlineExecutor, answer: Any) -> None:
    def partitioner(key: int, partitions: int) -> Any:
        return answer if key == 2222 else key % partitions

    job = Shuffle(map=numbered, partition_by=partitioner, partitions=3, split_records=1000)
    with pytest.raises(TaskFailedError, match=r"map task 2 .*, record 2222: .*which is no partition") as caught:
        job.run(range(3000), inline)
    assert isinstance(caught.value.__cause__, PartitionerError)


def test_a_partitioner_raises(inline: InlineExecutor) -> None:
    job = Shuffle(map=numbered, partition_by=lambda key, partitions: 1 if key != 5 else 1 // 0, partitions=3)
    with pytest.raises(TaskFailedError, match=r"record 5: ZeroDivisionError"):
        job.run(range(10), inline)


# --- inputs


def test_an_input_raises_half_way(inline: InlineExecutor, workers: TaskManager) -> None:
    def records() -> Iterator[tuple[int, int]]:
        for number in range(2500):
            yield number, number
        raise KeyError("lost")

    for executor in (inline, workers):
        with pytest.raises(KeyError, match="lost"):
            Shuffle(split_records=1000).run(records(), executor)
        assert files_of(executor) == []


def test_a_file_that_is_not_there(inline: InlineExecutor) -> None:
    with pytest.raises(FileNotFoundError):
        Shuffle().run(Path("/nowhere/at/all"), inline)
    assert files_of(inline) == []


def test_a_function_that_cannot_be_sent(inline: InlineExecutor) -> None:
    lock = threading.Lock()
    with pytest.raises(TaskNotSendableError, match=r"map task 0 .*cannot be sent to another process.*Open files"):
        Shuffle(map=lambda number: [(number, lock.locked())]).run(range(10), inline)
    assert files_of(inline) == []


def test_too_little_memory_is_refused_before_anything_starts() -> None:
    with nothing_left() as directory:
        job = Shuffle(slots=2, memory="200MiB", temp_dirs=directory)
        with pytest.raises(MemoryConfigurationError, match="the floor is 304 MiB"):
            job.run(iter([(1, 1)]))


def test_a_result_that_the_disk_spoiled(inline: InlineExecutor) -> None:
    with Shuffle(partitions=1).run([(number, number) for number in range(100)], inline) as result:
        [path] = [path for directory in files_of(inline) for path in directory.glob("result-*")]
        data = bytearray(path.read_bytes())
        data[50] ^= 1
        path.write_bytes(data)
        with pytest.raises(RunCorruptError, match="damaged at byte"):
            list(result)


# --- workers that die, and drivers


def kill_worker(number: int) -> list[tuple[int, int]]:
    if number == 1500:
        os.kill(os.getpid(), signal.SIGKILL)
    return [(number, number)] * 100


def test_a_worker_is_killed_in_map_and_in_reduce(workers: TaskManager) -> None:
    job = Shuffle(map=kill_worker, split_records=1000, type_info=tuple[int, int])
    with pytest.raises(WorkerDiedError, match=r"map task 1 \(from record 1000 on\): its worker process was killed"):
        job.run(range(4000), workers)
    assert files_of(workers) == []

    def function(key: int, values: Iterator[int]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(WorkerDiedError, match=r"reduce task for partition .: its worker process was killed"):
        Shuffle(group_reduce=function, partitions=4).run([(1, 1)], workers)
    assert files_of(workers) == []
    assert list(Shuffle(partitions=1).run([(1, 1)], workers)) == [(1, 1)]


def test_other_tasks_are_stopped(workers: TaskManager, tmp_path: Path) -> None:
    """One waits for ever: if it were not stopped, this would not end."""

    def function(number: int) -> list[tuple[int, int]]:
        if number == 0:
            (tmp_path / "running").touch()
            threading.Event().wait()
        while not (tmp_path / "running").exists():
            threading.Event().wait(0.001)
        raise ZeroDivisionError

    with pytest.raises(TaskFailedError, match=r"map task 1 .*record 1: ZeroDivisionError"):
        Shuffle(map=function, split_records=1, type_info=tuple[int, int]).run(range(5), workers)
    assert files_of(workers) == []


def test_ctrl_c(workers: TaskManager) -> None:
    driver = os.getpid()

    def function(number: int) -> None:
        os.kill(driver, signal.SIGINT)
        threading.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        Shuffle(map=function, split_records=1, type_info=tuple[int, int]).run(range(2), workers)
    assert files_of(workers) == []
    assert list(Shuffle(partitions=1).run([(1, 1)], workers)) == [(1, 1)]


def test_jobs_within_tasks(workers: TaskManager) -> None:
    def nested(number: int) -> list[tuple[int, int]]:
        job = Shuffle(reduce=operator.add)
        with nothing_left() as directory, job.run([(number, 1)] * number, InlineExecutor(directory)) as counted:
            return list(counted)

    job = Shuffle(map=nested, type_info=tuple[int, int], partitions=1)
    assert list(job.run(range(5), workers)) == [(number, number) for number in range(1, 5)]


SCRIPT = """
    import os, signal, sys, threading
    from shuffle.exchange.shuffle_job import Shuffle

    class Word(str):
        pass

    def words(line):
        print("mapping", line, flush=True)
        if line == "stop":
            os.kill(os.getppid(), getattr(signal, sys.argv[1]))
            threading.Event().wait()
        return [(word, 1) for word in line.split()]

    job = Shuffle(map=words, reduce=lambda a, b: a + b, partitions=2, slots=2, memory="320MiB", temp_dirs=sys.argv[2],
                  split_records=1, type_info=tuple[str, int])
    with job.run(iter(sys.argv[3:])) as result:
        print(sorted(result))
"""


def run_script(end: str, directory: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """Without a guard around its main part; the pipes end when the last process that has them does."""
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), end, str(directory), *lines]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)


def test_a_script_of_which_all_functions_are_its_own(tmp_path: Path) -> None:
    done = run_script("SIGINT", tmp_path, "to be", "or not", "to be")
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "[('be', 2), ('not', 1), ('or', 1), ('to', 2)]"
    assert sorted(done.stdout.splitlines()[:-1]) == ["mapping or not", "mapping to be", "mapping to be"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_workers_end_with_their_driver(tmp_path: Path, end: str) -> None:
    """That the script's pipes end says that no worker is left."""
    done = run_script(end, tmp_path, "to be", "stop", "stop", "or not")
    assert done.returncode == -getattr(signal, end)
    if end == "SIGINT":
        assert list(tmp_path.iterdir()) == [] and "KeyboardInterrupt" in done.stderr
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
