"""The normalized-key quicksort against `sorted`: every kind of key that can fool it."""

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serializers import SLACK_BYTES, RecordLayout, fixed, lines
from shuffle.kernels import sort
from tests import naive

ALL_ONES = (1 << 64) - 1
LINES = lines()


def words_of(*symbols: str, size: int = 30) -> st.SearchStrategy[list[bytes]]:
    """Lists of lines built of few symbols, so that prefixes and ties are common."""
    line = st.lists(st.sampled_from(symbols), max_size=size).map(lambda parts: "".join(parts).encode("latin-1"))
    return st.lists(line.map(lambda text: text + b"\n"), min_size=1, max_size=120)


class Buffer:
    """Records in memory with their offsets: what a sort buffer gives to the kernels."""

    def __init__(self, records: Sequence[bytes], layout: RecordLayout) -> None:
        data = b"".join(records)
        self.count = len(records)
        self.layout = layout
        self._bytes: NDArray[np.uint8] = np.full(len(data) + SLACK_BYTES, 0xFF, np.uint8)
        self._bytes[: len(data)] = np.frombuffer(data, np.uint8)
        ends = np.cumsum([0, *map(len, records)], dtype=np.uint32)
        offsets = ends[::-1].copy() if layout.is_lines else np.empty(0, np.uint32)
        shape = layout.record_bytes, layout.key_offset, layout.key_bytes
        self.keys = (int(self._bytes.ctypes.data), offsets, *shape)
        self.ordinal_bits = (self.count - 1).bit_length() or 1
        self.mask = (1 << self.ordinal_bits) - 1
        self.scratch = np.empty(sort.SCRATCH_WORDS, np.uint64)
        self.stack = np.full(2 * (math.isqrt(len(data)) + 64), ALL_ONES, np.uint64)

    def sorted_words(self, *, reverse: bool = False, with_numpy: bool = False) -> NDArray[np.uint64]:
        inverted = ALL_ONES if reverse else 0
        words = np.empty(self.count, np.uint64)
        skip, order = sort.make_words(words, *self.keys, inverted, self.ordinal_bits)
        assert sorted((words & np.uint64(self.mask)).tolist()) == list(range(self.count))
        if order == sort.DESCENDING:
            words[:] = words[::-1].copy()
        elif order == sort.UNORDERED and with_numpy:
            words.sort()
        elif order == sort.UNORDERED:
            sort.sort_words(words, self.scratch)
        assert (words[1:] > words[:-1]).all()
        deepest = sort.refine_words(words, *self.keys, inverted, self.ordinal_bits, skip, self.scratch, self.stack)
        assert 2 * deepest < len(self.stack), "nested deeper than the stack of a sort buffer"
        return words

    def order(self, *, reverse: bool = False, with_numpy: bool = False) -> list[int]:
        """The ordinals of the records, in order."""
        words = self.sorted_words(reverse=reverse, with_numpy=with_numpy)
        return [int(word) & self.mask for word in words]


def check(records: Sequence[bytes], layout: RecordLayout = LINES) -> None:
    """Both directions, stable to the record."""
    keys = [layout.key(record) for record in records]
    buffer = Buffer(records, layout)
    for reverse in (False, True):
        expected = naive.sort_order(keys, reverse=reverse)
        assert buffer.order(reverse=reverse) == expected
        assert buffer.order(reverse=reverse, with_numpy=True) == expected


@given(words_of("a", "b"))
@example([b"\n"])
@example([b"\n"] * 50)
def test_lines_of_two_symbols(records: list[bytes]) -> None:
    check(records)


@given(words_of("a", size=60))
def test_prefixes_of_each_other(records: list[bytes]) -> None:
    check(records)


@given(words_of("a", "\0", size=20))
def test_embedded_zero_bytes(records: list[bytes]) -> None:
    check(records)


@given(words_of("\xff", "\xfe", "\0"))
def test_bytes_at_both_ends(records: list[bytes]) -> None:
    check(records)


@given(words_of("a", "\0", "12345678"), words_of("common prefix of more than two words", size=2))
def test_long_common_prefixes(records: list[bytes], prefixes: list[bytes]) -> None:
    check([prefixes[0][:-1] + record for record in records])


