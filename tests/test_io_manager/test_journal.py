"""A journal that was cut or changed anywhere is a beginning of what was written, and goes on from there."""

import errno
import os
from pathlib import Path
from random import Random

import pytest

from io_manager import DiskFullError, Journal, SpillError
from io_manager.faults import Fault, Faults
from io_manager.journal import Record, read_journal

RECORDS: list[Record] = [{"kind": "run", "number": number, "name": "é\r\n\0"} for number in range(20)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal"
    journal = Journal.create(path)
    for record in RECORDS:
        journal.append(record, durable=record["number"] == 7)
    journal.close()
    return path


def test_what_was_written_is_read(path: Path) -> None:
    assert read_journal(path) == RECORDS
    assert path.stat().st_mode & 0o777 == 0o600


def test_cut_off_anywhere(path: Path) -> None:
    data = path.read_bytes()
    ends = [at for at, byte in enumerate(data, 1) if byte == ord("\n")]
    for length in range(len(data)):
        path.write_bytes(data[:length])
        assert read_journal(path) == RECORDS[: sum(end <= length for end in ends)]


def test_any_changed_byte_is_found(path: Path) -> None:
    data, rng = path.read_bytes(), Random(3)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        assert read_journal(path) == RECORDS[: data[:at].count(b"\n")]


def test_lines_moved_repeated_or_left_out(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for order in ([0, 2], [0, 1, 1, 2], [1], [0, 1, 3, 2]):
        path.write_bytes(b"".join(lines[each] for each in order))
        good = next(at for at, each in enumerate([*order, -1]) if each != at)
        assert read_journal(path) == RECORDS[:good]


def test_going_on_cuts_off_what_was_not_read(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3] + b"\nnoise\n" * 9)
    journal, records = Journal.resume(path)
    assert records == RECORDS[:-1]
    journal.append({"kind": "more"})
    journal.close()
    assert read_journal(path) == [*RECORDS[:-1], {"kind": "more"}]


@pytest.mark.parametrize("action", ["ENOSPC", "EIO"])
def test_an_append_that_fails_is_not_there_and_can_be_tried_again(tmp_path: Path, action: str) -> None:
    journal = Journal.create(tmp_path / "journal")
    journal.append(RECORDS[0])
    with Faults([Fault("short", ("pwritev",), at=1), Fault(action, ("pwritev",), at=2)]):
        with pytest.raises(DiskFullError if action == "ENOSPC" else SpillError) as caught:
            journal.append(RECORDS[1])
        assert caught.value.errno == getattr(errno, action)
    assert read_journal(tmp_path / "journal") == RECORDS[:1]
    journal.append(RECORDS[2])
    journal.close()
    assert read_journal(tmp_path / "journal") == [RECORDS[0], RECORDS[2]]


def test_none_is_followed_or_made_over(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        read_journal(link)
    with pytest.raises(SpillError):
        Journal.resume(link)
    with pytest.raises(SpillError):
        Journal.create(path)
