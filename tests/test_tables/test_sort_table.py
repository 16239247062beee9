"""Tables sorted: as their slow twin, in memory or spilled, whatever the columns are and whatever goes wrong."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory import MemoryConfigurationError
from serializers.errors import NotOrderableError, SerializationError
from shuffle.tables import TableError, distinct_table, sort_table, top_k_table
from tests import tiny

pa: Any = pytest.importorskip("pyarrow")

from tests.test_tables.random_tables import SEED, TYPES, order_key, order_of, plain, random_table, values_of  # noqa: E402

SMALL = 64 << 10
SORTABLE = list(TYPES)


def check(table: Any, by: list[str], machine: tiny.Machine, **choices: Any) -> Any:
    """Sort, and compare with the twin."""
    with sort_table(table, by, temp_dirs=[machine.temp_dir], **choices) as result:
        got = result.to_table()
        assert len(result) == table.num_rows
    got.validate(full=True)
    assert got.schema.equals(table.schema)
    expected = plain(table)
    assert plain(got) == [expected[place] for place in order_of(table, by)]
    return got


@pytest.mark.parametrize("kind", SORTABLE)
def test_every_type_is_ordered_and_carried(kind: str) -> None:
    rng = Random(f"{SEED} {kind}")
    with tiny.machine() as machine:
        for count in (0, 1, 300):
            table = random_table(rng, [kind, "string"], count)
            for by in ([kind], [f"-{kind}"], [f"{kind}:nulls-last", "-string"], [f"-{kind}:nulls-last"]):
                check(table, by, machine)


@settings(max_examples=40)
@given(
    kinds=st.lists(st.sampled_from(SORTABLE), min_size=1, max_size=5, unique=True),
    seed=st.integers(0, 2**32),
    count=st.integers(0, 400),
    few=st.booleans(),
    data=st.data(),
)
def test_any_table_in_any_order(kinds: list[str], seed: int, count: int, few: bool, data: st.DataObject) -> None:
    table = random_table(Random(seed), kinds, count, few=few)
    chosen = data.draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3))
    by = [
        data.draw(st.sampled_from(["", "-"])) + name + data.draw(st.sampled_from(["", ":nulls-last"]))
        for name in chosen
    ]
    with tiny.machine(managed_bytes=SMALL) as machine:
        check(table, by, machine)


def test_spilling_changes_nothing() -> None:
    rng = Random(SEED)
    table = random_table(rng, ["int64", "string", "float64", "dictionary", "decimal128_long"], 20_000, few=True)
    by = ["dictionary", "-float64", "string:nulls-last"]
    with tiny.machine(managed_bytes=SMALL) as machine, sort_table(table, by, temp_dirs=[machine.temp_dir]) as result:
        assert result.report.runs > 10 and result.report.spilled_bytes > 0
        spilled = result.to_table()
    with sort_table(table, by) as result:
        assert plain(result.to_table()) == plain(spilled)
    expected = plain(table)
    assert plain(spilled) == [expected[place] for place in order_of(table, by)]


def test_wide_rows_and_huge_texts() -> None:
    rng = Random(SEED)
    wide = pa.table({f"c{place}": [rng.randint(0, 9) for _ in range(40)] for place in range(400)})
    huge = pa.table({"k": [3, 1, 2, 1], "s": ["x" * 300_000, "y" * 100_000, None, "z" * 700_000]})
    with tiny.machine(managed_bytes=SMALL) as machine:
        check(wide, ["c17", "-c3", "c399"], machine)
        assert check(huge, ["k"], machine)["k"].to_pylist() == [1, 1, 2, 3]
        check(huge, ["-s"], machine)


def test_whatever_speaks_arrow_is_a_table() -> None:
    table = pa.table({"a": [3, 1, 2]})

    class Stream:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return table.__arrow_c_stream__(requested_schema)

    class Array:
        def __arrow_c_array__(self, requested_schema: object = None) -> object:
            return table.to_batches()[0].__arrow_c_array__(requested_schema)

    for source in (table, table.to_batches()[0], table.to_reader(), Stream(), Array()):
        with sort_table(source, "a") as result:
            assert pa.table(result)["a"].to_pylist() == [1, 2, 3]
            assert pa.table(result)["a"].to_pylist() == [1, 2, 3], "once more"


def test_frames_and_queries_of_others() -> None:
    duckdb, pandas = pytest.importorskip("duckdb"), pytest.importorskip("pandas")
    with sort_table(duckdb.sql("select 10 - range as a from range(5)"), "a") as result:
        assert result.to_table()["a"].to_pylist() == [6, 7, 8, 9, 10]
        assert duckdb.from_arrow(result.reader()).aggregate("sum(a)").fetchall() == [(40,)]
    with sort_table(pandas.DataFrame({"a": [3, 1, 2]}), "-a") as result:
        assert result.to_table()["a"].to_pylist() == [3, 2, 1]


def test_tables_without_rows_or_columns() -> None:
    with sort_table(pa.table({"a": pa.array([], pa.string())}), "a") as result:
        assert result.to_table().num_rows == len(result) == 0
        assert result.reader().schema == pa.schema([("a", pa.string())])
    with pytest.raises(TableError, match=r"no column 'a'. The columns are: none"):
        sort_table(pa.table({}), "a")
    reader = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int8())]), [])
    assert sort_table(reader, "a").to_table().num_rows == 0


def test_names_of_columns() -> None:
    table = pa.table({"a.b": [2, 1], "s": [{"x": 1}, {"x": 2}], "-c": [1, 2]})
    assert sort_table(table, "a.b").to_table()["a.b"].to_pylist() == [1, 2]
    assert sort_table(table, "-s.x").to_table()["s"].to_pylist() == [{"x": 2}, {"x": 1}]
    assert sort_table(table, "--c").to_table()["-c"].to_pylist() == [2, 1]
    assert sort_table(table, 0).to_table()["a.b"].to_pylist() == [1, 2]
    with pytest.raises(TableError, match=r"no column 'amount'. The columns are: a.b, s, -c"):
        sort_table(table, ["s", "-amount:nulls-last"])
    with pytest.raises(SerializationError, match="names no field"):
        sort_table(table, [])
    with pytest.raises(TableError, match=r"several columns are called 'a'. Rename all but one"):
        sort_table(pa.table([[1], [2]], names=["a", "a"]), "a")


def test_columns_without_an_order() -> None:
    table = pa.table({"m": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int8())), "n": [2, 1]})
    with pytest.raises(NotOrderableError, match="m"):
        sort_table(table, "m")
    assert sort_table(table, "n").to_table()["m"].to_pylist() == [None, [("a", 1)]]


def test_limit_and_unique() -> None:
    rng = Random(SEED)
    table = random_table(rng, ["float64", "string"], 5000, few=True)
    expected = plain(table)
    ordered = order_of(table, ["float64", "-string"])
    floats, texts = (values_of(table.column(name)) for name in ("float64", "string"))
    key = order_key()
    seen = [
        place
        for before, place in zip([None, *ordered], ordered, strict=False)
        if before is None or (key(floats[before]), texts[before]) != (key(floats[place]), texts[place])
    ]
    with tiny.machine(managed_bytes=SMALL) as machine:
        where: dict[str, Any] = {"temp_dirs": [machine.temp_dir]}
        for limit in (0, 1, 7, 4999, 5000, 6000):
            with top_k_table(table, limit, ["float64", "-string"], **where) as result:
                assert plain(result.to_table()) == [expected[place] for place in ordered[:limit]]
                assert len(result) == min(limit, 5000)
        with distinct_table(table, ["float64", "-string"], **where) as result:
            assert plain(result.to_table()) == [expected[place] for place in seen]
            assert len(result) == len(seen)
        doubled = pa.concat_tables([table, table.slice(100, 900)])
        with distinct_table(doubled, **where) as result:
            assert len(result) == 5000 and result.to_table().num_rows == 5000
    with pytest.raises(ValueError, match="k is -1"):
        top_k_table(table, -1, "float64")


# --- what goes wrong


def test_a_source_that_raises() -> None:
    schema = pa.schema([("a", pa.int64())])

    def batches() -> Iterator[Any]:
        for _ in range(50):
            yield pa.record_batch([pa.array(np.arange(1000)[::-1])], schema=schema)
        raise LookupError("the source is gone")

    with tiny.machine(managed_bytes=SMALL) as machine:
        result = sort_table(pa.RecordBatchReader.from_batches(schema, batches()), "a", temp_dirs=[machine.temp_dir])
        for _ in range(2):
            with pytest.raises(LookupError, match="the source is gone"):
                result.to_table()
        assert machine.left_behind() == []


def test_a_value_that_cannot_be() -> None:
    chunks = [pa.array([f"{low + n}" for n in range(100)]).dictionary_encode() for low in (0, 100, 200)]
    small = pa.dictionary(pa.int8(), pa.string())
    table = pa.table({"d": pa.chunked_array([chunk.cast(small) for chunk in chunks])})
    with sort_table(table, "d") as result, pytest.raises(SerializationError, match=r"record 0, field d: .*Cast the"):
        result.to_table()


def test_early_ends_leave_nothing() -> None:
    table = random_table(Random(SEED), ["int64", "string"], 20_000)
    threads = threading.active_count()
    with tiny.machine(managed_bytes=SMALL) as machine:
        result = sort_table(table, "int64", temp_dirs=[machine.temp_dir])
        first = result.batches()
        next(first)
        with pytest.raises(RuntimeError, match="are being read already"):
            next(result.batches())
        first.close()
        assert sum(batch.num_rows for batch in result) == 20_000
        second = iter(result)
        next(second)
        result.close()
        result.close()
        assert machine.left_behind() == []
        with pytest.raises(ValueError, match="this table is closed"):
            result.to_table()
        dropped = sort_table(table, "int64", temp_dirs=[machine.temp_dir]).batches()
        next(dropped)
        del dropped, second
        gc.collect()
        never_read = sort_table(table, "int64", temp_dirs=[machine.temp_dir])
        never_read.close()
        tiny_wait(lambda: threading.active_count() <= threads)
        assert machine.left_behind() == []


def tiny_wait(is_done: Any) -> None:
    """Until what a dropped session left to its own thread has ended: joining the thread is waiting for it."""
    for thread in threading.enumerate():
        if thread.name == "spillway-engine":
            thread.join(tiny.SECONDS_MAX)
    assert is_done()


def test_too_little_memory_and_disk(tmp_path: Path) -> None:
    table = pa.table({"a": [2, 1]})
    with pytest.raises(MemoryConfigurationError, match="Give at least that"):
        sort_table(table, "a", memory="20MiB").to_table()
    path = tmp_path / "table.csv"
    path.write_text("a\n1\n")
    with pytest.raises(MemoryConfigurationError, match=r"table\.csv: reading it takes 20 MiB .* process is 40 MiB"):
        sort_table(path, "a", memory="60MiB").to_table()
    with pytest.raises(FileNotFoundError):
        sort_table(tmp_path / "none.parquet", "a")
    big = random_table(Random(SEED), ["int64", "string"], 20_000)
    with tiny.machine(managed_bytes=SMALL) as machine:
        with pytest.raises(OSError, match="max-disk"):
            sort_table(big, "int64", temp_dirs=[machine.temp_dir], max_disk="64KiB").to_table()
        assert machine.left_behind() == []
