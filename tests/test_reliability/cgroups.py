"""Commands in a memory control group of their own: so much memory, no swap, and whoever wants more is killed.

    with MemoryGroup(192 << 20) as group:
        ran = group.run([*SPILLWAY, "sort", "-S", "192MiB", source, output])
    assert ran.killed == 0 and ran.resident_bytes <= 192 << 20

The group is made within the group this process is in (version 1), or beside it (version 2, which allows no group
within one that has processes). It counts what a container counts: memory of all its processes, page cache that they
were first to use, and what the kernel holds for them.
"""

from __future__ import annotations

import functools
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from memory import MIB

_ROOT = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
_SAMPLE_SECONDS = 0.02
_ROOT_OF_TESTS = Path(__file__).parent.parent.parent
_SECONDS_MAX = 600

# The shell enters the group and becomes the command, so no page of this process is ever counted.
_ENTER = 'echo $$ > "$0" && exec "$@"'


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it took.

    resident_bytes   the most that all processes had resident at one time, pages that they share counted for each:
                     the sum of VmRSS, looked at every 20 ms, or the VmHWM of one of them if that is more
    group_bytes      the most that was charged to the group, page cache included
    killed           processes that the kernel killed for want of memory
    """

    status: int
    stdout: bytes
    stderr: str
    seconds: float
    cpu_seconds: float
    resident_bytes: int
    processes: int
    group_bytes: int
    killed: int

    def describe(self) -> str:
        """One line for people."""
        return (
            f"{self.resident_bytes / MIB:.1f} MiB resident in {self.processes} processes, "
            f"{self.group_bytes / MIB:.1f} MiB in the group, {self.killed} killed, "
            f"{self.seconds:.1f} s, {self.cpu_seconds:.1f} s of a processor, status {self.status}"
        )


@dataclass(frozen=True)
class _Files:
    """What one version of control groups calls its files."""

    limit: str
    swap: str
    peak: str
    used: str


_VERSION_1 = _Files("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max_usage_in_bytes", "")
_VERSION_2 = _Files("memory.max", "memory.swap.max", "memory.peak", "memory.current")


@functools.cache
def why_none() -> str | None:
    """Why no group can be made here; None where one can."""
    try:
        with MemoryGroup(64 * MIB) as group:
            done = group.run(["true"])
    except OSError as error:
        return f"no memory control group can be made here: {error}"
    return None if done.status == 0 else f"no process can enter a memory control group here: {done.stderr.strip()}"


class MemoryGroup:
    """A context manager. Raises OSError, with the reason, where no group can be made."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._home, self._files = _find_home()
        self._path = self._home / f"spillway-test-{os.getpid()}-{secrets.token_hex(4)}"

    def __enter__(self) -> Self:
        self._path.mkdir()
        try:
            self._write(self._files.limit, self.limit_bytes)
            self._forbid_swap()
        except BaseException:
            self._path.rmdir()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.processes():  # only after a failure: a command has been waited for, and its workers end first
            os.kill(pid, 9)
        deadline = time.monotonic() + 10
        while self._path.exists():
            try:
                self._path.rmdir()
            except OSError:  # a process that was killed leaves a moment later
                if time.monotonic() > deadline:
                    raise
                time.sleep(_SAMPLE_SECONDS)

    def run(self, words: Sequence[object], *, stdin: IO[bytes] | int = subprocess.DEVNULL) -> Ran:
        """Run a command in the group to its end."""
        command = ["/bin/sh", "-c", _ENTER, str(self._path / "cgroup.procs"), *map(str, words)]
        watch, started = _Watch(self), time.perf_counter()
        before = os.times()
        process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=_ROOT_OF_TESTS
        )
        with process, watch:
            try:
                stdout, stderr = process.communicate(timeout=_SECONDS_MAX)
            except BaseException:
                process.kill()
                raise
        after = os.times()
        return Ran(
            status=process.returncode,
            stdout=stdout,
            stderr=stderr.decode(),
            seconds=time.perf_counter() - started,
            cpu_seconds=sum(after[2:4]) - sum(before[2:4]),
            resident_bytes=watch.resident_bytes,
            processes=len(watch.pids),
            group_bytes=max(self._number(self._files.peak), watch.used_bytes),
            killed=self._event("oom_kill"),
        )

    def processes(self) -> list[int]:
        """Those that are in it now."""
        return [int(line) for line in (self._path / "cgroup.procs").read_text().split()]

    def used_bytes(self) -> int:
        """What is charged to it now, where it does not keep the peak itself; else 0."""
        return 0 if (self._path / self._files.peak).exists() else self._number(self._files.used)

    def _forbid_swap(self) -> None:
        limit = 0 if self._files is _VERSION_2 else self.limit_bytes  # in version 1, of memory and swap together
        if (self._path / self._files.swap).exists():
            self._write(self._files.swap, limit)
        elif len((_PROC / "swaps").read_text().splitlines()) > 1:
            raise OSError("this machine swaps, and its control groups do not count that")

    def _event(self, name: str) -> int:
        file = "memory.events" if self._files is _VERSION_2 else "memory.oom_control"
        lines = (line.split() for line in (self._path / file).read_text().splitlines())
        return sum(int(value) for key, value in lines if key == name)

    def _number(self, name: str) -> int:
        file = self._path / name
        return int(file.read_text()) if file.exists() else 0

    def _write(self, name: str, value: int) -> None:
        (self._path / name).write_text(str(value))


@dataclass
class _Watch:
    """A thread that looks at the processes of a group while a command runs."""

    group: MemoryGroup
    pids: set[int] = field(default_factory=set)
    resident_bytes: int = 0
    used_bytes: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            pids = self.group.processes()
            figures = [_resident_of(pid) for pid in pids]
            self.pids.update(pids)
            together = sum(now for now, _ in figures)
            self.resident_bytes = max(self.resident_bytes, together, *(peak for _, peak in figures))
            self.used_bytes = max(self.used_bytes, self.group.used_bytes())


def _resident_of(pid: int) -> tuple[int, int]:
    """What a process has resident now, and the most it ever had; nothing of one that has ended."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0, 0
    told = {line.partition(":")[0]: line for line in lines}
    now, peak = (int(told[name].split()[1]) << 10 if name in told else 0 for name in ("VmRSS", "VmHWM"))
    return now, peak


def _find_home() -> tuple[Path, _Files]:
    """The group to make groups in: ours in version 1; in version 2 the nearest one that shares memory out."""
    names = {}
    for line in (_PROC / "self" / "cgroup").read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        names.update(dict.fromkeys(controllers.split(","), name.lstrip("/")))
    if "memory" in names:
        return _existing(_ROOT / "memory" / names["memory"], _ROOT / "memory"), _VERSION_1
    group = _existing(_ROOT / names.get("", ""), _ROOT)
    for home in (group, *group.parents):
        shared_out = home / "cgroup.subtree_control"
        if shared_out.exists() and "memory" in shared_out.read_text().split():
            return home, _VERSION_2
    raise OSError(f"no memory controller is mounted in {_ROOT}")


def _existing(group: Path, root: Path) -> Path:
    """In a container the name of our group may be one that only the host knows."""
    return group if group.is_dir() else root
