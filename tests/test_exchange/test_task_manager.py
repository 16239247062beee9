"""Slots, their memory, and worker processes that fail, die, or are stopped."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from memory import MemoryConfigurationError
from shuffle.exchange import slots as slot_module
from shuffle.exchange.slots import DRIVER_BYTES, TASK_BYTES_MIN, WORKER_BYTES, Slot, SlotSizes, size_slots
from shuffle.exchange.task_errors import TaskCancelledError, TaskFailedError, WorkerDiedError
from shuffle.exchange.task_manager import TaskManager
from tests.test_exchange.executors import MIB, children, nothing_left, task_manager

LEAST = WORKER_BYTES + TASK_BYTES_MIN


# --- sizes


@pytest.mark.parametrize("slots", [1, 2, 7])
def test_memory_is_cut_into_equal_slots(slots: int) -> None:
    sizes = size_slots(slots, DRIVER_BYTES + slots * (LEAST + 5 * MIB))
    assert sizes == SlotSizes(slots, sizes.memory_bytes, TASK_BYTES_MIN + 5 * MIB)


@pytest.mark.parametrize("slots", [1, 3])
def test_below_the_floor_it_refuses_and_names_it(slots: int) -> None:
    floor = DRIVER_BYTES + slots * LEAST
    assert size_slots(slots, floor).task_bytes == TASK_BYTES_MIN
    with pytest.raises(MemoryConfigurationError, match=f"the floor is {floor // MIB} MiB"):
        size_slots(slots, floor - 1)


def test_slots_are_as_many_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot_module, "_cores", lambda: 4)
    assert size_slots(None, DRIVER_BYTES + 3 * LEAST).slots == 3
    assert size_slots(None, DRIVER_BYTES + 9 * LEAST).slots == 4
    with pytest.raises(MemoryConfigurationError, match="for 1 slot"):
        size_slots(None, LEAST)
    with pytest.raises(ValueError, match="at least 1"):
        size_slots(0, None)


def test_nothing_starts_below_the_floor() -> None:
    before = children()
    with pytest.raises(MemoryConfigurationError):
        TaskManager(slots=8, memory="100MiB")
    assert children() == before


# --- tasks and workers


def process_id(slot: Slot) -> tuple[int, int]:
    return slot.number, os.getpid()


def test_workers_stay_for_the_next_task_and_have_their_own_slot() -> None:
    with task_manager(slots=2) as manager:
        assert children() & {worker.process_id for worker in manager._workers._slots} == set()
        first = manager.get(manager.submit("first", process_id))
        assert manager.get(manager.submit("second", process_id)) == first
        assert first[1] != os.getpid()
        handles = [manager.submit("both", process_id) for _ in range(30)]
        assert len({manager.get(handle) for handle in handles}) <= 2
        assert {number for number, _ in map(manager.get, handles)} <= {0, 1}


def wait_for_ever(slot: Slot, ready: Path | None = None) -> None:
    if ready is not None:
        ready.touch()
    threading.Event().wait()


def test_tasks_of_all_slots_run_at_once(tmp_path: Path) -> None:
    """Each waits for a file of the other."""

    def meet(slot: Slot, mine: Path, other: Path) -> bool:
        mine.touch()
        while not other.exists():
            threading.Event().wait(0.001)
        return True

    paths = tmp_path / "a", tmp_path / "b"
    with task_manager(slots=2) as manager:
        handles = [manager.submit("a", meet, *paths), manager.submit("b", meet, *paths[::-1])]
        assert all(map(manager.get, handles))


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (lambda: os._exit(7), "exit code 7"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"killed \(SIGKILL\).*Lower memory= or slots="),
        (lambda: os.kill(os.getpid(), signal.SIGABRT), "ended by SIGABRT"),
        (lambda: sys.exit(3), "exit code 3"),
    ],
)
def test_a_worker_that_dies_is_an_error_of_its_task_alone(end: object, text: str) -> None:
    def die(slot: Slot) -> None:
        end()  # type: ignore[operator]

    with task_manager(slots=1) as manager:
        handles = [
            manager.submit("before", process_id),
            manager.submit("mortal", die),
            manager.submit("after", process_id),
        ]
        with pytest.raises(WorkerDiedError, match=f"mortal: its worker process .*{text}"):
            manager.get(handles[1])
        assert manager.get(handles[0])[1] != manager.get(handles[2])[1]
        assert manager.get(handles[2])[0] == 0


def test_a_worker_that_died_while_it_waited_is_replaced() -> None:
    others = children()
    with task_manager(slots=1) as manager:
        _, first = manager.get(manager.submit("first", process_id))
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        _, second = manager.get(manager.submit("second", process_id))
        assert second != first and len(children() - others) == 1


def test_files_of_a_worker_that_dies_are_removed() -> None:
    def die(slot: Slot) -> None:
        from io_manager.job_directory import JobDirectory

        directory = JobDirectory(Path(slot.temp_dirs[0]), direct=False)
        (directory.path / "run-1.spill").write_bytes(b"data")
        os.kill(os.getpid(), signal.SIGKILL)

    with task_manager(slots=1) as manager:
        with pytest.raises(WorkerDiedError):
            manager.get(manager.submit("mortal", die))
        assert list(Path(manager.temp_dirs[0]).iterdir()) == []


def test_cancelled_tasks_end_and_others_go_on(tmp_path: Path) -> None:
    with task_manager(slots=2) as manager:
        ready = tmp_path / "ready"
        running, other = manager.submit("running", wait_for_ever, ready), manager.submit("other", process_id)
        waiting = manager.submit("waiting", wait_for_ever)
        while not ready.exists():
            manager.wait([other])
        manager.cancel([running, waiting])
        for handle in (running, waiting):
            with pytest.raises(TaskCancelledError, match=f"{handle.task}: was cancelled"):
                manager.get(handle)
        assert manager.get(other)[0] in (0, 1)
        assert manager.get(manager.submit("next", process_id))[0] in (0, 1)


def test_a_stopped_task_gives_back_what_it_holds(tmp_path: Path) -> None:
    def hold(slot: Slot, path: Path) -> None:
        try:
            path.touch()
            threading.Event().wait()
        finally:
            path.unlink()

    with task_manager(slots=1) as manager:
        handle = manager.submit("holder", hold, tmp_path / "held")
        while not (tmp_path / "held").exists():
            pass
        manager.cancel([handle])
        assert not (tmp_path / "held").exists()


def test_one_that_will_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from shuffle.exchange import worker_process

    def stubborn(slot: Slot, ready: Path) -> None:
        while True:
            try:
                ready.touch()
                threading.Event().wait()
            except BaseException:
                pass

    monkeypatch.setattr(worker_process, "STOP_SECONDS", 0.2)
    with task_manager(slots=1) as manager:
        handle = manager.submit("stubborn", stubborn, tmp_path / "ready")
        while not (tmp_path / "ready").exists():
            pass
        manager.cancel([handle])


def test_closing_ends_what_runs_and_what_waits() -> None:
    with nothing_left() as directory:
        manager = TaskManager(slots=2, temp_dirs=[directory])
        handles = [manager.submit("waits", wait_for_ever) for _ in range(5)]
        manager.close()
        manager.close()
        for handle in handles:
            with pytest.raises(TaskCancelledError):
                manager.get(handle)
        with pytest.raises(ValueError, match="closed"):
            manager.submit("late", process_id)


def test_one_that_is_dropped_has_been_closed() -> None:
    with nothing_left() as directory:
        manager = TaskManager(slots=1, temp_dirs=[directory])
        manager.get(manager.submit("first", process_id))
        del manager


def test_leaks_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    def keep(slot: Slot) -> None:
        slot.memory.reserve("my table", 2048)

    with caplog.at_level(logging.WARNING), task_manager(slots=1) as manager:
        manager.get(manager.submit("keeper", keep))
    assert "keeper: 'my table' did not give back 2 KiB; taken back" in caplog.text


def test_ctrl_c_while_waiting_ends_everything() -> None:
    def interrupt(slot: Slot, driver: int) -> None:
        os.kill(driver, signal.SIGINT)
        threading.Event().wait()

    with pytest.raises(KeyboardInterrupt), task_manager(slots=2) as manager:
        handles = [manager.submit("waits", wait_for_ever), manager.submit("interrupts", interrupt, os.getpid())]
        manager.wait(handles)


def test_a_task_may_have_workers_of_its_own() -> None:
    def nested(slot: Slot) -> int:
        with TaskManager(slots=1, temp_dirs=slot.temp_dirs) as manager:
            _, inner = manager.get(manager.submit("inner", process_id))
            assert inner != os.getpid()
            raised = manager.submit("inner", int, "x")
            try:
                manager.get(raised)
            except TaskFailedError as error:
                raise error from None
        return 0

    with (
        task_manager(slots=1) as manager,
        pytest.raises(TaskFailedError, match=r"^outer: TaskFailedError: inner: TypeErr"),
    ):
        manager.get(manager.submit("outer", nested))


def test_a_manager_cannot_be_sent() -> None:
    with task_manager(slots=1) as manager, pytest.raises(TypeError, match="stays where it is"):
        manager.submit("itself", lambda slot, other: None, manager)
