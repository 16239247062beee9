"""Who made a job directory, and whether that process still lives.

A process number alone says little, since numbers are used again; with the start time of the process and the
boot of the machine it names one process for ever.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

_FORMAT = "spillway-owner-1"


@dataclass(frozen=True)
class Owner:
    """One process on one machine since one boot. `started` is in clock ticks since boot, 0 where unknown."""

    pid: int
    started: int
    host: str
    boot_id: str
    created: float

    @classmethod
    def this_process(cls) -> Self:
        """The process that runs this."""
        pid = os.getpid()
        return cls(pid, _start_ticks(pid) or 0, socket.gethostname(), _boot_id(), time.time())

    def to_bytes(self) -> bytes:
        """One line of JSON."""
        return json.dumps({"format": _FORMAT, **asdict(self)}).encode() + b"\n"

    @classmethod
    def from_bytes(cls, text: bytes) -> Self | None:
        """The owner `to_bytes` wrote, or None if these bytes are no such thing."""
        try:
            fields = json.loads(text.partition(b"\n")[0])  # an owner before may have had a longer line
            if fields.pop("format") != _FORMAT:
                return None
            return cls(**{name: kind(fields[name]) for name, kind in _KINDS.items()})
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            return None

    def is_dead(self) -> bool:
        """Whether this owner is gone for certain. Another machine's process is never certain."""
        boot_id = _boot_id()
        if self.boot_id and not boot_id:
            return False  # the system does not say this time: there may be no descriptors left to ask with
        if self.boot_id != boot_id:
            return self.host == socket.gethostname()  # the machine was started anew since
        started = _start_ticks(self.pid)
        return started is None or (bool(self.started) and started != self.started)


_KINDS = {"pid": int, "started": int, "host": str, "boot_id": str, "created": float}


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _start_ticks(pid: int) -> int | None:
    """When the process started; None if there is none, or only its remains; 0 where the system does not
    say."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0 if not Path("/proc/self/stat").exists() and _answers(pid) else None
    except OSError:
        return 0
    state, *fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold anything, brackets too
    return None if state in "ZX" else int(fields[18])


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
