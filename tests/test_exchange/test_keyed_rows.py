"""Keys joined, taken apart, compared and hashed: each kernel against its slow twin, and the hash against xxhash."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from serializers.columns.pieces import EncodedRows
from serializers.errors import CorruptRecordError, SerializationError
from serializers.row_codec import RowCodec
from serializers.types import Int32, OrderingComparator, parse_by, type_info_of
from shuffle.exchange import keyed_rows
from shuffle.exchange.key_shape import KeyShape, partition_bytes_of
from shuffle.exchange.keyed_rows import group_key, group_prefix, group_starts, hash_keys, join_keys, split_keys
from shuffle.exchange.partitioners import partitions_of_hashes
from tests import naive
from tests.test_exchange.outputs import numbers, pack, unpack

SHAPES = [KeyShape(*lengths) for lengths in product((0, 2, 4), (None, 0, 3, 8), (None, 0, 2))]


@dataclass(frozen=True)
class Record:
    """One row in the making."""

    group: bytes
    sort: bytes
    partition: int
    value: bytes


def closed(key: bytes) -> bytes:
    return key.replace(b"\0", b"\0\xff") + b"\0\0"


def joined(record: Record, shape: KeyShape) -> bytes:
    """The slow twin of `join_keys`."""
    number = record.partition.to_bytes(shape.partition_bytes, "big") if shape.partition_bytes else b""
    group = closed(record.group) if shape.closes_group else record.group
    key = number + group + (record.sort if shape.has_sort_key else b"")
    return naive.make_row(key, record.value, key_varies=shape.key_bytes is None)


def grouped(record: Record, shape: KeyShape) -> bytes:
    return naive.make_row(record.group, record.value, key_varies=shape.group_bytes is None)


def sorting(record: Record, shape: KeyShape) -> bytes:
    return naive.make_row(record.sort, b"nobody reads this", key_varies=shape.sort_bytes is None)


def join(records: Sequence[Record], shape: KeyShape) -> EncodedRows:
    return join_keys(
        pack([grouped(record, shape) for record in records]),
        shape,
        sort_rows=pack([sorting(record, shape) for record in records]) if shape.has_sort_key else None,
        partitions=numbers([record.partition for record in records]) if shape.partition_bytes else None,
    )


def keys(length: int | None) -> st.SearchStrategy[bytes]:
    """Few different bytes, so that zeros, escapes and equal keys are ordinary; now and then a long one."""
    symbols = st.sampled_from(b"\x00\x01\xfe\xffa")
    if length is not None:
        return st.lists(symbols, min_size=length, max_size=length).map(bytes)
    return st.one_of(st.lists(symbols, max_size=20).map(bytes), st.binary(max_size=300))


@st.composite
def records_of(draw: st.DrawFn) -> tuple[KeyShape, list[Record]]:
    shape = draw(st.sampled_from(SHAPES))
    number = st.integers(0, (1 << 8 * shape.partition_bytes) - 1)
    value = st.one_of(st.binary(max_size=3), st.binary(min_size=100, max_size=200))
    record = st.builds(Record, keys(shape.group_bytes), keys(shape.sort_bytes), number, value)
    return shape, draw(st.lists(record, max_size=30))


@given(records_of())
def test_joined_and_split_as_the_twins_do(made: tuple[KeyShape, list[Record]]) -> None:
    shape, records = made
    rows = join(records, shape)
    assert unpack(rows) == [joined(record, shape) for record in records]
    assert [shape.layout.key(row) for row in unpack(rows)] == [shape.layout.key(joined(r, shape)) for r in records]
    back = split_keys(rows.rows, shape)
    assert unpack(back) == [grouped(record, shape) for record in records]


@given(records_of())
def test_groups_begin_where_partition_or_group_key_differs(made: tuple[KeyShape, list[Record]]) -> None:
    shape, records = made
    records.sort(key=lambda record: shape.layout.key(joined(record, shape)))
    rows = join(records, shape)
    wanted = [(record.partition if shape.partition_bytes else 0, record.group) for record in records]
    starts = [at for at in range(len(wanted)) if at == 0 or wanted[at] != wanted[at - 1]]
    assert group_starts(rows.rows, shape).tolist() == starts
    found = [group_key(row, shape) for row in unpack(rows)]
    assert [found[at] != found[at - 1] for at in range(1, len(found))] == [at in starts for at in range(1, len(found))]


@given(records_of())
def test_order_is_partition_then_group_then_sort_key(made: tuple[KeyShape, list[Record]]) -> None:
    shape, records = made
    place = {
        id(record): (
            record.partition if shape.partition_bytes else 0,
            record.group,
            record.sort if shape.has_sort_key else b"",
        )
        for record in records
    }
    by_bytes = sorted(records, key=lambda record: shape.layout.key(joined(record, shape)))
    assert [place[id(record)] for record in by_bytes] == sorted(place[id(record)] for record in records)


@given(records_of())
def test_hash_is_xxh64_of_the_group_key(made: tuple[KeyShape, list[Record]]) -> None:
    shape, records = made
    hashes = hash_keys(pack([grouped(record, shape) for record in records]), shape)
    assert hashes.tolist() == [xxhash.xxh64_intdigest(record.group) for record in records]


@pytest.mark.parametrize("length", [*range(70), 127, 128, 129, 1000, 100_003])
def test_hash_of_every_length_whatever_stands_behind(length: int) -> None:
    key = bytes(i * 7 % 251 for i in range(length))
    hashes = hash_keys(pack([naive.make_row(key, b"\xff" * 3, key_varies=True)]), KeyShape(0, None, 0))
    assert hashes.tolist() == [xxhash.xxh64_intdigest(key)]


def test_golden_hashes() -> None:
    """As they are published, and in docs/SHUFFLE_FORMAT.md: a key goes to the same partition for ever."""
    golden = {
        b"": 0xEF46DB3751D8E999,
        b"a": 0xD24EC4F1A98C6E5B,
        b"abc": 0x44BC2CF5AD770999,
        bytes.fromhex("8000000000000001"): 0x2DBA37A4E405904F,
        bytes(range(100)): 0x6AC1E58032166597,
    }
    rows = pack([naive.make_row(key, b"", key_varies=True) for key in golden])
    hashes = hash_keys(rows, KeyShape(2, None, 0))
    assert [hex(found) for found in hashes.tolist()] == list(map(hex, golden.values()))
    assert partitions_of_hashes(hashes, 7).tolist() == [6, 5, 1, 1, 2]
    assert partitions_of_hashes(hashes, 1000).tolist() == [934, 821, 268, 178, 417]


def test_values_of_a_type_go_there_and_back() -> None:
    """Rows of a codec, whose values stand in the key in part: what comes back is decodable by the codec."""
    info = type_info_of(tuple[str, int])
    codec = RowCodec(info, info.create_comparator())
    values = [("x\0y" * (i % 5), i - 50) for i in range(100)]
    encoded = codec.encode(values)
    shape = KeyShape(2, codec.key_bytes, None)
    rows = join_keys(encoded, shape, sort_rows=encoded, partitions=numbers([7] * 100))
    assert codec.decode(split_keys(rows.rows, shape).rows) == values


def test_the_rows_that_the_docs_show() -> None:
    info = type_info_of(tuple[str, Int32])
    by_text = RowCodec(info, OrderingComparator(info, parse_by([0])))
    by_number = RowCodec(info, OrderingComparator(info, parse_by([1])))
    rows, sort_rows = by_text.encode([("a", 1)]), by_number.encode([("a", 1)])
    plain = join_keys(rows, KeyShape(2, None, 0), partitions=numbers([2]))
    assert bytes(plain.rows).hex(" ") == "08 03 00 02 61 01 00 00 00"
    ordered = join_keys(rows, KeyShape(2, None, 4), sort_rows=sort_rows, partitions=numbers([2]))
    assert bytes(ordered.rows).hex(" ") == "0e 09 00 02 61 00 00 80 00 00 01 01 00 00 00"


@pytest.mark.parametrize("shape", SHAPES)
def test_no_rows(shape: KeyShape) -> None:
    rows = join([], shape)
    assert rows.count == rows.size == 0
    assert split_keys(rows.rows, shape).count == 0
    assert group_starts(rows.rows, shape).tolist() == hash_keys(pack([]), shape).tolist() == []


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_that_are_cut_short_are_an_error(shape: KeyShape) -> None:
    records = [Record(b"\0ab" * 3, b"so", 1, b"value")] * 3
    fitting = [Record(r.group[: shape.group_bytes], r.sort[: shape.sort_bytes], r.partition, r.value) for r in records]
    whole = unpack(join([_padded(record, shape) for record in fitting], shape))
    for end in range(1, len(whole[0])):
        cut = np.frombuffer(b"".join(whole) + whole[0][:end] + b"\xff" * 64, np.uint8)[: 3 * len(whole[0]) + end]
        for use in (split_keys, group_starts):
            with pytest.raises(CorruptRecordError, match="record 3") as caught:
                use(cut, shape)
            assert caught.value.record == 3


def _padded(record: Record, shape: KeyShape) -> Record:
    group = record.group if shape.group_bytes is None else record.group.ljust(shape.group_bytes, b"p")
    sort = record.sort if shape.sort_bytes is None else record.sort.ljust(shape.sort_bytes, b"p")
    return Record(group, sort, record.partition, record.value)


def test_a_group_key_that_never_ends_is_an_error() -> None:
    shape = KeyShape(2, None, 4)
    for key in (b"\0\1", b"\0\1abc\0", b"\0\1abc\0\xff", b"\0"):
        row = naive.make_row(key, b"\0\0\0\0", key_varies=True)
        for use in (split_keys, group_starts):
            with pytest.raises(CorruptRecordError):
                use(pack([row]).rows, shape)
        assert group_prefix(key, shape) == key


@given(st.binary(max_size=200), st.sampled_from(SHAPES))
def test_any_bytes_are_rows_or_an_error(data: bytes, shape: KeyShape) -> None:
    view = np.frombuffer(data + b"\x80" * 64, np.uint8)[: len(data)]
    for use in (split_keys, group_starts):
        try:
            use(view, shape)
        except CorruptRecordError:
            continue


def test_rows_of_2_gib_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyed_rows, "ROWS_BYTES_MAX", 100)
    rows = pack([naive.make_row(b"key", b"value" * 3, key_varies=True)] * 10)
    with pytest.raises(SerializationError, match="10 rows"):
        join_keys(rows, KeyShape(2, None, 0), partitions=numbers([1] * 10))


@pytest.mark.parametrize(("partitions", "size"), [(1, 0), (2, 2), (65536, 2), (65537, 4), (1 << 32, 4)])
def test_a_partition_number_takes_what_it_must(partitions: int, size: int) -> None:
    assert partition_bytes_of(partitions) == size


@pytest.mark.parametrize(
    ("shape", "key_bytes"),
    [
        (KeyShape(2, 8, 0), 10),
        (KeyShape(0, 8, 4), 12),
        (KeyShape(4, 0, 0), 4),
        (KeyShape(2, None, 0), None),
        (KeyShape(2, 8, None), None),
    ],
)
def test_key_length_is_known_where_all_parts_are(shape: KeyShape, key_bytes: int | None) -> None:
    assert shape.key_bytes == key_bytes
    assert shape.closes_group == (shape.group_bytes is None and shape.sort_bytes != 0)
