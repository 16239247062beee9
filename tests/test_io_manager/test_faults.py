"""Faults happen when they should, do what they say, and are counted."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from io_manager import platform_files, system
from io_manager.faults import ACTIONS, ENVIRONMENT, Fault, Faults

DATA = bytes(range(256)) * 64


@pytest.fixture
def fd(tmp_path: Path) -> int:
    """An open file that holds `DATA`."""
    fd = platform_files.open_new(tmp_path / "file", direct=False)
    platform_files.write_exactly(fd, memoryview(DATA), 0)
    yield fd  # type: ignore[misc]
    os.close(fd)


def read(fd: int) -> bytes:
    """One call."""
    view = bytearray(len(DATA))
    return bytes(view[: system.preadv(fd, [memoryview(view)], 0)])


def test_nothing_happens_unless_asked(fd: int) -> None:
    with Faults([]) as faults:
        assert read(fd) == DATA
    assert faults.calls == {"preadv": 1} and not faults.injected
    read(fd)
    assert faults.calls["preadv"] == 1, "disarmed"


def test_the_second_call_fails_and_no_other(fd: int) -> None:
    with Faults([Fault("EIO", operations=("preadv",), at=2)]) as faults:
        system.fstat(fd)
        read(fd)
        with pytest.raises(OSError) as caught:
            read(fd)
        assert read(fd) == DATA
    assert caught.value.errno == errno.EIO and faults.calls == {"fstat": 1, "preadv": 3}
    (done,) = faults.injected
    assert (done.action, done.operation, done.number, Path(done.target).name) == ("EIO", "preadv", 2, "file")


def test_from_then_on(fd: int) -> None:
    with Faults([Fault("EIO", at=2, lasting=True)]) as faults:
        read(fd)
        for _ in range(3):
            with pytest.raises(OSError):
                read(fd)
    assert len(faults.injected) == 3


def test_at_random_and_again_with_the_same_seed(fd: int) -> None:
    def numbers(seed: int) -> list[int]:
        with Faults([Fault("short", rate=0.3)], seed=seed) as faults:
            for _ in range(200):
                read(fd)
        return [each.number for each in faults.injected]

    assert numbers(1) == numbers(1) != numbers(2)
    assert 30 < len(numbers(1)) < 90


def test_only_some_files(fd: int, tmp_path: Path) -> None:
    with Faults([Fault("EACCES", at=1, files="*/secret")]) as faults:
        read(fd)
        with pytest.raises(PermissionError) as caught:
            system.open(tmp_path / "secret", os.O_RDONLY)
    assert caught.value.filename == str(tmp_path / "secret") and len(faults.injected) == 1


def test_short_and_early_ends(fd: int) -> None:
    with Faults([Fault("short", at=1)]):
        assert 0 < len(read(fd)) < len(DATA)
    with Faults([Fault("end", at=1)]):
        assert read(fd) == b""
    with Faults([Fault("end", at=1)]):
        assert system.pwritev(fd, [memoryview(DATA)], 0) == 0
    with Faults([Fault("short", rate=0.9)]):
        view = memoryview(bytearray(len(DATA)))
        assert platform_files.read_exactly(fd, view, 0) == len(DATA) and view == DATA


@pytest.mark.parametrize("action", ["flip", "zero", "swap"])
@pytest.mark.parametrize("data", [DATA, bytes(4096), bytes(range(256)) * 2, b"x"], ids=len)
def test_spoilt_bytes_are_others(tmp_path: Path, action: str, data: bytes) -> None:
    fd = platform_files.open_new(tmp_path / "spoilt", direct=False)
    before = bytearray(data)
    with Faults([Fault(action, operations=("pwritev",), at=1)], seed=5):
        system.pwritev(fd, [memoryview(before)], 0)
    assert before == data, "what the caller holds stays"
    written = os.pread(fd, len(data) + 1, 0)
    assert written != data and len(written) == len(data)
    with Faults([Fault(action, at=1)], seed=5):
        assert system.pread(fd, len(data), 0) != written
    os.close(fd)


def test_a_disk_fills_up(tmp_path: Path) -> None:
    fd = platform_files.open_new(tmp_path / "file", direct=False)
    with Faults([Fault("full", room_bytes=10_000)]):
        system.pwritev(fd, [memoryview(bytes(8000))], 0)
        assert system.pread(fd, 9000, 0) == bytes(8000)
        for _ in range(2):
            with pytest.raises(OSError) as caught:
                system.pwritev(fd, [memoryview(bytes(8000))], 8000)
            assert caught.value.errno == errno.ENOSPC
    system.close(fd)


def test_interrupted_calls_are_made_again(fd: int, tmp_path: Path) -> None:
    with Faults([Fault("EINTR", rate=0.7)]) as faults:
        for _ in range(20):
            assert read(fd) == DATA
        platform_files.preallocate(fd, 10)
        descriptor = system.open(tmp_path / "file", os.O_RDONLY)
        system.close(descriptor)
    assert len(faults.injected) > 20
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_a_descriptor_is_closed_whatever_close_says(tmp_path: Path) -> None:
    for close in (system.close, system.close_written):
        fd = system.open(tmp_path, os.O_RDONLY)
        with Faults([Fault("EIO", at=1)]):
            if close is system.close:
                close(fd)
            else:
                with pytest.raises(OSError):
                    close(fd)
        with pytest.raises(OSError):
            os.fstat(fd)
    with pytest.raises(OSError):
        system.close(fd)  # a second time is a mistake of ours


def test_hints_are_never_missed(fd: int) -> None:
    with Faults([Fault("EIO", at=1, lasting=True)]) as faults:
        platform_files.advise_sequential(fd)
        platform_files.start_writeback(fd, 0, 4096)
    assert {each.operation for each in faults.injected} == {"fadvise", "sync_file_range"}


def test_threads_are_counted_together(fd: int) -> None:
    with Faults([Fault("short", at=300)]) as faults:
        threads = [threading.Thread(target=lambda: [read(fd) for _ in range(100)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert faults.calls["preadv"] == 400 and [each.number for each in faults.injected] == [300]


def test_what_is_no_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="'EWHAT' is no fault: an errno, or one of short, end"):
        Fault("EWHAT")
    assert [Fault(action).action for action in ACTIONS] == list(ACTIONS)


# --- other processes


READS_ITSELF = """
import os, io_manager
from io_manager import system
fd = os.open(__file__ if "__file__" in globals() else "/dev/null", os.O_RDONLY)
for number in range(4):
    try:
        system.pread(fd, 10, 0)
        print(number, "read")
    except OSError as error:
        print(number, error.errno)
"""


def test_a_process_is_armed_by_its_environment(tmp_path: Path) -> None:
    faults = Faults([Fault("EIO", operations=("pread",), at=2), Fault("EPERM", at=4)], log=tmp_path / "log")
    environment = {**os.environ, **faults.environment()}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", READS_ITSELF], env=environment, cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", "read", "1", str(errno.EIO), "2", "read", "3", str(errno.EPERM)]
    told = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [(each["action"], each["operation"], each["number"]) for each in told] == [
        ("EIO", "pread", 2),
        ("EPERM", "pread", 4),
    ]


@pytest.mark.parametrize(
    "text", ["", "x", "{}", '{"faults": [{}], "seed": 1, "log": null}', '{"faults": 3, "seed": 1}']
)
def test_an_environment_that_describes_none(text: str) -> None:
    with pytest.raises(ValueError, match=f"{ENVIRONMENT} describes no faults"):
        Faults.from_text(text)
