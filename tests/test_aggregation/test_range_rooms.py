"""Records thrown into ranges: against `searchsorted` in tuples, and lists of lists."""

import bisect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from io_manager import HEADER_BYTES
from serializers.columns.scratch import address_of
from shuffle.aggregation.aggregates import count, parse_aggregates
from shuffle.aggregation.group_table import in_order
from shuffle.aggregation.keys import KeyForm, Keys
from shuffle.aggregation.range_records import RAW, RAW_NULLS, STATE, RecordForm
from shuffle.aggregation.range_rooms import Filled, Rooms, find, splitters_of
from shuffle.aggregation.state_plan import StatePlan, ValueColumn, Words
from shuffle.kernels.states import FLOAT, SIGNED

ALL_ONES = (1 << 64) - 1
WORDS = st.one_of(st.integers(0, 3), st.integers(0, ALL_ONES), st.just(ALL_ONES))
KEYS = st.integers(1, 2).flatmap(lambda words: st.lists(st.tuples(*[WORDS] * words), min_size=1, max_size=60))


class Block:
    """A buffer that nobody lent."""

    def __init__(self, size_bytes: int = 4096) -> None:
        self.view = memoryview(bytearray(size_bytes))

    def release(self) -> None:
        """It is not wanted back."""


def form(key_words: int, *kinds: int, asked: str = "count") -> RecordForm:
    """Of keys of so many words, and a column of each kind."""
    aggregates = [(each, None if each.field is None else int(each.field)) for each in parse_aggregates(asked).values()]
    return RecordForm(KeyForm(8 * key_words), StatePlan(aggregates, kinds))


def array(keys: list[tuple[int, ...]]) -> Words:
    """A line of words for each key."""
    return np.array(keys, np.uint64).reshape(len(keys), -1)


@given(KEYS, st.integers(0, 4))
def test_ranges_follow_the_order_of_keys(keys: list[tuple[int, ...]], bits: int) -> None:
    splitters = splitters_of(array(keys), 1 << bits)
    assert splitters.shape == ((1 << bits) - 1, len(keys[0]))
    columns = form(len(keys[0])).of_values(Keys(array(keys)), [], with_nulls=False)
    numbers = find(columns, splitters).tolist()
    ordered = [tuple(line) for line in splitters.tolist()]
    assert ordered == sorted(ordered)
    assert numbers == [bisect.bisect_right(ordered, key) for key in keys]
    if bits > 1 and len(set(keys)) > 1:
        assert len(set(numbers)) > 1, "different keys of the sample must part"


def test_a_lone_key_is_a_range_of_its_own() -> None:
    splitters = splitters_of(array([(5,)] * 9), 4)
    columns = form(1).of_values(Keys(array([(4,), (5,), (6,), (ALL_ONES,)])), [], with_nulls=False)
    below, lone, above, greatest = find(columns, splitters).tolist()
    assert below < lone < above <= greatest
    assert splitters_of(array([(ALL_ONES,)]), 2).tolist() == [[ALL_ONES]]
    assert splitters_of(array([(3, ALL_ONES)]), 4).tolist()[:2] == [[3, ALL_ONES], [4, 0]]


def test_ranges_are_even() -> None:
    keys = np.random.default_rng(1).integers(0, 1 << 63, 100_000, np.uint64).reshape(-1, 1)
    splitters = splitters_of(keys[:20_000], 64)
    numbers = find(form(1).of_values(Keys(keys), [], with_nulls=False), splitters)
    assert np.bincount(numbers, minlength=64).max() < 1.4 * len(keys) / 64


