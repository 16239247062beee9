"""Lines and records in a directory of files by range: the sorted output, cut."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from io_manager import DiskFullError, platform_files
from serializers import fixed, lines
from shuffle import files
from shuffle.errors import RecordFormatError
from shuffle.partitioned import part_files, partitioned_output
from shuffle.partitioned.request import ShuffleError
from tests import tiny
from tests.test_shuffle.partitioned import CASES, SERIAL, check, content, cut, random_lines, shuffle

KIB = 1 << 10
BUDGETS = [96 * KIB, 128 * KIB, 256 * KIB, 1024 * KIB]


@pytest.mark.parametrize("name", CASES)
def test_ranges_of_lines(name: str) -> None:
    data = CASES[name]
    for partitions in (1, 3, 100):
        with tiny.machine(managed_bytes=BUDGETS[partitions % 2]) as machine:
            directory = shuffle(machine, data, partitions, threads=2)
            parts = cut(data, tiny.LINES, partitions)
            check(directory, parts, tiny.LINES)
            assert b"".join(parts) == machine.sort(data)


def test_two_thousand_files() -> None:
    data = random_lines(9000, hot=0.3)
    with tiny.machine() as machine:
        check(shuffle(machine, data, 2000, threads=2), cut(data, tiny.LINES, 2000), tiny.LINES)


def test_one_hot_key_spans_partitions_in_order() -> None:
    rng = random.Random(7)
    records = [b"abc" + (b"HH" if rng.random() < 0.9 else rng.randbytes(2)) + b"%07d" % n for n in range(4000)]
    data = b"".join(records)
    with tiny.machine() as machine:
        parts = cut(data, tiny.SERIAL, 8)
        check(shuffle(machine, data, 8, **SERIAL), parts, tiny.SERIAL, suffix=".bin")
    assert sum(part[3:5] == b"HH" == part[-9:-7] for part in parts) >= 6


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("budget", BUDGETS[::3])
def test_the_same_bytes_for_any_budget_and_threads(budget: int, threads: int) -> None:
    data = CASES["long"] + CASES["ordinary"]
    with tiny.machine(managed_bytes=budget) as machine:
        directory = shuffle(machine, data, 11, threads=threads, reverse=True)
        check(directory, cut(data, tiny.LINES, 11, reverse=True), tiny.LINES)


LINE = st.tuples(
    st.sampled_from([b"", b"a", b"b", b"\xff", b"p" * 70]),
    st.sampled_from([0, 1, 5, 60, 400] * 8 + [3904, 8000, 33_000]),
)


@settings(deadline=None, max_examples=25)
@given(
    parts=st.lists(st.lists(LINE, max_size=60), min_size=1, max_size=3),
    partitions=st.integers(1, 40),
    times=st.integers(1, 8),
    delimiter=st.sampled_from([b"\n", b"\0"]),
    reverse=st.booleans(),
    threads=st.sampled_from([1, 2, 4]),
    budget=st.sampled_from(BUDGETS),
)
def test_ranges_of_anything(
    parts: list[list[tuple[bytes, int]]],
    partitions: int,
    times: int,
    delimiter: bytes,
    reverse: bool,
    threads: int,
    budget: int,
) -> None:
    inputs = []
    for part in parts:
        texts = [key + b"-" * length + delimiter for key, length in part]
        inputs.append(b"".join(texts * times if sum(map(len, texts)) < 60_000 else texts))
    layout = lines(delimiter)
    with tiny.machine(managed_bytes=budget) as machine:
        choices: Any = {"delimiter": delimiter, "reverse": reverse, "threads": threads}
        directory = shuffle(machine, inputs, partitions, **choices)
        check(directory, cut(b"".join(inputs), layout, partitions, reverse=reverse), layout)


@settings(deadline=None, max_examples=12)
@given(
    record_bytes=st.sampled_from([1, 2, 12, 100, 3904, 9000]),
    count=st.integers(0, 300),
    partitions=st.integers(1, 40),
    reverse=st.booleans(),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 1 << 16),
)
def test_ranges_of_records(
    record_bytes: int, count: int, partitions: int, reverse: bool, threads: int, seed: int
) -> None:
    data = random.Random(seed).randbytes(record_bytes * count)
    layout = fixed(record_bytes, key_offset=record_bytes // 3)
    choices: Any = {"record_bytes": record_bytes, "key_offset": record_bytes // 3}
    with tiny.machine(managed_bytes=1024 * KIB) as machine:
        directory = shuffle(machine, data, partitions, reverse=reverse, threads=threads, **choices)
        check(directory, cut(data, layout, partitions, reverse=reverse), layout, suffix=".bin")


def test_whole_pages_go_past_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system takes them: the bytes are the same."""
    monkeypatch.setattr(partitioned_output, "DIRECT_TOTAL_BYTES_MIN", 0)
    monkeypatch.setattr(partitioned_output, "DIRECT_PART_BYTES_MIN", 0)
    monkeypatch.setattr(part_files, "SYNC_BYTES", 50_000)
    data = CASES["giants"] + CASES["ordinary"] * 4
    for partitions in (1, 3, 20):
        with tiny.machine(managed_bytes=256 * KIB) as machine:
            check(shuffle(machine, data, partitions, threads=2), cut(data, tiny.LINES, partitions), tiny.LINES)


