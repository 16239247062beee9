"""A temp directory in any state: what is not a dead job of ours is left as it is, and no job fails for it."""

import fcntl
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from io_manager import sweep
from io_manager.job_directory import JobDirectory
from io_manager.owner import Owner
from tests import tiny
from tests.test_cli import without_root_privileges

ROOT = Path(__file__).parents[2]
NAME = "spillway-" + "0123456789abcdef" * 2
Make = Callable[[Path], object]


def owner_file(text: bytes) -> Make:
    """A directory with this owner file, and a run."""

    def make(path: Path) -> None:
        path.mkdir()
        (path / "owner.json").write_bytes(text)
        (path / "run-1.spill").write_bytes(b"somebody's")

    return make


def edited(**fields: object) -> Make:
    """The owner file of a dead process, changed."""
    owner = asdict(replace(Owner.this_process(), started=1))
    return owner_file(json.dumps({"format": "spillway-owner-1", **owner, **fields}).encode())


def with_special_owner(make_special: Make) -> Make:
    """A directory whose owner file is no file."""

    def make(path: Path) -> None:
        path.mkdir()
        make_special(path / "owner.json")

    return make


LEFT_ALONE: dict[str, Make] = {
    "a file": lambda path: path.write_bytes(b"mine"),
    "a link that leads nowhere": lambda path: path.symlink_to("/nowhere/at/all"),
    "a link to a directory": lambda path: path.symlink_to(path.parent),
    "a pipe": os.mkfifo,
    "an owner file that is a directory": with_special_owner(Path.mkdir),
    "an owner file that is a pipe": with_special_owner(os.mkfifo),
    "an owner file that is a link": with_special_owner(lambda path: path.symlink_to("owner.json")),
    "an owner file full of noise": owner_file(bytes(range(256)) * 40),
    "an owner file that is cut": owner_file(b'{"format": "spillway-owner-1", "pid": 1'),
    "an owner file of another version": edited(format="spillway-owner-2"),
    "an owner file without end": owner_file(b"[" * 100_000),
    "numbers beyond all bounds": edited(pid=float("inf")),
    "a number of many digits": edited(created=10**400),
    "no number": edited(pid="1; rm -rf"),
    "of another machine": edited(host="elsewhere", boot_id="another"),
}


def everything(directory: Path) -> list[tuple[str, int, bytes]]:
    """Names, kinds and bytes."""
    found = []
    for path in sorted(directory.rglob("*")):
        kind = stat.S_IFMT(path.lstat().st_mode)
        found.append((str(path.relative_to(directory)), kind, path.read_bytes() if stat.S_ISREG(kind) else b""))
    return found


@pytest.mark.parametrize("what", LEFT_ALONE)
def test_what_is_not_ours_is_left_alone(tmp_path: Path, what: str) -> None:
    LEFT_ALONE[what](tmp_path / NAME)
    before = everything(tmp_path)
    assert sweep(tmp_path) == [] and everything(tmp_path) == before


def test_no_job_fails_for_it() -> None:
    """All of it in one directory, and a dead job too."""
    data = b"".join(b"%07d\n" % (n * 7919 % 100_003) for n in range(20_000))
    with tiny.machine() as machine:
        foreign = [machine.temp_dir / f"spillway-{number:032x}" for number in range(len(LEFT_ALONE))]
        for path, make in zip(foreign, LEFT_ALONE.values(), strict=True):
            make(path)
        before = everything(machine.temp_dir)
        dead(machine.temp_dir / NAME)
        assert machine.sort(data) == tiny.sorted_bytes(data)
        assert everything(machine.temp_dir) == before
        for path in foreign:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            _remove(inner)
        path.rmdir()
    else:
        path.unlink()


@pytest.mark.parametrize("name", [NAME + "0", NAME.upper(), NAME[:-1], NAME + ".old", " " + NAME, "spillway"])
def test_names_that_are_only_similar_are_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert sweep(tmp_path) == [] and (tmp_path / name).is_dir()


def dead(path: Path) -> None:
    edited()(path)


@pytest.mark.parametrize("seconds", [0, 4_000_000_000], ids=["in the past", "in the future"])
def test_the_clock_says_nothing(tmp_path: Path, seconds: int) -> None:
    living = JobDirectory(tmp_path, direct=False)
    dead(tmp_path / NAME)
    for path in tmp_path.rglob("*"):
        os.utime(path, (seconds, seconds))
    assert [found.path for found in sweep(tmp_path)] == [tmp_path / NAME]
    assert list(tmp_path.iterdir()) == [living.path]
    living.remove()


def test_a_directory_in_a_dead_one_is_nobodys_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dead(tmp_path / NAME)
    (tmp_path / NAME / "not ours" / "deeper").mkdir(parents=True)
    for _ in range(2):
        caplog.clear()
        assert sweep(tmp_path) == [] and (tmp_path / NAME / "not ours" / "deeper").is_dir()
        (warning,) = caplog.messages
        assert NAME in warning and "could not be removed" in warning


def test_a_lock_counts_whatever_the_owner_file_says(tmp_path: Path) -> None:
    """Another container sees other process numbers, but the same lock."""
    dead(tmp_path / NAME)
    with (tmp_path / NAME / "owner.json").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert sweep(tmp_path) == []
    assert [found.path for found in sweep(tmp_path)] == [tmp_path / NAME]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files that belong to someone else")
def test_a_dead_job_of_another_user_is_left_to_that_user(tmp_path: Path) -> None:
    dead(tmp_path / NAME)
    os.chown(tmp_path / NAME, 12345, 12345)
    before = everything(tmp_path)
    assert sweep(tmp_path) == [] and everything(tmp_path) == before


@pytest.mark.parametrize("mode", [0o000, 0o500, 0o400])
def test_a_dead_job_that_cannot_be_entered_stops_nobody(tmp_path: Path, mode: int) -> None:
    dead(tmp_path / NAME)
    (tmp_path / NAME).chmod(mode)
    code = (
        "import sys; from pathlib import Path; from io_manager.directories import JobDirectories\n"
        "made = JobDirectories([sys.argv[1]], max_disk_bytes=None, direct=False)\n"
        "assert made.create() == []; made.close()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=without_root_privileges())
    (tmp_path / NAME).chmod(0o700)
    assert done.returncode == 0 and "left by a dead job, could not be removed: Permission denied" in done.stderr, done
    assert (tmp_path / NAME / "run-1.spill").read_bytes() == b"somebody's"
    assert list(tmp_path.iterdir()) == [tmp_path / NAME]
