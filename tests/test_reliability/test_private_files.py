"""Spill files are this user's alone, from the first moment, whatever umask, temp directory and neighbours do.

The temp directory itself may be a link: that is its owner's choice. Nothing inside it is followed.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import shuffle
from io_manager import job_directory, partial_file, platform_files, system
from io_manager.doomed import remove_doomed
from io_manager.errors import SpillError, TempDirError
from tests import tiny
from tests.test_reliability.amounts import amount, report
from tests.test_reliability.spilling import JOBS, small_machine, sort_lines

NAMES = 10_000
RANDOM_BITS_MIN = 64
NOBODY = 65534


# --- modes and flags


class Made:
    """What was made below a directory: its mode at the first write, and how it was opened."""

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self.flags: dict[str, int] = {}
        self.file_modes: dict[str, int] = {}
        self.directory_modes: dict[str, int] = {}

    def look(self, operation: str, function: Callable[..., Any], *args: Any) -> Any:
        """An interceptor."""
        done = function(*args)
        if operation == "open" and str(args[0]).startswith(self._directory) and _makes(args[1]):
            self.flags[str(args[0])] = args[1]
        if operation == "pwritev":
            self._note(args[0])
        return done

    def _note(self, fd: int) -> None:
        """When the first byte is written, it is private already."""
        path = Path(f"/proc/self/fd/{fd}").readlink()
        if str(path).startswith(self._directory):
            self.file_modes[str(path)] = stat.S_IMODE(os.fstat(fd).st_mode)
            if path.parent.exists():
                self.directory_modes[str(path.parent)] = stat.S_IMODE(path.parent.stat().st_mode)


def _makes(flags: int) -> bool:
    return bool(flags & os.O_CREAT) or flags & os.O_TMPFILE == os.O_TMPFILE


@contextmanager
def watched(directory: Path) -> Iterator[Made]:
    made = Made(directory)
    before = system.intercept(made.look)
    try:
        yield made
    finally:
        system.intercept(before)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


SOME = ("sort_lines", "join_tables", "shuffle_objects")
MASKS = [(name, 0o000) for name in JOBS]
MASKS += [(name, 0o777) for name in amount(SOME, [*JOBS]) if name != "shuffle_lines"]  # its output would be unreadable
MASKS += [(name, mask) for name in amount((), [*JOBS]) for mask in (0o022, 0o077)]


@pytest.mark.parametrize(("name", "mask"), MASKS)
def test_spill_files_are_private_whatever_the_umask(name: str, mask: int) -> None:
    with small_machine() as machine:
        with umask(mask), watched(machine.temp_dir) as made:
            JOBS[name](machine)
        private = {path: mode for path, mode in made.directory_modes.items() if path != str(machine.temp_dir)}
        assert made.file_modes and set(made.file_modes.values()) == {0o600}
        assert set(private.values()) <= {0o700} and (private or name == "join_tables")
        assert all(re.fullmatch(r"spillway-[0-9a-f]{32}", Path(path).name) for path in private)
        for path, flags in made.flags.items():
            assert flags & os.O_EXCL and flags & os.O_CLOEXEC, path
            assert flags & os.O_NOFOLLOW or flags & os.O_TMPFILE == os.O_TMPFILE, path


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_outputs_have_the_mode_that_the_umask_says_once_they_are_whole(mask: int) -> None:
    with tiny.machine() as machine, umask(mask), watched(machine.directory) as made:
        machine.sort(b"b\na\n")
        [partial] = [path for path in made.file_modes if path.endswith(".partial")]
        assert made.file_modes[partial] == 0o600
        assert stat.S_IMODE(machine.output.stat().st_mode) == 0o666 & ~mask
        [path] = machine.write(b"b\na\n")
        shuffle.shuffle_file(path, machine.directory / "parts", partitions=2, temp_dirs=[machine.temp_dir])
        parts = [mode for name, mode in made.directory_modes.items() if "parts" in name]
        assert parts and set(parts) == {0o700}, "hidden until they are whole"
        assert stat.S_IMODE((machine.directory / "parts").stat().st_mode) == 0o777 & ~mask
        assert stat.S_IMODE((machine.directory / "parts" / "manifest.json").stat().st_mode) == 0o666 & ~mask


# --- names


def test_names_are_not_to_be_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def mkdir(path: Path, mode: int) -> None:
        taken.append(path.name)
        raise FileExistsError

    monkeypatch.setattr(system, "mkdir", mkdir)
    while len(taken) < NAMES:
        with pytest.raises(TempDirError, match="something is playing tricks"):
            job_directory.JobDirectory(tmp_path, direct=False)
    partials = [partial_file.partial_path(tmp_path / "output").name for _ in range(NAMES)]
    for names in (taken, partials):
        digits = [max(re.findall(r"[0-9a-f]{8,}", name), key=len) for name in names]
        assert len(set(digits)) == len(digits) >= NAMES
        assert all(4 * len(each) >= RANDOM_BITS_MIN for each in digits)
        ones = sum(int(each, 16).bit_count() for each in digits) / sum(4 * len(each) for each in digits)
        assert 0.49 < ones < 0.51
    report("private names", names=2 * NAMES, repeated=0)


# --- links and strangers


@pytest.mark.parametrize("kind", ["link", "file", "directory"])
def test_what_was_planted_under_a_name_is_left_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = job_directory.secrets.token_hex
    with small_machine() as machine:
        victim, planted = machine.directory / "victim", machine.temp_dir / f"spillway-{'0' * 32}"
        victim.mkdir()
        {"link": lambda: planted.symlink_to(victim), "file": planted.touch, "directory": planted.mkdir}[kind]()
        if kind == "directory":
            (planted / "of a stranger").touch()
        names = iter(["0" * 32])
        monkeypatch.setattr(job_directory.secrets, "token_hex", lambda size=None: next(names, None) or real(size))
        sort_lines(machine)
        assert not list(victim.iterdir()) and (kind != "directory" or len(list(planted.iterdir())) == 1)
        shutil.rmtree(planted) if kind == "directory" else planted.unlink()


def test_a_temp_directory_may_be_a_link() -> None:
    with small_machine() as machine:
        link = machine.directory / "link"
        link.symlink_to(machine.temp_dir)
        data = b"".join(b"%05d\n" % (n * 7919 % 5003) for n in range(5003))
        with watched(machine.temp_dir) as made:
            [path] = machine.write(data)
            shuffle.sort_file(path, machine.output, temp_dirs=[link])
        assert machine.output.read_bytes() == tiny.sorted_bytes(data)
        assert made.file_modes and link.is_symlink()


@pytest.mark.parametrize("puts", ["link", "directory", "nothing"])
@pytest.mark.parametrize("at", [1, 2, *amount((5,), range(3, 13))])
def test_a_job_directory_that_is_replaced_does_no_harm(at: int, puts: str, tmp_path: Path) -> None:
    """By somebody who may: the temp directory is writable for all, and not sticky. Nothing is written elsewhere."""
    temp_dir, victim, moved = tmp_path / "temp", tmp_path / "victim", tmp_path / "moved"
    temp_dir.mkdir()
    victim.mkdir()
    victim.chmod(0o777)
    calls = iter(range(1, 1 << 30))

    def replace(operation: str, function: Callable[..., Any], *args: Any) -> Any:
        if operation == "open" and str(args[0]).endswith(".spill") and args[1] & os.O_CREAT and next(calls) == at:
            [directory] = temp_dir.iterdir()
            directory.rename(moved)
            {"link": lambda: directory.symlink_to(victim), "directory": lambda: _open_to_all(directory)}.get(
                puts, lambda: None
            )()
        return function(*args)

    data = b"".join(b"%05d\n" % (n * 7919 % 20011) for n in range(20011))
    with pytest.MonkeyPatch.context() as patch:
        tiny.shrink(patch)
        tiny.give(patch, managed_bytes=96 << 10, direct_bytes=192 << 10, on_plan=lambda plan: None)
        (tmp_path / "input").write_bytes(data)
        before = system.intercept(replace)
        try:
            with pytest.raises(SpillError, match=re.escape(str(temp_dir))):
                shuffle.sort_file(tmp_path / "input", tmp_path / "output", temp_dirs=[temp_dir], threads=1)
        finally:
            system.intercept(before)
    remove_doomed()  # as at the end of the process, which has to leave alone what is not its own
    assert not list(victim.iterdir()), "a file was written where a link led to"
    assert all(not list(path.iterdir()) for path in temp_dir.iterdir() if path.is_dir() and not path.is_symlink())
    assert not (tmp_path / "output").exists()


def _open_to_all(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o777)


def test_a_private_file_wants_a_private_directory(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    _open_to_all(open_to_all)
    (tmp_path / "link").symlink_to(tmp_path)
    for place in (open_to_all, tmp_path / "link"):
        with pytest.raises(OSError):
            platform_files.open_private(place / "file", direct=False)
    fd = platform_files.open_private(tmp_path / "file", direct=False)
    os.close(fd)
    with pytest.raises(FileExistsError):
        platform_files.open_private(tmp_path / "file", direct=False)


@pytest.mark.parametrize("has_tmpfile", [True, False])
def test_a_file_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_tmpfile: bool) -> None:
    if not has_tmpfile:
        monkeypatch.delattr(os, "O_TMPFILE")
    with umask(0):
        fd = platform_files.open_unnamed(tmp_path)
    try:
        status = os.fstat(fd)
        assert status.st_nlink == 0 and stat.S_IMODE(status.st_mode) == 0o600 and not list(tmp_path.iterdir())
    finally:
        os.close(fd)


def _try_everything(root: Path, over: int) -> tuple[int, list[str]]:
    """What somebody tries in another's temp directory, until `over` can be read: how often, and what he got."""
    tries, found = 0, []
    while not select.select([over], [], [], 0)[0]:
        for place in root.iterdir():
            for what, work in (
                ("list", lambda place: list(place.iterdir())),
                ("read", lambda place: (place / "owner.json").read_bytes()),
                ("move", lambda place: place.rename(f"{place}.moved")),
                ("write", lambda place: (place / "planted").touch()),
                ("remove", lambda place: place.rmdir()),
                ("open up", lambda place: place.chmod(0o777)),
                ("enter", lambda place: os.chdir(place)),
            ):
                tries += 1
                with suppress(OSError):
                    work(place)
                    found.append(f"{what} {place}")
    return tries, found


