"""A signal that meets a process at an exact moment: just before its n-th call that has to do with files.

    file layer of io_manager ──┐
                               ├──> one counter ──n-th──> signal to itself
    audit events of Python  ───┘

The file layer sees blocks move; audit events see names appear and vanish, whoever makes them. So moments are as many as
there are steps that another process could see, and the same number is much the same moment in the next run.
"""

import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from io_manager import system

_EVENTS = ("open", "os.", "fcntl.", "shutil.", "tempfile.")


@dataclass(frozen=True)
class Moment:
    """Before call number `call`, counted from 0, or `delay` seconds later, wherever the interpreter is then.

    All `signals` are sent, one behind another: to the process, or to the whole group that it leads.
    """

    call: int
    signals: tuple[signal.Signals, ...]
    delay: float = 0.0
    whole_group: bool = False

    def strike(self, on_struck: Callable[[float], object]) -> None:
        """Send them."""
        if self.delay:
            time.sleep(self.delay)
        on_struck(time.monotonic())
        for number in self.signals:
            (os.killpg if self.whole_group else os.kill)(os.getpid(), number)


class Steps:
    """Counts, from `watch` on; `struck_at` is when the moment came, by the monotonic clock."""

    def __init__(self, moment: Moment | None, on_struck: Callable[[float], object]) -> None:
        self.begin(moment, on_struck)

    def begin(self, moment: Moment | None, on_struck: Callable[[float], object]) -> None:
        """From 0."""
        self._on_struck = on_struck
        self.count = 0
        self.moment = moment
        self._numbers = itertools.count()  # a single step of the interpreter, so threads need no lock
        self._moved: list[int] = []

    @property
    def moved_bytes(self) -> int:
        """What the file layer has read and written so far."""
        return sum(self._moved)

    def watch(self) -> None:
        """For the rest of the life of this process: audit events have no end."""
        system.intercept(self._intercept)
        sys.addaudithook(self._hear)

    def end(self) -> None:
        """No moment comes any more."""
        self.moment = None

    def _intercept(self, operation: str, function: Callable[..., Any], *args: Any) -> Any:
        self._step()
        result = function(*args)
        if operation in ("preadv", "pwritev"):
            self._moved.append(result)
        return result

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event.startswith(_EVENTS):
            self._step()

    def _step(self) -> None:
        number = next(self._numbers)
        self.count = max(self.count, number + 1)
        if self.moment is not None and number == self.moment.call:
            if self.moment.delay:
                threading.Thread(target=self.moment.strike, args=[self._on_struck], daemon=True).start()
            else:
                self.moment.strike(self._on_struck)


_here: Steps | None = None


def arm(moment: Moment, struck: Path) -> Steps:
    """Count from now on in this process, a worker of a job perhaps; go on counting if it is for the same moment.

    When it has come is written to `struck`.
    """
    global _here
    if _here is None:
        _here = Steps(moment, lambda now: struck.write_text(str(now)))
        _here.watch()
    elif _here.moment != moment:
        _here.begin(moment, lambda now: struck.write_text(str(now)))
    return _here


def disarm_unless(moment: Moment) -> None:
    """What an earlier job has armed in this process must not hit another one."""
    if _here is not None and _here.moment != moment:
        _here.end()


def spread(rng: Random, steps: int, count: int) -> list[int]:
    """`count` of so many steps: half of them evenly, the others among the first and last, where names change."""
    half, edge = -(-count // 2), min(steps, 60)
    evenly = [int((number + rng.random()) * steps / half) for number in range(half)]
    edges = [*(rng.randrange(edge) for _ in range((count - half) // 2))]
    edges += [steps - 1 - rng.randrange(edge) for _ in range(count - half - len(edges))]
    return sorted(evenly + edges)
