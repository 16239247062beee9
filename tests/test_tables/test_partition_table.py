"""Tables in partitions: every row in one, in order, where its key says; the same for every budget."""

from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from shuffle.exchange.partitioners import BroadcastPartitioner, PartitionerError, RangePartitioner
from shuffle.tables import TableError, partition_table
from tests import tiny

pa: Any = pytest.importorskip("pyarrow")

from tests.test_tables.random_tables import SEED, order_of, plain, random_table  # noqa: E402

SMALL = 64 << 10
KINDS = ["int8", "string", "float64", "decimal128", "timestamp"]


def partitions_of(table: Any, machine: tiny.Machine | None = None, **choices: Any) -> list[list[dict[str, Any]]]:
    """The rows of every partition."""
    if machine is not None:
        choices["temp_dirs"] = [machine.temp_dir]
    with partition_table(table, **choices) as result:
        found = [(number, pa.Table.from_batches(list(batches), result.schema)) for number, batches in result]
    assert [number for number, _ in found] == list(range(choices["partitions"]))
    for _, part in found:
        part.validate(full=True)
        assert part.schema.equals(table.schema)
    return [plain(part) for _, part in found]


def in_order(table: Any, by: list[str]) -> list[dict[str, Any]]:
    rows = plain(table)
    return [rows[place] for place in order_of(table, by)]


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 300),
    partitions=st.one_of(st.integers(1, 9), st.just(1000)),
    by=st.lists(st.sampled_from(KINDS), min_size=1, max_size=2, unique=True),
    partitioner=st.sampled_from(["hash", "range", "round-robin"]),
)
def test_every_row_is_in_one_partition(seed: int, count: int, partitions: int, by: list[str], partitioner: str) -> None:
    table = random_table(Random(seed), KINDS, count, few=True)
    with tiny.machine(managed_bytes=SMALL) as machine:
        found = partitions_of(
            table, machine, partitions=partitions, by=by, sort_by=["-string"], partitioner=partitioner
        )
    ordered = in_order(table, [*by, "-string"])
    place_of = {row["row"]: place for place, row in enumerate(ordered)}
    assert Counter(row["row"] for part in found for row in part) == Counter(range(count))
    for part in found:
        places = [place_of[row["row"]] for row in part]
        assert places == sorted(places)
    if partitioner == "range":
        assert [row for part in found for row in part] == ordered
        assert {len(part) for part in found} <= {count // partitions, -(-count // partitions)}
    elif partitioner == "round-robin":
        assert all(row["row"] % partitions == number for number, part in enumerate(found) for row in part)
    else:
        homes = {(tuple(row[name] for name in by), number) for number, part in enumerate(found) for row in part}
        keys = [tuple("0.0" if value == "-0.0" else value for value in key) for key, _ in homes]
        assert len(set(keys)) == len({(key, number) for key, (_, number) in zip(keys, homes, strict=True)})


def test_where_a_key_goes_is_for_ever() -> None:
    """Direction, place of nulls, other columns, and whether there may be nulls at all, change nothing."""
    table = pa.table({"k": pa.array([0, 1, 2, 3, None], pa.int64()), "s": ["a", "b", "c", "d", "e"]})
    homes: dict[int | None, int] = {}
    for by in ("k", "-k", "k:nulls-last"):
        for number, rows in enumerate(partitions_of(table, partitions=1000, by=by)):
            for row in rows:
                assert homes.setdefault(row["k"], number) == number
    assert homes == {0: 469, 1: 842, 2: 41, 3: 72, None: 910}
    for key, number in homes.items():
        order_key = b"\0" if key is None else b"\1" + (key + (1 << 63)).to_bytes(8, "big")
        assert (xxhash.xxh64_intdigest(order_key) >> 32) * 1000 >> 32 == number
    sure = pa.table({"k": [3]}, schema=pa.schema([pa.field("k", pa.int64(), nullable=False)]))
    assert [number for number, rows in enumerate(partitions_of(sure, partitions=1000, by="k")) if rows] == [homes[3]]


@settings(max_examples=30)
@given(
    keys=st.lists(st.integers(0, 5), max_size=60), partitions=st.integers(1, 8), sort_by=st.sampled_from([None, "-x"])
)
def test_ranges_keep_groups(keys: list[int], partitions: int, sort_by: str | None) -> None:
    table = pa.table({"k": pa.array(keys, pa.int8()), "x": pa.array(range(len(keys)), pa.int64())})
    with tiny.machine(managed_bytes=SMALL, block_bytes=(4096, 4096)) as machine:
        found = partitions_of(
            table, machine, partitions=partitions, by="k", sort_by=sort_by, partitioner="range", keep_groups=True
        )
    assert [row for part in found for row in part] == in_order(table, ["k", "-x"] if sort_by else ["k"])
    bounds = [number * len(keys) // partitions for number in range(partitions)]
    for number, part in enumerate(found):
        for row in part:
            first = sum(key < row["k"] for key in keys)
            assert number == max(place for place, bound in enumerate(bounds) if bound <= first)


def test_a_group_over_many_views_stays_whole() -> None:
    table = pa.table({"k": [1] * 3000 + [2] * 10 + [3] * 3000, "s": ["x" * 40] * 6010})
    with tiny.machine(managed_bytes=SMALL) as machine:
        whole = partitions_of(table, machine, partitions=4, by="k", partitioner=RangePartitioner(whole_keys=True))
    assert [[row["k"] for row in part] for part in whole] == [[1] * 3000, [2] * 10, [3] * 3000, []]


def test_a_function_as_partitioner() -> None:
    table = pa.table({"k": [5, 3, 8, 1], "x": ["a", "b", "c", "d"]})
    found = partitions_of(table, partitions=2, by="k", partitioner=lambda keys, count: np.asarray(keys["k"]) % count)
    assert [[row["x"] for row in part] for part in found] == [["c"], ["d", "b", "a"]]
    with pytest.raises(PartitionerError, match=r"row 2: the partitioner gave 8, which is no partition. .* 0 to 1"):
        partitions_of(table, partitions=2, by="k", partitioner=lambda keys, count: [1, 0, 8, 1])
    with pytest.raises(PartitionerError, match="one integer for each"):
        partitions_of(table, partitions=2, by="k", partitioner=lambda keys, count: [1, 0])

    def broken(keys: Any, count: int) -> Any:
        raise LookupError("no idea")

    with tiny.machine() as machine:
        with pytest.raises(LookupError, match="no idea") as caught:
            partitions_of(table, machine, partitions=2, by="k", partitioner=broken)
        assert caught.value.__notes__ == ["the partitioner was called for rows 0 to 3"]
        assert machine.left_behind() == []


def test_what_cannot_be() -> None:
    table = pa.table({"k": [5, 3]})
    with pytest.raises(PartitionerError, match="0 partitions: must be 1 to"):
        partition_table(table, partitions=0, by="k")
    without: list[Any] = ["hash", "range", lambda keys, count: []]
    for partitioner in without:
        with pytest.raises(PartitionerError, match="Name them in by="):
            partition_table(table, partitions=2, partitioner=partitioner)
    with pytest.raises(PartitionerError, match="is no partitioner"):
        partition_table(table, partitions=2, by="k", partitioner="random")  # type: ignore[arg-type]
    with pytest.raises(PartitionerError, match="is no partitioner of tables"):
        partition_table(table, partitions=2, by="k", partitioner=BroadcastPartitioner())
    with pytest.raises(PartitionerError, match="keep_groups= is for ranges"):
        partition_table(table, partitions=2, by="k", keep_groups=True)
    with pytest.raises(PartitionerError, match="balanced by rows"):
        partition_table(table, partitions=2, by="k", partitioner=RangePartitioner(weigh="bytes"))
    with pytest.raises(TableError, match=r"no column 'z'. The columns are: k"):
        partition_table(table, partitions=2, by="z")


def test_rows_without_columns_are_dealt_out() -> None:
    source = pa.RecordBatch.from_struct_array(pa.array([{}] * 5, pa.struct([])))
    with partition_table(source, partitions=2, partitioner="round-robin") as result:
        assert [sum(batch.num_rows for batch in batches) for _, batches in result] == [3, 2]


def test_partitions_that_are_not_read_are_skipped() -> None:
    table = random_table(Random(SEED), ["int64", "string"], 5000).append_column("partition", pa.array(range(5000)))
    with tiny.machine(managed_bytes=SMALL) as machine:
        where: dict[str, Any] = {"temp_dirs": [machine.temp_dir]}
        with partition_table(table, partitions=9, by="int64", **where) as result:
            counts = [sum(batch.num_rows for batch in batches) for _, batches in result]
            some = [
                sum(batch.num_rows for batch in batches) if number % 2 else next(batches).num_rows
                for number, batches in result
            ]
            assert all(
                few == many if number % 2 else few <= many
                for number, (few, many) in enumerate(zip(some, counts, strict=True))
            )
            assert sum(counts) == 5000 == result.report.records
            for number, batches in result:
                if number == 3:
                    next(batches)
                    break
        assert machine.left_behind() == []
