"""The executor protocol: both implementations do the same with every task, and a task knows neither."""

from __future__ import annotations

import operator
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from shuffle.exchange.executor import Executor
from shuffle.exchange.slots import Slot
from shuffle.exchange.task_errors import TaskFailedError, TaskNotSendableError
from tests.test_exchange.executors import InlineExecutor, nothing_left, task_manager


@pytest.fixture(scope="module", params=["local", "inline"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "local":
        with task_manager() as manager:
            yield manager
    else:
        with nothing_left() as directory:
            yield InlineExecutor(directory, slots=2)


def add(slot: Slot, left: int, right: int) -> int:
    return left + right


def fail(slot: Slot, error: Exception) -> None:
    raise error


def test_results_come_back_by_handle(executor: Executor) -> None:
    handles = [executor.submit(f"add {number}", add, number, 1) for number in range(20)]
    assert [executor.get(handle) for handle in handles] == list(range(1, 21))
    assert [handle.task for handle in handles] == [f"add {number}" for number in range(20)]


def test_a_result_can_be_had_twice(executor: Executor) -> None:
    handle = executor.submit("add", add, 1, 1)
    assert executor.get(handle) == executor.get(handle) == 2


@pytest.mark.parametrize("count", [1, 3, 5, 9])
def test_wait_returns_when_so_many_have_ended(executor: Executor, count: int) -> None:
    handles = [executor.submit("add", add, number, 0) for number in range(5)]
    done, rest = executor.wait(handles, count)
    assert len(done) >= min(count, 5) and {*done, *rest} == {*handles} and len(done) + len(rest) == 5


def test_to_wait_for_nothing_does_not_wait(executor: Executor) -> None:
    assert executor.wait([]) == ([], [])


def test_functions_without_a_name_travel(executor: Executor) -> None:
    factor = 7
    assert executor.get(executor.submit("closure", lambda slot, number: factor * number, 6)) == 42


def test_an_error_names_the_task_and_keeps_its_cause(executor: Executor) -> None:
    handle = executor.submit("task of ours", fail, KeyError("x"))
    with pytest.raises(TaskFailedError, match=r"^task of ours: KeyError: 'x'\n") as caught:
        executor.get(handle)
    assert isinstance(caught.value.__cause__, KeyError)
    assert "in fail\n    raise error" in caught.value.__notes__[0]
    assert executor.get(executor.submit("add", add, 1, 2)) == 3


class Picky(Exception):
    """Cannot be made again from its args."""

    def __init__(self, left: int, right: int) -> None:
        super().__init__(f"{left} and {right}")


def test_an_error_that_cannot_be_pickled_is_told_as_text(executor: Executor) -> None:
    with pytest.raises(TaskFailedError, match="picky: Picky: 1 and 2") as caught:
        executor.get(executor.submit("picky", fail, CannotBeSent(Picky(1, 2))))
    assert caught.value.__cause__ is None


class CannotBeSent:
    """Becomes an error where it arrives."""

    def __init__(self, error: Picky) -> None:
        self.numbers = (1, 2)

    def __reduce__(self) -> Any:
        return Picky, (1, 2)


def test_what_cannot_be_pickled_is_refused_at_once(executor: Executor) -> None:
    with pytest.raises(TaskNotSendableError, match=r"^locked: its function or a description .* pickle '_thread.lock'"):
        executor.submit("locked", add, threading.Lock(), 1)


def test_a_result_that_cannot_be_pickled_is_an_error_of_the_task(executor: Executor) -> None:
    handle = executor.submit("locked", lambda slot: threading.Lock())
    with pytest.raises(TaskFailedError, match="locked: its result cannot be sent"):
        executor.get(handle)


def test_each_task_has_the_whole_slot(executor: Executor) -> None:
    def hold(slot: Slot, share: float) -> tuple[int, int]:
        with slot.reserved("ours", share=share) as size_bytes:
            return size_bytes, slot.memory.total_bytes

    held, total = executor.get(executor.submit("hold", hold, 1.0))
    assert held == total >= 64 << 20
    assert executor.get(executor.submit("hold", hold, 0.5))[0] == total // 2


def test_what_a_task_keeps_is_told_and_taken_back(executor: Executor, caplog: pytest.LogCaptureFixture) -> None:
    def keep(slot: Slot) -> int:
        slot.memory.reserve("my table", 1000)
        slot.memory.allocate_segments("my pages", 2)
        return slot.memory.free_bytes

    handles = [executor.submit("keeper", keep) for _ in range(3)]
    first, *others = [executor.get(handle) for handle in handles]
    assert others == [first, first]
    for handle in handles:
        assert handle.report is not None and handle.report.leaked == {"my pages": 65536, "my table": 1000}


def test_a_task_that_asks_for_more_than_its_slot_is_told_who_holds_what(executor: Executor) -> None:
    def greedy(slot: Slot) -> None:
        with slot.reserved("first"):
            slot.memory.allocate_segments("second", 1)

    with pytest.raises(TaskFailedError, match=r"'second' asked for 32 KiB.* Held: 'first'"):
        executor.get(executor.submit("greedy", greedy))


def test_operators_of_the_standard_library_are_tasks_too(executor: Executor) -> None:
    assert executor.get(executor.submit("number", operator.attrgetter("number"))) in range(2)
