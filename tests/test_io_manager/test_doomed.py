"""What must not outlive the process goes with it, however little time there was to note it."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from io_manager import doomed
from io_manager.directories import JobDirectories
from io_manager.doomed import doom, remove_doomed, spare
from io_manager.job_directory import JobDirectory, remove_flat

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Other tests of this process may hold directories."""
    monkeypatch.setattr(doomed, "_doomed", {})
    yield
    assert doomed._doomed == {}


def test_what_is_spared_stays(tmp_path: Path) -> None:
    for name in ("doomed", "spared", "gone"):
        (tmp_path / name).touch()
        doom(tmp_path / name, Path.unlink)
    spare(tmp_path / "spared")
    spare(tmp_path / "spared")
    (tmp_path / "gone").unlink()
    remove_doomed()
    assert [path.name for path in tmp_path.iterdir()] == ["spared"]


def test_what_resists_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def resist(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    doom(tmp_path / "file", resist)
    remove_doomed()
    (message,) = caplog.messages
    assert "file: could not be removed: Permission denied" in message


def test_a_thread_may_still_be_writing(tmp_path: Path) -> None:
    """Files that appear while a directory is emptied go as well."""
    directory, removals = tmp_path / "directory", iter(range(100))
    directory.mkdir()

    def remove(path: Path) -> None:
        if next(removals) < 3:
            (path / "late").touch()
            path.rmdir()
        remove_flat(path)

    doom(directory, remove)
    remove_doomed()
    assert not directory.exists()


def test_job_directories_are_spared_when_they_are_removed_or_left(tmp_path: Path) -> None:
    directories = JobDirectories([tmp_path], max_disk_bytes=None, direct=False)
    directories.create()
    assert set(doomed._doomed) == set(directories.paths)
    directories.close()
    assert not doomed._doomed
    left = JobDirectory(tmp_path, direct=False)
    left.leave()
    assert not doomed._doomed and left.path.is_dir()


def test_they_go_with_the_process_and_not_with_its_children(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from io_manager.job_directory import JobDirectory
directory = JobDirectory(Path(sys.argv[1]), direct=False)
(directory.path / "run-1.spill").touch()
if not os.fork():
    sys.exit()
os.wait()
assert (directory.path / "run-1.spill").exists()
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_threads_may_doom_while_it_is_cleared(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(200)]
    adding = threading.Thread(target=lambda: [doom(path, Path.unlink) for path in paths])
    adding.start()
    for _ in range(50):
        remove_doomed()
    adding.join()
    remove_doomed()
