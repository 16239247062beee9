"""What can go wrong with tasks; each text names the task, and what the worker saw.

    RuntimeError   TaskFailedError        a function of the user, or the engine, raised in a task
                   WorkerDiedError        the process that ran a task is gone
                   TaskCancelledError     the result of a task was asked for that had been cancelled
    TypeError      TaskNotSendableError   a function, a description or a result that cannot go to another process

All of them survive pickling, for a task may start tasks.
"""

import signal
from typing import Self


class TaskFailedError(RuntimeError):
    """A task raised. `record` is the number of the record within its split, if one is to blame.

    `__cause__` is what was raised, where it could be sent; `trace` is its traceback in the worker, as text.
    """

    def __init__(self, task: str, record: int | None, problem: str, trace: str) -> None:
        super().__init__(task, record, problem, trace)
        self.task = task
        self.record = record
        self.problem = problem
        self.trace = trace

    def __str__(self) -> str:
        record = "" if self.record is None else f", record {self.record}"
        return f"{self.task}{record}: {self.problem}"

    def with_trace(self) -> Self:
        """The same error; who prints it sees the worker's traceback too."""
        self.add_note(f"In the worker:\n{self.trace.rstrip()}")
        return self


class WorkerDiedError(RuntimeError):
    """A worker process ended while it ran a task. `exit_code` is as `subprocess` has it: a signal is negative."""

    def __init__(self, task: str, exit_code: int) -> None:
        super().__init__(task, exit_code)
        self.task = task
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.task}: its worker process {_end_of(self.exit_code)}"


class TaskCancelledError(RuntimeError):
    """The task was cancelled, so there is no result."""

    def __init__(self, task: str) -> None:
        super().__init__(task)
        self.task = task

    def __str__(self) -> str:
        return f"{self.task}: was cancelled. Submit it again if its result is wanted"


class TaskNotSendableError(TypeError):
    """A function, a description or a result cannot be pickled."""

    def __init__(self, task: str, what: str, problem: str) -> None:
        super().__init__(task, what, problem)
        self.task = task
        self.what = what
        self.problem = problem

    def __str__(self) -> str:
        return (
            f"{self.task}: {self.what} cannot be sent to another process: {self.problem}. "
            "Open files, sockets, locks and the like within the function, not outside of it"
        )


class BlamedError(Exception):
    """Within a task: what its `__cause__` raised, it raised for this. Becomes a TaskFailedError."""

    record: int | None = None
    place: str = ""


class RecordFailedError(BlamedError):
    """For a record of the split."""

    def __init__(self, record: int) -> None:
        super().__init__(record)
        self.record = record


class KeyFailedError(BlamedError):
    """For the values of a key."""

    def __init__(self, key: object) -> None:
        super().__init__(key)
        self.place = f"key {key!r:.100}: "


def _end_of(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    if name == "SIGKILL":
        return "was killed (SIGKILL): by someone, or by the system because memory ran out. Lower memory= or slots="
    return f"was ended by {name}"