@given(words_of("dup", "dupe", "", "zebra" * 5, size=1))
def test_many_duplicates(records: list[bytes]) -> None:
    check(records)


@pytest.mark.parametrize("key_offset", [0, 3])
@pytest.mark.parametrize("key_bytes", [1, 7, 8, 9, 17])
@given(data=st.data())
def test_fixed_records_with_the_key_anywhere(key_offset: int, key_bytes: int, data: st.DataObject) -> None:
    layout = fixed(24, key_offset=key_offset, key_bytes=key_bytes)
    symbols = data.draw(st.sampled_from([b"\0\xff", b"ab", bytes(range(256))]))
    seed = data.draw(st.integers(0, 1 << 32))
    rng = random.Random(seed)
    check([bytes(rng.choices(symbols, k=24)) for _ in range(data.draw(st.integers(1, 200)))], layout)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [2, 31, 32, 33, 1000, 20_000])
def test_random_lines(count: int, seed: int) -> None:
    rng = random.Random(seed)
    check([rng.randbytes(rng.randrange(12)).replace(b"\n", b"") + b"\n" for _ in range(count)])


@pytest.mark.parametrize("count", [9, 300, 5000])
def test_ordered_input_needs_no_sort(count: int) -> None:
    ascending = [b"%05d\n" % i for i in range(count)]
    buffer, backwards = Buffer(ascending, LINES), Buffer(ascending[::-1], LINES)
    words = np.empty(count, np.uint64)
    assert sort.make_words(words, *buffer.keys, 0, buffer.ordinal_bits)[1] == sort.ASCENDING
    assert sort.make_words(words, *backwards.keys, 0, buffer.ordinal_bits)[1] == sort.DESCENDING
    assert sort.make_words(words, *backwards.keys, ALL_ONES, buffer.ordinal_bits)[1] == sort.ASCENDING
    check(ascending)
    check(ascending[::-1])


