"""The same bytes as GNU sort, for every option that both have: in memory, and with so little that all of it spills.

    ours                                        GNU sort, with LC_ALL=C
    sort                                        sort
    --reverse, --unique, --zero-terminated      -r, -u, -z
    --record-bytes --key-offset --key-bytes     -s -k 1.FROM,1.TO, of lines of one length
    --limit N                                   | head -n N
    merge                                       -m
    check, and its exit status                  -c
    sort_table(by=["a", "-b"]) of a CSV file    -s -t, -k 1,1 -k 2,2nr

Equal lines cannot be told apart, so `-s` matters only where the key is a part of the record; ours is always stable.
There is no difference that had to be documented.

One job sorts a hundred cases, each with a number in front of its records, which is the first part of their keys.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from shuffle.verify import check_file
from tests import tiny
from tests.test_reliability import amounts

GNU_SORT = shutil.which("sort")
VERSION = subprocess.run(["sort", "--version"], capture_output=True, check=False).stdout if GNU_SORT else b""
pytestmark = pytest.mark.skipif(b"GNU coreutils" not in VERSION, reason="there is no GNU sort on this machine")

CASES = 100
NUMBER_BYTES = 5
KIB = 1 << 10
ALPHABETS = (b"ab", bytes(range(256)), b"0123456789.-+ ", b"aA\x00\xff\x80\t\r ", "äöü€😀a".encode())

Options = dict[str, Any]


@dataclass
class Job:
    """Inputs, and the same options in both languages."""

    inputs: list[bytes]
    options: Options = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    limit: int | None = None


def gnu_sort(directory: Path, job: Job, *more: str) -> subprocess.CompletedProcess[bytes]:
    """What GNU sort makes of the inputs."""
    names = []
    for number, data in enumerate(job.inputs):
        names.append(str(directory / f"gnu{number}"))
        Path(names[-1]).write_bytes(data)
    words = ["sort", *job.words, *more, *names]
    return subprocess.run(words, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"})


def sorted_by_gnu(directory: Path, job: Job) -> bytes:
    done = gnu_sort(directory, job)
    assert done.returncode == 0, done.stderr
    if job.limit is None:
        return done.stdout
    delimiter = job.options.get("delimiter", b"\n")
    return b"".join(line + delimiter for line in done.stdout.split(delimiter)[:-1][: job.limit])


def line(random: Random, delimiter: bytes, alphabet: bytes) -> bytes:
    """Without its end."""
    made = bytes(random.choices(alphabet, k=random.choice((0, 1, 2, 7, 8, 9, 20, 70))))
    return made.replace(delimiter, b"")


def line_job(random: Random) -> Job:
    """A hundred cases of lines."""
    delimiter = random.choice((b"\n", b"\n", b"\0"))
    records = []
    for case in range(CASES):
        alphabet = random.choice(ALPHABETS)
        prefix = b"%04d|" % case + bytes(random.choices(b"xy", k=random.choice((0, 0, 60))))
        records += [prefix + line(random, delimiter, alphabet) + delimiter for _ in range(random.randint(1, 30))]
    random.shuffle(records)
    options: Options = {"delimiter": delimiter}
    words = ["-z"] if delimiter == b"\0" else []
    for name, word in (("reverse", "-r"), ("unique", "-u")):
        if random.random() < 0.4:
            options[name] = True
            words.append(word)
    limit = random.randrange(len(records) + 10) if random.random() < 0.2 else None
    if limit is not None:
        options["limit"] = limit
    return Job(in_parts(random, records), options, words, limit)


def record_job(random: Random) -> Job:
    """A hundred cases of records of one length: the number stands right in front of the key."""
    offset, key_bytes, rest = random.randrange(9), random.randint(1, 12), random.randrange(20)
    records = []
    for case in range(CASES):
        letters = random.choice((b"ab", b"0123456789", bytes(byte for byte in range(256) if byte not in (1, 10))))
        for _ in range(random.randint(1, 30)):
            parts = [bytes(random.choices(letters, k=size)) for size in (offset, key_bytes, rest)]
            records.append(parts[0] + b"%04d|" % case + parts[1] + parts[2] + b"\n")
    random.shuffle(records)
    key = {"key_offset": offset, "key_bytes": NUMBER_BYTES + key_bytes}
    options: Options = {"record_bytes": len(records[0]), **key}
    words = ["-s", "-t", "\x01", "-k", f"1.{offset + 1},1.{offset + NUMBER_BYTES + key_bytes}"]
    for name, word in (("reverse", "-r"), ("unique", "-u")):
        if random.random() < 0.4:
            options[name] = True
            words.append(word)
    return Job(in_parts(random, records), options, words)


def in_parts(random: Random, records: list[bytes]) -> list[bytes]:
    """One file or several."""
    cuts = sorted(random.randrange(len(records) + 1) for _ in range(random.choice((0, 0, 1, 3))))
    bounds = zip([0, *cuts], [*cuts, len(records)], strict=True)
    return [b"".join(records[start:stop]) for start, stop in bounds]


@pytest.mark.parametrize("managed_bytes", [4 << 20, 96 * KIB], ids=["in memory", "spilled"])
@pytest.mark.parametrize("part", range(amounts.amount(1, 4)))
@pytest.mark.parametrize("make", [line_job, record_job])
def test_hundreds_of_cases(make: Any, part: int, managed_bytes: int) -> None:
    random = amounts.source("gnu", make.__name__, part, managed_bytes)
    count, spilled, must_spill = amounts.amount(1, 65), 0, managed_bytes < KIB * KIB
    for number in range(20 * count):
        if number >= count and bool(spilled) == must_spill:
            break
        job = make(random)
        with tiny.machine(managed_bytes=managed_bytes) as machine:
            found = machine.sort(job.inputs, **job.options)
            assert found == sorted_by_gnu(machine.directory, job), (job.options, job.words)
            spilled += machine.report.spilled_bytes
    assert bool(spilled) == must_spill
    amounts.report(f"GNU sort: {make.__name__}", comparisons=count * CASES, jobs=count, spilled=spilled, differences=0)


# --- what is odd about a whole input


ODD = [
    *(b"", b"\n", b"\n\n", b"a", b"b\na", b"b\na\n", b"\n" * 5000),
    *(b"\0", b"a\0b\n", b"\r\n\r\na\r\n", b"b\ra\r", b" a\na\n a\n", b"\xff\n\xfe\n\x80\n\x7f\n"),
    *(b"\xef\xbb\xbfb\na\n", "b\u2028a\n".encode(), b"=1+1\n@x\n-2\n+3\n", b"-0\n0\n00\n+0\n", b"1e3\n1000\n"),
    *(b"a" * 5000 + b"\n" + b"a" * 4999 + b"\n", b"x" * 20000),
]
WAYS: list[tuple[Options, list[str]]] = [
    ({}, []),
    ({"delimiter": b"\0", "unique": True}, ["-z", "-u"]),
    ({"reverse": True}, ["-r"]),
    ({"reverse": True, "unique": True}, ["-r", "-u"]),
]


@pytest.mark.parametrize("way", range(amounts.amount(2, len(WAYS))))
def test_odd_inputs(way: int) -> None:
    options, words = WAYS[way]
    with tiny.machine(managed_bytes=96 * KIB) as machine:
        for data in ODD:
            assert machine.sort(data, **options) == sorted_by_gnu(machine.directory, Job([data], options, words)), data
    amounts.report("GNU sort: odd inputs", comparisons=len(ODD), jobs=len(ODD), differences=0)


# --- merge and check


@pytest.mark.parametrize("make", [line_job, record_job])
def test_merges(make: Any) -> None:
    random = amounts.source("gnu merge", make.__name__)
    count = amounts.amount(1, 20)
    for _ in range(count):
        job = make(random)
        job.limit = job.options.pop("limit", None) and None
        with tiny.machine(managed_bytes=256 * KIB) as machine:
            job.inputs = [sorted_by_gnu(machine.directory, Job([data], words=job.words)) for data in job.inputs]
            job.words.append("-m")
            assert machine.merge(job.inputs, **job.options) == sorted_by_gnu(machine.directory, job), job.options
    amounts.report(f"GNU sort -m: {make.__name__}", comparisons=count * CASES, jobs=count, differences=0)


def test_checks(tmp_path: Path) -> None:
    """In order or not, and if not, which line is the first."""
    random = amounts.source("gnu check")
    count, disorders = amounts.amount(10, 600), 0
    for _ in range(count):
        lines = [line(random, b"\n", random.choice(ALPHABETS)) + b"\n" for _ in range(random.randint(0, 30))]
        reverse, unique = random.random() < 0.5, random.random() < 0.5
        words = ["-r"] * reverse + ["-u"] * unique
        if random.random() < 0.7:
            lines.sort(reverse=reverse)
        job = Job([b"".join(lines)], words=words)
        done = gnu_sort(tmp_path, job, "-c")
        found = check_file(tmp_path / "gnu0", tiny.LINES, reverse=reverse, unique=unique, memory_bytes=1 << 20)
        assert found.in_order == (done.returncode == 0), (lines, words)
        if not found.in_order:
            disorders += 1
            assert b":%d: disorder" % (found.first_disorder or 0) in done.stderr, done.stderr
    assert disorders
    amounts.report("GNU sort -c", comparisons=count, jobs=count, differences=0)


# --- columns of a table


def test_columns(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import shuffle

    random = amounts.source("gnu columns")
    count = amounts.amount(2, 60)
    for _ in range(count):
        rows = [f"{name(random)},{random.randint(-20, 10**9)},{place}" for place in range(random.randint(1, 300))]
        (tmp_path / "table.csv").write_text("\n".join(["name,amount,place", *rows, ""]))
        first, second = random.choice(("", "-")), random.choice(("", "-"))
        with shuffle.sort_table(
            tmp_path / "table.csv", by=[f"{first}name", f"{second}amount"], memory="200MiB"
        ) as done:
            found = [",".join(map(str, row.values())) for row in done.to_table().to_pylist()]
        keys = [f"1,1{'r' if first else ''}", f"2,2n{'r' if second else ''}"]
        job = Job(["\n".join([*rows, ""]).encode()], words=["-s", "-t,", "-k", keys[0], "-k", keys[1]])
        assert "\n".join([*found, ""]).encode() == sorted_by_gnu(tmp_path, job), keys
    amounts.report("GNU sort -k: columns of a table", comparisons=count, jobs=count, differences=0)


def name(random: Random) -> str:
    """A short word, of few."""
    return "".join(random.choices("abcZ", k=random.randint(1, 4)))
