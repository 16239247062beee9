"""The hash table, against a dict: growth, collisions, keys of any length, a table that is full."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory import MemoryManager
from serializers.columns.pieces import EncodedRows
from serializers.layouts import SLACK_BYTES
from shuffle.aggregation.aggregates import Aggregate
from shuffle.aggregation.group_rows import GroupScan, RowWriter
from shuffle.aggregation.group_table import ALL_BITS, GroupTable
from shuffle.aggregation.keys import KeyForm, Keys
from shuffle.aggregation.state_plan import StatePlan, ValueColumn
from shuffle.kernels.states import SIGNED

ASKED = Aggregate("sum", 0)
PLAN = StatePlan([(Aggregate("count"), None), (ASKED, 0)], [SIGNED])
SIGN = 1 << 63
NOISE = np.frombuffer(random.Random(5).randbytes(SLACK_BYTES), np.uint8)


@contextmanager
def table(size: int, form: KeyForm, *, hash_bits: int = ALL_BITS) -> Iterator[GroupTable]:
    """A table in memory full of noise."""
    with MemoryManager(size, segment_bytes=4096) as manager:
        extent = manager.allocate_extent("table", size)
        np.frombuffer(extent.view, np.uint8)[:] = np.random.default_rng(size).integers(0, 256, len(extent.view))
        made = GroupTable(extent, form, PLAN, PLAN.template.copy(), hash_bits=hash_bits)
        yield made
        made.release()
        assert manager.verify_empty()


def encoded(bodies: Sequence[tuple[bytes, bytes]], form: KeyForm) -> EncodedRows:
    """Rows of (key, rest)."""
    rows = b""
    ends = []
    for key, rest in bodies:
        head = bytes([len(key)]) if form.key_bytes is None else b""
        rows += bytes([len(head) + len(key) + len(rest)]) + head + key + rest
        ends.append(len(rows))
    data = np.concatenate([np.frombuffer(rows, np.uint8), NOISE])
    return EncodedRows(data, len(rows), np.array(ends, np.uint32))


def add(groups: GroupTable, keys: Keys, values: Sequence[int]) -> int:
    """Add values to the groups of their keys: how many there was room for."""
    states, hashes = np.empty(len(keys), np.uint64), np.empty(len(keys), np.uint64)
    program, column = PLAN.program(), ValueColumn(np.array(values, np.int64))
    PLAN.bind(program, [column], 0)
    return groups.add(keys, 0, len(keys), program, states, hashes)


def contents(groups: GroupTable) -> dict[bytes, tuple[int, int]]:
    """(count, sum) by key and rest, as the rows of the table say."""
    found: dict[bytes, tuple[int, int]] = {}
    for rows in RowWriter(groups.form, PLAN).rows_of_table(groups):
        start = 0
        for end in rows.ends.tolist():
            row = rows.data[start:end].tobytes()
            at, _ = groups.form.layout.row_key(row)
            state = row[len(row) - 1 - PLAN.state_bytes : -1]
            count, low, high = np.frombuffer(state, np.int64).tolist()
            if count:
                found[row[at : len(row) - 1 - PLAN.state_bytes]] = (count, (high << 64) + low % (1 << 64))
            start = end
    return found


def expected(keys: Sequence[bytes], values: Sequence[int]) -> dict[bytes, tuple[int, int]]:
    """The same of a dict."""
    found: dict[bytes, tuple[int, int]] = {}
    for key, value in zip(keys, values, strict=False):
        count, total = found.get(key, (0, 0))
        found[key] = count + 1, total + value
    return found


@pytest.mark.parametrize("hash_bits", [ALL_BITS, 0xFFFF_FFFF, 0xFF << 56, 7, 0])
@pytest.mark.parametrize("key_count", [1, 3, 500, 3000])
def test_integers_as_they_stand(hash_bits: int, key_count: int) -> None:
    rng = np.random.default_rng(key_count)
    numbers = rng.integers(-(1 << 62), 1 << 62, key_count)[rng.integers(0, key_count, 4000 if hash_bits > 7 else 600)]
    values = rng.integers(-9, 9, len(numbers)).tolist()
    with table(1 << 20, KeyForm(8), hash_bits=hash_bits) as groups:
        assert add(groups, Keys(numbers.view(np.uint64), SIGN), values) == len(numbers)
        assert contents(groups) == expected([(n + SIGN).to_bytes(8, "big") for n in numbers.tolist()], values)


@pytest.mark.parametrize("key_bytes", [9, 12, 16])
def test_keys_of_two_words(key_bytes: int) -> None:
    rng = random.Random(key_bytes)
    pool = [rng.randbytes(key_bytes) for _ in range(200)] + [b"\0" * key_bytes, b"\xff" * key_bytes]
    chosen = [rng.choice(pool) for _ in range(3000)]
    form = KeyForm(key_bytes)
    words = [[int.from_bytes(key.ljust(16, b"\0")[at : at + 8], "big") for at in (0, 8)] for key in chosen]
    with table(1 << 18, form) as groups:
        assert add(groups, Keys(np.array(words, np.uint64)), [1] * len(chosen)) == len(chosen)
        assert contents(groups) == expected(chosen, [1] * len(chosen))


@pytest.mark.parametrize("hash_bits", [ALL_BITS, 3, 0])
@given(st.lists(st.tuples(st.binary(max_size=20), st.integers(-9, 9)), min_size=1, max_size=60))
def test_keys_of_any_length(hash_bits: int, records: list[tuple[bytes, int]]) -> None:
    form = KeyForm(None)
    keys, values = [key for key, _ in records], [value for _, value in records]
    with table(1 << 16, form, hash_bits=hash_bits) as groups:
        rows = encoded([(key, b"") for key in keys], form)
        assert add(groups, Keys(encoded=rows), values) == len(keys)
        assert contents(groups) == expected(keys, values)


@given(st.lists(st.tuples(st.sampled_from([b"", b"a", b"bb"]), st.binary(max_size=3)), min_size=1, max_size=40))
def test_of_equal_keys_the_least_rest_stays(bodies: list[tuple[bytes, bytes]]) -> None:
    """So that what a group shows does not depend on which of its records came first."""
    form = KeyForm(None, is_whole=False)
    least = {key: min(rest for other, rest in bodies if other == key) for key, _ in bodies}
    with table(1 << 16, form) as groups:
        assert add(groups, Keys(encoded=encoded(bodies, form)), [1] * len(bodies)) == len(bodies)
        wanted = {key + rest: count for key, rest in least.items() for count in [sum(k == key for k, _ in bodies)]}
        assert contents(groups) == {body: (count, count) for body, count in wanted.items()}


def test_a_group_that_moves_is_found_by_those_before() -> None:
    """Its least rest comes thousands of records after its first."""
    form = KeyForm(None, is_whole=False)
    bodies = [(b"a", b"zz")] * 3000 + [(b"b", b"")] * 10 + [(b"a", b"y" * 30)] * 3000
    with table(1 << 18, form) as groups:
        assert add(groups, Keys(encoded=encoded(bodies, form)), [1] * len(bodies)) == len(bodies)
        assert contents(groups) == {b"a" + b"y" * 30: (6000, 6000), b"b": (10, 10)}


@pytest.mark.parametrize("form", [KeyForm(8), KeyForm(None)])
@pytest.mark.parametrize("size", [12 << 10, 20 << 10, 52 << 10, 260 << 10])
def test_a_full_table_says_how_far_it_came(form: KeyForm, size: int) -> None:
    count = 20_000
    numbers = np.random.default_rng(size).permutation(count).astype(np.uint64)
    rows = None if form.key_words else encoded([(number.tobytes(), b"") for number in numbers], form)
    keys = Keys(numbers) if rows is None else Keys(encoded=rows)
    with table(size, form) as groups:
        done = add(groups, keys, [1] * count)
        assert 50 < done < count
        assert sum(number for number, _ in contents(groups).values()) == done
        assert len(groups) <= groups.groups_max() * 2
        groups.clear()
        assert len(groups) == 0 and contents(groups) == {}


def test_records_without_a_key_have_a_group_of_their_own() -> None:
    nulls = np.array([0, 1, 0, 1], np.uint8)
    state = PLAN.template.copy()
    with MemoryManager(1 << 16, segment_bytes=4096) as manager:
        groups = GroupTable(manager.allocate_extent("table", 1 << 16), KeyForm(8), PLAN, state)
        assert not groups.has_null
        assert add(groups, Keys(np.array([1, 1, 2, 2], np.uint64), nulls=nulls), [5, 6, 7, 8]) == 4
        assert groups.has_null and state.tolist() == [2, 14, 0] and len(groups) == 2
        groups.release()


def test_rows_are_combined_across_views() -> None:
    """A group goes on from view to view, as rows with states and as rows of records, and its key stays."""
    form = KeyForm(None)
    keys = [b"a"] * 5 + [b"b"] + [b"c" * 40] * 7
    writer = RowWriter(form, PLAN)
    columns = [ValueColumn(np.arange(len(keys), dtype=np.int64), np.array([i % 4 == 3 for i in range(13)], np.uint8))]
    views = []
    for rows in writer.rows_of_records(Keys(encoded=encoded([(key, b"") for key in keys], form)), columns):
        start = 0
        for end in rows.ends.tolist():
            piece = np.concatenate([rows.data[start:end], NOISE])
            views.append(memoryview(piece)[: end - start])  # type: ignore[arg-type]
            start = end
    found = []
    for groups in GroupScan(form, PLAN).scan(views):
        rows = groups.state_rows(PLAN)
        found.append(rows.data[: rows.size].tobytes())
    sums = [(5, 0 + 1 + 2 + 4), (1, 5), (7, 6 + 8 + 9 + 10 + 12)]
    wanted = [
        key + np.array([count, total, 0], np.int64).tobytes() + b"\0"
        for key, (count, total) in zip([b"a", b"b", b"c" * 40], sums, strict=True)
    ]
    assert b"".join(found) == b"".join(bytes([len(body) + 1, len(body) - 25]) + body for body in wanted)