# --- what goes wrong


@pytest.mark.parametrize("partitioner", ["range", "hash"])
def test_a_full_disk_leaves_nothing(monkeypatch: pytest.MonkeyPatch, partitioner: str) -> None:
    real = platform_files.write_exactly
    written = []

    def refuse(fd: int, view: memoryview, offset: int) -> None:
        if ".parts." in str(Path(f"/proc/self/fd/{fd}").readlink()):
            written.append(len(view))
            if len(written) > 20:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(fd, view, offset)

    monkeypatch.setattr(platform_files, "write_exactly", refuse)
    with tiny.machine(managed_bytes=512 * KIB) as machine:
        with pytest.raises(DiskFullError, match="the disk is full"):
            shuffle(machine, CASES["ordinary"], 100, partitioner=partitioner)
        assert not (machine.directory / "parts").exists()


@pytest.mark.parametrize("partitioner", ["range", "hash", "round-robin"])
def test_records_that_do_not_fill_the_file(partitioner: str) -> None:
    with tiny.machine() as machine:
        with pytest.raises(
            RecordFormatError, match=r"1000 bytes are no whole number of records of 12 bytes \(4 are left"
        ):
            shuffle(machine, bytes(1000), 3, partitioner=partitioner, **SERIAL)
        assert not (machine.directory / "parts").exists()


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"partitions": 0}, "1 to 10,000"),
        ({"partitions": 10_001}, "1 to 10,000"),
        ({"partitioner": "modulo"}, "'modulo' is no partitioner: there are range, hash, round-robin"),
        ({"sort_by": "x", "format": "lines"}, "lines and records have no columns"),
        ({"output_format": "csv"}, "lines and records have no columns"),
        ({"format": "xml"}, "'xml' is no format"),
        ({"format": "csv"}, "give --by"),
        ({"aggregates": "count"}, "give --by"),
        ({"by": "a", "aggregates": "count", "partitioner": "round-robin"}, "--agg combines"),
        ({"by": "a", "reverse": True}, "leave out --reverse"),
        ({"by": "a", "record_bytes": 2}, "the options of lines and records"),
        ({"format": "fixed"}, "say with --record-bytes"),
        ({"format": "lines", "record_bytes": 2}, "lines have no --record-bytes"),
        ({"unique": True}, "leave out --unique"),
        ({"limit": 3}, "leave out --unique and --limit"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path: Path, choices: dict[str, Any], words: str) -> None:
    source = tmp_path / "input"
    source.write_bytes(b"a\n")
    with pytest.raises(ShuffleError, match=words):
        files.shuffle_file(source, tmp_path / "parts", **{"partitions": 2, **choices})
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("partitioner", ["range", "hash"])
def test_everything_is_durable_before_it_has_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, partitioner: str
) -> None:
    real, durable, shown = os.fsync, set(), []

    def fsync(fd: int) -> None:
        real(fd)
        durable.add(os.fstat(fd).st_ino)
        shown.append((tmp_path / "parts").exists())

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "input").write_bytes(CASES["ordinary"])
    files.shuffle_file(tmp_path / "input", tmp_path / "parts", partitions=20, partitioner=partitioner, memory="100MiB")
    made = [tmp_path, tmp_path / "parts", *(tmp_path / "parts").iterdir()]
    assert len(made) == 23 and {path.stat().st_ino for path in made} <= durable
    assert shown == [False] * (len(shown) - 1) + [True], "only the directory around it is left to be told"


def test_content_adds_up() -> None:
    left, right = content(b"a\nb\n", tiny.LINES), content(b"c\n", tiny.LINES)
    nothing = content(b"", tiny.LINES)
    whole = content(b"a\nb\nc\n", tiny.LINES)
    assert left + right == whole == nothing + left + nothing + right
