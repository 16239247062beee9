"""A file object that seals: the same bytes back, in whatever pieces; nothing else, and no early end."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from io_manager import JobKey, RunCorruptError
from io_manager.sealed_file import SealedFile


@pytest.fixture(params=[True, False])
def sealed(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SealedFile]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield SealedFile(fd, JobKey.generate(encrypts=request.param), tmp_path / "file")
    os.close(fd)


def write(sealed: SealedFile, size: int) -> bytes:
    rng, data = random.Random(size), random.Random(7).randbytes(size)
    writer, place = sealed.writer(), 0
    while place < size:
        step = rng.choice([1, 100, 5000, 300_000])
        writer.write(data[place : place + step])
        place += step
        assert writer.tell() == min(place, size)
    writer.flush()
    return data


@pytest.mark.parametrize("size", [0, 1, (128 << 10) - 1, 128 << 10, 1_000_000])
def test_what_is_written_is_read_as_often_as_wanted(sealed: SealedFile, size: int) -> None:
    data = write(sealed, size)
    for step in (7000, 200_000):
        with sealed.reader() as reader:
            found = b"".join(iter(lambda: reader.read(step) or b"", b""))  # noqa: B023
        assert found == data
    if size > 1000 and sealed.seal.encrypts:
        assert data[:100] not in sealed.path.read_bytes()


def test_no_change_goes_unseen(sealed: SealedFile) -> None:
    write(sealed, 400_000)
    whole = sealed.path.read_bytes()
    piece = 20 + (128 << 10)
    first, second = whole[:piece], whole[piece : 2 * piece]
    spoiled = [second + first + whole[2 * piece :], whole[piece:], whole[:-1], whole[:piece], b""]
    spoiled += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in (0, 3, 4, 19, 20, 200_000)]
    for data in spoiled:
        sealed.path.write_bytes(data)
        with sealed.reader() as reader, pytest.raises(RunCorruptError, match="seal is broken"):
            reader.read(500_000)


def test_it_is_written_once(sealed: SealedFile) -> None:
    write(sealed, 10)
    with pytest.raises(AssertionError, match="written once"):
        sealed.writer()
