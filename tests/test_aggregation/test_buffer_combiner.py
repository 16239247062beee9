"""Rows with states in a sort buffer: neighbours with equal keys become one, rows of records stay what they are."""

import random

import numpy as np
import pytest

from memory import MemoryManager
from serializers.columns.pieces import EncodedRows
from serializers.layouts import SLACK_BYTES
from shuffle.aggregation.aggregates import Aggregate
from shuffle.aggregation.finish import Finisher
from shuffle.aggregation.group_rows import BufferCombiner, GroupScan
from shuffle.aggregation.keys import KeyForm
from shuffle.aggregation.state_plan import StatePlan
from shuffle.kernels.states import SIGNED
from shuffle.sort_buffer import SortBuffer
from shuffle.word_sorter import WordSorter
from tests import tiny

COUNT, TOTAL = Aggregate("count"), Aggregate("sum", 0)
PLAN = StatePlan([(COUNT, None), (TOTAL, 0)], [SIGNED])


def row(key: bytes, rest: bytes, number: int, form: KeyForm, *, is_raw: bool) -> bytes:
    """A row of one record."""
    tail = np.array([number] if is_raw else [1, number, 0], np.int64).tobytes() + bytes([is_raw])
    head = bytes([len(key)]) if form.key_bytes is None else b""
    body = head + key + rest + tail
    return bytes([len(body)]) + body


@pytest.mark.parametrize("form", [KeyForm(2), KeyForm(None), KeyForm(None, is_whole=False)])
@pytest.mark.parametrize("raw_share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("key_count", [1, 20, 5000])
def test_equal_keys_are_combined(form: KeyForm, raw_share: float, key_count: int) -> None:
    rng = random.Random(key_count)
    records = []
    for number in range(9000):
        key = rng.randrange(key_count).to_bytes(2, "big")
        key = key if form.key_bytes else key.lstrip(b"\0")
        rest = b"" if form.is_whole else rng.choice([b"x", b"yy"])
        records.append((key, rest, number, rng.random() < raw_share))
    rows = [row(key, rest, number, form, is_raw=is_raw) for key, rest, number, is_raw in records]
    data = np.frombuffer(b"".join(rows), np.uint8)
    with MemoryManager(1 << 20, segment_bytes=4096) as manager:
        buffer = SortBuffer(tiny.noisy_extent(manager, 800_000), form.layout, descending=False)
        assert buffer.append_rows(data, np.cumsum([len(each) for each in rows]).astype(np.uint32), 0) == len(rows)
        buffer.sort(WordSorter("numba"), unique=False, limit=None, combine=BufferCombiner(form, PLAN))
        kept = [bytes(buffer.record(position)) for position in range(buffer.sorted_count)]
        buffer.release()
    if not raw_share:
        assert len(kept) == len({key for key, *_ in records})
    assert sum(each[-1] for each in kept) == sum(is_raw for *_, is_raw in records)
    assert scanned(kept, form) == expected(records)


def expected(records: list[tuple[bytes, bytes, int, bool]]) -> dict[bytes, tuple[int, int]]:
    """(count, sum) by key and the least of what follows it."""
    found: dict[bytes, tuple[bytes, int, int]] = {}
    for key, rest, number, _ in records:
        least, count, total = found.get(key, (rest, 0, 0))
        found[key] = min(least, rest), count + 1, total + number
    return {key + rest: (count, total) for key, (rest, count, total) in found.items()}


def scanned(rows: list[bytes], form: KeyForm) -> dict[bytes, tuple[int, int]]:
    """The same of sorted rows."""
    view = memoryview(bytearray(b"".join(rows) + bytes(SLACK_BYTES)))[: sum(map(len, rows))]
    finisher, found = Finisher(PLAN), {}
    for groups in GroupScan(form, PLAN).scan([view]):
        counts = finisher.finish(COUNT, None, groups.states).values.tolist()
        totals = finisher.finish(TOTAL, 0, groups.states).values.tolist()
        bodies = [body(each, form) for each in split(groups.key_rows())]
        found.update(dict(zip(bodies, zip(counts, totals, strict=True), strict=True)))
    return found


def split(rows: EncodedRows) -> list[bytes]:
    """Each row."""
    starts = [0, *rows.ends.tolist()[:-1]]
    return [rows.data[start:end].tobytes() for start, end in zip(starts, rows.ends.tolist(), strict=True)]


def body(key_row: bytes, form: KeyForm) -> bytes:
    """A key and what follows it."""
    start, _ = form.layout.row_key(key_row)
    return key_row[start:]
