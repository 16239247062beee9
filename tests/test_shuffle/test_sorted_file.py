"""A file that is in order already, as a run: where its blocks begin, found without reading it."""

import os
import random
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from io_manager import KEY_BYTES_MAX, BlockFlags
from serializers import RecordLayout, fixed, lines
from shuffle.errors import RecordFormatError, SortError
from shuffle.runs import SPAN, has_spans, span_flags
from shuffle.sorted_file import SortedFileRun
from tests import naive, tiny

WIDE = fixed(700, key_offset=100, key_bytes=300)


async def check_file(data: bytes, layout: RecordLayout) -> None:
    """Blocks are whole records, as many as fit, and a longer record is a chain of its own."""
    async with tiny.bench() as bench, AsyncExitStack() as stack:
        run = await bench.sorted_file(stack, 3, data, layout)
        if layout.is_lines and data and data[-1] != layout.delimiter:
            data += bytes([layout.delimiter])
        payloads = await bench.payloads(run)
        assert b"".join(payloads) == data
        assert run.raw_bytes == len(data)
        records, _ = naive.split_records(data, layout)
        blocks = naive.cut_blocks([len(record) for record in records], tiny.CAPACITY)
        starts = [place for place in range(len(run.index)) if run.index.record_counts[place]]
        assert len(starts) == len(blocks)
        at = 0
        for place, block in zip(starts, blocks, strict=True):
            size = sum(block)
            assert bool(span_flags(run, place)) == (size > tiny.CAPACITY)
            assert run.index.first_key(place) == layout.key(records[at])[:KEY_BYTES_MAX]
            chain = range(place, place + max(1, -(-size // tiny.CAPACITY)))
            assert sum(len(payloads[number]) for number in chain) == size
            assert all(run.index.first_key(number) == run.index.first_key(place) for number in chain)
            if len(chain) > 1:
                assert [int(run.index.flags[number]) & SPAN for number in (chain[0], chain[-1])] == [
                    BlockFlags.SPAN_FIRST,
                    BlockFlags.SPAN_LAST,
                ]
            at += len(block)
        assert run.last_key == (layout.key(records[-1])[:KEY_BYTES_MAX] if records else b"")
        assert has_spans(run) == any(len(record) > tiny.CAPACITY for record in records)
        assert run.record_count == len(blocks), "blocks in which records begin"
        assert (run.number, run.is_trusted) == (3, False)
        assert run.name.endswith("sorted3")


LENGTHS = [0, 1, 60, 500, *(tiny.CAPACITY * times + change for times in (1, 2) for change in (-2, -1, 0, 1)), 9000]


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.sampled_from(LENGTHS), max_size=20),
    ends=st.booleans(),
    delimiter=st.sampled_from([b"\n", b"\0"]),
)
def test_lines_of_all_lengths(lengths: list[int], ends: bool, delimiter: bytes) -> None:
    data = b"".join(b"%d" % (number % 10) * length + delimiter for number, length in enumerate(lengths))
    tiny.run(check_file(data if ends else data[:-1], lines(delimiter)))


@pytest.mark.parametrize("length", [*range(1, 4), *range(tiny.CAPACITY - 2, tiny.CAPACITY + 3), 4095, 4096, 4097, 8192])
def test_one_line_with_and_without_its_delimiter(length: int) -> None:
    tiny.run(check_file(b"l" * length, lines()))
    tiny.run(check_file(b"l" * (length - 1) + b"\n", lines()))
    tiny.run(check_file(b"a\n" + b"l" * length, lines()))


@pytest.mark.parametrize("layout", [tiny.SERIAL, WIDE, fixed(tiny.CAPACITY), fixed(1)])
@pytest.mark.parametrize("count", [0, 1, 100])
def test_fixed_records(layout: RecordLayout, count: int) -> None:
    rng = random.Random(count)
    tiny.run(check_file(rng.randbytes(layout.record_bytes * count), layout))


def test_a_file_that_is_no_whole_number_of_records() -> None:
    async def check() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            with pytest.raises(RecordFormatError, match=r"sorted0: 25 bytes .* of 12 bytes .*Check --record-bytes"):
                await bench.sorted_file(stack, 0, bytes(25), tiny.SERIAL)

    tiny.run(check())


def test_a_pipe_is_refused() -> None:
    async def check() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            path = bench.directory / "pipe"
            os.mkfifo(path)
            source = await bench.open(stack, path)
            with pytest.raises(SortError, match="merge reads files, not pipes"):
                SortedFileRun(0, source, lines(), block_bytes=tiny.BLOCK_BYTES)

    tiny.run(check())
