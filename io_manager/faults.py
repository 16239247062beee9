"""Faults on purpose, at the boundary to the operating system: to see what a disk that fails would do to a job.

    with Faults([Fault("ENOSPC", operations=("pwritev",), at=7)]) as faults:
        ...                                   # the seventh pwritev of this process finds the disk full
    faults.calls["pwritev"], faults.injected  # what was called, and what was done to it

What a fault does, its `action`:

    ENOSPC, EIO, ... any errno   the call is not made, and fails so (`close` is made, and fails)
    short                        the call moves fewer bytes than asked for, at least one
    end                          the call moves none: the file seems to end, the disk to take nothing
    delay                        the call is made `seconds` late
    flip, zero, swap             of the bytes moved one bit is flipped, 4 KiB are zeroed, two 512-byte blocks swapped
    full                         once `room_bytes` more are written, all that needs room fails with ENOSPC

When: at the `at`-th call that it concerns, counted from 1; `lasting`: and at all from then on; or at random with
`rate`. Which calls: `operations` (names of `io_manager.system`; all that the action can be done to, if none are named),
on files whose path matches the pattern `files`.

A process that starts with SPILLWAY_FAULTS in its environment is armed from its first call on (`Faults.environment`), as
are its worker processes; each counts for itself. Nothing here runs in a process that is not armed.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

from io_manager import faulty_calls, system

ENVIRONMENT = "SPILLWAY_FAULTS"

READS = frozenset({"pread", "preadv", "readv"})
WRITES = frozenset({"pwritev", "write"})
ACTIONS = ("short", "end", "delay", "flip", "zero", "swap", "full")
_CONCERNS = {
    "short": READS | WRITES,
    "end": READS | WRITES,
    "flip": READS | WRITES,
    "zero": READS | WRITES,
    "swap": READS | WRITES,
    "full": WRITES | {"fallocate"},
}


@dataclass(frozen=True)
class Fault:
    """What is done, to which calls, and when."""

    action: str
    operations: tuple[str, ...] = ()
    at: int = 0
    lasting: bool = False
    rate: float = 0.0
    files: str = "*"
    seconds: float = 0.0
    room_bytes: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for an action that does not exist."""
        if self.action not in ACTIONS and not hasattr(errno, self.action):
            raise ValueError(f"{self.action!r} is no fault: an errno, or one of {', '.join(ACTIONS)}")

    def concerns(self, operation: str, target: object) -> bool:
        """Whether a call is one of those it counts."""
        if self.operations and operation not in self.operations:
            return False
        if operation not in _CONCERNS.get(self.action, {operation}):
            return False
        return self.files == "*" or fnmatch(_path_of(target), self.files)


@dataclass(frozen=True)
class Injected:
    """A fault that happened, at the `number`-th call that it concerned."""

    action: str
    operation: str
    number: int
    target: str


class Faults:
    """Context manager: while it is entered, the faults happen, in all threads of this process.

    `seed` draws what is at random. With `log`, a line of JSON tells each fault as it happens, also those of processes
    that are armed through `environment`.
    """

    def __init__(self, faults: Iterable[Fault], *, seed: int = 0, log: Path | None = None) -> None:
        self.calls: Counter[str] = Counter()
        self.injected: list[Injected] = []
        self._faults = list(faults)
        self._numbers = [0] * len(self._faults)
        self._room = [fault.room_bytes for fault in self._faults]
        self._seed = seed
        self._source = Random(seed)
        self._log = log
        self._lock = threading.Lock()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The faults that `environment` describes. Raises ValueError for what it did not write."""
        try:
            found = json.loads(text)
            faults = [Fault(**{**each, "operations": tuple(each["operations"])}) for each in found["faults"]]
            return cls(faults, seed=found["seed"], log=found["log"] and Path(found["log"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{ENVIRONMENT} describes no faults: {error}") from error

    def environment(self) -> dict[str, str]:
        """What to add to the environment of a process that is to be armed so."""
        faults = [asdict(fault) for fault in self._faults]
        return {ENVIRONMENT: json.dumps({"faults": faults, "seed": self._seed, "log": self._log and str(self._log)})}

    def arm(self) -> None:
        """From now on."""
        before = system.intercept(self._intercept)
        assert before is None, "faults are armed already"

    def disarm(self) -> None:
        """No more."""
        system.intercept(None)

    def __enter__(self) -> Self:
        self.arm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disarm()

    # --- between a call and the system

    def _intercept(self, operation: str, function: Callable[..., Any], *args: Any) -> Any:
        with self._lock:
            self.calls[operation] += 1
            due = [place for place, fault in enumerate(self._faults) if self._is_due(place, fault, operation, args)]
            for place in due:
                self._note(place, operation, args)
            source = Random(self._source.getrandbits(64)) if due else self._source
        for place in due:
            function = faulty_calls.change(self._faults[place], operation, function, source)
        return function(*args)

    def _is_due(self, place: int, fault: Fault, operation: str, args: tuple[Any, ...]) -> bool:
        if not fault.concerns(operation, args[0] if args else ""):
            return False
        self._numbers[place] += 1
        if fault.action == "full":
            self._room[place] -= faulty_calls.bytes_wanted(operation, args)
            return self._room[place] < 0
        if fault.rate:
            return self._source.random() < fault.rate
        number = self._numbers[place]
        return number == fault.at or (fault.lasting and number > fault.at)

    def _note(self, place: int, operation: str, args: tuple[Any, ...]) -> None:
        target = _path_of(args[0] if args else "")
        done = Injected(self._faults[place].action, operation, self._numbers[place], target)
        self.injected.append(done)
        if self._log is not None:  # straight to the system: this call is nobody's
            with self._log.open("ab", buffering=0) as file:
                file.write((json.dumps({"process": os.getpid(), **asdict(done)}) + "\n").encode())


def arm_from_environment() -> None:
    """Arm this process if its environment says so. Raises ValueError for what describes no faults."""
    if text := os.environ.get(ENVIRONMENT):
        Faults.from_text(text).arm()


def _path_of(target: object) -> str:
    """The path of a name or of a descriptor."""
    if not isinstance(target, int):
        return os.fspath(target) if isinstance(target, str | os.PathLike) else ""
    try:
        return str(Path(f"/proc/self/fd/{target}").readlink())
    except OSError:
        return ""


__all__ = ["ACTIONS", "ENVIRONMENT", "READS", "WRITES", "Fault", "Faults", "Injected", "arm_from_environment"]
