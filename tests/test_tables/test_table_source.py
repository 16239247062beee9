"""Tables as they come: whole, in small batches, and with errors that say where and what to do."""

import gzip
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import shuffle.tables
from shuffle.tables import TableError, is_table, sort_table

pa: Any = pytest.importorskip("pyarrow")

import pyarrow.csv  # noqa: E402
import pyarrow.feather  # noqa: E402
import pyarrow.parquet  # noqa: E402

from shuffle.tables import csv_reader, table_readers  # noqa: E402
from shuffle.tables.batch_parts import cut  # noqa: E402
from shuffle.tables.table_source import open_table  # noqa: E402
from tests.test_tables.random_tables import SEED, plain, random_table  # noqa: E402

KINDS = ["int64", "string", "float64", "timestamp"]


def written(path: Path, table: Any) -> Path:
    """The table as a file of the kind that the name tells."""
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path, row_group_size=1000)
    elif path.suffix == ".feather":
        pyarrow.feather.write_feather(table, path, chunksize=700)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    elif path.suffix == ".arrows":
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table)
    else:
        delimiter = "\t" if path.suffix == ".tsv" else ","
        pyarrow.csv.write_csv(table, path, pyarrow.csv.WriteOptions(delimiter=delimiter))
    return path


@pytest.mark.parametrize("suffix", ["parquet", "feather", "arrow", "arrows", "csv", "tsv"])
def test_files_of_every_kind(suffix: str, tmp_path: Path) -> None:
    table = pa.table({"a": range(5000), "s": [f"text {n % 7}" for n in range(5000)], "x": [n / 4 for n in range(5000)]})
    path = written(tmp_path / f"table.{suffix}", table)
    with open_table(path) as source:
        assert source.name == str(path) and source.schema.equals(table.schema) and source.reader_bytes > 0
        assert pa.Table.from_batches(source.batches(), table.schema).equals(table)
    with open_table(str(path), columns=["s", "a"]) as source:
        batches = list(source.batches(10_000))
        assert max(batch.nbytes for batch in batches) < 20_000
        assert pa.Table.from_batches(batches).equals(table.select(["s", "a"]))
    with pytest.raises(TableError, match=r"there is no column 'z'. The columns are: a, s, x"):
        open_table(path, columns=["z"])
    with sort_table(path, "-a") as result:
        assert result.to_table().equals(table.take(list(range(4999, -1, -1))))


def test_a_path_says_its_format_or_is_told(tmp_path: Path) -> None:
    path = tmp_path / "table.data"
    pyarrow.parquet.write_table(pa.table({"a": [1]}), path)
    with open_table(path, format="parquet") as source:
        assert source.schema.names == ["a"]
    with pytest.raises(TableError, match=r"its name does not tell the format. Give format=, one of parquet, csv"):
        open_table(path)
    with pytest.raises(TableError, match="format='xls' is none"):
        open_table(path, format="xls")
    with pytest.raises(TableError, match=r"format= and column_types= are for files, and this is a pyarrow.Table"):
        open_table(pa.table({}), format="csv")
    with pytest.raises(TableError, match="column_types= is for CSV and TSV"):
        open_table(path, format="parquet", column_types={"a": "int8"})


def test_what_is_a_table() -> None:
    assert is_table(pa.table({})) and is_table("a.csv") and is_table(Path("a.csv")) and is_table(pa.record_batch({}))
    assert not is_table([1, 2]) and not is_table({"a": [1]})
    with pytest.raises(TypeError, match=r"a list is no table. Give an object with __arrow_c_stream__"):
        open_table([1, 2])
    with pytest.raises(TableError, match="gives Arrow data, but no columns"):
        open_table(pa.array([1, 2]))
    with pytest.raises(TableError, match="gives Arrow data, but no columns"):
        open_table(pa.chunked_array([[1, 2]]))


def test_columns_of_a_reader() -> None:
    table = pa.table({"a": [1], "b": [2], "c": [3]})
    with open_table(table.to_reader(), columns=["c", "a"]) as source:
        assert source.schema.names == ["c", "a"]
        assert [batch.to_pydict() for batch in source.batches()] == [{"c": [3], "a": [1]}]
    with pytest.raises(TableError, match="The columns are: a, b, c"):
        open_table(table, columns=["d"])


