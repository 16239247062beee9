"""Executors for tests: one that runs tasks at once, in this process, and a task manager that many tests share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from shuffle.closable import Closable
from shuffle.exchange.executor import Handle
from shuffle.exchange.slots import Slot
from shuffle.exchange.task_manager import LocalHandle, TaskManager
from shuffle.exchange.tasks import Outcome, TaskFunction, run_task, sendable

MIB = 1 << 20


class InlineExecutor(Closable):
    """A second implementation of the protocol, with nothing in common with the first: no process, no waiting."""

    def __init__(self, directory: Path, *, slots: int = 1, task_bytes: int = 64 * MIB) -> None:
        self.slots = slots
        self.temp_dirs = (str(directory),)
        self.tasks: list[str] = []
        self._slots = [Slot(number, task_bytes, self.temp_dirs) for number in range(slots)]

    def submit(self, task: str, function: TaskFunction, *descriptions: Any) -> LocalHandle:
        """Run it now, as it would arrive elsewhere."""
        import pickle

        self.tasks.append(task)
        handle = LocalHandle(task, sendable(task, function, descriptions))
        slot = self._slots[len(self.tasks) % self.slots]
        outcome: Outcome = pickle.loads(run_task(slot, handle.take_message()))
        handle.end(outcome)
        return handle

    def wait(self, handles: Sequence[Handle], count: int = 1) -> tuple[list[Handle], list[Handle]]:
        """The last ones first, so that nobody relies on the order."""
        return list(handles)[-count:], list(handles)[:-count]

    def get(self, handle: Handle) -> Any:
        """What the task returned, or raised."""
        return cast(LocalHandle, handle).result()

    def cancel(self, handles: Iterable[Handle]) -> None:
        """All have ended."""

    def close(self) -> None:
        """Nothing to end."""


def children() -> set[int]:
    """Processes started by this one that have not ended, zombies too."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.add(int(path.parent.name))
    return found


@contextmanager
def nothing_left() -> Iterator[Path]:
    """A directory to spill in. At the end it must be empty, and no process may be left that was not there before."""
    before = children()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        yield path
        assert list(path.iterdir()) == []
    assert children() <= before


@contextmanager
def task_manager(slots: int = 2, memory: str | None = None) -> Iterator[TaskManager]:
    """One that must leave nothing behind."""
    with nothing_left() as directory, TaskManager(slots=slots, memory=memory, temp_dirs=[directory]) as manager:
        yield manager
