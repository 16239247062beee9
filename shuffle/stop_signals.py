"""Signals that end a job: the first cancels it, so that it cleans up; those that follow neither hurry nor harm that.

A signal that is ignored stays so (nohup). For the main thread.
"""

import asyncio
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from io_manager.doomed import remove_doomed
from shuffle import event_loop

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_AGAIN_SECONDS = 0.01

T = TypeVar("T")


class Stopped(SystemExit):
    """A signal ended the job, and everything is cleaned up: the exit status is 128 + its number, as shells have it."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


def run_to_end(job: Coroutine[Any, Any, T]) -> T:
    """Run a job on an event loop of its own, cancelled by the first signal. Raises Stopped.

    A signal that comes when the job is done, and its loop closes, comes too late.
    """

    async def cancellable() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        running.append(lambda: loop.call_soon_threadsafe(task.cancel))
        try:
            if stopped_by:  # before anything had begun
                task.cancel()
            return await job
        finally:
            running.clear()

    def stop() -> None:
        """Without effect while the loop is made or closes: Python would report what it meets there."""
        for cancel in running:
            cancel()

    running: list[Callable[[], object]] = []
    stopped_by: list[int] = []
    try:
        with _heeding(stop, stopped_by):
            return event_loop.run(cancellable())
    except BaseException as error:
        if stopped_by:
            remove_doomed()
            raise Stopped(stopped_by[0]) from error
        raise
    finally:
        job.close()  # of one that never began Python would complain


@contextmanager
def stoppable() -> Iterator[None]:
    """What runs in this thread meanwhile is interrupted by the first signal. Raises Stopped."""
    stopped_by: list[int] = []

    def interrupt() -> None:
        warnings.simplefilter("ignore", RuntimeWarning)  # of a coroutine that is awaited no more
        raise KeyboardInterrupt

    try:
        with _heeding(interrupt, stopped_by), _interrupting_again(stopped_by):
            yield
    except BaseException as error:
        if stopped_by:
            remove_doomed()
            raise Stopped(stopped_by[0]) from error
        raise


@contextmanager
def _interrupting_again(stopped_by: list[int]) -> Iterator[None]:
    """What is raised while Python finalizes an object goes no further, and is reported: an interrupt comes again.

    Objects that an interrupt left half made are finalized too, and nobody wants to hear of that.
    """
    before, is_over = sys.unraisablehook, threading.Event()

    def interrupt_again() -> None:
        if not is_over.is_set():
            number = stopped_by[0]
            stopped_by.clear()
            os.kill(os.getpid(), number)

    def hear(lost: "sys.UnraisableHookArgs") -> None:
        if isinstance(lost.exc_value, KeyboardInterrupt):
            threading.Timer(_AGAIN_SECONDS, interrupt_again).start()
        elif not stopped_by:
            before(lost)

    sys.unraisablehook = hear
    try:
        yield
    finally:
        is_over.set()
        if not stopped_by:
            sys.unraisablehook = before


@contextmanager
def _heeding(stop: Callable[[], object], stopped_by: list[int]) -> Iterator[None]:
    """Call `stop` at the first signal, and note all of them. After one, they stay without effect."""

    def note(number: int, _frame: FrameType | None) -> None:
        stopped_by.append(number)
        if len(stopped_by) == 1:
            stop()

    heeded = [number for number in STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in heeded}
    try:
        yield
    finally:
        if not stopped_by:
            for number in heeded:
                signal.signal(number, before[number])
