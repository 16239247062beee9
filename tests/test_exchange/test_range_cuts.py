"""Map outputs cut into ranges: one behind another they are the merge of all, they are even, and groups stay whole."""

import pickle
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from io_manager import KEY_BYTES_MAX
from serializers import RecordLayout
from shuffle.exchange import range_cuts
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.keyed_rows import group_prefix
from shuffle.exchange.partition_reader import PartitionSession
from shuffle.exchange.partitioners import RangePartitioner
from shuffle.exchange.range_cuts import RangeCuts
from shuffle.exchange.range_samples import Samples
from tests import naive
from tests.test_exchange.outputs import KIB, exchange, in_order, make_row, pack, unpack

SHAPE = KeyShape(0, None, 0)
LAYOUT = SHAPE.layout


def rows_in(data: bytes) -> list[bytes]:
    """The rows of short ones, one behind another."""
    found = []
    while data:
        end = 1 + data[0] if data[0] < 128 else 2 + (data[0] & 127) + (data[1] << 7)
        if data[0] >= 128 and data[1] >= 128:
            end = 3 + (data[0] & 127) + ((data[1] & 127) << 7) + (data[2] << 14)
        found.append(data[:end])
        data = data[end:]
    return found


def cut(
    outputs: Sequence[Sequence[bytes]],
    partitions: int,
    partitioner: RangePartitioner = RangePartitioner(),  # noqa: B008 - frozen
    shape: KeyShape = SHAPE,
    **sizes: Any,
) -> list[list[bytes]]:
    """The rows of each partition; together they must be the merge of all."""
    with exchange(**sizes) as made:
        written = made.write_all(outputs, shape.layout, partitions=partitions)
        session = PartitionSession(made.sort_options(shape.layout))
        cuts = session.cut(written, partitions, partitioner, shape)
        slices = [pickle.loads(pickle.dumps(cuts.slices(partition))) for partition in range(partitions)]
        found = [b"".join(map(bytes, session.read_slices(each))) for each in slices]
        session.close()
    assert cuts.partitions == partitions
    assert b"".join(found) == b"".join(in_order(outputs, shape.layout))
    return [rows_in(each) for each in found]


def random_outputs(rng: random.Random, counts: Sequence[int], *, keys: int, value_bytes: int = 10) -> list[list[bytes]]:
    return [
        [
            make_row(0, b"%05d" % rng.randrange(keys), rng.randbytes(rng.randrange(value_bytes)), SHAPE)
            for _ in range(count)
        ]
        for count in counts
    ]


def is_even(sizes: Sequence[int], tolerance: float) -> bool:
    mean = sum(sizes) / len(sizes)
    return all(abs(size - mean) <= mean * tolerance for size in sizes)


@pytest.mark.parametrize("partitions", [1, 7, 60])
@pytest.mark.parametrize("counts", [(2500,), (2000, 0, 1500, 10), (400,) * 9])
@pytest.mark.parametrize("keys", [1, 30, 100_000])
def test_even_in_records_however_keys_are_spread(partitions: int, counts: tuple[int, ...], keys: int) -> None:
    outputs = random_outputs(random.Random(partitions), counts, keys=keys)
    found = cut(outputs, partitions)
    assert is_even([len(rows) for rows in found], 0.15 + len(counts) * 0.03)


def test_even_in_bytes() -> None:
    """Long rows at the low end: few of them make a partition."""
    rng = random.Random(1)
    outputs = [
        [
            make_row(0, key := b"%05d" % rng.randrange(10_000), b"v" * (300 if key < b"02000" else 3), SHAPE)
            for _ in range(2500)
        ]
        for _ in range(3)
    ]
    by_bytes = cut(outputs, 10, RangePartitioner(weigh="bytes"))
    assert is_even([sum(map(len, rows)) for rows in by_bytes], 0.2)
    assert is_even([len(rows) for rows in cut(outputs, 10)], 0.2)
    assert not is_even([len(rows) for rows in by_bytes], 0.5)


