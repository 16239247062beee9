"""One partition of many map outputs: as a merge by Python, in any memory, as often as asked, and nothing is left."""

import gc
import pickle
import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from io_manager import BlockIndex, RunCorruptError
from memory import MemoryConfigurationError
from serializers import rows
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.map_output import MapOutput
from shuffle.exchange.partition_reader import PartitionSession, find_slices, plan_to_read
from tests import tiny
from tests.test_exchange.outputs import KIB, Exchange, exchange, in_order, make_row, random_rows

SHAPE = KeyShape(2, None, 0)
LAYOUT = SHAPE.layout


def partitions_of(outputs: Sequence[Sequence[bytes]], partitions: int) -> list[bytes]:
    """The slow twin: all rows sorted, then dealt out by their number."""
    found: list[list[bytes]] = [[] for _ in range(partitions)]
    for row in in_order(outputs, LAYOUT):
        found[int.from_bytes(LAYOUT.key(row)[:2], "big")].append(row)
    return [b"".join(rows_of) for rows_of in found]


def write_and_read(outputs: Sequence[Sequence[bytes]], partitions: int, **sizes: Any) -> list[bytes]:
    with exchange(**sizes) as made:
        written = made.write_all(outputs, LAYOUT, partitions=partitions, partition_bytes=2)
        return made.read(written, range(partitions), LAYOUT)


@pytest.mark.parametrize("partitions", [1, 7, 100])
@pytest.mark.parametrize("maps", [1, 3])
def test_each_partition_is_the_merge_of_its_slices(partitions: int, maps: int) -> None:
    rng = random.Random(partitions + maps)
    outputs = [random_rows(rng, rng.choice([0, 300, 2500]), partitions, SHAPE) for _ in range(maps)]
    assert write_and_read(outputs, partitions) == partitions_of(outputs, partitions)


@pytest.mark.parametrize("partitions", [1000, 10_000])
def test_some_of_very_many_partitions(partitions: int) -> None:
    rng = random.Random(2)
    outputs = [random_rows(rng, 3000, partitions, SHAPE) for _ in range(2)]
    wanted = partitions_of(outputs, partitions)
    asked = [0, partitions - 1, *rng.sample(range(partitions), 40)]
    with exchange() as made:
        written = made.write_all(outputs, LAYOUT, partitions=partitions, partition_bytes=2)
        assert made.read(written, asked, LAYOUT) == [wanted[partition] for partition in asked]
        found = [find_slices(written, partition) for partition in range(0, partitions, 50)]
        assert [sum(each.raw_bytes for each in slices) for slices in found] == list(map(len, wanted[::50]))


def test_one_partition_with_nine_tenths_of_everything() -> None:
    rng = random.Random(8)
    outputs = [random_rows(rng, 300, 20, SHAPE) for _ in range(4)]
    for number, output in enumerate(outputs):
        output += [make_row(13, b"hot", b"%d %d" % (number, place), SHAPE) for place in range(2700)]
    assert write_and_read(outputs, 20) == partitions_of(outputs, 20)


def test_ties_keep_the_order_of_map_task_and_position() -> None:
    outputs = [[make_row(1, b"same", b"%d %04d" % (number, i), SHAPE) for i in range(800)] for number in range(5)]
    assert write_and_read(outputs, 2) == [b"", b"".join(row for output in outputs for row in output)]


@pytest.mark.parametrize("open_files_max", [None, 58])
def test_more_map_outputs_than_one_merge_can_take(open_files_max: int | None) -> None:
    """With hardly any memory, or hardly any open files, in several passes: the same rows in the same order."""
    rng = random.Random(3)
    outputs = [random_rows(rng, rng.choice([0, 40, 150]), 3, SHAPE) for _ in range(60)]
    managed = 96 * KIB if open_files_max is None else 1024 * KIB
    with exchange(managed_bytes=managed, open_files_max=open_files_max) as made:
        written = made.write_all(outputs, LAYOUT, partitions=3, partition_bytes=2)
        session = PartitionSession(made.sort_options(LAYOUT))
        for partition, wanted in enumerate(partitions_of(outputs, 3)):
            for _ in range(2):
                assert b"".join(map(bytes, session.read(written, partition))) == wanted
            runs = session._job._runs
            assert runs is not None and runs.passes > 1 and len(runs._runs) < 30
            own = list(made.temp_dir.rglob("*.spill"))
            assert len(own) == sum(run not in runs.slices for run in runs._runs), "only the runs of this partition"
        session.close()
        assert all(output.run.path.exists() and output.index_path.exists() for output in written)


