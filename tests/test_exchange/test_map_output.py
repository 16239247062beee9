"""Map outputs: each partition where the index says it is, whatever blocks, spans and numbers of partitions."""

import asyncio
import pickle
import random
import stat
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from io_manager import BlockFlags, IOManager, SpillError
from memory import BufferPool, MemoryManager
from serializers import rows
from serializers.errors import CorruptRecordError
from shuffle.cuts import Position
from shuffle.exchange import map_output
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.map_output import MapOutput, MapTarget, map_block_bytes, write_map_output
from shuffle.row_job import RowJob
from shuffle.row_session import RowSession
from tests import naive, tiny
from tests.test_exchange.outputs import KIB, Exchange, exchange, in_order, make_row, pack, random_rows

VARYING, FIXED = KeyShape(2, None, 0), KeyShape(2, 3, 0)


def partition_of(row: bytes, shape: KeyShape) -> int:
    return int.from_bytes(shape.layout.key(row)[: shape.partition_bytes], "big")


def payloads(output: MapOutput, workspace: Path) -> list[tuple[int, bytes]]:
    """(flags, payload) of every block, read without the index of the map output."""

    async def read() -> list[tuple[int, bytes]]:
        block_bytes = output.run.block_bytes
        found = []
        with (
            MemoryManager(8 << 20) as manager,
            BufferPool(manager, "test", buffer_bytes=block_bytes, required=1, maximum=1) as pool,
        ):
            async with IOManager([workspace]) as io, await io.open_run(output.run) as reader:
                for block in range(output.run.block_count):
                    with await pool.acquire() as buffer:
                        header = await reader.read_block(block, buffer)
                        found.append((header.flags, bytes(buffer.view[128 : 128 + header.raw_length])))
        return found

    return tiny.run(read())


def between(blocks: list[tuple[int, bytes]], start: Position, stop: Position) -> bytes:
    """The bytes from one place to another."""
    pieces = [payload for _, payload in blocks[start.block : stop.block]]
    if stop.offset:
        pieces.append(blocks[stop.block][1][: stop.offset])
    return b"".join(pieces)[start.offset :]


def check(output: MapOutput, rows_in: list[bytes], shape: KeyShape, workspace: Path) -> None:
    """Every entry of the index, against the rows sorted by Python and the blocks read one by one."""
    blocks = payloads(output, workspace)
    ordered = in_order([rows_in], shape.layout)
    assert b"".join(payload for _, payload in blocks) == b"".join(ordered)
    assert output.records == len(rows_in) and output.raw_bytes == sum(map(len, rows_in))
    of_partition: dict[int, list[bytes]] = {}
    for row in ordered:
        of_partition.setdefault(partition_of(row, shape), []).append(row)
    for partition in range(output.partitions):
        wanted, found = of_partition.get(partition, []), output.find(partition)
        if not wanted:
            assert found is None
            continue
        assert found is not None and found.run == output.run
        assert found.records == len(wanted) and found.raw_bytes == sum(map(len, wanted))
        assert between(blocks, found.start, found.stop) == b"".join(wanted)
        assert found.first_key == shape.layout.key(wanted[0])[:64]
        assert found.last_key == shape.layout.key(wanted[-1])[:64]


@pytest.mark.parametrize("partitions", [2, 7, 1000, 10_000])
@pytest.mark.parametrize("shape", [VARYING, FIXED, KeyShape(4, None, 0)], ids=["varying", "fixed", "4 bytes"])
@pytest.mark.parametrize("records", [0, 2500])
def test_every_partition_is_where_the_index_says(partitions: int, shape: KeyShape, records: int) -> None:
    rng = random.Random(partitions + records)
    rows_in = [
        make_row(rng.randrange(partitions), rng.choice([b"aab", b"abb", b"\0\0\0"]), b"%06d" % place, shape)
        for place in range(records)
    ]
    with exchange() as made:
        output = made.write(rows_in, shape.layout, partitions=partitions, partition_bytes=shape.partition_bytes)
        check(output, rows_in, shape, made.temp_dir)


def test_one_hot_partition_and_many_empty_ones() -> None:
    rng = random.Random(5)
    rows_in = random_rows(rng, 5000, 1, VARYING) + random_rows(rng, 500, 1000, VARYING)
    hot = [make_row(700, b"", b"x" * 30, VARYING)] * 3
    with exchange() as made:
        check(
            made.write(rows_in + hot, rows(None), partitions=1000, partition_bytes=2),
            rows_in + hot,
            VARYING,
            made.temp_dir,
        )


