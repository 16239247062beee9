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
            if signals:  # before anything had begun
                task.cancel()
            return await job
        finally:
            running.clear()

    def stop() -> None:
        """Without effect while the loop is made or closes: Python would report what it meets there."""
        for cancel in running:
            cancel()

    running: list[Callable[[], object]] = []
    signals = _Signals(stop)
    try:
        with signals.heeded():
            return event_loop.run(cancellable())
    except BaseException as error:
        if signals:
            remove_doomed()
            raise Stopped(signals.first) from error
        raise
    finally:
        job.close()  # of one that never began Python would complain


@contextmanager
def stoppable() -> Iterator[None]:
    """What runs in this thread meanwhile is interrupted by the first signal. Raises Stopped."""

    def interrupt() -> None:
        warnings.simplefilter("ignore", RuntimeWarning)  # of a coroutine that is awaited no more
        raise KeyboardInterrupt

    signals = _Signals(interrupt)
    try:
        with signals.heeded(), _interrupting_again(signals):
            yield
    except BaseException as error:
        if signals:
            remove_doomed()
            raise Stopped(signals.first) from error
        raise


class _Signals:
    """The signals that came. `stop` is called at the first; those that follow are without effect."""

    def __init__(self, stop: Callable[[], object]) -> None:
        self._stop = stop
        self._numbers: list[int] = []
        self._armed = [True]

    def __bool__(self) -> bool:
        return bool(self._numbers)

    @property
    def first(self) -> int:
        return self._numbers[0]

    def again(self) -> None:
        """What was stopped at the first signal has lost it: send it anew, as the first."""
        number = self.first
        self._numbers.clear()
        self._armed.append(True)
        os.kill(os.getpid(), number)

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Note all of them. Once there was one, that stays so."""
        heeded = [number for number in STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._note) for number in heeded}
        try:
            yield
        finally:
            if not self:
                for number in heeded:
                    signal.signal(number, before[number])

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._numbers.append(number)
        try:
            self._armed.pop()  # one step of the interpreter: the next signal may come in the middle of this
        except IndexError:
            return
        self._stop()


@contextmanager
def _interrupting_again(signals: _Signals) -> Iterator[None]:
    """What is raised while Python finalizes an object goes no further, and is reported: an interrupt comes again.

    Objects that an interrupt left half made are finalized too, and nobody wants to hear of that.
    """
    before, is_over = sys.unraisablehook, threading.Event()

    def interrupt_again() -> None:
        if not is_over.is_set():
            signals.again()

    def hear(lost: "sys.UnraisableHookArgs") -> None:
        if isinstance(lost.exc_value, KeyboardInterrupt):
            threading.Timer(_AGAIN_SECONDS, interrupt_again).start()
        elif not signals:
            before(lost)

    sys.unraisablehook = hear
    try:
        yield
    finally:
        is_over.set()
        if not signals:
            sys.unraisablehook = before
