"""A task: a plain function of plain descriptions, deterministic, which may be run again.

    driver                                                          worker
    sendable(task) ── bytes: function and descriptions ──> run_task(slot, bytes)
    Outcome        <── bytes: result or failure, and the report ──┘

The first argument of a task is the `Slot` it runs in; the others name files and say what to do with them. Nothing in a
task may rely on the process that submitted it.
"""

import pickle
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cloudpickle

from memory import peak_resident_bytes
from shuffle.exchange.slots import Slot
from shuffle.exchange.task_errors import BlamedError, TaskFailedError, TaskNotSendableError

TaskFunction = Callable[..., Any]
"""Called with a `Slot` and the descriptions."""


@dataclass(frozen=True)
class TaskReport:
    """What a task took, and what it left: bytes of managed memory by owner, which were taken back."""

    task: str
    slot: int
    seconds: float = 0.0
    peak_resident_bytes: int = 0
    leaked: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """What a task raised, ready to be sent: `pickled` is the exception, b"" where it cannot be."""

    record: int | None
    problem: str
    trace: str
    pickled: bytes

    def error(self, task: str) -> TaskFailedError:
        """What to raise in the driver."""
        error = TaskFailedError(task, self.record, self.problem, self.trace).with_trace()
        if self.pickled:
            error.__cause__ = pickle.loads(self.pickled)
        return error


@dataclass(frozen=True)
class Outcome:
    """The end of a task: its result, or its failure."""

    result: Any
    failure: Failure | None
    report: TaskReport


def sendable(task: str, function: TaskFunction, descriptions: tuple[Any, ...]) -> bytes:
    """Function and descriptions as bytes; functions of scripts travel too. Raises TaskNotSendableError."""
    try:
        return bytes(cloudpickle.dumps((task, function, descriptions)))
    except Exception as error:  # whatever a __reduce__ raises
        raise TaskNotSendableError(task, "its function or a description", _said(error)) from error


def run_task(slot: Slot, message: bytes) -> bytes:
    """Run what `sendable` made, in `slot`: the outcome, as bytes. What leaked is taken back."""
    started = time.perf_counter()
    task = "a task"
    result, failure = None, None
    try:
        task, function, descriptions = pickle.loads(message)
        result = function(slot, *descriptions)
    except Exception as error:
        failure = failure_of(error)
    report = TaskReport(task, slot.number, time.perf_counter() - started, peak_resident_bytes(), slot.take_back())
    try:
        return bytes(cloudpickle.dumps(Outcome(result, failure, report)))
    except Exception as error:
        unsendable = TaskNotSendableError(task, "its result", _said(error))
        return bytes(cloudpickle.dumps(Outcome(None, failure_of(unsendable), report)))


def task_error(task: str, error: BaseException) -> TaskFailedError:
    """What a task would have raised, had `error` been raised in a worker."""
    failure = failure_of(error)
    return TaskFailedError(task, failure.record, failure.problem, failure.trace)


def failure_of(error: BaseException) -> Failure:
    """`error` as it can be sent."""
    record, place = None, ""
    if isinstance(error, BlamedError) and error.__cause__ is not None:
        record, place, error = error.record, error.place, error.__cause__
    problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Failure(record, place + problem, "".join(traceback.format_exception(error)), _pickled(error))


def _pickled(error: BaseException) -> bytes:
    """The exception, if it comes back as it was: many have an __init__ that does not take their args."""
    try:
        pickled = bytes(cloudpickle.dumps(error))
        return pickled if type(pickle.loads(pickled)) is type(error) else b""
    except Exception:
        return b""


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