@pytest.mark.parametrize("seed", range(4))
def test_rows_longer_than_blocks(seed: int) -> None:
    """Alone, one behind another, first and last of a partition; with keys longer than a block."""
    print("seed", seed)
    rng = random.Random(seed)
    rows_in = random_rows(rng, 1500, 12, VARYING)
    for _ in range(20):
        key = rng.choice([b"", b"a", b"ab" * 4000, b"ab" * 30])
        rows_in.append(make_row(rng.randrange(12), key, b"v" * rng.choice([5, 4100, 20_000]), VARYING))
    rng.shuffle(rows_in)
    with exchange() as made:
        output = made.write(rows_in, rows(None), partitions=12, partition_bytes=2)
        check(output, rows_in, VARYING, made.temp_dir)
        spans = BlockFlags.SPAN_FIRST | BlockFlags.SPAN_LAST
        assert any(flags & spans for flags, _ in payloads(output, made.temp_dir))


@settings(max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.data())
def test_any_rows(data: st.DataObject) -> None:
    partitions = data.draw(st.sampled_from([2, 3, 40]))
    size = st.sampled_from([0, 1, 5, 60, 3900, 4000, 9000])
    row = st.tuples(st.integers(0, partitions - 1), st.binary(max_size=3), size)
    rows_in = [make_row(number, key, b"v" * length, VARYING) for number, key, length in data.draw(st.lists(row))]
    with exchange() as made:
        output = made.write(rows_in, rows(None), partitions=partitions, partition_bytes=2)
        check(output, rows_in, VARYING, made.temp_dir)


def test_compressed_blocks() -> None:
    rows_in = random_rows(random.Random(1), 6000, 50, VARYING)
    sizes = {"block_bytes": (16 * KIB, 32 * KIB), "managed_bytes": 512 * KIB, "direct_bytes": 512 * KIB}
    with exchange(compress="lz4", **sizes) as made:
        output = made.write(rows_in, rows(None), partitions=2000, partition_bytes=2)
        assert any(flags & BlockFlags.COMPRESSED for flags, _ in payloads(output, made.temp_dir))
        check(output, rows_in, VARYING, made.temp_dir)


def test_broadcast_is_all_of_it_for_everybody() -> None:
    shape = KeyShape(0, None, 0)
    rows_in = random_rows(random.Random(1), 3000, 1, shape)
    with exchange() as made:
        output = made.write(rows_in, shape.layout, partitions=9, is_broadcast=True)
        blocks = payloads(output, made.temp_dir)
        assert output.partitions == 9 and output.records == 3000
        for partition in range(9):
            found = output.find(partition)
            assert found is not None and found.records == 3000
            assert between(blocks, found.start, found.stop) == b"".join(in_order([rows_in], shape.layout))
        empty = made.write([], shape.layout, partitions=9, is_broadcast=True, map_number=1)
        assert [empty.find(partition) for partition in range(9)] == [None] * 9


def test_without_partition_numbers_there_is_one_entry() -> None:
    shape = KeyShape(0, None, 0)
    with exchange() as made:
        output = made.write([make_row(0, key, b"", shape) for key in (b"b", b"a") * 3000], rows(None), partitions=50)
        assert output.partitions == 1
        found = output.find(0)
        assert found is not None and (found.first_key, found.last_key, found.records) == (b"a", b"b", 6000)


def test_files_are_private_and_nothing_else_is_left() -> None:
    with exchange() as made:
        output = made.write(random_rows(random.Random(1), 100, 5, VARYING), rows(None), partitions=5, partition_bytes=2)
        assert {path.name for path in made.directory.iterdir()} == {"map-00000.spill", "map-00000.index"}
        for path in made.directory.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert output.disk_bytes == sum(path.stat().st_size for path in made.directory.iterdir())
        assert pickle.loads(pickle.dumps(output)) == output
        output.delete()
        output.delete()
        assert list(made.directory.iterdir()) == []


def test_run_again_it_takes_the_place_of_the_first() -> None:
    """Also of links, which are replaced and not followed."""
    with exchange() as made:
        victim = made.directory / "victim"
        victim.write_bytes(b"precious")
        for name in ("map-00000.spill", "map-00000.index"):
            (made.directory / name).symlink_to(victim)
        for rows_in in ([make_row(1, b"a", b"", VARYING)] * 10, [make_row(2, b"b", b"", VARYING)] * 20):
            output = made.write(rows_in, rows(None), partitions=5, partition_bytes=2)
            check(output, rows_in, VARYING, made.temp_dir)
        assert victim.read_bytes() == b"precious" and not output.run.path.is_symlink()


