"""A file object over the boundary: whole reads and writes, each at its own position, closed once."""

import io
import os
from pathlib import Path

import pytest

from io_manager import byte_file, platform_files
from io_manager.byte_file import ByteFile
from io_manager.faults import Fault, Faults

DATA = bytes(range(256)) * 2000


def new(path: Path) -> int:
    return platform_files.open_new(path, direct=False)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    with byte_file.open_writer(new(tmp_path / "file")) as writer:
        for start in range(0, len(DATA), 1000):
            writer.write(DATA[start : start + 1000])
        assert writer.tell() == len(DATA)
    assert (tmp_path / "file").read_bytes() == DATA
    with byte_file.open_reader(platform_files.open_existing(tmp_path / "file", direct=False)) as reader:
        assert reader.read(10) == DATA[:10] and reader.read() == DATA[10:] and reader.read(1) == b""
        assert reader.seek(-6, os.SEEK_END) == len(DATA) - 6 and reader.read(3) == DATA[-6:-3]
        assert reader.seek(-3, os.SEEK_CUR) == len(DATA) - 6


def test_each_has_a_position_of_its_own(tmp_path: Path) -> None:
    fd = new(tmp_path / "file")
    with ByteFile(fd, owns=False) as one, ByteFile(fd, owns=False) as other:
        one.write(DATA)
        assert other.read(5) == DATA[:5] and one.tell() == len(DATA)
    os.close(fd)  # which nobody else has done


def test_short_counts_go_on(tmp_path: Path) -> None:
    with Faults([Fault("short", rate=0.7)]):
        with byte_file.open_writer(new(tmp_path / "file")) as writer:
            writer.write(DATA)
        with byte_file.open_reader(platform_files.open_existing(tmp_path / "file", direct=False)) as reader:
            assert reader.read() == DATA


def test_a_buffer_never_reaches_another_file(tmp_path: Path) -> None:
    """Its descriptor is closed, and the next file has the same number."""
    fd = new(tmp_path / "file")
    raw = ByteFile(fd, owns=False)
    buffered = io.BufferedWriter(raw, 1000)
    buffered.write(b"late")
    raw.close()
    os.close(fd)
    other = new(tmp_path / "other")
    assert other == fd
    del buffered
    assert (tmp_path / "other").read_bytes() == b""
    os.close(other)


@pytest.mark.parametrize("is_written", [False, True])
def test_what_close_says_matters_to_who_wrote(tmp_path: Path, is_written: bool) -> None:
    fd = new(tmp_path / "file")
    file = ByteFile(fd)
    if is_written:
        file.write(b"x")
    with Faults([Fault("EIO", operations=("close",), at=1)]):
        if is_written:
            with pytest.raises(OSError):
                file.close()
        else:
            file.close()
    file.close()
    with pytest.raises(OSError):
        os.fstat(fd)
