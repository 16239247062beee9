"""Groups of tables in a Python function: whole or as they come, whatever it gives back and however it fails."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shuffle.tables import TableError, group_reduce_table
from tests import tiny

pa: Any = pytest.importorskip("pyarrow")

from shuffle.tables.group_reduce import GroupTooLargeError  # noqa: E402
from tests.test_tables.random_tables import order_key, order_of, random_table, values_of  # noqa: E402

SMALL = 64 << 10
RESULT = pa.schema([("rows", pa.list_(pa.int64()))])


def rows_of(key: Any, rows: Any) -> dict[str, Any]:
    """The numbers of the rows of a group."""
    table = rows if isinstance(rows, pa.Table) else rows.read_all()
    return {"rows": pa.array([table["row"].to_pylist()], pa.list_(pa.int64()))}


def twin(table: Any, by: list[str], sort_by: list[str]) -> list[list[int]]:
    ordered = order_of(table, [*by, *sort_by])
    columns = [values_of(table.column(name.removeprefix("-"))) for name in by]
    key = order_key()
    keys = [tuple(key(column[place]) for column in columns) for place in ordered]
    found: list[list[int]] = []
    for before, now, place in zip([None, *keys], keys, ordered, strict=False):
        if before is None or before != now:
            found.append([])
        found[-1].append(place)
    return found


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 200),
    by=st.lists(st.sampled_from(["string", "-float64", "decimal128"]), min_size=1, max_size=2, unique=True),
    sort_by=st.sampled_from([[], ["-row"]]),
    stream=st.booleans(),
)
def test_groups_are_those_of_the_twin(seed: int, count: int, by: list[str], sort_by: list[str], stream: bool) -> None:
    table = random_table(Random(seed), ["string", "float64", "decimal128"], count, few=True)
    with (
        tiny.machine(managed_bytes=SMALL) as machine,
        group_reduce_table(
            table, rows_of, by=by, sort_by=sort_by or None, stream=stream, schema=RESULT, temp_dirs=[machine.temp_dir]
        ) as result,
    ):
        for _ in range(2):
            assert result.to_table()["rows"].to_pylist() == twin(table, by, sort_by)
        assert result.report.records == count


def test_groups_over_many_views() -> None:
    table = pa.table({"k": [1] * 3000 + [2] * 2 + [3] * 3000, "row": range(6002), "s": ["x" * 40] * 6002})
    for stream in (False, True):
        with (
            tiny.machine(managed_bytes=SMALL) as machine,
            group_reduce_table(table, rows_of, by="k", stream=stream, temp_dirs=[machine.temp_dir]) as result,
        ):
            assert [len(rows) for rows in result.to_table()["rows"].to_pylist()] == [3000, 2, 3000]


def test_keys_are_python_values() -> None:
    table = pa.table({"a": ["x", None, "x"], "b": [1, 2, 1], "s": [{"t": 5}, {"t": 6}, {"t": 5}]})
    seen: list[Any] = []

    def note(key: Any, rows: Any) -> None:
        seen.append((key, rows.num_rows))

    for by in ("a", ["a", "-b"], "s.t"):
        with group_reduce_table(table, note, by=by) as result:
            assert result.to_table().num_rows == 0
    assert seen == [(None, 1), ("x", 2), ((None, 2), 1), (("x", 1), 2), (5, 2), (6, 1)]


def test_what_a_function_may_give() -> None:
    table = pa.table({"k": [1, 2, 3, 4], "x": [5, 6, 7, 8]})
    made: dict[int, Any] = {
        1: pa.table({"k": [1], "n": [10]}),
        2: pa.record_batch({"k": [2, 2], "n": [20, 21]}),
        3: None,
        4: {"n": [40], "k": [4]},
    }
    with group_reduce_table(table, lambda key, rows: made[key], by="k") as result:
        assert result.schema.names == ["k", "n"]
        assert result.to_table().to_pydict() == {"k": [1, 2, 2, 4], "n": [10, 20, 21, 40]}
        assert pa.table(result).num_rows == 4
    with group_reduce_table(table, lambda key, rows: rows.slice(0, 0), by="k") as result:
        assert result.to_table().schema.names == ["k", "x"] and result.to_table().num_rows == 0
    with group_reduce_table(
        table, lambda key, rows: rows, by="k", schema=pa.schema([("x", pa.int8()), ("k", pa.string())])
    ) as result:
        assert result.to_table().to_pylist()[0] == {"x": 5, "k": "1"}
    with group_reduce_table(table.slice(0, 0), rows_of, by="k") as result:
        assert result.to_table().num_rows == 0 and result.schema.names == []


def test_what_goes_wrong() -> None:
    table = pa.table({"k": ["a", "b"], "x": [1, 2]})

    def broken(key: Any, rows: Any) -> Any:
        if key == "b":
            raise LookupError("no idea")
        return {"n": [1]}

    with tiny.machine() as machine:
        where: dict[str, Any] = {"by": "k", "temp_dirs": [machine.temp_dir]}
        result = group_reduce_table(table, broken, **where)
        with result, pytest.raises(LookupError, match="no idea") as caught:
            result.to_table()
        assert caught.value.__notes__ == ["the function was called for key 'b'"]
        odd: dict[str, Any] = {"a": {"n": [1]}, "b": {"m": [1]}}
        result = group_reduce_table(table, lambda key, rows: odd[key], **where)
        with (
            result,
            pytest.raises(TableError, match=r"key 'b': the function gave the columns m int64, where n int64 were"),
        ):
            result.to_table()
        result = group_reduce_table(table, lambda key, rows: 5, **where)
        with result, pytest.raises(TypeError, match=r"the function gave a int. Let it give a table, a dict of columns"):
            result.to_table()
        with pytest.raises(TableError, match="no column 'z'"):
            group_reduce_table(table, rows_of, by="z")
        result = group_reduce_table(table, lambda key, rows: {"n": [1]}, **where)
        some = result.batches()
        next(some)
        result.close()
        assert machine.left_behind() == []


def test_a_group_that_does_not_fit() -> None:
    text = "x" * 1000
    big = pa.table({"k": ["small", *["hot"] * 30_000], "s": [text] * 30_001})
    too_large = r"the rows of key 'hot' take more than 20 MiB, .* stream=True"
    result = group_reduce_table(big, lambda key, rows: {"k": [key]}, by="k", memory="80MiB")
    with result, pytest.raises(GroupTooLargeError, match=too_large):
        result.to_table()

    def count(key: Any, rows: Iterator[Any]) -> dict[str, Any]:
        return {"k": [key], "n": [sum(batch.num_rows for batch in rows)]}

    def first(key: Any, rows: Iterator[Any]) -> Any:
        return next(iter(rows)).slice(0, 1)

    with group_reduce_table(big, count, by="k", memory="80MiB", stream=True) as result:
        assert result.to_table().to_pydict() == {"k": ["hot", "small"], "n": [30_000, 1]}
    with group_reduce_table(big, first, by="k", memory="80MiB", stream=True) as result:
        assert result.to_table()["k"].to_pylist() == ["hot", "small"], "what is not read is skipped"