@pytest.mark.parametrize("seed", range(3))
def test_rows_longer_than_blocks(seed: int) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    outputs = [random_rows(rng, 400, 4, SHAPE) for _ in range(3)]
    for output in outputs:
        for _ in range(8):
            key = rng.choice([b"", b"a", b"ab" * 4000, b"ab" * 4000 + b"c"])
            row = make_row(rng.randrange(4), key, b"v" * rng.choice([5, 4100, 20_000]), SHAPE)
            output.insert(rng.randrange(len(output)), row)
    assert write_and_read(outputs, 4, managed_bytes=160 * KIB) == partitions_of(outputs, 4)


@settings(max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.data())
def test_any_rows(data: st.DataObject) -> None:
    partitions = data.draw(st.sampled_from([1, 3, 40]))
    size = st.sampled_from([0, 1, 60, 3900, 9000])
    row = st.tuples(st.integers(0, partitions - 1), st.binary(max_size=2), size)
    outputs = [
        [make_row(number, key, b"%d" % at + b"v" * length, SHAPE) for at, (number, key, length) in enumerate(output)]
        for output in data.draw(st.lists(st.lists(row, max_size=20), max_size=5))
    ]
    assert write_and_read(outputs, partitions) == partitions_of(outputs, partitions)


def test_compressed() -> None:
    outputs = [random_rows(random.Random(number), 1500, 5, SHAPE) for number in range(3)]
    assert write_and_read(outputs, 5, compress="zstd") == partitions_of(outputs, 5)


def test_broadcast_and_round_robin_keep_the_order_of_arrival() -> None:
    whole, dealt = KeyShape(0, 0, 0), KeyShape(2, 0, 0)
    outputs = [[b"%d %d" % (number, i) for i in range(1000)] for number in range(3)]
    with exchange() as made:
        plain = [[make_row(0, b"", value, whole) for value in output] for output in outputs]
        written = made.write_all(plain, whole.layout, partitions=4, is_broadcast=True)
        everything = b"".join(row for output in plain for row in output)
        assert made.read(written, range(4), whole.layout) == [everything] * 4
        numbered = [[make_row((n + i) % 4, b"", v, dealt) for i, v in enumerate(o)] for n, o in enumerate(outputs)]
        written = made.write_all(numbered, dealt.layout, partitions=4, partition_bytes=2)
        wanted = [
            b"".join(numbered[n][i] for n in range(3) for i in range(1000) if (n + i) % 4 == partition)
            for partition in range(4)
        ]
        assert made.read(written, range(4), dealt.layout) == wanted


# --- little is read


def test_only_what_a_partition_needs_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    entries: list[int] = []
    real = BlockIndex.from_bytes.__func__  # type: ignore[attr-defined]

    def watch(cls: type[BlockIndex], view: memoryview, count: int) -> BlockIndex:
        entries.append(count)
        return real(cls, view, count)  # type: ignore[no-any-return]

    rng = random.Random(6)
    outputs = [random_rows(rng, 6000, 10, SHAPE) for _ in range(3)]
    with exchange() as made:
        written = made.write_all(outputs, LAYOUT, partitions=10, partition_bytes=2)
        assert all(output.run.block_count > 15 for output in written)
        session = PartitionSession(made.sort_options(LAYOUT))
        monkeypatch.setattr(BlockIndex, "from_bytes", classmethod(watch))
        got = b"".join(map(bytes, session.read(written, 4)))
        stats = session._job.means.io.stats
        session.close()
    assert got == partitions_of(outputs, 10)[4]
    assert max(entries) <= 5, "entries of the block index, of more than 15"
    assert stats.raw_bytes_read <= len(got) + 3 * 2 * 4 * KIB


# --- sessions


def small(made: Exchange) -> tuple[list[MapOutput], list[bytes]]:
    outputs = [random_rows(random.Random(number), 2500, 3, SHAPE) for number in range(3)]
    return made.write_all(outputs, LAYOUT, partitions=3, partition_bytes=2), partitions_of(outputs, 3)


def test_one_session_reads_one_partition_at_a_time() -> None:
    with exchange() as made:
        written, wanted = small(made)
        session = PartitionSession(made.sort_options(LAYOUT))
        reading = session.read(written, 0)
        next(reading)
        with pytest.raises(RuntimeError, match="being read already"):
            next(session.read(written, 1))
        reading.close()
        assert [b"".join(map(bytes, session.read(written, partition))) for partition in range(3)] == wanted
        session.close()
        session.close()


def test_slices_travel() -> None:
    with exchange() as made:
        written, wanted = small(made)
        slices = pickle.loads(pickle.dumps(find_slices(written, 1)))
        assert slices == find_slices(written, 1)
        assert made.read_slices(slices, LAYOUT) == wanted[1]
        assert made.read_slices([], LAYOUT) == b""