@pytest.mark.parametrize("key_words", [1, 2])
@pytest.mark.parametrize("with_nulls", [False, True])
@pytest.mark.parametrize("column_count", [0, 1, 3, 70])
def test_rooms_hold_what_was_thrown_into_them(key_words: int, with_nulls: bool, column_count: int) -> None:
    """With flips, nulls and numbers; blocks come as they become full, the first of each room sooner."""
    rng = np.random.default_rng(key_words + column_count)
    made = form(key_words, *[FLOAT] * column_count, asked="count" + ",first:0" * bool(column_count))
    rooms, filled = Rooms(made, 8), list[Filled]()
    flip = 1 << 63 if key_words == 1 else 0
    expected: list[list[tuple[int, ...]]] = [[] for _ in range(8)]
    splitters = splitters_of(rng.integers(0, ALL_ONES, (40, key_words), np.uint64), 8)
    kind = RAW_NULLS if with_nulls else RAW
    filled += rooms.change_kind(kind)
    for _ in range(3):
        keys = rng.integers(0, ALL_ONES, (100, key_words), np.uint64)
        nulls = [(rng.random(100) < 0.3).astype(np.uint8) * 7 for _ in range(column_count)]
        words = [rng.integers(0, ALL_ONES, 100, np.uint64) for _ in range(column_count + bool(column_count))]
        missing = [null if with_nulls else None for null in nulls] + [None] * bool(column_count)
        values = [ValueColumn(*pair) for pair in zip(words, missing, strict=True)]
        columns = made.of_values(Keys(keys, flip), values, with_nulls=with_nulls)
        numbers, first = find(columns, splitters), 0
        while (first := rooms.scatter(columns, numbers, first)) < columns.count:
            filled += rooms.take(int(numbers[first]))
            rooms.give(int(numbers[first]), Block())
        for i, number in enumerate(numbers.tolist()):
            masks = [0] * (-(-column_count // 64) if with_nulls else 0)
            for place in range(column_count if with_nulls else 0):
                masks[place // 64] |= bool(nulls[place][i]) << place % 64
            first_word, *others = keys[i].tolist()
            line = (first_word ^ flip, *others, *(int(word[i]) for word in words), *masks)
            expected[number].append(line)
    filled += rooms.take_all()
    found: list[list[tuple[int, ...]]] = [[] for _ in range(8)]
    for each in filled:
        assert each.kind == kind and each.length == each.record_count * 8 * made.words(kind)
        block = np.frombuffer(each.buffer.view, np.uint64, each.length // 8, HEADER_BYTES)
        found[each.number] += map(tuple, block.reshape(each.record_count, -1).tolist())
    assert found == expected
    assert list(rooms.take_all()) == []


def test_other_records_empty_the_rooms() -> None:
    made = form(1)
    rooms = Rooms(made, 1)
    columns = made.of_values(Keys(array([(1,), (2,)])), [], with_nulls=False)
    rooms.give(0, Block())
    assert rooms.scatter(columns, np.zeros(2, np.uint32), 0) == 2
    assert list(rooms.change_kind(RAW)) == []
    (filled,) = rooms.change_kind(STATE)
    assert filled.record_count == 2 and filled.kind == RAW
    assert rooms.kind == STATE and list(rooms.take_all()) == []


def test_parts_of_columns_are_the_same_records() -> None:
    made = form(1, SIGNED)
    columns = made.of_values(Keys(array([(n,) for n in range(10)])), [ValueColumn(np.arange(10))], with_nulls=False)
    found = []
    for part in columns.parts(4):
        rooms = Rooms(made, 1)
        rooms.give(0, Block())
        assert rooms.scatter(part, np.zeros(part.count, np.uint32), 0) == part.count
        (filled,) = rooms.take_all()
        found += np.frombuffer(filled.buffer.view, np.uint64, filled.length // 8, HEADER_BYTES).tolist()
    assert found == [word for n in range(10) for word in (n, n)]


@given(KEYS)
def test_entries_in_order(keys: list[tuple[int, ...]]) -> None:
    different = array(list(dict.fromkeys(keys)))
    first = np.uint64(address_of(different))
    entries = first + np.arange(len(different), dtype=np.uint64) * np.uint64(different.strides[0])
    ordered = in_order(entries, different.shape[1])
    places = ((ordered - first) // np.uint64(different.strides[0])).tolist()
    assert [tuple(different[place].tolist()) for place in places] == sorted(set(keys))


def test_entries_in_order_that_differ_in_their_last_bits_only() -> None:
    keys = np.array([ALL_ONES, 0, 7, 6, 5, ALL_ONES - 1, 4, 3], np.uint64)
    entries = np.uint64(address_of(keys)) + np.arange(len(keys), dtype=np.uint64) * np.uint64(8)
    places = ((in_order(entries, 1) - np.uint64(address_of(keys))) // np.uint64(8)).astype(np.intp)
    assert keys[places].tolist() == sorted(keys.tolist())
    assert len(in_order(entries[:0], 1)) == 0


def test_the_longest_record() -> None:
    made = RecordForm(KeyForm(8), StatePlan([(count(), None)], []))
    assert [made.words(kind) for kind in (RAW, RAW_NULLS, STATE)] == [1, 1, 2] and made.words_max == 2
