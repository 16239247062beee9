"""Bytes to values and back, and every bound checked before it is believed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from io_manager import BlockFlags, BlockHeader, BlockIndex, JobKey, payload_capacity, run_format
from io_manager.block_index import ENTRY, ENTRY_BYTES
from io_manager.index_pages import PAGE_ENTRIES, entries_in, index_length, part_pages, write_pages
from io_manager.run_format import FileHeader, Footer, FormatError

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
KEYS = st.binary(max_size=64)
JOB_KEYS = [None, JobKey(bytes(32), encrypts=False), JobKey(bytes(32), encrypts=True)]
SALT = bytes(range(32))


def page() -> memoryview:
    return memoryview(bytearray(4096))


@given(run_id=U64, pages=st.integers(1, 1 << 18), codec=st.integers(0, 15), job_key=st.sampled_from(JOB_KEYS))
def test_file_headers_return(run_id: int, pages: int, codec: int, job_key: JobKey | None) -> None:
    header, view = FileHeader(run_id, pages * 4096, codec, SALT if job_key else b""), page()
    run_format.pack_file_header(view, header, job_key and job_key.file_seal(SALT))
    assert run_format.parse_file_header(view, job_key) == header
    for other in JOB_KEYS:
        if other != job_key:
            with pytest.raises(FormatError):
                run_format.parse_file_header(view, other)


@given(numbers=st.tuples(*[U64] * 7), key=KEYS, job_key=st.sampled_from(JOB_KEYS))
def test_footers_return(numbers: tuple[int, ...], key: bytes, job_key: JobKey | None) -> None:
    footer, view = Footer._make([*numbers, key]), page()
    seal = job_key and job_key.file_seal(SALT)
    run_format.pack_footer(view, footer, seal)
    assert run_format.parse_footer(view, seal) == footer


@given(payload=st.binary(max_size=8064), key=KEYS, number=U32, run_id=U64, job_key=st.sampled_from(JOB_KEYS[1:]))
def test_sealed_blocks_return(payload: bytes, key: bytes, number: int, run_id: int, job_key: JobKey) -> None:
    view = memoryview(bytearray(b"\xee" * 8192))
    view[128 : 128 + len(payload)] = payload
    header = BlockHeader(0, len(payload), len(payload), 1, number, run_id, key)
    seal = job_key.file_seal(SALT)
    block = run_format.seal_block(view, header, seal)
    stored = bytes(block)
    run_format.verify_block(block, header, seal)
    assert bytes(view[128 : 128 + len(payload)]) == payload
    block[:] = stored
    block[number * 7 % len(block)] ^= 1
    with pytest.raises(FormatError):
        run_format.verify_block(block, header, seal)


@given(payload=st.binary(max_size=8064), key=KEYS, number=U32, run_id=U64, records=U32)
def test_blocks_return(payload: bytes, key: bytes, number: int, run_id: int, records: int) -> None:
    view = memoryview(bytearray(b"\xee" * 8192))
    view[128 : 128 + len(payload)] = payload
    header = BlockHeader(0, len(payload), len(payload), records, number, run_id, key)
    block = run_format.seal_block(view, header)
    assert len(block) % 4096 == 0 and not any(block[128 + len(payload) :])
    run_format.verify_block(block, header)
    with pytest.raises(FormatError, match="run_id"):
        run_format.verify_block(block, header._replace(run_id=run_id ^ 1))


@pytest.mark.parametrize(("offset", "words"), [(0, "magic"), (8, "version"), (12, "flags"), (24, "block size")])
def test_headers_with_other_numbers_are_refused(offset: int, words: str) -> None:
    view = page()
    run_format.pack_file_header(view, FileHeader(7, 8192, 0))
    view[offset + 1] ^= 1  # bit 8: the flag of an encrypted file, version 257, a block size off the grid
    run_format._seal(view, 4088)
    with pytest.raises(FormatError, match=words) as error:
        run_format.parse_file_header(view)
    assert error.value.offset == offset


@pytest.mark.parametrize("size", [0, -4096, 4095, 5000, (1 << 30) + 4096])
def test_block_sizes_off_the_grid_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        run_format.check_block_bytes(size)


def test_capacity_and_padding() -> None:
    assert payload_capacity(8192) == 8064
    assert [run_format.disk_length(n) for n in (0, 3968, 3969)] == [4096, 4096, 8192]


# --- the index


def index_of(*entries: tuple[int, int, int, int, int]) -> BlockIndex:
    """(offset, stored, raw, records, flags) per block, as if read from disk."""
    table = np.zeros(len(entries), ENTRY)
    for number, entry in enumerate(entries):
        table[number] = (*entry, 0, np.zeros(64, np.uint8))
    return BlockIndex.from_bytes(memoryview(bytearray(table.tobytes())), len(entries))


@pytest.mark.parametrize("job_key", JOB_KEYS)
def test_an_index_grows_and_returns(job_key: JobKey | None) -> None:
    index, seal = BlockIndex(), job_key and job_key.file_seal(SALT)
    headers = [BlockHeader(0, n, n, 1, n, 5, b"%d" % n) for n in range(100)]
    for number, header in enumerate(headers):
        index.append(4096 * (number + 1), header)
    view = memoryview(bytearray(index_length(100, sealed=seal is not None)))
    write_pages(index, view, seal)
    stored = bytes(view)
    back = BlockIndex.from_bytes(entries_in(view, 0, 100, seal), 100)
    assert [back.header(n, 5) for n in range(100)] == headers and len(back) == 100
    assert index.memory_bytes == 128 * ENTRY_BYTES and back.memory_bytes == 100 * ENTRY_BYTES
    back.check(block_bytes=4096, index_offset=4096 * 101)
    for first, stop in ((0, 1), (PAGE_ENTRIES - 1, PAGE_ENTRIES + 1), (PAGE_ENTRIES, 100), (99, 100)):
        page, count = part_pages(first, stop, sealed=seal is not None)
        pages = memoryview(bytearray(stored[page * 4096 : (page + count) * 4096]))
        assert bytes(entries_in(pages, first, stop, seal)) == index.part_bytes(first, stop)


FIRST, MORE, LAST = BlockFlags.SPAN_FIRST, BlockFlags.SPAN_MORE, BlockFlags.SPAN_LAST


@pytest.mark.parametrize(
    ("entries", "number", "words"),
    [
        ([(4096, 9, 9, 1, 0), (8192, 4000, 4000, 1, 0)], 1, "longer than a block"),
        ([(4096, 10, 9, 1, 0)], 0, "stored longer"),
        ([(4096, 8, 9, 1, 0)], 0, "compression flag"),
        ([(4096, 9, 9, 1, 1)], 0, "compression flag"),
        ([(8192, 9, 9, 1, 0)], 0, "does not follow"),
        ([(4096, 9, 9, 1, 0), (4096, 9, 9, 1, 0)], 1, "does not follow"),
        ([(4096, 9, 9, 1, 0), (2**64 - 4096, 9, 9, 1, 0)], 1, "does not follow"),
        ([(4096, 9, 9, 1, 16)], 0, "reserved"),
        ([(4096, 9, 9, 1, 0x8000)], 0, "reserved"),
        ([(4096, 9, 9, 1, FIRST)], 0, "chain"),
        ([(4096, 9, 9, 0, LAST)], 0, "chain"),
        ([(4096, 9, 9, 1, FIRST), (8192, 9, 9, 1, 0)], 1, "chain"),
        ([(4096, 9, 9, 1, FIRST), (8192, 9, 9, 1, LAST)], 1, "chain"),
        ([(4096, 9, 9, 2, FIRST), (8192, 9, 9, 0, LAST)], 0, "chain"),
        ([(4096, 9, 9, 1, FIRST | LAST)], 0, "chain"),
        ([(4096, 9, 9, 1, 0), (8192, 9, 9, 1, 0), (12288, 9, 9, 1, 0)], 0, "ends elsewhere"),
    ],
)
def test_an_index_that_cannot_be_is_refused(
    entries: list[tuple[int, int, int, int, int]], number: int, words: str
) -> None:
    with pytest.raises(FormatError, match=words) as error:
        index_of(*entries).check(block_bytes=4096, index_offset=4096 * (min(len(entries), 2) + 1))
    assert error.value.offset == number * ENTRY_BYTES


def test_a_whole_chain_is_accepted() -> None:
    entries = [(4096 * (n + 1), 9, 9, int(flag == FIRST), flag) for n, flag in enumerate((FIRST, MORE, LAST))]
    index_of(*entries).check(block_bytes=4096, index_offset=4096 * 4)
    with pytest.raises(FormatError):
        index_of().check(block_bytes=4096, index_offset=8192)