def test_a_source_that_is_open_already(tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", pa.table({"a": [2, 1], "b": ["x", "y"]}))
    with sort_table(shuffle.tables.open_table(path, columns=["b"], column_types={"b": "large_string"}), "b") as result:
        assert result.schema == pa.schema([("b", pa.large_string())]) and result.to_table().num_rows == 2
    with pytest.raises(TableError, match=r"are for files, and this is a shuffle.TableSource"):
        sort_table(shuffle.tables.open_table(path), "b", format="csv")


def test_cutting_loses_nothing() -> None:
    rng = Random(SEED)
    table = random_table(rng, KINDS, 3000).append_column(
        "skewed", pa.array(["x" * (5000 * (n == 7)) for n in range(3000)])
    )
    for batch in table.to_batches():
        for batch_bytes in (1, 100, 5000, 1 << 30):
            parts = list(cut(batch, batch_bytes))
            assert plain(pa.Table.from_batches(parts)) == plain(pa.Table.from_batches([batch]))
            assert batch_bytes > 1 or len(parts) == batch.num_rows
            assert all(part.nbytes <= 2 * batch_bytes or part.num_rows < 50 for part in parts)


def test_a_row_group_larger_than_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that a dictionary made small on disk: batches are bounded by what they are in memory."""
    monkeypatch.setattr(table_readers, "BATCH_BYTES", 100_000)
    table = pa.table({"s": ["x" * 1000, "y" * 1000] * 5000, "n": range(10_000)})
    path = tmp_path / "table.parquet"
    pyarrow.parquet.write_table(table, path)
    with open_table(path) as source:
        sizes = [batch.nbytes for batch in source._open_batches()]
        assert len(sizes) > 1
    before = pa.total_allocated_bytes()
    with open_table(path) as source:
        peak = max(pa.total_allocated_bytes() - before for _ in source.batches(50_000))
        assert peak < source.reader_bytes + (20 << 20)


# --- CSV


def csv(directory: Path, text: str | bytes) -> Path:
    path = directory / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_columns_are_found_or_declared(tmp_path: Path) -> None:
    path = csv(tmp_path, 'id,when,text\n007,2024-01-01,"a\nb"\n008,2024-01-02,c\n')
    with open_table(path) as source:
        assert [str(field.type) for field in source.schema] == ["int64", "date32[day]", "string"]
        assert pa.Table.from_batches(source.batches())["text"].to_pylist() == ["a\nb", "c"]
    with open_table(path, column_types={"id": "string", "when": pa.timestamp("s")}) as source:
        assert pa.Table.from_batches(source.batches())["id"].to_pylist() == ["007", "008"]
        assert source.schema.field("when").type == pa.timestamp("s")
    with pytest.raises(TableError, match=r"there is no column 'ID'. The columns are: id, when, text"):
        open_table(path, column_types={"ID": "string"})
    with pytest.raises(TableError, match=r"column_types= says 'number' of 'id', which is no type of Arrow"):
        open_table(path, column_types={"id": "number"})


def test_a_csv_value_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "SAMPLE_BYTES", 1000)
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 500)
    path = csv(tmp_path, "a,b\n" + "1,2\n" * 1000 + "1,two\n")
    expected = (
        r"table\.csv: row 1002 \(the names are row 1\), column 'b': .*invalid value 'two'. "
        r"Declare its type, as in column_types=\{'b': 'string'\}"
    )
    for columns in (None, ["b"]):
        with open_table(path, columns=columns) as source, pytest.raises(TableError, match=expected):
            list(source.batches())
    with sort_table(path, "a") as result, pytest.raises(TableError, match=expected):
        result.to_table()
    with sort_table(path, "-b", column_types={"b": "string"}) as result:
        assert result.to_table()["b"][0].as_py() == "two"


def test_csv_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "SAMPLE_BYTES", 1000)
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 500)
    with pytest.raises(TableError, match=r"the file is empty. The first line must name the columns"):
        open_table(csv(tmp_path, ""))
    with open_table(csv(tmp_path, "a,b\n")) as source:
        assert source.schema.names == ["a", "b"] and list(source.batches()) == []
    with pytest.raises(TableError, match=r"Expected 2 columns, got 3.* Mend that row"):
        open_table(csv(tmp_path, "a,b\n1,2,3\n"))
    long = csv(tmp_path, "a,b\n" + "1,2\n" * 1000 + f"1,{'x' * 3000}\n")
    with open_table(long) as source, pytest.raises(TableError, match=r"a row is longer than .* use Parquet"):
        list(source.batches())
    with pytest.raises(TableError, match="several columns are called 'a'"):
        open_table(csv(tmp_path, "a,a\n1,2\n"))
    with pytest.raises(TableError, match=r"table\.csv"):
        open_table(csv(tmp_path, gzip.compress(b"a,b\n1,2\n" * 100)), column_types={"a": "int8"})


# --- damaged files


def test_files_cut_short(tmp_path: Path) -> None:
    table = pa.table({"a": range(20_000), "s": ["text"] * 20_000})
    for suffix in ("parquet", "feather", "arrow"):
        path = written(tmp_path / f"table.{suffix}", table)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(TableError, match=rf"table\.{suffix}: .*and whole: it may have been cut short"):
            open_table(path)
        path.write_bytes(b"")
        with pytest.raises(TableError, match=rf"table\.{suffix}: .*it may have been cut short"):
            open_table(path)
    path = written(tmp_path / "table.arrows", table)
    path.write_bytes(path.read_bytes()[:-5000])
    with open_table(path) as source, pytest.raises(TableError, match=r"table\.arrows: .*cut short"):
        list(source.batches())


def test_a_parquet_file_with_damaged_pages(tmp_path: Path) -> None:
    path = written(tmp_path / "table.parquet", pa.table({"s": [f"some text {n}" for n in range(5000)]}))
    content = bytearray(path.read_bytes())
    content[200 : len(content) // 2] = bytes(len(content) // 2 - 200)
    path.write_bytes(content)
    with sort_table(path, "s") as result, pytest.raises(TableError, match=r"table\.parquet: .*cut short"):
        result.to_table()


def test_an_arrow_file_with_damaged_offsets(tmp_path: Path) -> None:
    path = tmp_path / "table.arrow"
    texts = [f"some text {n}" for n in range(500)]
    with pa.ipc.new_file(path, pa.schema([("s", pa.string())])) as writer:
        writer.write_table(pa.table({"s": texts}))
    content = bytearray(path.read_bytes())
    place = content.index(np.arange(0, 100, 11, dtype=np.int32).tobytes())
    content[place + 20 : place + 24] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(content)
    with sort_table(path, "s") as result, pytest.raises(TableError, match=r"table\.arrow: .*cut short"):
        result.to_table()


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for suffix in ("parquet", "feather", "csv"):
        with pytest.raises(FileNotFoundError):
            open_table(tmp_path / f"none.{suffix}")
    folder = tmp_path / "folder.parquet"
    folder.mkdir()
    with pytest.raises((OSError, TableError)):
        open_table(folder)
