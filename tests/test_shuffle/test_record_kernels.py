"""Lines and records as rows, and the hashes of rows, against their slow twins."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from serializers import SLACK_BYTES, RecordLayout, fixed, lines
from shuffle.kernels import verify as verify_kernel
from shuffle.kernels.records import read_rows
from shuffle.partitioned import record_stream
from shuffle.partitioned.record_stream import layout_numbers, record_rows
from tests import naive

LAYOUTS = [lines(), lines(b"\0"), fixed(1), fixed(12, key_offset=3, key_bytes=2), fixed(300, key_bytes=200)]


def padded(data: bytes) -> np.ndarray:
    """The bytes, with noise behind them."""
    noise = random.Random(len(data)).randbytes(SLACK_BYTES)
    return np.frombuffer(data + noise, np.uint8).copy()


def records_of(layout: RecordLayout, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    if not layout.is_lines:
        return [rng.randbytes(layout.record_bytes) for _ in range(500)]
    end = bytes([layout.delimiter])
    return [
        rng.randbytes(rng.choice([0, 1, 20, 126, 127, 128, 129, 20_000])).replace(end, b"") + end for _ in range(300)
    ]


def row_of(layout: RecordLayout, record: bytes, number: bytes = b"") -> bytes:
    """The row of one record."""
    value = b"" if layout.is_lines else record
    return naive.make_row(number + layout.key(record), value, key_varies=layout.is_lines)


@pytest.mark.parametrize("layout", LAYOUTS, ids=RecordLayout.describe)
@pytest.mark.parametrize("at_a_time", [1, 7, 1 << 16])
def test_rows_of_records(monkeypatch: pytest.MonkeyPatch, layout: RecordLayout, at_a_time: int) -> None:
    monkeypatch.setattr(record_stream, "RECORDS_MAX", at_a_time)
    records = records_of(layout, at_a_time)
    data = b"".join(records)
    held = padded(data)
    found = []
    for rows in record_rows(held.data[: len(data)], layout):
        assert 0 < len(rows.ends) <= at_a_time
        starts = [0, *rows.ends.tolist()]
        found += [rows.data[start:end].tobytes() for start, end in pairwise(starts)]
    assert found == [row_of(layout, record) for record in records]


@pytest.mark.parametrize("layout", LAYOUTS, ids=RecordLayout.describe)
@pytest.mark.parametrize("partition_bytes", [0, 2, 4])
def test_records_of_rows(layout: RecordLayout, partition_bytes: int) -> None:
    """A call ends where the number of the partition changes."""
    records = records_of(layout, partition_bytes)
    numbers = (
        sorted(random.Random(3).choices([0, 1, 255, 256, 9999], k=len(records)))
        if partition_bytes
        else [0] * len(records)
    )
    rows = [
        row_of(layout, record, number.to_bytes(4, "big")[4 - partition_bytes :])
        for record, number in zip(records, numbers, strict=True)
    ]
    held = padded(b"".join(rows))
    target = np.empty(len(held) + SLACK_BYTES, np.uint8)
    start = first = held.ctypes.data
    found: dict[int, bytes] = {}
    while start < first + len(held) - SLACK_BYTES:
        start, end, number = read_rows(
            start, first + len(held) - SLACK_BYTES, partition_bytes, layout_numbers(layout), target.ctypes.data
        )
        assert number not in found
        found[int(number)] = target[: end - target.ctypes.data].tobytes()
    expected: dict[int, bytes] = {}
    for record, number in zip(records, numbers, strict=True):
        expected[number] = expected.get(number, b"") + record
    assert found == expected


def test_hashes_of_rows() -> None:
    rng = random.Random(5)
    rows = [rng.randbytes(rng.choice([1, 7, 8, 9, 15, 16, 17, 31, 32, 100])) for _ in range(200)]
    held, ends = padded(b"".join(rows)), np.cumsum([len(row) for row in rows]).astype(np.uint32)
    state = np.zeros(verify_kernel.STATE_WORDS, np.uint64)
    verify_kernel.hash_rows(held.ctypes.data, ends[:120], state)
    verify_kernel.hash_rows(held.ctypes.data + int(ends[119]), ends[120:] - ends[119], state)
    found = int(state[verify_kernel.SUM_HIGH]) << 64 | int(state[verify_kernel.SUM_LOW])
    assert found == naive.fingerprint(rows)
