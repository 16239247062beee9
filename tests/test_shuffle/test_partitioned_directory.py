"""An output directory: whole or not at all, and never over what is not ours."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from io_manager import DiskFullError, platform_files
from shuffle.partitioned import output_directory
from shuffle.partitioned.output_directory import OutputDirectory

MARK = "manifest.json"


def make(path: Path, *, overwrite: bool = False, text: str = "new") -> OutputDirectory:
    made = OutputDirectory(path, mark=MARK, overwrite=overwrite)
    made.open(10)
    (made.partial / MARK).write_text(text)
    return made


def test_nothing_shows_until_publish(tmp_path: Path) -> None:
    made = make(tmp_path / "out")
    (partial,) = tmp_path.iterdir()
    assert partial.name.startswith(".out.") and stat.S_IMODE(partial.stat().st_mode) == 0o700
    made.publish()
    made.abandon()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o777 & ~platform_files.current_umask()


def test_abandon_leaves_nothing(tmp_path: Path) -> None:
    made = make(tmp_path / "out")
    made.abandon()
    made.abandon()
    assert list(tmp_path.iterdir()) == []
    OutputDirectory(tmp_path / "never opened", mark=MARK, overwrite=False).abandon()


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    make(tmp_path / "out").publish()
    assert (tmp_path / "out" / MARK).read_text() == "new"


@pytest.mark.parametrize("can_exchange", [True, False])
def test_overwrite_replaces_an_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool) -> None:
    if not can_exchange:
        monkeypatch.setattr(output_directory, "_exchange", lambda left, right: False)
    make(tmp_path / "out", text="old").publish()
    with pytest.raises(FileExistsError, match=r"holds an output already.*--overwrite"):
        make(tmp_path / "out")
    made = make(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / MARK).read_text() == "old"
    made.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / MARK).read_text() == "new"


@pytest.mark.parametrize("overwrite", [True, False])
def test_what_is_not_ours_is_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="holds files that no shuffle wrote"):
        make(tmp_path / "out", overwrite=overwrite)
    assert (tmp_path / "out" / "letter.txt").read_text() == "dear" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("overwrite", [True, False])
def test_what_came_there_meanwhile_stays(tmp_path: Path, overwrite: bool) -> None:
    made = make(tmp_path / "out", overwrite=overwrite)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    with pytest.raises(OSError, match="no shuffle wrote" if overwrite else "not empty"):
        made.publish()
    made.abandon()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "letter.txt").read_text() == "dear"


def a_file(path: Path) -> None:
    path.write_text("old")


def nothing(path: Path) -> None:
    path.parent.rmdir()


def no_permission(path: Path) -> None:
    path.parent.chmod(0o555)


@pytest.mark.parametrize(
    ("prepare", "error", "words"),
    [
        (a_file, NotADirectoryError, "is a file. Name a directory"),
        (nothing, FileNotFoundError, "there is no directory .* Create it"),
        pytest.param(
            no_permission,
            PermissionError,
            "no permission to write in .* Choose another",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere"),
        ),
    ],
)
def test_what_cannot_be_made(tmp_path: Path, prepare: Callable[[Path], None], error: type[OSError], words: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    prepare(home / "out")
    with pytest.raises(error, match=words):
        make(home / "out")


def test_a_disk_that_is_too_small(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="the disk is full: needed"):
        OutputDirectory(tmp_path / "out", mark=MARK, overwrite=False).open(1 << 60)
    assert list(tmp_path.iterdir()) == []


def test_what_dead_jobs_left_is_swept_and_what_lives_is_not(tmp_path: Path) -> None:
    alive, other = make(tmp_path / "out"), tmp_path / ".outer.0123456789abcdef.partial"
    dead = tmp_path / ".out.0123456789abcdef.partial"
    for path in (dead, other):
        path.mkdir()
        (path / "part-00000.txt").write_text("half")
    make(tmp_path / "out").publish()
    assert set(tmp_path.iterdir()) == {alive.partial, other, tmp_path / "out"}
    alive.abandon()


def test_one_that_is_swept_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = fcntl.flock, []

    def flock(fd: int, how: int) -> None:
        real(fd, how)
        calls.append(fd)
        if len(calls) == 1:
            made.partial.rmdir()

    made = OutputDirectory(tmp_path / "out", mark=MARK, overwrite=False)
    monkeypatch.setattr(fcntl, "flock", flock)
    made.open(None)
    assert made.partial.is_dir() and len(calls) == 2
    made.abandon()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data/real")
    (tmp_path / "data" / "real").mkdir()
    make(tmp_path / "link").publish()
    assert (tmp_path / "link").is_symlink() and (tmp_path / "data" / "real" / MARK).is_file()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["real"]
