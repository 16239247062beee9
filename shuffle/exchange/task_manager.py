"""The local executor: a worker process for each slot, a task in each, memory cut into equal shares.

    submit ──> waiting tasks ──first free slot──> worker process ──> outcome ──> wait, get

Workers start with the first tasks that need them, and stay for the next. One that dies takes only its own task with
it; another starts in its place. No thread runs here: tasks are handed on while somebody submits, waits or gets.
"""

from __future__ import annotations

import logging
import os
import pickle
import tempfile
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from multiprocessing import connection
from pathlib import Path
from typing import Any, cast

from io_manager import sweep
from shuffle.closable import Closable
from shuffle.exchange.executor import Handle
from shuffle.exchange.slots import log_leaks, size_slots
from shuffle.exchange.task_errors import TaskCancelledError, WorkerDiedError
from shuffle.exchange.tasks import Outcome, TaskFunction, TaskReport, sendable
from shuffle.exchange.worker import WorkerSetup
from shuffle.exchange.worker_process import WorkerProcess
from shuffle.options import PathLike, path_names

_log = logging.getLogger(__name__)


class LocalHandle:
    """A task of a `TaskManager`."""

    def __init__(self, task: str, message: bytes) -> None:
        self.task = task
        self.report: TaskReport | None = None
        self._message: bytes | None = message
        self._result: Any = None
        self._error: BaseException | None = None

    @property
    def has_ended(self) -> bool:
        """Whether there is a result, or an error."""
        return self._message is None

    def take_message(self) -> bytes:
        """What to send to a worker."""
        assert self._message is not None, "a task that has ended is not sent again"
        return self._message

    def end(self, outcome: Outcome) -> None:
        """The task has ended by itself."""
        self._message, self.report = None, outcome.report
        self._result = outcome.result
        if outcome.failure is not None:
            self._error = outcome.failure.error(self.task)

    def fail(self, error: BaseException) -> None:
        """The task will not end by itself."""
        self._message, self._error = None, error

    def result(self) -> Any:
        """The result, or what the task raised."""
        if self._error is not None:
            raise self._error
        return self._result


