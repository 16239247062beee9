"""The inside of a worker process: it takes one task after another from its pipe, until the pipe ends.

    pipe ──> receiving thread ──> queue ──> main thread: run_task ──> pipe

The thread sees at once that the driver is gone, even while a task runs: then the task is stopped, and the process ends.
Ctrl-C is the driver's business; SIGTERM stops the task as an exception would, so that it gives back what it holds.
"""

import os
import pickle
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from types import FrameType

from shuffle.exchange.slots import Slot
from shuffle.exchange.tasks import run_task

STOP_SECONDS = 5.0
"""What a stopped task may take to give back what it holds; then its process is ended as it stands."""


@dataclass(frozen=True)
class WorkerSetup:
    """The first message to a worker."""

    slot: int
    task_bytes: int
    temp_dirs: tuple[str, ...]


class TaskStopped(BaseException):
    """Raised in the main thread, wherever it is: no task catches it as an error of its own."""


def main(connection: Connection) -> None:
    """Serve the driver at the other end. Returns when the driver has closed it, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        signal.signal(signal.SIGTERM, _stop)
        setup: WorkerSetup = pickle.loads(connection.recv_bytes())
        _serve(connection, Slot(setup.slot, setup.task_bytes, setup.temp_dirs))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except (EOFError, OSError, TaskStopped):
        pass  # the driver is gone, or wants us to be


def _serve(connection: Connection, slot: Slot) -> None:
    messages: SimpleQueue[bytes | None] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, messages), name="spillway-driver", daemon=True).start()
    while (message := messages.get()) is not None:
        outcome = run_task(slot, message)
        with suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            sys.stdout.flush()  # what a task printed is there when its result is
        connection.send_bytes(outcome)


def _receive(connection: Connection, messages: "SimpleQueue[bytes | None]") -> None:
    try:
        while True:
            messages.put(connection.recv_bytes())
    except (EOFError, OSError):
        messages.put(None)
    threading.Event().wait(STOP_SECONDS / 5)  # one that is idle has ended by now
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(STOP_SECONDS)
    os._exit(1)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: what gives back is not to be interrupted
    raise TaskStopped
