"""Runs, in memory and on disk: the same blocks, the same index, and records that are longer than a block."""

import itertools
import random
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from io_manager import HEADER_BYTES, KEY_BYTES_MAX, BlockFlags
from serializers import SLACK_BYTES, RecordLayout, fixed, lines
from shuffle.runs import Run, block_capacity, has_spans, last_key_in, not_in_order, span_flag, span_flags, staggered
from tests import naive, tiny

LONG = fixed(300, key_offset=10, key_bytes=200)


def test_a_block_has_room_for_its_header_and_the_slack_of_kernels() -> None:
    assert block_capacity(4096) == 4096 - HEADER_BYTES - SLACK_BYTES


@given(st.integers(2, 40), st.integers(1, 40))
def test_the_flags_of_a_span_open_it_and_end_it(size: int, capacity: int) -> None:
    if size <= capacity:
        return
    offsets = range(0, size, capacity)
    flags = [span_flag(offset, min(capacity, size - offset), size) for offset in offsets]
    first, *more, last = flags
    assert (first, last) == (BlockFlags.SPAN_FIRST, BlockFlags.SPAN_LAST)
    assert all(flag == BlockFlags.SPAN_MORE for flag in more)


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.binary(max_size=5), st.binary(min_size=250, max_size=300)), min_size=1, max_size=9),
    st.integers(1, 3),
)
def test_the_last_key_of_a_payload(keys: list[bytes], times: int) -> None:
    records = [key.replace(b"\n", b"") * times + b"\n" for key in keys]
    payload = memoryview(b"".join(records))
    assert last_key_in(lines(), payload) == records[-1][:-1][:KEY_BYTES_MAX]


def test_the_last_key_behind_a_very_long_line() -> None:
    for length in (255, 256, 257, 2047, 2048, 3000):
        assert last_key_in(lines(), memoryview(b"a" * length + b"\nz\n")) == b"z"
        assert last_key_in(lines(), memoryview(b"a\n" + b"z" * length + b"\n")) == b"z" * KEY_BYTES_MAX
        assert last_key_in(lines(), memoryview(b"z" * length + b"\n")) == b"z" * KEY_BYTES_MAX
        assert last_key_in(lines(), memoryview(b"z" * length + b"\n\n")) == b""


def test_the_last_key_of_fixed_records() -> None:
    assert last_key_in(tiny.SERIAL, memoryview(b"aaabbccccccc" + b"dddeefffffff")) == b"ee"
    assert len(last_key_in(LONG, memoryview(bytes(600)))) == KEY_BYTES_MAX


def records_of(layout: RecordLayout, count: int, seed: int) -> list[bytes]:
    """Random records; among lines some that span blocks, some empty and some that just fit."""
    rng = random.Random(seed)
    if not layout.is_lines:
        return [rng.randbytes(layout.record_bytes) for _ in range(count)]
    capacity = tiny.CAPACITY
    sizes = [0, 1, 20, 200, capacity - 2, capacity - 1, capacity, 2 * capacity - 1, 2 * capacity, 3 * capacity + 5]
    made = []
    for _ in range(count):
        size = rng.choice(sizes[:4] * 10 + sizes[4:])
        made.append(
            bytes(rng.choice(b"ab") for _ in range(min(size, 50))).ljust(size, rng.choice([b"c", b"d"])) + b"\n"
        )
    return made


def check_blocks(run: Run, payloads: list[bytes], records: list[bytes], layout: RecordLayout) -> None:
    """Blocks hold the records in order, whole ones as many as fit; a longer one is a chain of blocks of its own.

    The first block is shorter than the others, by the number of the run.
    """
    assert b"".join(payloads) == b"".join(records)
    assert run.index.raw_lengths.tolist() == [len(payload) for payload in payloads]
    lengths = [len(record) for record in records]
    first = naive.cut_blocks(lengths, staggered(tiny.CAPACITY, run.number))[:1]
    blocks = first + naive.cut_blocks(lengths[len(first[0]) if first else 0 :], tiny.CAPACITY)
    at = place = 0
    for block in blocks:
        key = layout.key(records[at])[:KEY_BYTES_MAX]
        if sum(block) <= tiny.CAPACITY:
            assert span_flags(run, place) == 0
            assert run.index.record_counts[place] == len(block)
            assert run.index.first_key(place) == key
            place += 1
        else:
            pieces = -(-block[0] // tiny.CAPACITY)
            chain = range(place, place + pieces)
            assert [span_flags(run, number) for number in chain] == [
                BlockFlags.SPAN_FIRST,
                *[BlockFlags.SPAN_MORE] * (pieces - 2),
                BlockFlags.SPAN_LAST,
            ]
            assert [run.index.record_counts[number] for number in chain] == [1] + [0] * (pieces - 1)
            assert all(run.index.first_key(number) == key for number in chain)
            place += pieces
        at += len(block)
    assert place == len(run.index)
    assert run.record_count == len(records)
    assert run.raw_bytes == sum(map(len, records))
    assert run.last_key == (layout.key(records[-1])[:KEY_BYTES_MAX] if records else b"")
    assert has_spans(run) == any(len(record) > tiny.CAPACITY for record in records)


@pytest.mark.parametrize("layout", [lines(), tiny.SERIAL, LONG], ids=["lines", "short", "long"])
@pytest.mark.parametrize("count", [0, 1, 3, 400])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_run_is_the_same_in_memory_and_on_disk(layout: RecordLayout, count: int, reverse: bool) -> None:
    records = records_of(layout, count, seed=count)
    ordered = naive.stable_sort(records, layout.key, reverse=reverse)

    async def check() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            kept = bench.memory_run(5, records, layout, descending=reverse)
            check_blocks(kept, await bench.payloads(kept), ordered, layout)
            spilled = await bench.file_run(stack, 5, records, layout, descending=reverse)
            check_blocks(spilled, await bench.payloads(spilled), ordered, layout)
            assert (kept.number, spilled.number) == (5, 5)
            assert kept.is_trusted and spilled.is_trusted
            assert kept.index.first_keys.tobytes() == spilled.index.first_keys.tobytes()

    tiny.run(check())


def test_the_error_names_the_run() -> None:
    async def check() -> None:
        async with tiny.bench() as bench:
            error = not_in_order(bench.memory_run(3, [b"a\n"]))
            assert "sort buffer 3: " in str(error) and "not in the order" in str(error)

    tiny.run(check())


def test_neighbouring_runs_begin_with_blocks_of_other_lengths() -> None:
    firsts = [staggered(1 << 20, number) for number in range(64)]
    assert all(1 << 17 <= first <= 1 << 20 for first in firsts)
    gaps = [b - a for a, b in itertools.pairwise(sorted(firsts))]
    assert max(gaps) < 3 * (1 << 20) // 64, "spread evenly, so that runs over the same keys do not go dry at once"
