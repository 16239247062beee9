"""Whatever happens to the bytes of a run file, it is noticed and named; and what is whole is read right."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from io_manager import (
    BlockFlags,
    IOManager,
    IOManagerClosedError,
    RunCorruptError,
    RunFile,
    RunTruncatedError,
    SpillError,
)
from tests.test_io_manager.golden import spanning_blocks
from tests.test_io_manager.harness import (
    BLOCK_BYTES,
    Block,
    buffers,
    random_blocks,
    read_payload,
    read_run,
    run,
    text_blocks,
    write_run,
)


def damaged(
    tmp_path: Path,
    blocks: list[Block],
    cases: Callable[[bytearray], Iterator[bytearray]],
    codec: str = "none",
) -> list[object]:
    """Write a run, then read all of it in every case `cases` makes of its bytes: what was raised, or None."""

    async def attempt() -> list[object]:
        outcomes: list[object] = []
        with buffers() as pool:
            async with IOManager([tmp_path], codec=codec) as io:
                written = await write_run(io, pool, blocks)
                whole = bytearray(written.path.read_bytes())
                for data in cases(whole):
                    written.path.write_bytes(data)
                    try:
                        await read_run(io, pool, written)
                        outcomes.append(None)
                    except RunCorruptError as error:
                        assert str(written.path) in str(error) and f"byte {error.offset}" in str(error)
                        outcomes.append(error)
        return outcomes

    return run(attempt())


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def test_every_sampled_bit_flip_is_detected(tmp_path: Path, codec: str) -> None:
    def flips(whole: bytearray) -> Iterator[bytearray]:
        for position in [*range(0, len(whole), 97), *range(4096, 4224), len(whole) - 1]:
            whole[position] ^= 1 << position % 8
            yield whole
            whole[position] ^= 1 << position % 8

    outcomes = damaged(tmp_path, [*text_blocks(2), *random_blocks(1)], flips, codec)
    assert len(outcomes) > 300 and None not in outcomes


def test_every_truncation_is_detected(tmp_path: Path) -> None:
    def cuts(whole: bytearray) -> Iterator[bytearray]:
        for length in range(0, len(whole), 512):
            yield whole[:length]

    outcomes = damaged(tmp_path, random_blocks(3), cuts)
    assert outcomes and all(isinstance(error, RunTruncatedError) for error in outcomes)


def test_what_grew_was_zeroed_or_is_foreign_is_detected(tmp_path: Path) -> None:
    def others(whole: bytearray) -> Iterator[bytearray]:
        yield whole + bytes(4096)
        yield bytes(len(whole))
        yield (b"%PDF-1.7 something else entirely " * len(whole))[: len(whole)]
        yield whole[:4096] + bytes(len(whole) - 4096)
        yield whole[:-4096] + whole[:4096]

    assert None not in damaged(tmp_path, random_blocks(3), others)


def test_swapped_blocks_are_detected(tmp_path: Path) -> None:
    """Each block is whole in itself; only its number tells that it is in the wrong place."""

    def swapped(whole: bytearray) -> Iterator[bytearray]:
        yield whole[:4096] + whole[12288:20480] + whole[4096:12288] + whole[20480:]

    blocks = [Block(bytes([n]) * 8000) for n in range(2)]
    (error,) = damaged(tmp_path, blocks, swapped)
    assert "block_number" in str(error)


def test_a_block_of_another_run_is_detected(tmp_path: Path) -> None:
    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path]) as io:
                mine, other = [await write_run(io, pool, [Block(b"p" * 100)]) for _ in range(2)]
                data, foreign = mine.path.read_bytes(), other.path.read_bytes()
                mine.path.write_bytes(data[:4096] + foreign[4096:8192] + data[8192:])
                with pytest.raises(RunCorruptError, match="run_id"):
                    await read_run(io, pool, mine)
                mine.path.write_bytes(foreign)
                with pytest.raises(RunCorruptError, match="another run"):
                    await io.open_run(mine)

    run(attempt())


def test_truncation_during_the_job_is_detected_at_the_read(tmp_path: Path) -> None:
    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path]) as io:
                written = await write_run(io, pool, [Block(b"p" * 8000), Block(b"q" * 8000)])
                async with await io.open_run(written) as reader:
                    assert await read_payload(reader, pool, 0) == b"p" * 8000
                    for length in (16384, 12800):  # inside the block, on a sector and off one
                        with written.path.open("r+b") as file:
                            file.truncate(length)
                        with pytest.raises(RunTruncatedError):
                            await read_payload(reader, pool, 1)
                    with pytest.raises(RunTruncatedError):  # the first error sticks, even for a block that is whole
                        await read_payload(reader, pool, 0)

    run(attempt())


def test_concurrent_reads_of_one_run(tmp_path: Path) -> None:
    blocks = random_blocks(40)

    async def attempt() -> None:
        with buffers(8) as pool:
            async with IOManager([tmp_path], io_threads=4) as io:
                written = await write_run(io, pool, blocks)
                async with await io.open_run(written) as reader:
                    order = [n * 17 % 40 for n in range(40)] * 3
                    payloads = await asyncio.gather(*(read_payload(reader, pool, n) for n in order))
                    assert payloads == [blocks[n].payload for n in order]

    run(attempt())


def test_the_index_says_what_was_written(tmp_path: Path) -> None:
    blocks = spanning_blocks()

    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path]) as io:
                written = await write_run(io, pool, blocks)
                assert (written.block_count, written.record_count) == (6, 6)
                assert (written.first_key, written.last_key) == (b"a", b"d")
                assert written.raw_bytes == sum(len(block.payload) for block in blocks)
                assert pickle.loads(pickle.dumps(written)) == written
                async with await io.open_run(written) as reader:
                    index = reader.index
                    assert [index.first_key(n) for n in range(6)] == [block.first_key for block in blocks]
                    assert index.raw_lengths.tolist() == [len(block.payload) for block in blocks]
                    assert index.record_counts.tolist() == [2, 1, 0, 0, 0, 3]
                    assert index.flags.tolist() == [0, 2, 4, 4, 8, 0]
                    assert BlockFlags(int(index.flags[1])) is BlockFlags.SPAN_FIRST
                    assert index.first_keys.shape == (6, 64) and index.memory_bytes == 6 * 88

    run(attempt())


def test_closing_waits_and_then_refuses(tmp_path: Path) -> None:
    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path], io_threads=1) as io:
                written = await write_run(io, pool, random_blocks(4))
                reader = await io.open_run(written)
                reads = [asyncio.create_task(read_payload(reader, pool, n)) for n in range(4)]
                await asyncio.sleep(0)
                await reader.close()
                assert [len(payload) for payload in await asyncio.gather(*reads)]
                await reader.close()
                with pytest.raises(IOManagerClosedError):
                    await read_payload(reader, pool, 0)

    run(attempt())


def test_missing_files_and_links_are_refused(tmp_path: Path) -> None:
    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path]) as io:
                written = await write_run(io, pool, random_blocks(1))
                link = tmp_path / "link"
                link.symlink_to(written.path)
                with pytest.raises(SpillError, match="link"):
                    await io.open_run(replace(written, path=link))
                with pytest.raises(SpillError, match="nowhere"):
                    await io.open_run(replace(written, path=tmp_path / "nowhere"))

    run(attempt())


def test_corrupt_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(RunTruncatedError.at(Path("/x"), 7, "nothing")))
    assert isinstance(error, RunTruncatedError) and error.offset == 7 and "byte 7" in str(error)


def test_heap_buffers_work_without_alignment(tmp_path: Path) -> None:
    """A heap pool's memory is not aligned; direct I/O gives way to the page cache."""

    async def attempt() -> None:
        with buffers(mode="heap") as pool:
            async with IOManager([tmp_path]) as io:
                written: RunFile = await write_run(io, pool, random_blocks(5))
                assert written.block_bytes == BLOCK_BYTES
                assert await read_run(io, pool, written) == [block.payload for block in random_blocks(5)]

    run(attempt())
