"""The worker process, from both ends of its pipe."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shuffle.exchange.slots import Slot
from shuffle.exchange.tasks import Outcome, sendable
from shuffle.exchange.worker import WorkerSetup
from shuffle.exchange.worker_process import WorkerProcess

MIB = 1 << 20


@contextmanager
def worker(tmp_path: Path) -> Iterator[WorkerProcess]:
    """It must end by itself once nobody wants anything of it any more."""
    process = WorkerProcess(WorkerSetup(3, 64 * MIB, (str(tmp_path),)))
    yield process
    process.dismiss()
    assert process.join() == 0


def ask(process: WorkerProcess, function: object, *descriptions: object) -> Outcome:
    process.send(sendable("task", function, descriptions))  # type: ignore[arg-type]
    message = process.receive()
    assert message is not None
    outcome: Outcome = pickle.loads(message)
    return outcome


def test_it_begins_with_little_and_knows_where_it_is(tmp_path: Path) -> None:
    def look(slot: Slot) -> tuple[int, int, tuple[str, ...], set[str], list[str]]:
        loaded = {"numpy", "numba", "pyarrow", "llvmlite"} & set(sys.modules)
        return slot.number, slot.memory.total_bytes, slot.temp_dirs, loaded, sys.path

    with worker(tmp_path) as process:
        assert ask(process, look).result == (3, 64 * MIB, (str(tmp_path),), set(), sys.path)


def test_libraries_do_not_start_threads_of_their_own(tmp_path: Path) -> None:
    def threads(slot: Slot) -> str | None:
        return os.environ.get("OPENBLAS_NUM_THREADS")

    with worker(tmp_path) as process:
        assert ask(process, threads).result == "1"


def test_pyarrow_keeps_nothing_that_was_freed(tmp_path: Path) -> None:
    def backend(slot: Slot) -> str:
        import pyarrow as pa

        return str(pa.default_memory_pool().backend_name)

    with worker(tmp_path) as process:
        assert ask(process, backend).result == os.environ.get("ARROW_DEFAULT_MEMORY_POOL", "system")


def test_what_tasks_print_is_seen_and_there_is_nothing_to_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def talk(slot: Slot) -> str:
        print("to the user")
        print("and the errors", file=sys.stderr)
        return sys.stdin.read()

    with worker(tmp_path) as process:
        assert ask(process, talk).result == ""
        captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("to the user\n", "and the errors\n")


def test_the_interrupt_key_is_the_drivers_business(tmp_path: Path) -> None:
    def interrupt(slot: Slot) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return True

    process = WorkerProcess(WorkerSetup(0, 64 * MIB, (str(tmp_path),)))
    os.kill(process.process_id, signal.SIGINT)  # it has hardly begun
    assert ask(process, interrupt).result
    process.dismiss()
    assert process.join() == 0


def test_it_stops_in_the_middle_of_a_task(tmp_path: Path) -> None:
    def wait(slot: Slot, ready: Path) -> None:
        subprocess.run(["true"], check=True)
        ready.touch()
        signal.pause()

    process = WorkerProcess(WorkerSetup(0, 64 * MIB, (str(tmp_path),)))
    process.send(sendable("task", wait, (tmp_path / "ready",)))
    while not (tmp_path / "ready").exists():
        pass
    process.stop()
    assert process.join() == 0


def test_it_stops_before_it_has_begun(tmp_path: Path) -> None:
    process = WorkerProcess(WorkerSetup(0, 64 * MIB, (str(tmp_path),)))
    process.stop()
    assert process.join() in (0, -signal.SIGTERM)


def test_one_that_is_dead_has_nothing_to_say(tmp_path: Path) -> None:
    process = WorkerProcess(WorkerSetup(0, 64 * MIB, (str(tmp_path),)))
    os.kill(process.process_id, signal.SIGKILL)
    assert process.receive() is None
    process.send(b"too late")
    assert process.join() == -signal.SIGKILL
    process.stop()
    process.dismiss()


def test_large_messages_both_ways(tmp_path: Path) -> None:
    data = os.urandom(5 * MIB)
    with worker(tmp_path) as process:
        assert ask(process, lambda slot, text: text[::-1], data).result == data[::-1]


def test_a_task_that_cannot_be_read_is_a_failure_and_no_end(tmp_path: Path) -> None:
    with worker(tmp_path) as process:
        process.send(b"no pickle at all")
        message = process.receive()
        assert message is not None
        outcome: Outcome = pickle.loads(message)
        assert outcome.failure is not None and "UnpicklingError" in outcome.failure.problem
        assert ask(process, lambda slot: 5).result == 5
