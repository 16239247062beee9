"""Run files and indexes of map outputs, changed at random: refused by name, or read as they were written.

Twice: as they are, where a checksum finds every change; and with checksums made right again, so that what stands behind
them is attacked. A number out of bounds is then an error like any other, before anything is sized by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from io_manager import (
    BlockFlags,
    BlockHeader,
    BlockIndex,
    IOManager,
    RunCorruptError,
    RunFile,
    checksum,
    payload_capacity,
    run_format,
)
from io_manager.block_index import ENTRY, ENTRY_BYTES
from io_manager.codec import CODECS, CodecError
from io_manager.run_format import ALIGNMENT, HEADER_BYTES, FileHeader, Footer, FormatError, align_up, disk_length
from serializers import RecordLayout, rows
from serializers.errors import CorruptRecordError
from serializers.layouts import ROW_KEYS_VARY
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.map_output import MapOutput
from shuffle.exchange.partition_entry import ENTRY as INDEX_ENTRY
from shuffle.exchange.partition_entry import INDEX_ENTRY_BYTES, entry_offset, parse_entry
from shuffle.merge_heads import MergeOrder
from shuffle.runs import FileRun, span_flag
from tests import naive, tiny
from tests.test_exchange.outputs import Exchange, exchange, random_rows
from tests.test_io_manager.harness import Block, buffers, random_blocks, read_run, text_blocks, write_run
from tests.test_reliability import amounts
from tests.test_reliability.mutations import Mutator
from tests.test_reliability.test_fuzz_rows import LAYOUTS, records_of
from tests.test_shuffle.test_range_merge import merge

pytestmark = pytest.mark.usefixtures("no_growth")

PARTS = range(amounts.amount(1, 4))


# --- pages, blocks and indexes, in memory


def page(fill: Callable[[memoryview], None]) -> bytes:
    """A page as it is written."""
    made = bytearray(ALIGNMENT)
    fill(memoryview(made))
    return bytes(made)


HEADER = FileHeader(7, 8192, 1)
FOOTER = Footer(7, 3, 20480, 4096, 12345, 99, 10_000, b"last key")
PAGES: dict[str, tuple[bytes, Callable[[memoryview], Any], Any]] = {
    "header": (page(lambda view: run_format.pack_file_header(view, HEADER)), run_format.parse_file_header, HEADER),
    "footer": (page(lambda view: run_format.pack_footer(view, FOOTER)), run_format.parse_footer, FOOTER),
}


@pytest.mark.parametrize("name", PAGES)
def test_pages(name: str) -> None:
    original, parse, expected = PAGES[name]
    random = amounts.source("pages", name)
    mutator = Mutator(random)
    count, accepted = amounts.amount(1000, 100_000), 0
    for number in range(count):
        data = bytearray(mutator.mutate(original[:160] if random.random() < 0.9 else original).ljust(ALIGNMENT, b"\0"))
        view = memoryview(data)[:ALIGNMENT]
        if is_resealed := number % 2 == 0:
            run_format._seal(view, ALIGNMENT - 8)
        else:
            view[160:] = original[160:] if len(data) == ALIGNMENT else view[160:]
        try:
            found = parse(view)
        except FormatError as error:
            assert 0 <= error.offset < ALIGNMENT
        else:
            accepted += 1
            assert found == expected or is_resealed, bytes(view)
            if name == "header":
                run_format.check_block_bytes(found.block_bytes)
    amounts.report(f"pages: {name}", fuzz_inputs=count, accepted=accepted)


def sealed_block(payload: bytes, header: BlockHeader) -> bytearray:
    """A block as it is written."""
    data = bytearray(HEADER_BYTES) + payload + bytes(disk_length(len(payload)) - HEADER_BYTES - len(payload))
    run_format.seal_block(memoryview(data), header)
    return data


@pytest.mark.parametrize("part", PARTS)
def test_blocks(part: int) -> None:
    """Whatever is changed in a block, it is another block; with its checksum made right, only its payload may be."""
    random = amounts.source("blocks", part)
    mutator = Mutator(random)
    payload = random.randbytes(700)
    header = BlockHeader(0, len(payload), len(payload), 9, 3, 77, b"key")
    original = bytes(sealed_block(payload, header))
    count, refused = amounts.amount(1000, 50_000), 0
    for number in range(count):
        data = bytearray(mutator.mutate(original, keeps_length=True))
        is_resealed = number % 2 == 0
        if is_resealed:
            run_format._seal(memoryview(data), 32)
        try:
            run_format.verify_block(memoryview(data), header)
        except FormatError:
            refused += 1
            continue
        assert is_resealed, "a changed block was taken for the one that was written"
        assert data[:32] == original[:32] and data[40:HEADER_BYTES].startswith(b"key")
    amounts.report("blocks", fuzz_inputs=count, corrupted=count // 2, detected=count // 2, refused=refused)


@pytest.mark.parametrize("part", PARTS)
def test_block_indexes(part: int) -> None:
    """What passes tiles the file, and no number in it is beyond its bound."""
    random = amounts.source("indexes", part)
    mutator = Mutator(random)
    index, offset = BlockIndex(), ALIGNMENT
    kinds = [0, 0, BlockFlags.SPAN_FIRST, BlockFlags.SPAN_MORE, BlockFlags.SPAN_LAST, 0]
    for number, flags in enumerate(kinds):
        length = random.randint(1, payload_capacity(8192))
        records = int(not flags & (BlockFlags.SPAN_MORE | BlockFlags.SPAN_LAST))
        index.append(offset, BlockHeader(int(flags), length, length, records, number, 1, b"k%d" % number))
        offset += disk_length(length)
    original = index.part_bytes(0, len(kinds))
    count, accepted = amounts.amount(500, 25_000), 0
    for _ in range(count):
        data = mutator.mutate(original, keeps_length=True)
        found = BlockIndex.from_bytes(memoryview(data), len(kinds))
        check = random.choice((found.check, found.check_part))
        try:
            check(block_bytes=8192, index_offset=offset)
        except FormatError as error:
            assert 0 <= error.offset < len(original)
            continue
        accepted += 1
        assert found.raw_lengths.max() <= payload_capacity(8192) and found.key_lengths.max() <= 64
        sizes = [disk_length(stored) for stored in found.stored_lengths.tolist()]
        assert np.diff(found.offsets).tolist() == sizes[:-1]
        assert int(found.offsets[0]) >= ALIGNMENT and int(found.offsets[-1]) + sizes[-1] <= offset
    amounts.report("block indexes", fuzz_inputs=count, accepted=accepted)


@pytest.mark.parametrize("name", ["lz4", "zstd"])
def test_compressed_payloads(name: str) -> None:
    """Exactly as many bytes as were asked for come out, whatever the frame says of itself, or none."""
    random, codec = amounts.source("codecs", name), CODECS[name]()
    originals = [bytes(random.choices(b"ab\n", k=size)) for size in (100, 3000, 8000)]
    stored = [codec.encode(memoryview(original)) or b"" for original in originals]
    mutator = Mutator(random, stored)
    count, accepted = amounts.amount(500, 50_000), 0
    for _ in range(count):
        place = random.randrange(len(stored))
        data = mutator.mutate(stored[place])
        try:
            found = codec.decode(memoryview(data), len(originals[place]))
        except CodecError:
            continue
        accepted += 1
        assert len(found) == len(originals[place])
    amounts.report(f"compressed payloads: {name}", fuzz_inputs=count, accepted=accepted)


# --- whole files


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def test_whole_runs(tmp_path: Path, codec: str) -> None:
    """No change of a file goes unnoticed, wherever it is."""
    random = amounts.source("runs", codec)
    count = amounts.amount(60, 4000)

    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path], codec=codec) as io:
                written = await write_run(io, pool, [*text_blocks(2), *random_blocks(1), Block(b"end" * 40)])
                whole = written.path.read_bytes()
                other = (await write_run(io, pool, random_blocks(2))).path.read_bytes()
                mutator = Mutator(random, [other])
                for _ in range(count):
                    data = mutator.mutate(whole)
                    written.path.write_bytes(data)
                    with pytest.raises(RunCorruptError) as caught:
                        await read_run(io, pool, written)
                    assert str(written.path) in str(caught.value)
                written.path.write_bytes(whole)
                assert len(await read_run(io, pool, written)) == 4

    asyncio.run(attempt())
    amounts.report(f"whole runs: {codec}", fuzz_inputs=count, corrupted=count, detected=count)


Blocks = list[tuple[BlockHeader, bytes]]


def forge(written: RunFile, blocks: Blocks) -> RunFile:
    """Write other blocks into the file of a run, with every checksum right: the run that its writer would report."""
    index, data = BlockIndex(), bytearray(page(lambda view: run_format.pack_file_header(view, header_of(written))))
    for header, payload in blocks:
        index.append(len(data), header)
        data += sealed_block(payload, header)
    entries = index.part_bytes(0, len(blocks))
    entries += bytes(align_up(len(entries)) - len(entries))
    forged = replace(
        written,
        block_count=len(blocks),
        record_count=sum(header.record_count for header, _ in blocks),
        raw_bytes=sum(header.raw_length for header, _ in blocks),
        disk_bytes=len(data) + len(entries) + ALIGNMENT,
    )
    numbers = (forged.run_id, len(blocks), len(data), len(entries), checksum(entries))
    footer = Footer(*numbers, forged.record_count, forged.raw_bytes, forged.last_key)
    data += entries + page(lambda view: run_format.pack_footer(view, footer))
    written.path.write_bytes(data)
    return forged


def header_of(written: RunFile) -> FileHeader:
    return FileHeader(written.run_id, written.block_bytes, 0)


def blocks_of(written: RunFile) -> Blocks:
    """The blocks of an uncompressed run."""
    data = written.path.read_bytes()
    footer = run_format.parse_footer(memoryview(bytearray(data[-ALIGNMENT:])))
    entries = memoryview(bytearray(data[footer.index_offset : footer.index_offset + written.block_count * ENTRY_BYTES]))
    index = BlockIndex.from_bytes(entries, written.block_count)
    found = []
    for number, offset in enumerate(index.offsets.tolist()):
        header = index.header(number, written.run_id)
        found.append((header, data[offset + HEADER_BYTES : offset + HEADER_BYTES + header.stored_length]))
    return found


def hostile(blocks: Blocks, mutator: Mutator) -> Blocks:
    """The same blocks, with changes in one of them, or between them."""
    made, random = list(blocks), mutator.random
    place = random.randrange(len(made))
    header, payload = made[place]
    kind = random.randrange(5)
    if kind <= 1:
        payload = mutator.mutate(payload)[: payload_capacity(tiny.BLOCK_BYTES)]
        header = header._replace(stored_length=len(payload), raw_length=len(payload))
    elif kind == 2:
        header = header._replace(record_count=mutator.number() % (1 << 32))
    elif kind == 3:
        header = header._replace(first_key=mutator.mutate(header.first_key or b"k")[:64])
    else:
        header = header._replace(flags=random.choice((0, 2, 4, 8, 6, 10)))
    made[place] = header, payload
    if random.random() < 0.2:
        random.shuffle(made)
        made = [(each._replace(block_number=number), data) for number, (each, data) in enumerate(made)]
    return made


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_merges_of_forged_runs(name: str, part: int) -> None:
    """A run with other blocks than were written, and all checksums right: merged, or refused by its name."""
    layout, random = LAYOUTS[name], amounts.source("forged", name, part)
    count, refused = amounts.amount(20, 600), 0

    async def attempt() -> int:
        refused = 0
        async with tiny.bench() as bench:
            with bench.pool() as pool:
                content = [cut(many_records(layout, random), layout) for _ in range(2)]
                files = [await write_run(bench.io, pool, each, block_bytes=tiny.BLOCK_BYTES) for each in content]
            blocks = blocks_of(files[0])
            mutator = Mutator(random, [payload for _, payload in blocks])
            for _ in range(count):
                forged = forge(files[0], hostile(blocks, mutator))
                refused += await merges(bench, [forged, files[1]], layout)
        return refused

    refused = asyncio.run(attempt())
    amounts.report(f"forged runs of {name}", fuzz_inputs=count, refused=refused)


def many_records(layout: RecordLayout, random: Random) -> list[bytes]:
    """In order; more than a block, and some longer than a block, where records have no fixed length."""
    made = [record for _ in range(8) for record in records_of(layout, random)]
    if layout.is_lines:
        made += [b"%d" % number * tiny.BLOCK_BYTES + b"\n" for number in range(2)]
    elif layout.is_rows:
        key_varies = bool(layout.key_bytes & ROW_KEYS_VARY)
        made += [naive.make_row(key, bytes(2 * tiny.BLOCK_BYTES), key_varies=key_varies) for key in (b"aaaa", b"bbbb")]
    return sorted(made, key=layout.key)


def cut(records: Sequence[bytes], layout: RecordLayout) -> list[Block]:
    """Records as the blocks of a run."""
    blocks: list[Block] = []
    start = 0
    for sizes in naive.cut_blocks([len(record) for record in records], tiny.CAPACITY):
        inside = records[start : start + len(sizes)]
        start += len(sizes)
        keys, data = (layout.key(inside[0]), layout.key(inside[-1])), b"".join(inside)
        pieces = [data[at : at + tiny.CAPACITY] for at in range(0, len(data), tiny.CAPACITY)]
        flags = [span_flag(place * tiny.CAPACITY, len(piece), len(data)) for place, piece in enumerate(pieces)]
        flags = flags if len(pieces) > 1 else [0]
        blocks += [
            Block(piece, *keys, record_count=0 if place else len(inside), flags=int(flag))
            for place, (piece, flag) in enumerate(zip(pieces, flags, strict=True))
        ]
    return blocks


async def merges(bench: tiny.Bench, files: Sequence[RunFile], layout: RecordLayout) -> bool:
    """Merge two runs: whether one of them was refused."""
    async with AsyncExitStack() as stack:
        try:
            opened = [await stack.enter_async_context(await bench.io.open_run(file)) for file in files]
            runs = [
                FileRun(number, file, reader) for number, (file, reader) in enumerate(zip(files, opened, strict=True))
            ]
            await merge(bench, runs, MergeOrder(layout, descending=False))
        except (RunCorruptError, ExceptionGroup) as caught:
            for error in flat(caught):
                assert isinstance(error, RunCorruptError), error
                assert str(files[0].path) in str(error)
            return True
    return False


def flat(error: Exception) -> Iterator[Exception]:
    """An error, or those in a group."""
    if isinstance(error, ExceptionGroup):
        for each in error.exceptions:
            yield from flat(each)
    else:
        yield error


# --- map outputs

SHAPE = KeyShape(2, None, 0)
PARTITIONS = 6


@pytest.fixture(scope="module")
def made() -> Iterator[Exchange]:
    with exchange() as each:
        yield each


@pytest.fixture(scope="module")
def output(made: Exchange) -> MapOutput:
    records = random_rows(Random(4), 900, PARTITIONS, SHAPE)
    return made.write(records, rows(None), partitions=PARTITIONS, partition_bytes=2)


@pytest.mark.parametrize("part", PARTS)
def test_entries_of_partitions(output: MapOutput, part: int) -> None:
    """Without the right checksum never another entry; with it none beyond its run."""
    random = amounts.source("entries", part)
    mutator = Mutator(random)
    data = output.index_path.read_bytes()
    entries = [data[entry_offset(n) : entry_offset(n) + INDEX_ENTRY_BYTES] for n in range(PARTITIONS)]
    count, accepted = amounts.amount(1000, 50_000), 0
    for number in range(count):
        place = random.randrange(PARTITIONS)
        entry = mutator.mutate(entries[place][:-8], keeps_length=True) + entries[place][-8:]
        is_resealed = number % 2 == 0
        if is_resealed:
            entry = entry[:-8] + checksum(entry[:-8]).to_bytes(8, "little")
        try:
            found = parse_entry(entry, place, output.run)
        except FormatError:
            continue
        assert is_resealed, "a changed entry was taken for the one that was written"
        accepted += 1
        assert found.stop_block <= output.run.block_count and found.records <= output.run.record_count
    amounts.report(
        "entries of partitions", fuzz_inputs=count, corrupted=count // 2, detected=count // 2, accepted=accepted
    )


def test_partitions_by_forged_entries(made: Exchange, output: MapOutput) -> None:
    """A slice of a run that begins or ends anywhere: whole rows of the run, or an error that names the run."""
    random = amounts.source("slices")
    whole = output.index_path.read_bytes()
    forged_path = output.index_path.with_name("forged.index")
    forged = replace(output, index_path=forged_path)
    count, refused = amounts.amount(40, 2500), 0
    for _ in range(count):
        place = random.randrange(PARTITIONS)
        offset = entry_offset(place)
        entry: Any = np.frombuffer(bytearray(whole[offset : offset + INDEX_ENTRY_BYTES]), np.uint8).view(INDEX_ENTRY)[0]
        for _ in range(random.randint(1, 2)):
            name = random.choice(("start_offset", "stop_offset", "start_block", "stop_block", "records", "raw_bytes"))
            entry[name] = max(0, int(entry[name]) + random.choice((-100, -7, -1, 1, 2, 8, 300)))
        put_size(entry, output)
        data = entry.tobytes()[:-8]
        forged_path.write_bytes(
            whole[:offset] + data + checksum(data).to_bytes(8, "little") + whole[offset + INDEX_ENTRY_BYTES :]
        )
        try:
            made.read([forged], [place], rows(None))
        except (RunCorruptError, CorruptRecordError) as error:
            refused += 1
            assert str(output.run.path) in str(error) or str(forged_path) in str(error)
    forged_path.unlink()
    amounts.report("partitions by forged entries", fuzz_inputs=count, refused=refused)


def put_size(entry: Any, output: MapOutput) -> None:
    """Let size and checksum of the index agree with the borders, where there can be such a slice."""
    data = output.run.path.read_bytes()
    footer = run_format.parse_footer(memoryview(bytearray(data[-ALIGNMENT:])))
    table = np.frombuffer(data, ENTRY, output.run.block_count, footer.index_offset)
    start, stop = int(entry["start_block"]), int(entry["stop_block"])
    lengths = [0, *np.cumsum(table["raw_length"], dtype=np.int64).tolist()]
    with suppress(IndexError, OverflowError):
        entry["raw_bytes"] = lengths[stop] + int(entry["stop_offset"]) - lengths[start] - int(entry["start_offset"])
        entry["index_checksum"] = checksum(table[start : stop + bool(entry["stop_offset"])].tobytes())