def test_descending_input_with_ties_is_not_turned_around() -> None:
    check([b"%05d\n" % (i // 2) for i in range(300, 0, -1)])


def test_the_shared_prefix_is_exact() -> None:
    records = [b"common %c%05d\n" % (b"xy"[i == 77], i) for i in range(100)]  # the sample does not see line 77
    buffer = Buffer(records, LINES)
    skip, _ = sort.make_words(np.empty(100, np.uint64), *buffer.keys, 0, buffer.ordinal_bits)
    assert skip == len(naive.common_prefix(records))
    check(records)


def test_a_chain_of_prefixes_nests_within_the_stack() -> None:
    rng = random.Random(1)
    records = [b"x" * length + b"\n" for length in range(500) for _ in range(2)]
    rng.shuffle(records)
    check(records)


def test_groups_of_groups_nest_within_the_stack() -> None:
    """At every 8 bytes most records stay together, and a few leave."""
    rng = random.Random(2)
    records = [b"y" * 8 * rng.randrange(60) + rng.choice([b"", b"a", b"z", b"\0"]) + b"\n" for _ in range(3000)]
    check(records)


def test_zeros_to_the_end_nest_within_the_stack() -> None:
    """Keys of zeros only differ in length: no word at any depth tells them apart."""
    rng = random.Random(3)
    records = [b"\0" * rng.randrange(400) + b"\n" for _ in range(2000)]
    check(records)


@given(words_of("a", "b", "\0", size=4))
def test_drop_equal_keeps_the_first_of_each(records: list[bytes]) -> None:
    buffer = Buffer(records, LINES)
    words = buffer.sorted_words()
    kept = sort.drop_equal(words, *buffer.keys, buffer.mask)
    expected = sorted(records.index(record) for record in set(records))
    ordinals = [int(word) & buffer.mask for word in words[:kept]]
    assert sorted(ordinals) == expected
    assert [records[i] for i in ordinals] == sorted(set(records), key=LINES.key)


# --- words


def killer(count: int) -> list[int]:
    """Words that make the median of seven the fourth least, again and again, until the depth is used up.

    McIlroy's adversary, played out ahead: positions are given the least values left as they are looked at.
    """
    at, values, given_out = list(range(count)), [count] * count, 0
    low = 0
    for _ in range(3 * (count.bit_length() + 1)):
        if count - low <= sort.RANK_WORDS:
            break
        step = (count - low) // 7
        sample = [low + i * step + step // 2 for i in range(7)]
        for position in [p for p in sample if values[at[p]] == count][:4]:
            values[at[position]], given_out = given_out, given_out + 1
        pivot = sorted(values[at[p]] for p in sample)[3]
        for i in range(low, count):
            at[i], at[low] = at[low], at[i]
            low += values[at[low]] < pivot
    for identity in at:
        if values[identity] == count:
            values[identity], given_out = given_out, given_out + 1
    return values


def permutations(count: int) -> dict[str, list[int]]:
    """Orders known to hurt one quicksort or another."""
    rng = random.Random(count)
    ordered = list(range(count))
    nearly = ordered.copy()
    for _ in range(count // 20 + 1):
        i, j = rng.randrange(count), rng.randrange(count)
        nearly[i], nearly[j] = nearly[j], nearly[i]
    return {
        "ascending": ordered,
        "descending": ordered[::-1],
        "organ pipe": ordered[::2] + ordered[1::2][::-1],
        "valley": ordered[1::2][::-1] + ordered[::2],
        "sawtooth": sorted(ordered, key=lambda i: (i % 7, i)),
        "zigzag": sorted(ordered, key=lambda i: (i ^ 1, i)),
        "rotated": ordered[count // 3 :] + ordered[: count // 3],
        "nearly": nearly,
        "random": rng.sample(ordered, count),
        "killer": killer(count),
    }


@pytest.mark.parametrize("count", [1, 2, 7, 31, 32, 33, 64, 65, 1000, 4099])
def test_quicksort_on_orders_that_hurt(count: int) -> None:
    scratch = np.empty(sort.SCRATCH_WORDS, np.uint64)
    for name, order in permutations(count).items():
        for spread in (1, (1 << 64) // (count + 1)):
            words = np.array(order, np.uint64) * np.uint64(spread)
            expected = np.sort(words)
            sort.sort_words(words, scratch)
            assert (words == expected).all(), (name, spread)


@given(st.lists(st.integers(0, ALL_ONES), unique=True, max_size=300))
def test_quicksort_is_numpys_sort(values: list[int]) -> None:
    words = np.array(values, np.uint64)
    sort.sort_words(words, np.empty(sort.SCRATCH_WORDS, np.uint64))
    assert words.tolist() == sorted(values)


@given(st.lists(st.integers(0, ALL_ONES), max_size=100), st.integers(0, 20), st.integers(0, 20))
def test_heap_sort_sorts_its_range_only(values: list[int], before: int, after: int) -> None:
    low, high = min(before, len(values)), max(len(values) - after, min(before, len(values)))
    words = np.array(values, np.uint64)
    sort.heap_sort(words, np.uint64(low), np.uint64(high))
    assert words.tolist() == values[:low] + sorted(values[low:high]) + values[high:]


def test_the_killer_ends_in_heap_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quicksort as Python runs it, to see what it calls; the pieces are compiled."""
    heap_sorted: list[int] = []

    def heap_sort(words: NDArray[np.uint64], low: int, high: int) -> None:
        heap_sorted.append(int(high - low))
        words[low:high].sort()

    monkeypatch.setattr(sort, "heap_sort", heap_sort)
    monkeypatch.setattr(sort, "count_leading_zeros", lambda word: np.uint64(64 - int(word).bit_length()))
    for order, is_killer in ((killer(4000), True), (permutations(4000)["random"], False)):
        heap_sorted.clear()
        words = np.array(order, np.uint64)
        scratch = np.empty(sort.SCRATCH_WORDS, np.uint64)
        sort.quicksort.py_func(words, np.uint64(0), np.uint64(4000), scratch)
        assert (words == np.arange(4000, dtype=np.uint64)).all()
        assert bool(heap_sorted) == is_killer, heap_sorted
