"""One trial after another, in some lanes at once that spill into one directory, until the time is up."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from io_manager import sweep
from memory import format_size
from shuffle.generate import KINDS
from shuffle.stress.judge import judge, prepare
from shuffle.stress.material import RECORD_BYTES, Material, make_material
from shuffle.stress.tally import Tally
from shuffle.stress.trial import UNHARMED, VERBS, Trial, Verb, draw_trial
from shuffle.stress.victim import Ended, Lane, run_victim


@dataclass(frozen=True)
class Choices:
    """What a campaign does.

    records       in each input, of 100 bytes each
    kinds         of data, as `gen` makes them
    memory_bytes  of each job
    disk_bytes    the most that the spill files of a job may take; None for no limit
    kill_every    each so manyth job gets a signal; 0 for none
    fault_rate    the share of system calls that fail, of the jobs that get faults; 0 for none
    seconds       when to start no more jobs
    lanes         jobs at once
    seed          what everything is drawn from
    """

    records: int
    kinds: Sequence[str]
    memory_bytes: int
    disk_bytes: int | None
    kill_every: int
    fault_rate: float
    seconds: float
    lanes: int
    seed: int

    def __post_init__(self) -> None:
        """Raises ValueError for what makes no sense."""
        strange = next((kind for kind in self.kinds if kind not in KINDS or kind == "giant"), None)
        if strange is not None or not self.kinds:
            known = ", ".join(kind for kind in KINDS if kind != "giant")
            raise ValueError(f"--kind {strange}: no kind of data for this; the kinds are {known}")
        if not 0 <= self.fault_rate < 1:
            raise ValueError(f"--fault-rate {self.fault_rate}: give a share of all calls, 0 to 1")
        if self.records < 1:
            raise ValueError(f"--records {self.records}: at least 1 is needed")

    @property
    def input_bytes(self) -> int:
        """Of each input."""
        return self.records * RECORD_BYTES

    @property
    def resources(self) -> tuple[str, ...]:
        """What every job is told."""
        memory = ("--memory", str(self.memory_bytes))
        return memory if self.disk_bytes is None else (*memory, "--max-disk", str(self.disk_bytes))


class RehearsalError(ValueError):
    """A job fails on this machine although nothing is done to it: the choices do not fit, or the engine is broken."""


def run_campaign(choices: Choices, place: Path | None = None, *, say: Callable[[str], object] = print) -> Tally:
    """Do it all in a new directory in `place` (default the system's temp directory), which is removed in the end.

    Raises RehearsalError; ValueError and OSError kinds for what keeps the inputs from being made.
    """
    with _workshop(place) as root:
        return _Campaign(choices, root, say).run()


@contextmanager
def _workshop(place: Path | None) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="spillway-stress-", dir=place))
    try:
        yield root
    finally:
        shutil.rmtree(root)


class _Campaign:
    def __init__(self, choices: Choices, root: Path, say: Callable[[str], object]) -> None:
        self._choices, self._root, self._say = choices, root, say
        self._temp_dir = root / "spill"
        self._temp_dir.mkdir(mode=0o700)
        self._tally = Tally()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._materials: dict[str, Material] = {}
        self._usual_seconds: dict[tuple[Verb, str], float] = {}

    def run(self) -> Tally:
        """Make the inputs, run every job once unharmed, then hurt."""
        started = time.perf_counter()
        lanes = [self._lane(number) for number in range(self._choices.lanes)]
        self._prepare(lanes[0])
        deadline = started + self._choices.seconds
        with ThreadPoolExecutor(len(lanes), thread_name_prefix="spillway-stress") as threads:
            try:
                for done in [threads.submit(self._work, lane, deadline) for lane in lanes]:
                    done.result()
            finally:
                self._ended.set()
        self._count_leftovers(lanes)
        self._tally.seconds = time.perf_counter() - started
        return self._tally

    def _lane(self, number: int) -> Lane:
        lane = Lane(self._root / f"lane{number}", self._temp_dir)
        for verb in VERBS:
            lane.home(verb).mkdir(parents=True)
        return lane

    def _prepare(self, lane: Lane) -> None:
        for kind in self._choices.kinds:
            material = make_material(self._root, kind, self._choices.records, self._choices.seed)
            self._materials[kind] = material
            self._say(f"{kind}: {material.content.records:,} records, {format_size(material.content.size_bytes)}")
            for verb in VERBS:
                ended = self._try(Trial(0, verb, kind, UNHARMED, 0), lane)
                if ended.status:
                    raise RehearsalError(f"{verb} of {kind} fails unharmed: {ended.message.removeprefix('spillway: ')}")
                self._usual_seconds[verb, kind] = ended.seconds

    def _work(self, lane: Lane, deadline: float) -> None:
        while time.perf_counter() < deadline and not self._ended.is_set():
            choices = self._choices
            with self._lock:
                number = next(self._numbers)
            trial = draw_trial(
                number,
                choices.seed,
                kinds=choices.kinds,
                kill_every=choices.kill_every,
                fault_rate=choices.fault_rate,
                input_bytes=choices.input_bytes,
            )
            self._try(trial, lane)

    def _try(self, trial: Trial, lane: Lane) -> Ended:
        material = self._materials[trial.kind]
        prepare(trial, lane)
        usual = self._usual_seconds.get((trial.verb, trial.kind), 0.0)
        ended = run_victim(trial, material, lane, self._choices.resources, usual)
        verdict = judge(trial, material, lane, ended, self._choices.memory_bytes)
        with self._lock:
            self._tally.note(trial, ended, verdict)
            for problem in verdict.problems:
                self._say(f"job {trial.number}: {problem}")
        return ended

    def _count_leftovers(self, lanes: Sequence[Lane]) -> None:
        """What is there after an unharmed job in every lane, which sweeps what dead ones left."""
        for lane in lanes:
            for verb in VERBS:
                self._try(Trial(next(self._numbers), verb, self._choices.kinds[0], UNHARMED, 0), lane)
        sweep(self._temp_dir)
        left = [*self._temp_dir.iterdir()]
        self._tally.leftovers = len(left)
        for path in left:
            self._tally.complain(f"left behind: {path}")


__all__ = ["Choices", "RehearsalError", "run_campaign"]
