"""What is done to which job. Everything is drawn from the seed of the campaign and the number of the trial."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from io_manager.faults import Fault

Verb = Literal["sort", "shuffle"]
VERBS: tuple[Verb, ...] = ("sort", "shuffle")

SPILL_FILES = "*/spill/spillway-*/*"
"""A bit that flips in a spill file must be found; in the input or the output nobody could tell."""

_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_ERRORS = ("EIO", "ENOSPC", "EACCES", "EMFILE")
_DAMAGES = ("flip", "zero", "swap", "end")
_DELAY_SECONDS = 0.002


@dataclass(frozen=True)
class Harm:
    """What is done to a job, under the `name` that the table has: a signal, or faults, or nothing.

    `moment` is when the signal comes, as a share of the time that an unharmed job takes.
    """

    name: str
    signal: signal.Signals | None = None
    moment: float = 0.0
    faults: tuple[Fault, ...] = ()

    @property
    def may_fail(self) -> bool:
        """Whether an error is an answer. Calls that are interrupted, short or late are to be survived."""
        return any(fault.action not in ("EINTR", "short", "delay") for fault in self.faults)


UNHARMED = Harm("unharmed")


@dataclass(frozen=True)
class Trial:
    """One job and what is done to it."""

    number: int
    verb: Verb
    kind: str
    harm: Harm
    seed: int


def draw_trial(
    number: int, seed: int, *, kinds: Sequence[str], kill_every: int, fault_rate: float, input_bytes: int
) -> Trial:
    """Trial `number`: each `kill_every`-th gets a signal; of the others two in three get faults, at `fault_rate`."""
    source = Random(f"{seed}:{number}")
    verb: Verb = "shuffle" if source.random() < 0.25 else "sort"
    kind = source.choice(list(kinds))
    return Trial(number, verb, kind, _harm(source, number, kill_every, fault_rate, input_bytes), source.getrandbits(32))


def _harm(source: Random, number: int, kill_every: int, fault_rate: float, input_bytes: int) -> Harm:
    if kill_every and number % kill_every == 0:
        sent = source.choice(_SIGNALS)
        return Harm("kill -9" if sent is signal.SIGKILL else sent.name, signal=sent, moment=source.random())
    if not fault_rate or source.random() < 1 / 3:
        return UNHARMED
    return source.choice((_failing, _damaging, _hindering, _filling))(source, fault_rate, input_bytes)


def _failing(source: Random, rate: float, _input_bytes: int) -> Harm:
    action = source.choice(_ERRORS)
    return Harm(f"{action} from any call", faults=(Fault(action, rate=rate),))


def _damaging(source: Random, rate: float, _input_bytes: int) -> Harm:
    action = source.choice(_DAMAGES)
    return Harm("damaged spill files", faults=(Fault(action, rate=rate, files=SPILL_FILES),))


def _hindering(_source: Random, rate: float, _input_bytes: int) -> Harm:
    delay = Fault("delay", rate=rate, seconds=_DELAY_SECONDS)
    return Harm(
        "short, late and interrupted calls", faults=(Fault("short", rate=rate), Fault("EINTR", rate=rate), delay)
    )


def _filling(source: Random, _rate: float, input_bytes: int) -> Harm:
    return Harm("a disk that fills up", faults=(Fault("full", room_bytes=source.randrange(2 * input_bytes)),))