def test_from_the_beginnings_of_blocks_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are many blocks, none is read but those that are cut."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("enough blocks are there")

    monkeypatch.setattr(range_cuts, "finer", refuse)
    outputs = random_outputs(random.Random(4), (9000, 5000, 7000), keys=100_000)
    assert is_even([len(rows) for rows in cut(outputs, 3)], 0.15)


@pytest.mark.parametrize("counts", [(), (0,), (0, 1, 0), (3, 2)])
@pytest.mark.parametrize("partitions", [1, 7, 50])
def test_hardly_any_records(counts: tuple[int, ...], partitions: int) -> None:
    found = cut(random_outputs(random.Random(2), counts, keys=100), partitions)
    assert max(map(len, found), default=0) <= -(-sum(counts) // partitions)


@pytest.mark.parametrize("records", [7, 70, 700])
def test_exact_where_every_record_can_be_looked_at(records: int) -> None:
    sizes = [len(rows) for rows in cut(random_outputs(random.Random(3), (records,), keys=10**5), 7)]
    assert max(sizes) - min(sizes) <= max(0, records // 7 // 16)


def test_one_hot_key_spans_partitions_in_order() -> None:
    """Ties are cut by map task and position: 90 % in one key, and the partitions are even all the same."""
    rng = random.Random(5)
    outputs = [
        [
            make_row(0, b"hot" if rng.random() < 0.9 else rng.randbytes(3), b"%d %04d" % (n, i), SHAPE)
            for i in range(2000)
        ]
        for n in range(4)
    ]
    assert is_even([len(rows) for rows in cut(outputs, 10)], 0.15)


@pytest.mark.parametrize("partitions", [2, 50])
def test_groups_stay_whole_where_that_is_wanted(partitions: int) -> None:
    rng = random.Random(partitions)
    outputs = random_outputs(rng, (1500, 0, 2500), keys=40)
    outputs[0] += [make_row(0, b"00020", b"hot", SHAPE)] * 5000
    found = cut(outputs, partitions, RangePartitioner(whole_keys=True))
    groups = [{LAYOUT.key(row) for row in rows} for rows in found]
    assert sum(map(len, groups)) == len(set().union(*groups)), "no key is in two partitions"
    assert sum(map(bool, groups)) > min(partitions, 30) // 2


@pytest.mark.parametrize("group_bytes", [4, None])
def test_groups_stay_whole_whatever_their_sort_keys(group_bytes: int | None) -> None:
    shape = KeyShape(0, group_bytes, None)
    rng = random.Random(7)

    def row(group: bytes) -> bytes:
        key = group if group_bytes else group.replace(b"\0", b"\0\xff") + b"\0\0"
        return naive.make_row(key + rng.randbytes(rng.randrange(5)), b"v", key_varies=True)

    names = [b"g\0%02d" % number for number in range(30)]
    outputs = [[row(rng.choice(names)) for _ in range(2000)] for _ in range(3)]
    found = cut(outputs, 8, RangePartitioner(whole_keys=True), shape)
    groups = [{group_prefix(shape.layout.key(row), shape) for row in rows} for rows in found]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 30 and all(groups)


@pytest.mark.parametrize("whole_keys", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_rows_longer_than_blocks(seed: int, whole_keys: bool) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    outputs = random_outputs(rng, (500, 800), keys=50)
    for output in outputs:
        for _ in range(10):
            key = rng.choice([b"", b"00025", b"00025" * 2000, b"9"]) + rng.choice([b"", b"x"])
            row = make_row(0, key, b"v" * rng.choice([5, 4100, 20_000]), SHAPE)
            output.insert(rng.randrange(len(output)), row)
    found = cut(outputs, 6, RangePartitioner(whole_keys=whole_keys), managed_bytes=160 * KIB)
    if whole_keys:
        groups = [{LAYOUT.key(row) for row in rows} for rows in found]
        assert sum(map(len, groups)) == len(set().union(*groups))


@settings(max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.data())
def test_any_rows(data: st.DataObject) -> None:
    row = st.tuples(st.binary(max_size=3), st.sampled_from([0, 60, 3900, 9000]))
    outputs = [
        [make_row(0, key, b"%d" % at + b"v" * size, SHAPE) for at, (key, size) in enumerate(output)]
        for output in data.draw(st.lists(st.lists(row, max_size=30), max_size=4))
    ]
    cut(outputs, data.draw(st.integers(1, 9)), RangePartitioner(whole_keys=data.draw(st.booleans())))


def test_bounds_of_slices_are_true() -> None:
    """All keys of a slice are between its first and last key: the merge relies on it."""
    outputs = random_outputs(random.Random(11), (3000, 2000), keys=1000)
    with exchange() as made:
        written = made.write_all(outputs, LAYOUT, partitions=9)
        session = PartitionSession(made.sort_options(LAYOUT))
        cuts: RangeCuts = session.cut(written, 9, RangePartitioner(), SHAPE)
        for partition in range(9):
            for part in cuts.slices(partition):
                keys = [LAYOUT.key(row) for row in rows_in(b"".join(map(bytes, session.read_slices([part]))))]
                assert part.first_key <= keys[0] and keys[-1] <= part.last_key
                assert part.raw_bytes > 0 and part.records is None
        session.close()


# --- choosing


def piece_samples(runs: Sequence[Sequence[int]], step: int) -> Samples:
    """Pieces of `step` records of runs of numbers in order."""
    places, offsets, weights, starts, keys = [], [], [], [], []
    for place, run in enumerate(runs):
        for start in range(0, len(run), step):
            places.append(place)
            offsets.append(start)
            weights.append(len(run[start : start + step]))
            starts.append(True)
            keys.append(run[start].to_bytes(8, "big"))
        places.append(place)
        offsets.append(len(run))
        weights.append(0)
        starts.append(False)
        keys.append((run[-1] if run else 0).to_bytes(8, "big"))
    matrix = np.frombuffer(b"".join(key.ljust(KEY_BYTES_MAX, b"\0") for key in keys), np.uint8)
    return Samples(
        np.array(places, np.int64),
        np.zeros(len(places), np.int64),
        np.array(offsets, np.int64),
        np.array(weights, np.int64),
        np.array(starts, np.bool_),
        matrix.reshape(-1, KEY_BYTES_MAX),
        np.full(len(places), 8),
    )


def ranks(runs: Sequence[Sequence[int]], samples: Samples, partitions: int) -> list[int]:
    """How many records go before each place that was chosen: the slow twin of what `choose` reckons with."""
    order = sorted((key, place, at) for place, run in enumerate(runs) for at, key in enumerate(run))
    return [order.index((runs[place][at], place, at)) for place, _, at in samples.choose(partitions)]


@given(st.lists(st.lists(st.integers(0, 50), max_size=40).map(sorted), min_size=1, max_size=5), st.integers(1, 12))
def test_pieces_of_one_record_tell_exactly(runs: list[list[int]], partitions: int) -> None:
    total = sum(map(len, runs))
    found = ranks(runs, piece_samples(runs, 1), partitions)
    wanted = [total * part / partitions for part in range(1, partitions)]
    assert found == sorted(set(found)) and 0 not in found
    if total >= partitions:
        assert len(found) == partitions - 1
        assert all(abs(rank - target) <= 0.5 for rank, target in zip(found, wanted, strict=True))


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(2, 10))
def test_pieces_of_many_tell_about(seed: int, run_count: int, partitions: int) -> None:
    rng = random.Random(seed)
    runs = [sorted(rng.randrange(10**6) for _ in range(400)) for _ in range(run_count)]
    found = ranks(runs, piece_samples(runs, 10), partitions)
    wanted = [400 * run_count * part / partitions for part in range(1, partitions)]
    assert len(found) == len(wanted)
    assert all(abs(rank - target) <= 10 * run_count for rank, target in zip(found, wanted, strict=True))


def test_rows_are_told_apart_by_the_twin_too() -> None:
    rows: list[bytes] = [make_row(0, b"k", b"v" * size, SHAPE) for size in (0, 100, 200, 20_000)]
    layout: RecordLayout = LAYOUT
    assert rows_in(b"".join(rows)) == rows == unpack(pack(rows)) and layout.key(rows[3]) == b"k"
