"""What a killed job left goes at the next start; what lives, or was never ours, stays."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from io_manager import IOManager, sweep, system
from io_manager.job_directory import JobDirectory
from io_manager.owner import Owner
from tests.test_io_manager.harness import run

ROOT = Path(__file__).parents[2]
CHILD = """
import sys
from pathlib import Path
from io_manager.job_directory import JobDirectory
directory = JobDirectory(Path(sys.argv[1]), direct=False)
(directory.path / "run-1.spill").write_bytes(bytes(100_000))
print(directory.path, flush=True)
sys.stdin.read()
"""
NAME = "spillway-" + "ab" * 16


@contextmanager
def living_job(temp_dir: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A real process that holds a job directory until it is killed."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(temp_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert child.stdin and child.stdout
    try:
        yield child, Path(child.stdout.readline().strip())
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


def test_a_killed_job_is_swept_and_a_living_one_is_not(tmp_path: Path) -> None:
    with living_job(tmp_path) as (child, path):
        assert path.is_dir() and sweep(tmp_path) == []
        child.kill()
        child.wait()
        (found,) = sweep(tmp_path)
        assert found.path == path and found.freed_bytes >= 100_000
        assert sweep(tmp_path) == [] and not list(tmp_path.iterdir())


def test_the_next_job_sweeps_at_its_start(tmp_path: Path) -> None:
    with living_job(tmp_path) as (child, path):
        child.kill()
        child.wait()

        async def next_job() -> None:
            async with IOManager([tmp_path]) as io:
                assert [found.path for found in io.swept] == [path] and not path.exists()

        run(next_job())


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    with living_job(tmp_path) as (child, path):
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, not yet waited for
        assert [found.path for found in sweep(tmp_path)] == [path]


def test_our_own_directory_is_alive(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path, direct=False)
    assert sweep(tmp_path) == []
    directory.remove()


def stale(temp_dir: Path, owner_text: bytes | None, name: str = NAME) -> Path:
    """A job directory without a lock, old enough to be dead."""
    path = temp_dir / name
    path.mkdir(mode=0o700)
    if owner_text is not None:
        (path / "owner.json").write_bytes(owner_text)
    os.utime(path, (0, 0))
    return path


def test_a_process_number_used_again_is_another_process(tmp_path: Path) -> None:
    stale(tmp_path, replace(Owner.this_process(), started=1).to_bytes())
    assert len(sweep(tmp_path)) == 1


def test_a_living_owner_counts_even_without_its_lock(tmp_path: Path) -> None:
    stale(tmp_path, Owner.this_process().to_bytes())
    assert sweep(tmp_path) == []


def test_owners_of_other_boots_and_machines(tmp_path: Path) -> None:
    me = Owner.this_process()
    stale(tmp_path, replace(me, boot_id="before").to_bytes())
    stale(tmp_path, replace(me, boot_id="before", host="elsewhere").to_bytes(), NAME[:-1] + "0")
    assert [found.path.name for found in sweep(tmp_path)] == [NAME]


@pytest.mark.parametrize("text", [b"[]", b'{"format": "other"}', b"\xff\xfe", b'{"pid": 1}'])
def test_a_foreign_owner_file_is_left_alone(tmp_path: Path, text: bytes) -> None:
    assert Owner.from_bytes(text) is None
    path = stale(tmp_path, text)
    assert sweep(tmp_path) == [] and path.is_dir()


def test_foreign_directories_are_left_alone(tmp_path: Path) -> None:
    dead = replace(Owner.this_process(), started=1).to_bytes()
    for name in ("spillway-notes", "spillway-" + "AB" * 16, "x" + NAME):
        stale(tmp_path, dead, name)
    treasure = stale(tmp_path, None)
    (treasure / "photo.jpg").write_text("")
    os.utime(treasure, (0, 0))
    assert sweep(tmp_path) == [] and (treasure / "photo.jpg").exists()


def test_a_job_that_died_before_it_owned_its_directory_is_swept_at_once(tmp_path: Path) -> None:
    path = tmp_path / NAME
    for make in (lambda: None, lambda: (path / "owner.draft").touch()):
        path.mkdir()
        make()
        assert [found.path for found in sweep(tmp_path)] == [path]
        assert not path.exists()


def test_a_draft_under_lock_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.mkdir()
    with (path / "owner.draft").open("w") as draft:
        fcntl.flock(draft, fcntl.LOCK_EX)
        assert sweep(tmp_path) == [] and (path / "owner.draft").exists()
    assert [found.path for found in sweep(tmp_path)] == [path]


def test_a_directory_without_owner_that_holds_files_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.mkdir()
    (path / "run-1.spill").touch()
    assert sweep(tmp_path) == [] and (path / "run-1.spill").exists()


@pytest.mark.parametrize("step", range(7))
def test_a_job_swept_as_it_starts_makes_itself_another_directory(tmp_path: Path, step: int) -> None:
    """Before each of its first steps somebody else sweeps, who cannot know that it lives."""
    calls = iter(range(100))

    def sweep_first(operation: str, function: Callable[..., object], *args: object) -> object:
        if threading.current_thread() is maker and next(calls) == step:
            other = threading.Thread(target=sweep, args=[tmp_path])
            other.start()
            other.join()
        return function(*args)

    made: list[JobDirectory] = []
    maker = threading.Thread(target=lambda: made.append(JobDirectory(tmp_path, direct=False)))
    before = system.intercept(sweep_first)
    try:
        maker.start()
        maker.join()
    finally:
        system.intercept(before)
    assert list(tmp_path.iterdir()) == [made[0].path] and sweep(tmp_path) == []
    made[0].remove()
    assert list(tmp_path.iterdir()) == []


def test_links_are_never_followed(tmp_path: Path) -> None:
    victim, temp_dir = tmp_path / "victim", tmp_path / "temp"
    temp_dir.mkdir()
    victim.mkdir()
    dead = replace(Owner.this_process(), started=1).to_bytes()
    (victim / "owner.json").write_bytes(dead)
    (temp_dir / NAME).symlink_to(victim)
    assert sweep(temp_dir) == [] and (victim / "owner.json").exists()
    (temp_dir / NAME).unlink()
    path = stale(temp_dir, dead)
    (path / "run-1.spill").symlink_to(victim / "owner.json")
    assert len(sweep(temp_dir)) == 1 and (victim / "owner.json").exists()


def test_a_marker_that_is_a_link_is_no_marker(tmp_path: Path) -> None:
    real = tmp_path / "owner"
    real.write_bytes(replace(Owner.this_process(), started=1).to_bytes())
    path = stale(tmp_path, None)
    (path / "owner.json").symlink_to(real)
    assert sweep(tmp_path) == [] and path.is_dir()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.EACCES])
def test_nobody_is_dead_because_nobody_could_be_asked(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    owner = Owner.this_process()

    def refuse(*_: object, **__: object) -> str:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "read_text", refuse)
    assert not owner.is_dead()