class TaskManager(Closable):
    """An `Executor` of `slots` worker processes on this machine. Used by one thread at a time.

    slots      tasks that run at once; default all cores, or as many as there is memory for
    memory     of all workers, and what a job adds to this process; default half of what the process may use
    temp_dirs  where tasks spill; default the system's temp directory

    Raises MemoryConfigurationError, before anything starts, where the memory is too little for the slots.
    """

    def __init__(
        self,
        *,
        slots: int | None = None,
        memory: int | str | None = None,
        temp_dirs: PathLike | Iterable[PathLike] = (),
    ) -> None:
        self.sizes = size_slots(slots, memory)
        paths = path_names(temp_dirs) or (tempfile.gettempdir(),)
        self.temp_dirs = tuple(str(Path(path).absolute()) for path in paths)
        self._workers = _Workers(self.sizes.task_bytes, self.temp_dirs)
        self._running: dict[WorkerProcess, LocalHandle] = {}
        self._waiting: deque[LocalHandle] = deque()
        self._is_closed = False
        self._end = weakref.finalize(self, _end_in, os.getpid(), self._workers)

    @property
    def slots(self) -> int:
        """How many tasks run at once."""
        return self.sizes.slots

    def submit(self, task: str, function: TaskFunction, *descriptions: Any) -> LocalHandle:
        """Run `function(slot, *descriptions)` as soon as a slot is free. Raises TaskNotSendableError."""
        if self._is_closed:
            raise ValueError("this task manager is closed. Make another one")
        handle = LocalHandle(task, sendable(task, function, descriptions))
        self._waiting.append(handle)
        self._collect(timeout=0)
        return handle

    def wait(self, handles: Sequence[Handle], count: int = 1) -> tuple[list[Handle], list[Handle]]:
        """Return when `count` of the tasks (or all, if there are fewer) have ended: (those that have, the others)."""
        ours = cast(Sequence[LocalHandle], handles)
        wanted = min(count, len(ours))
        self._collect(timeout=0)
        while sum(handle.has_ended for handle in ours) < wanted:
            assert self._running, "who waits, waits for tasks of this manager"
            self._collect(timeout=None)
        return [each for each in ours if each.has_ended], [each for each in ours if not each.has_ended]

    def get(self, handle: Handle) -> Any:
        """The result, once it is there. Raises TaskFailedError, WorkerDiedError, TaskCancelledError."""
        self.wait([handle])
        return cast(LocalHandle, handle).result()

    def cancel(self, handles: Iterable[Handle]) -> None:
        """End tasks that have not ended, with the workers they run in, and remove what those leave on disk."""
        cancelled = [each for each in cast(Iterable[LocalHandle], handles) if not each.has_ended]
        for handle in cancelled:
            handle.fail(TaskCancelledError(handle.task))
        self._waiting = deque(each for each in self._waiting if not each.has_ended)
        stopped = [worker for worker, handle in self._running.items() if handle.has_ended]
        for worker in stopped:
            del self._running[worker]
        self._workers.stop(stopped)
        self._hand_on()

    def close(self) -> None:
        """Cancel what runs, and end all workers. Idempotent."""
        self._is_closed = True
        self.cancel([*self._waiting, *self._running.values()])
        self._end()

    def __reduce__(self) -> Any:
        raise TypeError("a task manager stays where it is: a task that starts tasks makes its own")

    # --- inside

    def _hand_on(self) -> None:
        """Give waiting tasks to free slots."""
        while self._waiting and len(self._running) < self.slots:
            worker = self._workers.take()
            handle = self._waiting.popleft()
            self._running[worker] = handle
            worker.send(handle.take_message())

    def _collect(self, timeout: float | None) -> None:
        """Wait for outcomes, and for workers that die; then give their slots to the next tasks."""
        by_connection = {worker.connection: worker for worker in self._running}
        for ready in connection.wait(list(by_connection), timeout):
            self._end_task(by_connection[ready])  # type: ignore[index]  # we gave it connections only
        self._hand_on()

    def _end_task(self, worker: WorkerProcess) -> None:
        message = worker.receive()
        handle = self._running.pop(worker)
        if message is None:
            handle.fail(WorkerDiedError(handle.task, self._workers.bury(worker)))
            return
        self._workers.give_back(worker)
        outcome: Outcome = pickle.loads(message)
        handle.end(outcome)
        log_leaks(handle.task, outcome.report.leaked)


class _Workers:
    """The worker processes there are, by slot: those that wait, and those that are at work."""

    def __init__(self, task_bytes: int, temp_dirs: tuple[str, ...]) -> None:
        self._task_bytes = task_bytes
        self._temp_dirs = temp_dirs
        self._slots: dict[WorkerProcess, int] = {}
        self._idle: list[WorkerProcess] = []

    def take(self) -> WorkerProcess:
        """One that has nothing to do, and has not died over that; a new one if there is none."""
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive():
                return worker
            self.bury(worker)
        slot = next(number for number in range(len(self._slots) + 1) if number not in self._slots.values())
        worker = WorkerProcess(WorkerSetup(slot, self._task_bytes, self._temp_dirs))
        self._slots[worker] = slot
        return worker

    def give_back(self, worker: WorkerProcess) -> None:
        """It has nothing to do."""
        self._idle.append(worker)

    def bury(self, worker: WorkerProcess) -> int:
        """It died: remove what it left, and tell its exit code."""
        del self._slots[worker]
        code = worker.join()
        self._sweep()
        return code

    def stop(self, workers: Sequence[WorkerProcess]) -> None:
        """End workers in the middle of their tasks, and remove what they left."""
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.join()
            del self._slots[worker]
        if workers:
            self._sweep()

    def close(self) -> None:
        """End all."""
        busy = [worker for worker in self._slots if worker not in self._idle]
        for worker in self._idle:
            worker.dismiss()
        for worker in self._idle:
            worker.join()
        self._slots = dict.fromkeys(busy, 0)
        self._idle.clear()
        self.stop(busy)

    def _sweep(self) -> None:
        for temp_dir in self._temp_dirs:
            try:
                sweep(Path(temp_dir))
            except OSError as error:
                _log.warning("%s: what a worker left there could not be removed: %s", temp_dir, error.strerror)


def _end_in(process_id: int, workers: _Workers) -> None:
    """A forked child leaves the workers to its parent."""
    if process_id == os.getpid():
        workers.close()
