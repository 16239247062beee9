"""Tables go to the operators on tables, everything else is an iterable of values."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest

from shuffle.operators import OperatorResult, distinct, group_reduce, merge_join, reduce_by_key, top_k
from tests import tiny

TABLE = pa.table({"k": [2, 1, 2, 3], "v": ["a", "b", "c", "d"]})


def test_tables_stay_tables() -> None:
    with tiny.machine() as machine:
        choices: Any = {"temp_dirs": [str(machine.temp_dir)]}
        with distinct(TABLE, by="k", **choices) as unique:
            assert unique.to_table().to_pydict() == {"k": [1, 2, 3], "v": ["b", "a", "d"]}
        with top_k(TABLE, 2, by="-v", **choices) as first:
            assert first.to_table().to_pydict() == {"k": [3, 2], "v": ["d", "c"]}
        with group_reduce(TABLE, lambda key, rows: {"n": [rows.num_rows]}, by="k", **choices) as counts:
            assert counts.to_table().to_pydict() == {"n": [1, 2, 1]}
        with merge_join(TABLE, TABLE, on="k", how="semi", **choices) as joined:
            assert joined.to_table().column("k").to_pylist() == [1, 2, 2, 3]


def test_paths_are_tables(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    pyarrow.csv.write_csv(TABLE, path)
    with tiny.machine() as machine:
        for given in (path, str(path)):
            with top_k(given, 1, by="k", temp_dirs=[str(machine.temp_dir)]) as first:
                assert first.to_table().to_pydict() == {"k": [1], "v": ["b"]}


def test_what_tables_cannot_do() -> None:
    with pytest.raises(TypeError, match=r"shuffle\.aggregate"):
        reduce_by_key(TABLE, max)
    with pytest.raises(TypeError, match="one side is a table"):
        merge_join(TABLE, [(1, 2)], on="k")
    with pytest.raises(TypeError, match="joined by columns"):
        merge_join(TABLE, TABLE, left_key=len, right_key=len)
    with pytest.raises(TypeError, match="by columns"):
        group_reduce(TABLE, lambda key, rows: rows, by="k", key=len)


def test_values_stay_values() -> None:
    def rows() -> Iterator[tuple[int, int]]:
        yield from [(1, 2), (1, 3)]

    with tiny.machine():
        for result in (
            distinct(rows()),
            top_k(rows(), 2),
            group_reduce(rows(), lambda key, values: values),
            merge_join(rows(), [], on=0, how="anti"),
        ):
            assert isinstance(result, OperatorResult) and list(result) == [(1, 2), (1, 3)]
            result.close()