def test_dropped_is_closed() -> None:
    with exchange() as made:
        written, _ = small(made)
        before = set(threading.enumerate())
        session = PartitionSession(made.sort_options(LAYOUT))
        reading = session.read(written, 0)
        next(reading)
        (thread,) = [each for each in threading.enumerate() if each.name == "spillway-engine" and each not in before]
        del session, reading
        gc.collect()
        thread.join(tiny.SECONDS_MAX)
        assert not thread.is_alive()


def test_a_damaged_partition_is_an_error_and_the_others_can_be_read() -> None:
    with exchange() as made:
        written, wanted = small(made)
        slices = find_slices(written, 1)
        path, data = written[1].run.path, bytearray(written[1].run.path.read_bytes())
        at = 4096 * (2 + slices[1].start.block) + 200  # in the block behind that in which the partition begins
        data[at] ^= 1
        path.write_bytes(data)
        session = PartitionSession(made.sort_options(LAYOUT))
        for _ in range(2):
            with pytest.raises(RunCorruptError, match="checksum of the block") as caught:
                list(session.read(written, 1))
            assert caught.value.path == path
        assert b"".join(map(bytes, session.read(written, 2))) == wanted[2]
        session.close()


def test_damage_found_before_the_last_merge_is_found_again() -> None:
    """Several passes: an error in the first must not leave runs behind that lack something."""
    outputs = [random_rows(random.Random(number), 60, 2, SHAPE) for number in range(40)]
    with exchange(managed_bytes=96 * KIB) as made:
        written = made.write_all(outputs, LAYOUT, partitions=2, partition_bytes=2)
        slices = [replace(each, records=None) for each in find_slices(written, 0)]
        path, data = slices[0].run.path, bytearray(slices[0].run.path.read_bytes())
        path.write_bytes(data[:4300] + bytes([data[4300] ^ 1]) + data[4301:])
        session = PartitionSession(made.sort_options(LAYOUT))
        for _ in range(2):
            with pytest.raises(RunCorruptError, match="checksum of the block"):
                list(session.read_slices(slices))
        path.write_bytes(data)
        assert b"".join(map(bytes, session.read_slices(slices))) == partitions_of(outputs, 2)[0]
        session.close()


def test_a_slice_that_counts_other_records_is_an_error() -> None:
    with exchange() as made:
        written, _ = small(made)
        slices = find_slices(written, 1)
        assert slices[0].records is not None
        slices[0] = replace(slices[0], records=slices[0].records + 1)
        with pytest.raises(RunCorruptError, match="records, not"):
            made.read_slices(slices, LAYOUT)


# --- memory


def test_buffers_are_as_large_as_the_blocks_of_others() -> None:
    """A map task with much memory wrote large blocks; a reduce task with less can read them, or says what it needs."""
    with exchange(block_bytes=(16 * KIB, 64 * KIB), managed_bytes=1024 * KIB, direct_bytes=2048 * KIB) as made:
        outputs = [random_rows(random.Random(number), 6000, 2, SHAPE) for number in range(2)]
        written = made.write_all(outputs, LAYOUT, partitions=2, partition_bytes=2)
        assert written[0].run.block_bytes == 16 * KIB
        slices = find_slices(written, 0)
        session = PartitionSession(made.sort_options(LAYOUT))
        plan = session._job.means.plan
        session.close()
        fitted = plan_to_read(replace(plan, block_bytes=4 * KIB, output_bytes=8 * KIB), slices)
        assert fitted.block_bytes == 16 * KIB and fitted.output_bytes == 20 * KIB
        assert plan_to_read(plan, []) == replace(plan, output_bytes=max(plan.output_bytes, plan.block_bytes + 4 * KIB))
        larger = [replace(each, run=replace(each.run, block_bytes=128 * KIB)) for each in slices]
        with pytest.raises(MemoryConfigurationError, match="as much memory as the map tasks had"):
            plan_to_read(plan, larger)


def test_layouts_with_keys_of_one_length() -> None:
    shape = KeyShape(2, 4, 0)
    rng = random.Random(9)
    outputs = [
        [make_row(rng.randrange(5), b"%04d" % rng.randrange(50), b"%d" % i, shape) for i in range(2000)]
        for _ in range(3)
    ]
    with exchange() as made:
        written = made.write_all(outputs, shape.layout, partitions=5, partition_bytes=2)
        got = made.read(written, range(5), shape.layout)
    assert b"".join(got) == b"".join(in_order(outputs, shape.layout))
    assert rows(6) == shape.layout
