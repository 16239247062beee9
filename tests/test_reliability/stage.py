"""Command lines by the thousand: a process that has loaded everything forks itself for each, and saves the start.

    with Stage() as stage:
        run = stage.start(["sort", "-T", ..., "input", "output"], moment=Moment(77, (SIGKILL,)))
        ended = stage.wait(run)           # ended.status is what a shell would see; 128 + n for signal n

What a fork runs is the command as it is installed, but with the memory of a tiny machine, so that 200 KB spill in
dozens of runs. Each leads a process group of its own. Requests and reports go through two pipes.
"""

import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from tests.test_reliability.moments import Moment, Steps

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 60
"""No command here takes a hundredth of it: one that waits for ever fails instead."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CODE = "from tests.test_reliability.stage import serve; serve({requests}, {reports})"


@dataclass(frozen=True)
class Act:
    """What a fork shall do. `record` is a file for what it counted, `log` one for what it says."""

    words: tuple[str, ...]
    stdin: str
    log: str
    record: str
    moment: Moment | None
    managed_bytes: int
    sizes: dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """How a fork ended. `steps` is known if it ended by itself, `struck_at` if its moment came.

    `moved_bytes` is what it had read and written by then.
    """

    status: int
    ended_at: float
    log: str
    steps: int | None
    struck_at: float | None
    moved_bytes: int = 0

    @property
    def seconds_to_stop(self) -> float:
        """From the signal to the end."""
        assert self.struck_at is not None, "the moment never came"
        return self.ended_at - self.struck_at


class Stage:
    """Used in a `with`, by one thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._acts: dict[int, Act] = {}
        self._ends: dict[int, tuple[int, float]] = {}
        self._count = 0

    def __enter__(self) -> Self:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        command = [sys.executable, "-c", _CODE.format(requests=theirs_in, reports=theirs_out)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
        self._server = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=(theirs_in, theirs_out))
        os.close(theirs_in)
        os.close(theirs_out)
        self._requests, self._reports = Connection(ours_out, readable=False), Connection(ours_in, writable=False)
        return self

    def __exit__(self, *error: object) -> None:
        for process_id in self._acts.keys() - self._ends.keys():
            os.killpg(process_id, signal.SIGKILL)
        self._requests.close()
        self._server.wait(SECONDS_MAX)
        self._reports.close()

    def start(
        self,
        words: Sequence[object],
        *,
        stdin: Path | str = os.devnull,
        moment: Moment | None = None,
        managed_bytes: int = 96 << 10,
        **sizes: Any,
    ) -> int:
        """Its process id. `sizes` are those of `tiny.shrink`."""
        self._count += 1
        files = (str(self._directory / f"{name}{self._count}") for name in ("log", "record"))
        act = Act(tuple(map(str, words)), str(stdin), *files, moment, managed_bytes, sizes)
        self._requests.send(act)
        process_id = self._next_report("started")
        self._acts[process_id] = act
        return process_id

    def wait(self, process_id: int) -> Ended:
        """Until it has ended."""
        while process_id not in self._ends:
            self._next_report("ended")
        act, (status, ended_at) = self._acts.pop(process_id), self._ends.pop(process_id)
        record = Path(act.record).read_text().split()
        seen = dict(zip(record[::2], record[1::2], strict=True))
        steps = int(seen["steps"]) if "steps" in seen else None
        struck_at = float(seen["struck"]) if "struck" in seen else None
        log = Path(act.log).read_text(errors="replace")
        for path in (act.log, act.record):
            Path(path).unlink()
        return Ended(status, ended_at, log, steps, struck_at, int(seen.get("moved", 0)))

    def run(self, words: Sequence[object], **choices: Any) -> Ended:
        """Start and wait."""
        return self.wait(self.start(words, **choices))

    def _next_report(self, wanted: str) -> int:
        """Take reports until one is of the kind that is wanted."""
        while True:
            assert self._reports.poll(SECONDS_MAX), f"nothing has {wanted} for {SECONDS_MAX} s"
            kind, process_id, *end = self._reports.recv()
            if kind == "ended":
                self._ends[process_id] = end[0], end[1]
            if kind == wanted:
                return int(process_id)


# --- the server


def serve(requests_fd: int, reports_fd: int) -> None:
    """Fork as asked, and tell who has ended, until nobody asks any more."""
    load()
    requests, reports = Connection(requests_fd, writable=False), Connection(reports_fd, readable=False)
    running: dict[int, int] = {}  # descriptors that become ready when their process has ended
    while True:
        ready, _, _ = select.select([requests, *running], [], [])
        for fd in [fd for fd in running if fd in ready]:
            process_id = running.pop(fd)
            os.close(fd)
            _, status = os.waitpid(process_id, 0)
            reports.send(("ended", process_id, _as_a_shell(status), time.monotonic()))
        if requests in ready:
            try:
                act: Act = requests.recv()
            except EOFError:
                return
            if not (process_id := os.fork()):
                perform(act)
            running[os.pidfd_open(process_id)] = process_id
            reports.send(("started", process_id))


def _as_a_shell(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def load() -> None:
    """Everything that a command imports, and has compiled."""
    import cli

    without_pandas()
    cli.load_engine(
        "shuffle.partitioned.shuffle_file",
        "shuffle.partitioned.record_stream",
        "shuffle.partitioned.table_stream",
        "shuffle.stop_signals",
        "shuffle.verify",
        "tests.tiny",
    )


def without_pandas() -> None:
    """Where it is installed pyarrow would load it, in every fork, to see whether a list is a series."""

    class Absent(MetaPathFinder):
        def find_spec(self, name: str, *_: object) -> None:
            if name == "pandas":
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, Absent())


def perform(act: Act) -> None:
    """In the fork: never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        for number in STOP_SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        stdin, log = os.open(act.stdin, os.O_RDONLY), os.open(act.log, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(stdin, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.closerange(3, 256)
        status = play(act)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def play(act: Act) -> int:
    """The command, watched. Its exit status."""
    import cli

    record = os.open(act.record, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    shrink(act.managed_bytes, **act.sizes)
    steps = Steps(act.moment, lambda now: os.write(record, b"struck %r moved %d " % (now, steps.moved_bytes)))
    steps.watch()
    try:
        status = cli.run(list(act.words))
        for number in STOP_SIGNALS:  # as `cli.main` does: what is done is done
            signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:  # between these two
        status = 128 + signal.SIGINT
    steps.end()
    if "struck" not in Path(act.record).read_text():
        os.write(record, b"moved %d " % steps.moved_bytes)
    os.write(record, b"steps %d " % steps.count)
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def shrink(managed_bytes: int, *, direct_bytes: int = 192 << 10, **sizes: Any) -> None:
    """Make this a tiny machine, for good."""
    import pytest

    from tests import tiny

    patch = pytest.MonkeyPatch()
    tiny.shrink(patch, **sizes)
    tiny.give(patch, managed_bytes=managed_bytes, direct_bytes=direct_bytes)
