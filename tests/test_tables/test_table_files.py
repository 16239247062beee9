"""Table files written: whole or not at all, and of bytes that depend on the rows only."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shuffle.tables import TableError, sort_table

pa: Any = pytest.importorskip("pyarrow")

from shuffle.tables import table_files  # noqa: E402
from shuffle.tables.array_bytes import values_bytes  # noqa: E402
from shuffle.tables.table_files import row_groups, write_table  # noqa: E402
from shuffle.tables.table_source import open_table  # noqa: E402
from tests.test_tables.random_tables import SEED, TYPES, plain, random_column, random_table  # noqa: E402

PLAIN = ["int64", "string", "float64", "bool", "date32", "decimal128", "large_string"]
SUFFIXES = ["parquet", "csv", "tsv", "arrow"]


def batches_of(table: Any, rng: Random) -> list[Any]:
    """The rows in batches of any length, some empty."""
    borders = sorted(rng.randint(0, table.num_rows) for _ in range(5))
    parts = [
        table.slice(start, end - start) for start, end in zip([0, *borders], [*borders, table.num_rows], strict=True)
    ]
    return [batch for part in parts for batch in (part.to_batches() or [pa.RecordBatch.from_pylist([], table.schema)])]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "GROUP_BYTES", 50_000)
    rng = Random(SEED)
    kinds = (
        PLAIN if suffix in ("csv", "tsv") else [*PLAIN, "dictionary", "struct", "texts", "timestamp_ns", "decimal256"]
    )
    table = random_table(rng, kinds, 3000)
    path = tmp_path / f"table.{suffix}"
    assert write_table(path, table.schema, batches_of(table, rng)) == 3000
    first = path.read_bytes()
    assert write_table(path, table.schema, batches_of(table, rng)) == 3000
    assert path.read_bytes() == first, "the same bytes, however the rows came"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    if suffix in ("parquet", "arrow"):
        with open_table(path) as source:
            got = pa.Table.from_batches(source.batches(), source.schema)
            assert source.schema.equals(table.schema) and plain(got) == plain(table)
            assert len(list(source._open_batches())) > 3
    else:
        with open_table(path, column_types={"string": "string"}) as source:
            assert sum(batch.num_rows for batch in source.batches()) == 3000


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_rows(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"table.{suffix}"
    assert write_table(path, pa.schema([("a", pa.int64()), ("b", pa.string())]), []) == 0
    with open_table(path) as source:
        assert source.schema.names == ["a", "b"] and list(source.batches()) == []


@settings(max_examples=50)
@given(kind=st.sampled_from(list(TYPES)), seed=st.integers(0, 2**32), count=st.integers(0, 50), cut=st.integers(0, 50))
def test_values_take_the_same_however_they_are_kept(kind: str, seed: int, count: int, cut: int) -> None:
    column = random_column(Random(seed), kind, count)
    whole = column.combine_chunks()
    parts = [pa.concat_arrays([whole.slice(0, cut)]), whole.slice(cut)]
    expected = values_bytes(whole)
    assert sum(values_bytes(chunk) for chunk in column.chunks) == sum(map(values_bytes, parts)) == expected
    assert expected >= count and isinstance(expected, int)


def test_groups_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(SEED)
    table = random_table(rng, ["string", "int64"], 5000)
    for group_bytes in (1, 10_000, 100_000, 1 << 30):
        monkeypatch.setattr(table_files, "GROUP_BYTES", group_bytes)
        counts = set()
        for _ in range(3):
            groups = list(row_groups(batches_of(table, rng), table.schema))
            counts.add(tuple(group.num_rows for group in groups))
            assert plain(pa.concat_tables(groups)) == plain(table)
            assert all(column.num_chunks == 1 for group in groups for column in group.columns)
        assert len(counts) == 1, "groups depend on the rows only"


def test_dictionaries_that_differ_between_batches(tmp_path: Path) -> None:
    kind = pa.dictionary(pa.int32(), pa.string())
    table = pa.table(
        {
            "d": pa.chunked_array(
                [pa.array([f"{n % 50} {low}" for n in range(100)] + [None]).dictionary_encode() for low in range(5)],
                kind,
            )
        }
    )
    for suffix in ("arrow", "parquet"):
        with sort_table(table, "d") as result:
            result.write(tmp_path / f"table.{suffix}")
            with open_table(tmp_path / f"table.{suffix}") as source:
                got = pa.Table.from_batches(source.batches())
                assert got["d"].to_pylist() == result.to_table()["d"].to_pylist() and got.schema.field("d").type == kind


# --- not at all


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_error_leaves_the_old_file(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"table.{suffix}"
    path.write_text("old")
    schema = pa.schema([("a", pa.int64())])

    def batches() -> Iterator[Any]:
        yield pa.record_batch([pa.array(range(300_000))], schema=schema)
        raise LookupError("the source is gone")

    with pytest.raises(LookupError, match="the source is gone"):
        write_table(path, schema, batches())
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_a_format_cannot_hold(tmp_path: Path) -> None:
    nested = pa.table({"l": [[1]]})
    with pytest.raises(TableError, match=r"table\.csv: csv cannot hold it: .*list<.* Write it as Arrow, or cast"):
        write_table(tmp_path / "table.csv", nested.schema, nested.to_batches())
    ends = pa.table({"r": pa.compute.run_end_encode(pa.array([1, 1]))})
    with pytest.raises(TableError, match=r"table\.parquet: parquet cannot hold it"):
        write_table(tmp_path / "table.parquet", ends.schema, ends.to_batches())
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    table = pa.table({"a": [1]})
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        write_table(tmp_path / "none" / "table.csv", table.schema, table.to_batches())
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(IsADirectoryError):
        write_table(tmp_path / "folder.csv", table.schema, table.to_batches())
    with pytest.raises(TableError, match="does not tell the format"):
        write_table(tmp_path / "table", table.schema, table.to_batches())


def test_a_sorted_table_may_replace_its_source(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    table = random_table(Random(SEED), ["int64"], 2000)
    write_table(path, table.schema, table.to_batches())
    with sort_table(path, "int64") as result:
        assert result.write(path) == 2000
    with open_table(path) as source:
        got = [value for batch in source.batches() for value in batch.column("int64").drop_null().to_pylist()]
    assert got == sorted(got)
