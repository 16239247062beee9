"""Tables in a directory of files, against pyarrow's own sort."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
import pytest

from shuffle import files
from shuffle.partitioned.manifest import Manifest
from shuffle.partitioned.manifest_reader import read_manifest
from shuffle.partitioned.request import ShuffleError
from shuffle.partitioned.verification import verify_directory
from shuffle.tables.kinds import TableError
from tests.test_shuffle.partitioned import MEMORY_BYTES, edited

COUNT = 4000
NAMES = [f"n{number % 37}" if number % 5 else None for number in range(COUNT)]
TABLE = pa.table(
    {
        "key": pa.array([number * 7919 % 101 for number in range(COUNT)], pa.int32()),
        "name": NAMES,
        "amount": [None if number % 11 == 0 else number * 0.37 for number in range(COUNT)],
        "when": pa.array([number * 1_000_003 for number in range(COUNT)], pa.timestamp("us")),
        "position": pa.array(range(COUNT), pa.int64()),
    }
)
READ: dict[str, Any] = {
    "parquet": pyarrow.parquet.read_table,
    "arrow": lambda path: pa.ipc.open_file(path).read_all(),
    "csv": lambda path: pyarrow.csv.read_csv(
        path,
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict(zip(TABLE.schema.names, TABLE.schema.types, strict=True))
        ),
    ),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "input.parquet"
    pyarrow.parquet.write_table(TABLE, path)
    return path


def shuffled(source: Any, directory: Path, **choices: Any) -> Manifest:
    """The manifest, of which nothing is wrong."""
    done = files.shuffle_file(source, directory, temp_dirs=[directory.parent], memory="160MiB", **choices)
    assert read_manifest(directory) == done.manifest
    assert verify_directory(directory, memory_bytes=MEMORY_BYTES).problems == ()
    return done.manifest


def tables(directory: Path, kind: str) -> list[Any]:
    """What is in the files."""
    return [READ[kind](path) for path in sorted(directory.glob(f"part-*.{kind}"))]


def texts(directory: Path, *inputs: Path) -> list[str]:
    """What is wrong with it."""
    result = verify_directory(directory, [str(path) for path in inputs], memory_bytes=MEMORY_BYTES)
    return [problem.text.removeprefix(f"{directory}/") for problem in result.problems]


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv"])
def test_by_hash(tmp_path: Path, source: Path, kind: str) -> None:
    shuffled(source, tmp_path / "out", partitions=5, by="key", sort_by="-position", output_format=kind)
    found = tables(tmp_path / "out", kind)
    keys = [set(table["key"].to_pylist()) for table in found]
    assert len(found) == 5 and sum(map(len, keys)) == len(set().union(*keys)) == 101
    for table in found:
        assert table.equals(table.sort_by([("key", "ascending"), ("position", "descending")]))
    together = pa.concat_tables(found).sort_by("position")
    expected = TABLE.set_column(1, "name", TABLE["name"].fill_null("")) if kind == "csv" else TABLE
    assert together.equals(expected)
    assert texts(tmp_path / "out", source) == []


def test_by_range(tmp_path: Path, source: Path) -> None:
    manifest = shuffled(source, tmp_path / "out", partitions=7, by=["key", "-amount"], partitioner="range")
    found = tables(tmp_path / "out", "parquet")
    assert [table.num_rows for table in found] == [COUNT * (n + 1) // 7 - COUNT * n // 7 for n in range(7)]
    keys = pa.concat_tables(found)["key"].to_pylist()
    assert keys == sorted(keys)
    first = manifest.partitions[0].content.first_key
    assert first == (0, str(found[0]["amount"][0].as_py()) if found[0]["amount"][0].is_valid else None)


def test_in_turn_and_several_inputs(tmp_path: Path, source: Path) -> None:
    copy = shutil.copy(source, tmp_path / "copy.parquet")
    shuffled([source, copy], tmp_path / "out", partitions=3, partitioner="round-robin")
    found = tables(tmp_path / "out", "parquet")
    everything = pa.concat_tables([TABLE, TABLE])
    for number, table in enumerate(found):
        assert table.equals(everything.take(list(range(number, 2 * COUNT, 3))))
    assert texts(tmp_path / "out", source, copy) == []
    assert [text.split(":")[1].strip() for text in texts(tmp_path / "out", source)] == ["records", "fingerprint"]


@pytest.mark.parametrize("partitioner", ["hash", "range"])
def test_aggregates(tmp_path: Path, source: Path, partitioner: str) -> None:
    aggregates = ["sum:position", "count", "max:amount"]
    choices: Any = {"partitions": 4, "by": "key", "partitioner": partitioner, "aggregates": aggregates}
    shuffled(source, tmp_path / "out", **choices)
    together = pa.concat_tables(tables(tmp_path / "out", "parquet")).sort_by("key")
    expected = (
        TABLE.group_by("key").aggregate([("position", "sum"), ([], "count_all"), ("amount", "max")]).sort_by("key")
    )
    for name, column in zip(
        together.schema.names, expected.select(["key", "position_sum", "count_all", "amount_max"]).columns, strict=True
    ):
        assert together[name].to_pylist() == column.to_pylist(), name
    assert ["holds aggregates" in text for text in texts(tmp_path / "out", source)] == [True]


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv"])
def test_more_partitions_than_rows(tmp_path: Path, kind: str) -> None:
    pyarrow.parquet.write_table(TABLE.slice(0, 3), tmp_path / "few.parquet")
    pyarrow.parquet.write_table(TABLE.slice(0, 0), tmp_path / "none.parquet")
    for name, count in (("few", 3), ("none", 0)):
        directory = tmp_path / name
        shuffled(tmp_path / f"{name}.parquet", directory, partitions=20, by="key", output_format=kind)
        found = tables(directory, kind)
        assert len(found) == 20 and sum(table.num_rows for table in found) == count
        assert all(table.schema.names == TABLE.schema.names for table in found)


def test_csv_in_csv_out(tmp_path: Path) -> None:
    pyarrow.csv.write_csv(TABLE.select(["key", "amount", "name"]), tmp_path / "in.csv")
    shuffled(tmp_path / "in.csv", tmp_path / "out", partitions=3, by="name")
    assert texts(tmp_path / "out", tmp_path / "in.csv") == []
    assert sum(table.num_rows for table in (pyarrow.csv.read_csv(p) for p in (tmp_path / "out").glob("*.csv"))) == COUNT


# --- what goes wrong


def rewrite(path: Path, change: Any) -> None:
    pyarrow.parquet.write_table(change(pyarrow.parquet.read_table(path)), path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda table: table.slice(1), "records: "),
        (lambda table: table.take(list(reversed(range(table.num_rows)))), "rows out of order"),
        (
            lambda table: table.set_column(0, "key", pc.add(table["key"], pa.scalar(1, pa.int32()))),
            "rows belong in other partitions",
        ),
        (lambda table: table.set_column(2, "amount", pc.add(table["amount"], 1.0)), "fingerprint: "),
        (lambda table: table.drop_columns(["when"]), "its columns are not those of the manifest"),
        (
            lambda table: table.set_column(4, "position", table["position"].cast(pa.int32())),
            "its columns are not those",
        ),
    ],
)
def test_a_damaged_file(tmp_path: Path, source: Path, change: Any, expected: str) -> None:
    directory = tmp_path / "out"
    shuffled(source, directory, partitions=3, by="key", sort_by="position")
    rewrite(directory / "part-00001.parquet", change)
    found = texts(directory)
    assert any(text.startswith("part-00001.parquet: ") and expected in text for text in found), found
    assert all(text.startswith("part-00001.parquet: ") for text in found), found


def test_a_file_that_is_cut_short_or_gone(tmp_path: Path, source: Path) -> None:
    directory = tmp_path / "out"
    shuffled(source, directory, partitions=3, by="key")
    path = directory / "part-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    (directory / "part-00002.parquet").unlink()
    found = texts(directory)
    assert found[0].startswith("part-00001.parquet: ") and found[1:] == ["part-00002.parquet: is missing"]


def test_a_lying_manifest(tmp_path: Path, source: Path) -> None:
    directory = tmp_path / "out"
    shuffled(source, directory, partitions=3, by="key", partitioner="range")
    edited(directory, lambda found: found["order"].update(by=["-key"]))
    assert any("out of order" in text for text in texts(directory))
    edited(directory, lambda found: found["records"].update(schema="AAAA"))
    with pytest.raises(ValueError, match="records or order is none that is known"):
        texts(directory)


def test_tables_that_cannot_be(tmp_path: Path, source: Path) -> None:
    pyarrow.parquet.write_table(TABLE.select(["key"]), tmp_path / "narrow.parquet")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(TableError, match="there is no column 'nope'"):
        files.shuffle_file(source, tmp_path / "out", partitions=2, by="nope")
    with pytest.raises(ShuffleError, match=r"narrow.parquet: its columns are not those of .*input.parquet"):
        files.shuffle_file([source, tmp_path / "narrow.parquet"], tmp_path / "out", partitions=2, by="key")
    with pytest.raises(ShuffleError, match="some inputs are tables by their names"):
        files.shuffle_file([source, tmp_path / "lines.txt"], tmp_path / "out", partitions=2)
    with pytest.raises(ValueError, match="there is no aggregate 'sun'"):
        files.shuffle_file(source, tmp_path / "out", partitions=2, by="key", aggregates="sun:amount")
    with pytest.raises(FileNotFoundError):
        files.shuffle_file(tmp_path / "none.parquet", tmp_path / "out", partitions=2, by="key")
    assert sorted(tmp_path.iterdir()) == before


def test_nan_is_null_in_text(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2, 3], "b": [float("nan"), None, -0.0], "c": pa.array([b"x", None, b""])})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    shuffled(tmp_path / "in.parquet", tmp_path / "out", partitions=2, by="a", output_format="csv")
    assert texts(tmp_path / "out", tmp_path / "in.parquet") == []
