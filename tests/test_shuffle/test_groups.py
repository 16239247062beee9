"""Groups out of merged rows: as `itertools.groupby` has them, wherever views end and however little is read of each."""

import random
from collections.abc import Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serializers import SLACK_BYTES
from serializers.errors import CorruptRecordError
from serializers.row_codec import EncodedRows, RowCodec
from serializers.types import OrderingComparator, OrderKey, type_info_of
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.keyed_rows import join_keys
from shuffle.groups import Groups, pair_values

Pair = tuple[Any, int]


def codec_of(hint: Any) -> RowCodec:
    info = type_info_of(hint)
    return RowCodec(info, OrderingComparator(info, (OrderKey((0,)),)))


def views_of(rows: EncodedRows, cuts: list[int]) -> Iterator[memoryview]:
    """The rows in pieces that end behind each of `cuts`. A piece is overwritten when the next is asked for."""
    start = 0
    for end in (*(int(rows.ends[cut]) for cut in cuts), rows.size):
        if end > start:
            piece = np.full(end - start + SLACK_BYTES, 0xAB, np.uint8)
            piece[: end - start] = rows.data[start:end]
            yield memoryview(piece)[: end - start]  # type: ignore[arg-type]
            piece[:] = 0xCD
        start = end


KEYS = {int: st.integers(0, 4), str: st.sampled_from(["", "a", "a\0", "a\0\0", "b", "\0"])}
SHAPES = [(partitions, sorts) for partitions in (0, 2, 4) for sorts in (False, True)]


@settings(max_examples=60)
@given(st.data(), st.sampled_from([int, str]), st.sampled_from(SHAPES), st.randoms(use_true_random=False))
def test_as_groupby_has_them(data: Any, kind: type, parts: tuple[int, bool], rng: random.Random) -> None:
    keys = sorted(data.draw(st.lists(KEYS[kind], max_size=40)))
    pairs = [(key, place) for place, key in enumerate(keys)]
    groups = groups_of(pairs, kind, parts, sorted(rng.sample(range(len(pairs)), rng.randrange(len(pairs) + 1))))
    for (key, values), (wanted_key, wanted) in zip(groups, groupby(pairs, itemgetter(0)), strict=True):
        assert key == wanted_key
        count = rng.choice([0, 1, 2, 100])
        assert list(islice(values, count)) == [value for _, value in islice(wanted, count)]


def groups_of(pairs: list[Pair], kind: type, parts: tuple[int, bool], cuts: list[int]) -> Groups[Any, int]:
    """Groups of rows that have a partition number and a sort key, or have not."""
    codec = codec_of(tuple[kind, int])  # type: ignore[valid-type]
    partition_bytes, sorts = parts
    shape = KeyShape(partition_bytes, codec.key_bytes, None if sorts else 0)
    numbers = np.full(len(pairs), 7, np.uint32) if partition_bytes else None
    rows = join_keys(codec.encode(pairs), shape, sort_rows=sort_rows_of(pairs) if sorts else None, partitions=numbers)
    return Groups(views_of(rows, cuts), shape, codec.decode, key_of=itemgetter(0), values_of=pair_values)


def sort_rows_of(pairs: list[Pair]) -> EncodedRows:
    info = type_info_of(tuple[Any, int])
    return RowCodec(info, OrderingComparator(info, (OrderKey((1,)),))).encode([(None, value) for _, value in pairs])


def test_partitions_part_groups_of_equal_keys() -> None:
    codec = codec_of(tuple[int, int])
    rows = codec.encode([(5, 0), (5, 1), (5, 2)])
    shape = KeyShape(2, codec.key_bytes, 0)
    rows = join_keys(rows, shape, partitions=np.array([0, 0, 1], np.uint32))
    found = Groups(views_of(rows, [1]), shape, codec.decode, key_of=itemgetter(0), values_of=pair_values)
    assert [(key, list(values)) for key, values in found] == [(5, [0, 1]), (5, [2])]


def test_a_group_of_many_views_is_read_one_view_at_a_time() -> None:
    codec = codec_of(tuple[int, int])
    rows = codec.encode([(1, n) for n in range(1000)] + [(2, -1)])
    shape = KeyShape(0, codec.key_bytes, 0)
    shown: list[int] = []

    def counted() -> Iterator[memoryview]:
        for view in views_of(rows, list(range(9, 1000, 10))):
            shown.append(len(view))
            yield view

    found = iter(Groups(counted(), shape, codec.decode, key_of=itemgetter(0), values_of=pair_values))
    key, values = next(found)
    assert key == 1 and len(shown) == 1
    assert list(islice(values, 25)) == list(range(25)) and len(shown) == 3
    key, values = next(found)
    assert (key, list(values)) == (2, [-1]) and len(shown) == 101


def test_views_of_a_group_that_nobody_wants_are_not_decoded() -> None:
    codec = codec_of(tuple[int, int])
    rows = codec.encode([(n // 500, n) for n in range(1000)])
    firsts: list[int] = []

    def decode(view: memoryview, first: int) -> list[Any]:
        firsts.append(first)
        return codec.decode(view, first)

    shape = KeyShape(0, codec.key_bytes, 0)
    found = Groups(views_of(rows, list(range(49, 1000, 100))), shape, decode, key_of=itemgetter(0))
    assert [key for key, _ in found] == [0, 1]
    assert firsts == [0, 450]


def test_a_row_that_cannot_be_read_is_named() -> None:
    codec = codec_of(tuple[int, str])
    rows = codec.encode([(n // 2, "text") for n in range(10)])
    rows.data[int(rows.ends[7]) - 1] = 0xFF
    found = Groups(views_of(rows, [2]), KeyShape(0, codec.key_bytes, 0), codec.decode, key_of=itemgetter(0))
    with pytest.raises(CorruptRecordError, match="record 7"):
        list(found)


def test_nothing_has_no_groups() -> None:
    codec = codec_of(tuple[int, int])
    assert list(Groups([], KeyShape(0, codec.key_bytes, 0), codec.decode, key_of=itemgetter(0))) == []
