"""Blocks whose checksums are right and whose records are not: no kernel reads a byte behind what it was given.

Rows say how long they are, and kernels believe it. So whatever comes from a file is looked at first
(`shuffle.whole_records`), and here everything that passes goes through the kernels with a page behind it that ends the
process of whoever touches it; what comes out is compared with the slow twin.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from io_manager import (
    HEADER_BYTES,
    KEY_BYTES_MAX,
    BlockFlags,
    BlockHeader,
    BlockIndex,
    InputChangedError,
    RunCorruptError,
)
from serializers import SLACK_BYTES, RecordLayout, fixed, lines, rows
from serializers.errors import CorruptRecordError
from serializers.layouts import ROW_FLAG, ROW_KEYS_VARY
from shuffle.aggregation.group_rows import GroupScan
from shuffle.aggregation.keys import KeyForm
from shuffle.cuts import Position, RunSlice
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.keyed_rows import group_starts, split_keys
from shuffle.exchange.partition_borders import PartitionBorders
from shuffle.kernels import merge
from shuffle.kernels.locate import find_cut, find_last
from shuffle.merge_heads import MergeHeads, MergeOrder
from shuffle.run_input import RunInput, shared_key_bytes
from shuffle.runs import last_key_in, payload_address
from shuffle.whole_records import check_records
from tests import naive
from tests.test_aggregation.test_buffer_combiner import PLAN
from tests.test_aggregation.test_buffer_combiner import row as state_row
from tests.test_reliability import amounts
from tests.test_reliability.mutations import Mutator, varint
from tests.test_serializers.guarded import GuardedBytes

ROOM_BYTES = 8192
TARGET_BYTES = 4 * ROOM_BYTES

SKIP_MAX = SLACK_BYTES - 8
"""The most that `shuffle.run_input.shared_key_bytes` gives, whatever the keys."""

LAYOUTS = {
    "rows": rows(None),
    "rows with keys of 4 bytes": rows(4),
    "lines": lines(),
    "records of 12 bytes": fixed(12, key_offset=3, key_bytes=2),
}
SHAPES = [
    KeyShape(2, None, 0),
    KeyShape(2, None, None),
    KeyShape(2, 2, None),
    KeyShape(0, None, None),
    KeyShape(0, 4, 0),
]
PARTS = range(amounts.amount(1, 4))


@dataclass
class FakeRun:
    """One block as a run, loaded already."""

    number: int
    index: BlockIndex
    last_key: bytes
    name: str = "/spill/run"
    is_trusted: bool = True


def records_of(layout: RecordLayout, random: Random) -> list[bytes]:
    """Some records in order, a few of them long."""
    made = []
    for _ in range(random.randint(1, 12)):
        key = bytes(random.choices(b"ab\0\xff", k=random.randrange(7)))
        value = random.randbytes(random.choice((0, 3, 9, 40, 200)))
        if layout.is_lines:
            made.append(key.replace(b"\n", b"") + b"%d\n" % random.randrange(100))
        elif layout.is_rows:
            varies = bool(layout.key_bytes & ROW_KEYS_VARY)
            made.append(naive.make_row(key if varies else key.ljust(4, b"x")[:4], value, key_varies=varies))
        else:
            made.append(random.randbytes(12))
    return naive.stable_sort(made, layout.key)


def whole_records(payload: bytes, layout: RecordLayout) -> list[bytes] | None:
    """The slow twin: the records of a payload; None if it does not consist of whole ones."""
    if not payload:
        return None
    if not layout.is_rows:
        records, rest = naive.split_records(payload, layout)
        return None if rest else records
    records, start = [], 0
    while start < len(payload):
        body = read_varint(payload, start, len(payload))
        if body is None or body[0] + body[1] > len(payload):
            return None
        key, end = body[0], body[0] + body[1]
        length = layout.key_bytes ^ ROW_FLAG
        if layout.key_bytes & ROW_KEYS_VARY:
            found = read_varint(payload, key, end)
            if found is None:
                return None
            key, length = found
        if key + length > end:
            return None
        records.append(payload[start:end])
        start = end
    return records


def read_varint(data: bytes, start: int, limit: int) -> tuple[int, int] | None:
    """(where it ends, its value), of at most 64 bits."""
    value = 0
    for place, byte in enumerate(data[start : min(limit, start + 10)]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return None if value >> 64 else (start + place + 1, value)
    return None


class Memory:
    """Room for a block that ends where the payload and its slack end."""

    def __init__(self) -> None:
        self._guarded = GuardedBytes(bytes(ROOM_BYTES))

    def load(self, payload: bytes) -> memoryview:
        """A buffer with a payload where a reader would put it, with nothing but the slack behind it."""
        whole = self._guarded.with_slack(b"\x80" * SLACK_BYTES)
        view = memoryview(whole[-(HEADER_BYTES + len(payload) + SLACK_BYTES) :])  # type: ignore[arg-type]
        view[HEADER_BYTES : HEADER_BYTES + len(payload)] = payload
        return view


def run_of(payload: bytes, records: int, *, number: int = 0, flags: int = 0, last_key: bytes = b"\xff" * 64) -> FakeRun:
    """A run of one block."""
    index = BlockIndex()
    index.append(4096, BlockHeader(flags, len(payload), len(payload), records, 0, 0, b""))
    return FakeRun(number, index, last_key)


def merged(views: list[memoryview], runs: list[FakeRun], layout: RecordLayout, skip: int = 0) -> tuple[bytes, bool]:
    """What the merge kernel makes of blocks, and whether it went to the end. Keys are said to share `skip` bytes."""
    order = MergeOrder(layout, descending=False)
    inputs = []
    heads = MergeHeads(len(runs), order, skip)
    for column, (run, view) in enumerate(zip(runs, views, strict=True)):
        part: Any = RunSlice(run, Position(0, 0), Position(1, 0))  # type: ignore[arg-type]
        made = RunInput(part, column, layout, False, skip)
        made.ready[0] = SimpleNamespace(view=view)  # type: ignore[assignment]
        assert made.supply(heads.runs)
        inputs.append(made)
    target = np.empty(TARGET_BYTES + SLACK_BYTES, np.uint8)
    first = position = int(target.ctypes.data)
    while True:
        why, column, position = heads.advance(position, first + TARGET_BYTES)
        if why == merge.DRY:
            inputs[column].retire(heads.runs)
            assert inputs[column].supply(heads.runs)
            heads.note_refilled(column)
        else:
            assert why in (merge.DONE, merge.DISORDER), why
            return target[: position - first].tobytes(), why == merge.DONE


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_blocks_of_records_that_are_none(name: str, part: int) -> None:
    layout, random = LAYOUTS[name], amounts.source("rows", name, part)
    mutator = Mutator(random, [varint(n) for n in (0, 1, 127, 128, 1 << 14, (1 << 63) - 1, (1 << 64) - 1)])
    memory, other = Memory(), Memory()
    refused = 0
    count = amounts.amount(400, 20_000)
    for _ in range(count):
        good = records_of(layout, random)
        payload = mutator.mutate(b"".join(good))[: ROOM_BYTES // 2]
        expected = whole_records(payload, layout)
        run = run_of(payload, len(expected or good))
        view = memory.load(payload)
        try:
            check_records(run, 0, view, layout)  # type: ignore[arg-type]
        except RunCorruptError as error:
            assert expected is None and "/spill/run: damaged at byte 4096: block 0 " in str(error), (payload, expected)
            refused += 1
            continue
        assert expected is not None, payload
        walk(view, payload, expected, layout)
        second = b"".join(good)
        views, runs = [view, other.load(second)], [run, run_of(second, len(good), number=1)]
        if random.random() < 0.1:
            merged(views, runs, layout, random.randrange(SKIP_MAX + 1))  # as an index says that lies of its first keys
        found, is_done = merged(views, runs, layout)
        is_sorted = expected == naive.stable_sort(expected, layout.key)
        assert is_done == is_sorted, payload
        if is_sorted:
            assert found == b"".join(naive.merge([expected, good], layout.key)), payload
    assert refused or not layout.is_rows
    amounts.report(f"blocks of {name} with right checksums and wrong records", fuzz_inputs=count, refused=refused)


def walk(view: memoryview, payload: bytes, records: list[bytes], layout: RecordLayout) -> None:
    """Everything else that looks for records in a block."""
    start = payload_address(view)
    end, geometry = start + len(payload), (layout.record_bytes, layout.key_bytes, layout.delimiter)
    assert find_last(start, end, *geometry) - start == len(payload) - len(records[-1])
    assert (
        last_key_in(layout, view[HEADER_BYTES : HEADER_BYTES + len(payload)]) == layout.key(records[-1])[:KEY_BYTES_MAX]
    )
    key = layout.key(records[0])
    held = np.frombuffer(key + bytes(SLACK_BYTES), np.uint8)
    found = find_cut(
        start, end, layout.record_bytes, layout.key_offset, layout.key_bytes, layout.delimiter, 0,
        int(held.ctypes.data), len(key), False,
    )  # fmt: skip
    assert found == start


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_that_lack_parts_of_their_keys(shape: KeyShape) -> None:
    """Whole rows, but of another shape: partition numbers, group keys or sort keys that are not there."""
    random = amounts.source("shapes", str(shape))
    mutator, memory = Mutator(random), Memory()
    count, refused = amounts.amount(400, 20_000), 0
    for _ in range(count):
        good = records_of(shape.layout, random)
        payload = mutator.mutate(b"".join(good)) if random.random() < 0.5 else b"".join(good)
        if whole_records(payload[:ROOM_BYTES], shape.layout) is None:
            continue
        view = memory.load(payload)[HEADER_BYTES : HEADER_BYTES + len(payload)]
        uses = [split_keys, group_starts, *([borders_of] if shape.partition_bytes else [])]
        for use in uses:
            try:
                use(view, shape)
            except CorruptRecordError:
                refused += 1
    amounts.report(f"rows that are none of {shape}", fuzz_inputs=count, refused=refused)


def borders_of(view: memoryview, shape: KeyShape) -> None:
    """Where partitions begin, as it is found while a map output is written."""
    PartitionBorders(3, shape.layout, shape.partition_bytes).note_rows(0, view)


@pytest.mark.parametrize("form", [KeyForm(2), KeyForm(None), KeyForm(None, is_whole=False)], ids=str)
def test_rows_that_hold_no_state_of_a_group(form: KeyForm) -> None:
    """Whole rows of an aggregation, whose states are not there, or not of this length."""
    random = amounts.source("states", str(form))
    mutator, memory = Mutator(random, [bytes(24), bytes(9), b"\xc8"]), Memory()
    count, refused = amounts.amount(300, 20_000), 0
    for _ in range(count):
        keys = sorted(random.choices((b"aa", b"ab", b"b\0"), k=random.randint(1, 6)))
        rest = b"" if form.is_whole else b"r"
        good = [state_row(key, rest, n, form, is_raw=random.random() < 0.5) for n, key in enumerate(keys)]
        payload = mutator.mutate(b"".join(good))
        if whole_records(payload, form.layout) is None:
            continue
        view = memory.load(payload)[HEADER_BYTES : HEADER_BYTES + len(payload)]
        try:
            for groups in GroupScan(form, PLAN).scan([view]):
                groups.key_rows()
        except CorruptRecordError:
            refused += 1
    assert refused
    amounts.report(f"rows without states: {form}", fuzz_inputs=count, refused=refused)


# --- records longer than a block


def span_run(layout: RecordLayout, payloads: list[bytes]) -> FakeRun:
    """A chain of blocks."""
    flags = [BlockFlags.SPAN_FIRST, *[BlockFlags.SPAN_MORE] * (len(payloads) - 2), BlockFlags.SPAN_LAST]
    index = BlockIndex()
    for number, (payload, flag) in enumerate(zip(payloads, flags, strict=True)):
        index.append(
            4096 * (number + 1), BlockHeader(flag, len(payload), len(payload), int(not number), number, 0, b"")
        )
    return FakeRun(0, index, b"")


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name.startswith("rows")])
def test_chains_that_are_no_row(name: str) -> None:
    layout, random = LAYOUTS[name], amounts.source("chains", name)
    mutator, memory = Mutator(random), Memory()
    varies = bool(layout.key_bytes & ROW_KEYS_VARY)
    count, refused = amounts.amount(400, 20_000), 0
    for _ in range(count):
        row = naive.make_row(random.randbytes(random.randrange(300) if varies else 4), bytes(900), key_varies=varies)
        cut = random.randint(1, 200)
        first = mutator.mutate(row[:cut])
        run = span_run(layout, [first, row[cut:]])
        whole = first + row[cut:]
        body = read_varint(whole, 0, len(first))
        key = body and read_varint(whole, body[0], len(first)) if varies else body
        fits = body is not None and key is not None and sum(body) == len(whole)
        fits = fits and key is not None and key[0] + (key[1] if varies else 4) <= len(whole)
        view = memory.load(first)
        try:
            check_records(run, 0, view, layout)  # type: ignore[arg-type]
        except RunCorruptError:
            assert not fits, first
            refused += 1
        else:
            assert fits, first
            heads = MergeHeads(1, MergeOrder(layout, descending=False), 0)
            part: Any = RunSlice(run, Position(0, 0), Position(2, 0))  # type: ignore[arg-type]
            made = RunInput(part, 0, layout, False, 0)
            made.ready[0] = SimpleNamespace(view=view)  # type: ignore[assignment]
            made.supply(heads.runs)
            heads.runs[merge.SPAN_RANK, 0] = 1
            assert heads.advance(1 << 12, 1 << 13)[0] == merge.SPANNING
    assert refused
    amounts.report(f"chains of blocks that are no {name}", fuzz_inputs=count, refused=refused)


# --- one by one


@pytest.mark.parametrize(
    ("layout", "payload", "words"),
    [
        (rows(None), b"", "holds no records"),
        (rows(None), b"\x05\x01ab", "a row at byte 0 of its records that does not end"),
        (rows(None), b"\x02\x01a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a row at byte 3 of its records"),
        (rows(None), b"\x02\x05a", "a row at byte 0"),
        (rows(4), b"\x03abc", "a row at byte 0"),
        (rows(None), b"\x02\x01a", "holds 1 rows, and 2 are expected"),
        (lines(), b"a\nb", "ends within a line"),
        (fixed(3), b"abcd", "ends within a record of 3 bytes"),
        (lines(), b"a\n" * ((ROOM_BYTES - SLACK_BYTES) // 2), "more than any block of records"),
    ],
)
def test_what_is_wrong_is_said(layout: RecordLayout, payload: bytes, words: str) -> None:
    view = memoryview(bytearray(HEADER_BYTES) + payload + bytes(0 if len(payload) > 100 else SLACK_BYTES))
    with pytest.raises(RunCorruptError, match=words):
        check_records(run_of(payload, 2), 0, view, layout)  # type: ignore[arg-type]


def test_a_chain_of_records_of_one_length_cannot_be() -> None:
    view = memoryview(bytearray(HEADER_BYTES + 24 + SLACK_BYTES))
    with pytest.raises(RunCorruptError, match="no record of this length needs one"):
        check_records(span_run(fixed(12), [bytes(24)] * 2), 0, view, fixed(12))  # type: ignore[arg-type]


def test_a_file_of_the_callers_has_changed_then() -> None:
    run = run_of(b"a\nb", 2)
    run.is_trusted = False
    view = memoryview(bytearray(HEADER_BYTES) + b"a\nb" + bytes(SLACK_BYTES))
    with pytest.raises(InputChangedError, match="/spill/run: changed while being merged: block 0 ends within a line"):
        check_records(run, 0, view, lines())  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_keys_of_an_index_are_not_believed_beyond_the_slack(layout: RecordLayout) -> None:
    run = run_of(b"x" * 12, 1, last_key=b"k" * 64)
    run.index = run.index.beginning_with(b"k" * 64)
    part: Any = RunSlice(run, Position(0, 0), Position(1, 0))  # type: ignore[arg-type]
    assert shared_key_bytes([part], layout) <= SKIP_MAX
