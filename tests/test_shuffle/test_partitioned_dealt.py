"""Lines and records in a directory of files by hash, and in turn."""

from __future__ import annotations

import random
from typing import Any

import pytest
import xxhash

from serializers import RecordLayout
from tests import naive, tiny
from tests.test_shuffle.partitioned import CASES, SERIAL, check, shuffle

KIB = 1 << 10


def dealt(
    records: list[bytes], numbers: list[int], partitions: int, layout: RecordLayout, reverse: bool
) -> list[bytes]:
    parts: list[list[bytes]] = [[] for _ in range(partitions)]
    for record, number in zip(records, numbers, strict=True):
        parts[number].append(record)
    return [b"".join(naive.stable_sort(part, layout.key, reverse=reverse)) for part in parts]


def hashed(key: bytes, partitions: int) -> int:
    return xxhash.xxh64_intdigest(key) * partitions >> 64


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("partitioner", ["hash", "round-robin"])
@pytest.mark.parametrize("kind", ["lines", "records"])
def test_dealt_out(kind: str, partitioner: str, reverse: bool) -> None:
    is_lines = kind == "lines"
    layout = tiny.LINES if is_lines else tiny.SERIAL
    data = CASES["long"] + CASES["one hot key"] if is_lines else random.Random(3).randbytes(12 * 5000)
    records, _ = naive.split_records(data, layout)
    for partitions in (1, 7, 300):
        numbers = [n % partitions for n in range(len(records))]
        if partitioner == "hash":
            numbers = [hashed(layout.key(record), partitions) for record in records]
        choices: Any = {} if is_lines else SERIAL
        with tiny.machine(managed_bytes=512 * KIB) as machine:
            directory = shuffle(machine, data, partitions, partitioner=partitioner, reverse=reverse, **choices)
            expected = dealt(records, numbers, partitions, layout, reverse)
            check(directory, expected, layout, suffix=".txt" if is_lines else ".bin")


@pytest.mark.parametrize("name", ["nothing", "one", "unterminated", "empty lines", "giants"])
def test_hash_of_odd_inputs(name: str) -> None:
    data = CASES[name]
    whole = data if data.endswith(b"\n") or not data else data + b"\n"
    records, _ = naive.split_records(whole, tiny.LINES)
    with tiny.machine(managed_bytes=1024 * KIB) as machine:
        directory = shuffle(machine, data, 5, partitioner="hash")
        numbers = [hashed(record[:-1], 5) for record in records]
        check(directory, dealt(records, numbers, 5, tiny.LINES, False), tiny.LINES)