@contextmanager
def neighbour(root: Path) -> Iterator[list[Any]]:
    """Another user at work in `root`. A fork, because an interpreter of root's may not be his to start."""
    end, over = os.pipe()[::-1]
    told, tell = os.pipe()
    process_id = os.fork()
    if not process_id:
        os.close(end)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.write(tell, b"ready\n")
        os.write(tell, json.dumps(_try_everything(root, over)).encode())
        os._exit(0)
    os.close(tell)
    os.close(over)
    answer: list[Any] = []
    with os.fdopen(told, "rb") as reader:
        assert reader.readline() == b"ready\n"
        try:
            yield answer
        finally:
            os.close(end)
            answer += json.loads(reader.read())
            os.waitpid(process_id, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_neighbour_gets_nothing() -> None:
    """In a temp directory like /tmp, writable for all and sticky, he tries as often as he can while jobs spill."""
    with small_machine() as machine, umask(0):
        for directory in (machine.directory, machine.temp_dir):
            directory.chmod(0o1777)
        with neighbour(machine.temp_dir) as answer:
            for _ in range(amount(4, 100)):
                sort_lines(machine)
        tries, found = answer
        assert tries > 100, "he did not come to it"
        assert found == []
        report("private neighbour", attempts=tries, gained=0)


# --- outputs: what stands there is replaced as a whole, and where a link leads to is where the output goes

LINES, SORTED = b"b\na\n", b"a\nb\n"


def test_a_link_is_written_through_and_a_hard_link_is_not(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(LINES)
    real, link, twin = tmp_path / "real", tmp_path / "link", tmp_path / "twin"
    real.write_bytes(b"old")
    link.symlink_to(real)
    twin.hardlink_to(real)
    shuffle.sort_file(tmp_path / "input", link)
    assert link.is_symlink() and real.read_bytes() == SORTED
    assert twin.read_bytes() == b"old", "the other name keeps the old file: the output is a new one"


def test_the_input_by_another_path_is_sorted_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("symbolic", "hard", "relative"):
        path, other = tmp_path / f"{name}.txt", tmp_path / f"{name}.other"
        path.write_bytes(LINES)
        if name == "symbolic":
            other.symlink_to(path)
        elif name == "hard":
            other.hardlink_to(path)
        else:
            other = Path("..") / tmp_path.name / path.name
        shuffle.sort_file(path, other)
        assert other.read_bytes() == SORTED
        assert path.read_bytes() == (LINES if name == "hard" else SORTED)


def test_what_cannot_be_replaced_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(LINES)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    shuffle.sort_file(tmp_path / "input", pipe)
    reader.join(20)
    assert found == [SORTED] and stat.S_ISFIFO(pipe.stat().st_mode)
    command = [sys.executable, "-c", "import cli; cli.main()", "sort", "input", "/dev/stdout"]
    environment = {**os.environ, "PYTHONPATH": str(Path(shuffle.__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True, timeout=60)
    assert done.stdout == SORTED and Path("/dev/stdout").exists()
    with pytest.raises(IsADirectoryError, match="Name a file in it"):
        shuffle.sort_file(tmp_path / "input", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input", "pipe"]
