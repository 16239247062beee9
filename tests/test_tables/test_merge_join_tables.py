"""Joins of tables: as nested loops would have it, in the same order, with groups of any length on both sides."""

import threading
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory import MemoryConfigurationError
from shuffle.kernels import join as kernel
from shuffle.tables import TableError, merge_join_tables
from tests import tiny

pa: Any = pytest.importorskip("pyarrow")

from shuffle.errors import JoinKeyError  # noqa: E402
from shuffle.tables import group_store, merge_join  # noqa: E402
from shuffle.tables.group_store import GroupStore  # noqa: E402
from shuffle.tables.table_session import options_of  # noqa: E402
from tests.test_tables.random_tables import SEED, order_key, plain, random_column, random_table, values_of  # noqa: E402

SMALL = 64 << 10
HOWS = ["inner", "left", "right", "outer", "semi", "anti"]
KEY_KINDS = ["int8", "uint64", "string", "bool", "float64", "date32", "timestamp_ns", "decimal128_long", "dictionary"]


def twin(left: Any, right: Any, on: list[str], how: str, *, nulls_equal: bool = False) -> list[dict[str, Any]]:
    """The slow twin: every row with every row, then in the order of keys, left rows and right rows."""
    key_of = order_key()
    lefts, rights = plain(left), plain(right)
    left_keys, right_keys = (
        [
            tuple(key_of(value) for value in row)
            for row in zip(*(values_of(table.column(name)) for name in on), strict=True)
        ]
        for table in (left, right)
    )
    extra = [name for name in right.column_names if name not in on]
    renamed = {name: name + "_right" if name in left.column_names else name for name in extra}
    nothing = {**dict.fromkeys(left.column_names), **dict.fromkeys(renamed.values())}

    def has_null(row: dict[str, Any]) -> bool:
        return not nulls_equal and any(row[name] is None for name in on)

    found: list[tuple[Any, float, float, dict[str, Any]]] = []
    met: set[int] = set()
    places: dict[Any, list[int]] = {}
    for place, row in enumerate(rights):
        places.setdefault(tuple(map(hashed, plain_key(row, on))), []).append(place)
    for at, row in enumerate(lefts):
        partners = [] if has_null(row) else places.get(tuple(map(hashed, plain_key(row, on))), [])
        met.update(partners)
        if how == "semi" or how == "anti":
            if bool(partners) == (how == "semi"):
                found.append((left_keys[at], at, 0, row))
            continue
        for place in partners:
            joined = {**row, **{renamed[name]: rights[place][name] for name in extra}}
            found.append((left_keys[at], at, place, joined))
        if not partners and how in ("left", "outer"):
            found.append((left_keys[at], at, 0, {**nothing, **row}))
    if how in ("right", "outer"):
        for place, row in enumerate(rights):
            if place not in met:
                own = {**nothing, **{name: row[name] for name in on}, **{renamed[name]: row[name] for name in extra}}
                found.append((right_keys[place], len(lefts), place, own))
    found.sort(key=lambda each: each[:3])
    return [row for *_, row in found]


def plain_key(row: dict[str, Any], on: list[str]) -> list[Any]:
    return [row[name] for name in on]


def hashed(value: Any) -> Any:
    """Equal for what is equal as a key; `plain` has made texts of floats."""
    return "0.0" if value == "-0.0" else value


def sides(rng: Random, kinds: list[str], left_count: int, right_count: int, **choices: Any) -> tuple[Any, Any]:
    """Two tables whose keys are drawn from the same few values."""
    pool = random_table(rng, kinds, 12, **choices)

    def table(count: int, own: str) -> Any:
        rows = pool.take(pa.array([rng.randint(0, 11) for _ in range(count)], pa.int64())).drop_columns("row")
        texts = random_column(rng, "string", count)
        return rows.append_column("row", pa.array(range(count), pa.int64())).append_column(own, texts)

    return table(left_count, "l"), table(right_count, "r")


def check(left: Any, right: Any, on: list[str], how: str, machine: tiny.Machine, **choices: Any) -> Any:
    with merge_join_tables(left, right, on, how=how, temp_dirs=[machine.temp_dir], **choices) as joined:  # type: ignore[arg-type]
        got = joined.to_table()
        assert got.schema.equals(joined.schema)
    got.validate(full=True)
    nulls_equal = choices.get("nulls_equal", False)
    assert plain(got) == twin(left, right, on, how, nulls_equal=nulls_equal)
    return got


