"""Cutting runs into ranges: whatever is cut, the merged ranges in a row are the merge of all."""

import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serializers import RecordLayout, fixed, lines
from shuffle.cuts import Cutter, Position, RunSlice, bytes_before, order_of_blocks, whole
from shuffle.errors import NotSortedError
from shuffle.runs import Run
from tests import naive, tiny

Kind = Literal["memory", "disk", "file"]

PREFIX = b"the same sixty-four bytes and more stand before every key of this kind: "
"""Longer than an index key, which therefore tells nothing."""

WIDE = fixed(500, key_offset=4, key_bytes=90)


async def make_runs(
    bench: tiny.Bench,
    stack: AsyncExitStack,
    runs: Sequence[Sequence[bytes]],
    layout: RecordLayout,
    kind: Kind,
    reverse: bool,
) -> list[Run]:
    """Runs with these records, put in order."""
    made: list[Run] = []
    for number, records in enumerate(runs):
        if kind == "memory":
            made.append(bench.memory_run(number, records, layout, descending=reverse))
        elif kind == "disk":
            made.append(await bench.file_run(stack, number, records, layout, descending=reverse))
        else:
            data = b"".join(naive.stable_sort(records, layout.key, reverse=reverse))
            made.append(await bench.sorted_file(stack, number, data, layout))
    return made


async def slice_bytes(bench: tiny.Bench, part: RunSlice) -> bytes:
    """The records of a slice."""
    data = b""
    for block in part.blocks():
        payload = await bench.payload(part.run, block)
        stop = part.stop.offset if block == part.stop.block else len(payload)
        data += payload[part.start.offset if block == part.start.block else 0 : stop]
    assert len(data) == part.raw_bytes
    return data


async def cut_and_merge(
    runs: Sequence[Sequence[bytes]], range_count: int, *, layout: RecordLayout, kind: Kind, reverse: bool
) -> list[int]:
    """Cut, merge every range by the slow twin, and compare. Returns the bytes of each range."""
    async with tiny.bench() as bench, AsyncExitStack() as stack:
        made = await make_runs(bench, stack, runs, layout, kind, reverse)
        schedule = order_of_blocks(made, descending=reverse)
        with bench.pool(2) as pool:
            ranges = await Cutter(schedule, layout, pool, descending=reverse).cut(range_count)
            assert pool.in_use == 0
        assert len(ranges) <= range_count
        merged: list[bytes] = []
        for slices in ranges:
            assert all(part.start != part.stop for part in slices)
            parts = [naive.split_records(await slice_bytes(bench, part), layout) for part in slices]
            assert all(not rest for _, rest in parts), "cuts lie between records"
            merged += naive.merge([records for records, _ in parts], layout.key, reverse=reverse)
        expected = naive.merge(runs, layout.key, reverse=reverse)
        assert merged == expected
        return [sum(part.raw_bytes for part in slices) for slices in ranges]


def numbered(runs: Sequence[Sequence[bytes]]) -> list[list[bytes]]:
    """Fixed records with these keys of 90 bytes, each with its number, so that every change of order shows."""
    numbers = iter(range(1 << 30))
    return [[next(numbers).to_bytes(4, "big") + key[:90].ljust(90, b"\0") + bytes(406) for key in run] for run in runs]


KEYS = st.one_of(
    st.sampled_from([b"", b"a", b"b"]),
    st.binary(max_size=3),
    st.sampled_from([PREFIX, PREFIX + b"a", PREFIX + b"b", PREFIX[:64], PREFIX[:63]]),
    st.integers(0, 50).map(lambda number: PREFIX + b"%d" % number),
)


@settings(deadline=None, max_examples=40)
@given(
    runs=st.lists(st.lists(KEYS, max_size=50), max_size=5),
    range_count=st.integers(1, 8),
    kind=st.sampled_from(["memory", "disk", "file"]),
    reverse=st.booleans(),
)
@example(runs=[], range_count=3, kind="memory", reverse=False)
@example(runs=[[b"same"] * 60] * 4, range_count=8, kind="disk", reverse=False)
@example(runs=[[b"same"] * 60] * 4, range_count=8, kind="file", reverse=True)
@example(runs=[[PREFIX] * 40, [PREFIX + b"x"] * 40, [PREFIX] * 40], range_count=7, kind="disk", reverse=True)
def test_fixed_records(runs: list[list[bytes]], range_count: int, kind: Kind, reverse: bool) -> None:
    tiny.run(cut_and_merge(numbered(runs), range_count, layout=WIDE, kind=kind, reverse=reverse))


LENGTHS = [0, 10, 100, 1500, tiny.CAPACITY - 1, tiny.CAPACITY, 2 * tiny.CAPACITY - 1, 3 * tiny.CAPACITY + 7]