@pytest.mark.parametrize("broken", ["data", "index", "both"])
def test_a_directory_that_refuses_leaves_nothing(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with exchange() as made:
        if broken == "index":
            (made.directory / "map-00000.index").mkdir()
        elif broken == "data":
            (made.directory / "map-00000.spill").mkdir()
        else:
            made.directory.rmdir()
        with pytest.raises(SpillError, match="map-00000"):
            made.write(random_rows(random.Random(1), 3000, 5, VARYING), rows(None), partitions=5, partition_bytes=2)
        left = [path for path in made.directory.rglob("*") if path.is_file()] if made.directory.exists() else []
        assert left == []
        made.directory.mkdir(exist_ok=True)


@pytest.mark.parametrize("number", [5, 65535])
def test_a_number_that_is_no_partition_is_noticed(number: int) -> None:
    with exchange() as made:
        with pytest.raises(CorruptRecordError, match="of no partition"):
            made.write([make_row(number, b"k", b"", VARYING)], rows(None), partitions=5, partition_bytes=2)
        with pytest.raises(CorruptRecordError, match="of no partition"):
            made.write([make_row(number, b"k", b"v" * 9000, VARYING)], rows(None), partitions=5, partition_bytes=2)
        assert list(made.directory.iterdir()) == []


def test_writing_while_reading_is_refused_and_both_may_be_repeated() -> None:
    rows_in = random_rows(random.Random(2), 3000, 5, VARYING)
    with exchange() as made:
        session = RowSession(made.sort_options(rows(None)))
        session.put(pack(rows_in))
        session.finish()
        target = MapTarget(made.directory, "map", 3, 5, rows(None), 2)
        reading = session.read()
        next(reading)
        with pytest.raises(RuntimeError, match="being read already"):
            session.write(lambda job: write_map_output(job, target))
        reading.close()
        for _ in range(2):
            output = session.write(lambda job: write_map_output(job, target))
            assert b"".join(map(bytes, session.read())) == b"".join(in_order([rows_in], rows(None)))
            check(output, rows_in, VARYING, made.temp_dir)
        session.close()


def test_an_error_in_the_middle_of_the_merge_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = map_output.MapOutputSink._note

    def fail_at_block_3(self: map_output.MapOutputSink, payload: memoryview, flags: int) -> bytes:
        if self._block == 3:
            raise ZeroDivisionError("in the middle")
        return real(self, payload, flags)

    monkeypatch.setattr(map_output.MapOutputSink, "_note", fail_at_block_3)
    with exchange() as made:
        with pytest.raises(ZeroDivisionError):
            made.write(random_rows(random.Random(1), 5000, 5, VARYING), rows(None), partitions=5, partition_bytes=2)
        assert list(made.directory.iterdir()) == []


@pytest.mark.parametrize("steps", [0, 1, 3, 10, 20, 35, 50, 70, 90, 120, 200, 500, 5000])
def test_cancelled_at_any_moment_it_leaves_both_files_or_none(steps: int) -> None:
    rows_in = random_rows(random.Random(2), 1500, 5, VARYING)

    async def write(made: Exchange) -> bool:
        job = RowJob(made.sort_options(rows(None)))
        try:
            await job.open()
            await job.put(pack(rows_in))
            await job.finish()
            writing = asyncio.create_task(write_map_output(job, MapTarget(made.directory, "map", 3, 5, rows(None), 2)))
            for _ in range(steps):
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.wait([writing])
            return not writing.cancelled()
        finally:
            await job.close()

    with exchange() as made:
        has_finished = tiny.run(write(made))
        assert len(list(made.directory.iterdir())) == (2 if has_finished else 0)


@pytest.mark.parametrize(
    ("raw_bytes", "slices", "block_bytes"),
    [
        (0, 1, 16 * KIB),
        (1 << 30, 1, 256 * KIB),
        (1 << 30, 200, 256 * KIB),
        (1 << 26, 1000, 68 * KIB),
        (1 << 26, 10_000, 16 * KIB),
    ],
)
def test_blocks_are_about_a_slice(raw_bytes: int, slices: int, block_bytes: int) -> None:
    assert map_block_bytes(raw_bytes, slices, most=256 * KIB) == block_bytes
    assert map_block_bytes(raw_bytes, slices, most=8 * KIB) == 8 * KIB


def test_no_more_files_are_open_for_more_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    real = map_output.MapOutputSink._note

    def count(self: map_output.MapOutputSink, payload: memoryview, flags: int) -> bytes:
        nonlocal most
        most = max(most, len(list(Path("/proc/self/fd").iterdir())))
        return real(self, payload, flags)

    monkeypatch.setattr(map_output.MapOutputSink, "_note", count)
    found = []
    for partitions in (2, 10_000):
        most = 0
        with exchange() as made:
            rows_in = random_rows(random.Random(3), 2000, partitions, VARYING)
            made.write(rows_in, rows(None), partitions=partitions, partition_bytes=2)
        found.append(most)
    assert abs(found[0] - found[1]) <= 2


def test_naive_rows_are_what_they_seem() -> None:
    assert make_row(258, b"k", b"v", VARYING) == naive.make_row(b"\1\2k", b"v", key_varies=True)