@settings(max_examples=60)
@given(
    kinds=st.lists(st.sampled_from(KEY_KINDS), min_size=1, max_size=2, unique=True),
    how=st.sampled_from(HOWS),
    seed=st.integers(0, 2**32),
    counts=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    nulls_equal=st.booleans(),
)
def test_as_nested_loops(kinds: list[str], how: str, seed: int, counts: tuple[int, int], nulls_equal: bool) -> None:
    left, right = sides(Random(seed), kinds, *counts)
    with tiny.machine(managed_bytes=SMALL) as machine:
        check(left, right, kinds, how, machine, nulls_equal=nulls_equal)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("counts", [(4000, 60), (60, 4000), (3000, 400)])
def test_spilled_sides_and_groups_over_many_views(how: str, counts: tuple[int, int]) -> None:
    left, right = sides(Random(SEED), ["string"], *counts)
    left, right = left.append_column("w", pa.array(["w" * 50] * len(left))), right
    keep = {"semi": 1, "anti": 1}.get(how, 5)
    left, right = left.slice(0, len(left) // keep), right.slice(0, len(right) // keep)
    with tiny.machine(managed_bytes=SMALL) as machine:
        check(left, right, ["string"], how, machine)


@pytest.mark.parametrize("how", HOWS)
def test_groups_that_do_not_fit_are_spilled(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hot key on both sides; where its right rows are kept changes nothing."""
    real, spilled = GroupStore.__init__, []

    def init(self: Any, *arguments: Any, **choices: Any) -> None:
        real(self, *arguments, kept_bytes=2000, **choices)
        spilled.append(self.has_spilled)

    monkeypatch.setattr(GroupStore, "__init__", init)
    rng = Random(SEED)
    left = pa.table({"k": [7] * 150 + [rng.randint(0, 20) for _ in range(150)], "x": ["l" * 60] * 300})
    right = pa.table({"k": [rng.randint(0, 20) for _ in range(60)] + [7] * 240, "x": ["r" * 60] * 300})
    with tiny.machine(managed_bytes=SMALL) as machine:
        check(left, right, ["k"], how, machine)
        assert machine.left_behind() == []
    assert any(spilled) == (how not in ("semi", "anti"))


def test_batches_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    left = pa.table({"k": [1] * 500, "x": ["x" * 100] * 500})
    right = pa.table({"k": [1] * 500, "y": ["y" * 100] * 500})
    monkeypatch.setattr(merge_join, "_BATCH_BYTES", 10_000)
    with merge_join_tables(left, right, "k") as joined:
        sizes = [batch.nbytes for batch in joined]
        assert max(sizes) < 20_000 and len(sizes) > 1000
        assert sum(batch.num_rows for batch in joined) == 250_000, "once more"


def test_columns_of_the_result() -> None:
    left = pa.table({"id": [1, 2], "x": ["a", "b"]})
    right = pa.table({"key": pa.array([2, 3], pa.int64()), "x": ["c", "d"], "id": [5, 6]})
    with merge_join_tables(left, right, left_on="id", right_on="key", how="outer", suffix="2") as joined:
        assert joined.to_table().to_pydict() == {
            "id": [1, 2, 3],
            "x": ["a", "b", None],
            "x2": [None, "c", "d"],
            "id2": [None, 5, 6],
        }
    with merge_join_tables(left, right, left_on="id", right_on="key", how="anti") as joined:
        assert joined.to_table().to_pydict() == {"id": [1], "x": ["a"]}
    with pytest.raises(TableError, match=r"both sides have a column 'x', and 'x' is taken. Give another suffix="):
        merge_join_tables(left, right, left_on="id", right_on="key", suffix="")
    with pytest.raises(TableError, match=r"'x_right' is taken"):
        merge_join_tables(left, right.append_column("x_right", [[1, 2]]), left_on="id", right_on="key")
    strict = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("v", pa.int8(), nullable=False)])
    sure = pa.table({"id": [1, 2], "v": [1, 2]}, schema=strict)
    other = sure.rename_columns(["id", "w"])
    assert [field.nullable for field in merge_join_tables(sure, other, "id").schema] == [False, False, False]
    assert [field.nullable for field in merge_join_tables(sure, other, "id", how="left").schema] == [False, False, True]
    outer = merge_join_tables(sure, other, "id", how="outer")
    assert [field.nullable for field in outer.schema] == [False, True, True]
    assert outer.to_table().num_rows == 2


def test_keys_that_are_kept_differently_and_mean_the_same() -> None:
    texts = ["b", "a", None, "b"]
    kinds = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
    for left_type in kinds:
        for right_type in kinds:
            left = pa.table({"k": _texts(texts, left_type), "l": [1, 2, 3, 4]})
            right = pa.table({"k": _texts(["c", "b"], right_type), "r": [5, 6]})
            with merge_join_tables(left, right, "k", how="outer") as joined:
                got = joined.to_table()
            assert got.schema.field("k").type == left_type
            assert got.to_pydict() == {
                "k": [None, "a", "b", "b", "c"],
                "l": [3, 2, 1, 4, None],
                "r": [None, None, 6, 6, 5],
            }


def _texts(values: list[Any], arrow_type: Any) -> Any:
    return pa.array(values, pa.string()).cast(arrow_type)


def test_what_cannot_be_joined() -> None:
    left, right = pa.table({"a": [1], "t": pa.array([1], pa.timestamp("s"))}), pa.table({"a": ["1"], "b": [1]})
    with pytest.raises(
        JoinKeyError, match=r"left column 'a' is int64, and the right column 'a' is string: .* Cast one"
    ):
        merge_join_tables(left, right, "a")
    with pytest.raises(JoinKeyError, match=r"timestamp\[s\]"):
        merge_join_tables(left, pa.table({"t": pa.array([1], pa.timestamp("ms"))}), "t")
    with pytest.raises(JoinKeyError, match="2 columns cannot be joined with 1"):
        merge_join_tables(left, right, left_on=["a", "t"], right_on="a")
    with pytest.raises(TableError, match=r"no column 'c'. The columns are: a, b"):
        merge_join_tables(left, right, left_on="a", right_on="c")
    with pytest.raises(TableError, match="a join needs columns"):
        merge_join_tables(left, right)
    with pytest.raises(ValueError, match="how='cross': give one of inner, left"):
        merge_join_tables(left, left, "a", how="cross")  # type: ignore[arg-type]
    reader = left.to_reader()
    with pytest.raises(TableError, match="both sides are one reader"):
        merge_join_tables(reader, reader, "a")
    assert merge_join_tables(left, left, "a", how="semi").to_table().num_rows == 1


def test_too_little_memory_for_two_sorts() -> None:
    table = pa.table({"a": [1]})
    with pytest.raises(MemoryConfigurationError, match=r"a join is two sorts, .* process is 30 MiB"):
        merge_join_tables(table, table, "a", memory="60MiB").to_table()


def test_errors_and_early_ends_leave_nothing() -> None:
    schema = pa.schema([("k", pa.int64()), ("s", pa.string())])

    def batches() -> Iterator[Any]:
        for _ in range(20):
            yield pa.record_batch([pa.array(np.arange(500)), pa.array(["x" * 20] * 500)], schema=schema)
        raise LookupError("the source is gone")

    fine = pa.table({"k": np.arange(5000) % 50, "s": ["y" * 20] * 5000})
    with tiny.machine(managed_bytes=SMALL) as machine:
        where: dict[str, Any] = {"temp_dirs": [machine.temp_dir]}
        for lefts, rights in ((True, False), (False, True)):
            broken = pa.RecordBatchReader.from_batches(schema, batches())
            with (
                merge_join_tables(broken if lefts else fine, broken if rights else fine, "k", **where) as joined,
                pytest.raises(LookupError, match="the source is gone"),
            ):
                joined.to_table()
            assert machine.left_behind() == [] or not lefts
        joined = merge_join_tables(fine, fine, "k", **where)
        some = joined.batches()
        next(some)
        joined.close()
        joined.close()
        some.close()
        assert machine.left_behind() == []
    assert not [thread for thread in threading.enumerate() if thread.name == "spillway-engine"]


def test_a_group_store_keeps_to_its_disk() -> None:
    batches = [pa.record_batch([pa.array([n] * 1000)], names=["x"]) for n in range(10)]
    with tiny.machine() as machine:
        options = options_of({"temp_dirs": [machine.temp_dir]})
        with GroupStore(batches, options, kept_bytes=20_000) as store:
            assert store.has_spilled and store.row_count == 10_000
            for _ in range(2):
                assert [batch.column(0)[0].as_py() for batch in store.batches()] == list(range(10))
        with GroupStore(batches[:1], options) as store:
            assert not store.has_spilled and len(list(store.batches())) == 1
        with GroupStore([], options) as store:
            assert not list(store.batches())
        with pytest.raises(OSError, match="max-disk"):
            GroupStore(batches, options_of({"temp_dirs": [machine.temp_dir], "max_disk": 40_000}), kept_bytes=20_000)
        with pytest.raises(OSError, match="none"):
            GroupStore(batches, options_of({"temp_dirs": [machine.temp_dir / "none"]}), kept_bytes=20_000)
    assert group_store.KEPT_BYTES >= 1 << 20


# --- the kernel


@settings(max_examples=100)
@given(
    keys=st.tuples(st.lists(st.integers(0, 6), max_size=12), st.lists(st.integers(0, 6), max_size=12)),
    room=st.integers(1, 5),
    keeps=st.tuples(st.booleans(), st.booleans()),
    on_match=st.sampled_from([kernel.NOTHING, kernel.PAIRS, kernel.LEFT_ONCE]),
)
def test_the_kernel_pairs_as_its_twin(
    keys: tuple[list[int], list[int]], room: int, keeps: tuple[bool, bool], on_match: int
) -> None:
    lefts, rights = (sorted(each) for each in keys)
    held = [_rows(lefts), _rows(rights)]
    groups = [_list(data, count) for data, count in held]
    state = np.zeros(kernel.STATE_WORDS, np.uint64)
    state[kernel.LEFT_END], state[kernel.RIGHT_END] = len(groups[0]) - 1, len(groups[1]) - 1
    state[kernel.KEEP_LEFT], state[kernel.KEEP_RIGHT], state[kernel.ON_MATCH] = *keeps, on_match
    out = np.empty(room, np.int64), np.empty(room, np.int64)
    pairs: list[tuple[int, int]] = []
    while not (state[kernel.LEFT_OVER] and state[kernel.RIGHT_OVER]):
        stop, count = kernel.pair_groups(*groups, state, *out, room)
        pairs += zip(out[0][: int(count)].tolist(), out[1][: int(count)].tolist(), strict=True)
        state[kernel.LEFT_OVER] = state[kernel.LEFT_OVER] or stop == kernel.LEFT_DRY
        state[kernel.RIGHT_OVER] = state[kernel.RIGHT_OVER] or stop == kernel.RIGHT_DRY
    assert pairs == pair_twin(lefts, rights, *keeps, on_match)


def pair_twin(lefts: list[int], rights: list[int], left: bool, right: bool, on_match: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for key in sorted({*lefts, *rights}):
        here, there = ([place for place, each in enumerate(side) if each == key] for side in (lefts, rights))
        if here and there and on_match == kernel.PAIRS:
            found += [(one, other) for one in here for other in there]
        elif here and there and on_match == kernel.LEFT_ONCE:
            found += [(one, there[-1]) for one in here]
        elif here and not there and left:
            found += [(one, kernel.NONE) for one in here]
        elif there and not here and right:
            found += [(kernel.NONE, other) for other in there]
    return found


def _rows(keys: list[int]) -> tuple[Any, int]:
    """Rows of keys of 1 byte, with noise as values and in the slack."""
    rng = Random(len(keys))
    data = b"".join(bytes([4, key]) + rng.randbytes(3) for key in keys)
    return np.frombuffer(data + rng.randbytes(64), np.uint8), len(data)


def _list(data: Any, size: int) -> Any:
    from serializers.layouts import rows

    groups = np.empty((size // 5 + 1, 3), np.uint64)
    start = data.ctypes.data
    count, row_count = kernel.list_groups(start, start + size, rows(1).key_bytes, groups)
    assert row_count == size // 5
    return groups[: int(count) + 1].copy()