@settings(deadline=None, max_examples=40)
@given(
    runs=st.lists(st.lists(st.tuples(KEYS, st.sampled_from(LENGTHS)), max_size=25), max_size=4),
    range_count=st.integers(1, 8),
    kind=st.sampled_from(["memory", "disk", "file"]),
    reverse=st.booleans(),
)
@example(
    runs=[[(PREFIX, 9000)] * 5, [(PREFIX, 100)] * 50, [(PREFIX, 9001)] * 5], range_count=8, kind="disk", reverse=False
)
@example(
    runs=[[(PREFIX, 9000)] * 5, [(PREFIX, 100)] * 50, [(PREFIX, 9001)] * 5], range_count=8, kind="file", reverse=True
)
def test_lines_some_of_which_span_blocks(
    runs: list[list[tuple[bytes, int]]], range_count: int, kind: Kind, reverse: bool
) -> None:
    texts = [[key.replace(b"\n", b"") + b"." * length + b"\n" for key, length in run] for run in runs]
    tiny.run(cut_and_merge(texts, range_count, layout=lines(), kind=kind, reverse=reverse))


@pytest.mark.parametrize("kind", ["memory", "disk"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("what", ["random", "equal", "late"])
def test_ranges_are_balanced(kind: Kind, reverse: bool, what: str) -> None:
    """Even where all keys are equal, or differ only behind what an index key holds."""
    rng = random.Random(7)
    keys = {"random": lambda: rng.randbytes(8), "equal": lambda: b"k", "late": lambda: PREFIX + rng.randbytes(8)}
    runs = numbered([[keys[what]() for _ in range(300)] for _ in range(4)])
    for range_count in (2, 3, 8):
        sizes = tiny.run(cut_and_merge(runs, range_count, layout=WIDE, kind=kind, reverse=reverse))
        assert len(sizes) == range_count
        if what != "late":
            assert max(sizes) <= 2 * sum(sizes) / range_count, sizes


def test_more_ranges_than_blocks() -> None:
    sizes = tiny.run(cut_and_merge([[b"a\n"], [b"b\n"]], 8, layout=lines(), kind="disk", reverse=False))
    assert sum(sizes) == 4


def test_the_order_of_blocks_is_that_of_first_keys_then_runs() -> None:
    async def check() -> None:
        async with tiny.bench() as bench:
            runs = [
                bench.memory_run(number, [b"%04d" % n + b"." * 400 + b"\n" for n in range(100)]) for number in (0, 1)
            ]
            for descending in (False, True):
                order = order_of_blocks(runs, descending=descending)
                entries = [
                    (runs[place].index.first_key(block), place, block)
                    for place, block in zip(order.run_places, order.blocks, strict=True)
                ]
                by_place = sorted(entries, key=lambda entry: entry[1:])
                assert entries == sorted(by_place, key=lambda entry: entry[0], reverse=descending)
                lengths = [runs[place].index.raw_lengths[block] for _, place, block in entries]
                assert order.raw_lengths().tolist() == lengths

    tiny.run(check())


def test_positions_and_slices() -> None:
    async def check() -> None:
        async with tiny.bench() as bench:
            run = bench.memory_run(0, [b"%04d" % n + b"." * 995 + b"\n" for n in range(20)])
            assert whole(run).raw_bytes == run.raw_bytes == 20_000
            assert whole(run).blocks() == range(len(run.index))
            part = RunSlice(run, Position(1, 1000), Position(3, 0))
            assert (part.raw_bytes, part.blocks()) == (5000, range(1, 3))
            assert RunSlice(run, Position(1, 0), Position(3, 1000)).blocks() == range(1, 4)
            assert run.index.raw_lengths.tolist()[:3] == [1000, 3000, 3000], "the first block is a short one"
            assert bytes_before(run, Position(2, 5)) == 4005

    tiny.run(check())


# --- files that only claim to be in order


def text(numbers: Sequence[int]) -> bytes:
    """Lines of 100 bytes."""
    return b"".join(b"%06d" % number + b"." * 93 + b"\n" for number in numbers)


@settings(deadline=None, max_examples=60)
@given(
    order=st.lists(st.integers(0, 8), min_size=2, max_size=9),
    beside=st.booleans(),
    range_count=st.integers(2, 5),
)
@example(order=[0, 5, 3, 8], beside=False, range_count=2)
@example(order=[0, 1, 8, 2, 3], beside=False, range_count=2)
def test_no_disorder_hides_between_two_ranges(order: list[int], beside: bool, range_count: int) -> None:
    """Pieces of a block in any order: either the cutter says so, or some range has the disorder in it."""
    count = tiny.CAPACITY // 100
    pieces = [piece * 1000 + place * count + line for place, piece in enumerate(order) for line in range(count)]
    data = text(pieces)
    others = [text(range(0, 9000, 90))] if beside else []
    is_in_order = pieces == sorted(pieces)

    async def check() -> bool:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            files = [await bench.sorted_file(stack, number, each) for number, each in enumerate([data, *others])]
            with bench.pool(2) as pool:
                cutter = Cutter(order_of_blocks(files, descending=False), lines(), pool, descending=False)
                try:
                    ranges = await cutter.cut(range_count)
                except NotSortedError as error:
                    assert "sorted0" in str(error)
                    return False
            for part in (part for slices in ranges for part in slices):
                records, rest = naive.split_lines(await slice_bytes(bench, part))
                assert not rest
                if records != sorted(records):
                    return False
            return True

    assert tiny.run(check()) == is_in_order
