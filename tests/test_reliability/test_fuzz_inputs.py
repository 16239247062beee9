"""Inputs that were damaged, or made to do damage: read to the last byte, or refused by an error that names the file.

Tables that are taken are compared with a slow twin, as far as there is one; nothing is lost silently. What a block of
text holds is never looked at, so that every byte of it comes out.
"""

from __future__ import annotations

import csv
import gzip
import io
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

import shuffle
from serializers.columns.fields import attribute_reader
from shuffle.errors import RecordFormatError, SortError
from shuffle.tables.kinds import TableError
from tests import tiny
from tests.test_cli import Place, here
from tests.test_reliability import amounts
from tests.test_reliability.mutations import Mutator, resident_bytes

pa = pytest.importorskip("pyarrow")
import pyarrow.parquet  # noqa: E402

from shuffle.tables.table_source import open_table  # noqa: E402

GROWTH_BYTES_MAX = 256 << 20
"""Of what is resident afterwards. A page of Parquet may say that it unpacks to 2 GiB: pyarrow makes room for that."""

PARTS = range(amounts.amount(1, 2))
KIB = 1 << 10


@pytest.fixture(autouse=True)
def no_growth() -> Iterator[None]:
    before = resident_bytes()
    yield
    pa.default_memory_pool().release_unused()
    assert resident_bytes() - before < GROWTH_BYTES_MAX


def table(random: Random) -> Any:
    """Columns of several types, with nulls."""
    count = random.randint(1, 60)
    return pa.table(
        {
            "number": pa.array([random.choice((None, random.randint(-5, 10**12))) for _ in range(count)], pa.int64()),
            "text": ["".join(random.choices("abé ,", k=random.randrange(9))) for _ in range(count)],
            "real": [random.choice((None, 0.5, -0.0, float("inf"))) for _ in range(count)],
            "list": [[1] * random.randrange(4) for _ in range(count)],
            "group": pa.array([random.choice("xyz") for _ in range(count)]).dictionary_encode(),
        }
    )


def read_all(path: Path, **choices: Any) -> list[dict[str, Any]] | TableError:
    """The rows, or why there are none; the error names the file."""
    try:
        with open_table(path, **choices) as source:
            return [row for batch in source.batches() for row in batch.to_pylist()]
    except TableError as error:
        assert str(path) in str(error), error
        return error


# --- Parquet and Arrow


def parquet_bytes(made: Any, random: Random) -> bytes:
    """With checksums of its pages."""
    out = io.BytesIO()
    compression = random.choice(("none", "snappy", "zstd"))
    pyarrow.parquet.write_table(made, out, compression=compression, write_page_checksum=True, row_group_size=20)
    return out.getvalue()


def arrow_bytes(made: Any, random: Random) -> bytes:
    """A file or a stream."""
    out = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=random.choice((None, "lz4", "zstd")))
    new = random.choice((pa.ipc.new_file, pa.ipc.new_stream))
    with new(out, made.schema, options=options) as writer:
        writer.write_table(made, max_chunksize=20)
    return out.getvalue()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("make", [parquet_bytes, arrow_bytes])
def test_damaged_table_files(make: Callable[[Any, Random], bytes], part: int, tmp_path: Path) -> None:
    """Refused, or read as a table that later stages can take: sorted, all of it comes out."""
    random = amounts.source("tables", make.__name__, part)
    path = tmp_path / ("table.parquet" if make is parquet_bytes else "table.arrow")
    count, accepted = amounts.amount(30, 2000), 0
    for number in range(count):
        if number % 50 == 0:
            original = make(table(random), random)
            mutator = Mutator(random, [original])
        path.write_bytes(mutator.mutate(original))
        rows = read_all(path)
        if isinstance(rows, TableError):
            continue
        accepted += 1
        if accepted % 20 == 0 and rows and "number" in rows[0]:
            check_sorted(path, rows)
    amounts.report(f"damaged tables: {make.__name__}", fuzz_inputs=count, accepted=accepted)


def check_sorted(path: Path, rows: list[dict[str, Any]]) -> None:
    """A sort of a table that can be read ends in all of its rows, or in an error that names what cannot be sorted."""
    try:
        with shuffle.sort_table(path, by=["number"], memory="200MiB") as result:
            found = result.to_table().to_pylist()
    except (SortError, ValueError):
        return
    assert sorted(map(repr, found)) == sorted(map(repr, rows))


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv"])
def test_names_of_columns_that_are_no_text(suffix: str, tmp_path: Path) -> None:
    random = amounts.source("names", suffix)
    made = {"parquet": parquet_bytes, "arrow": arrow_bytes}.get(suffix, lambda *_: b"number,text\n1,a\n")
    path = tmp_path / f"table.{suffix}"
    path.write_bytes(made(table(random), random).replace(b"number", b"n\xffmber"))
    for columns in (None, ["text"]):
        assert isinstance(read_all(path, columns=columns), TableError)


def test_a_page_of_parquet_under_a_checksum(tmp_path: Path) -> None:
    """A changed value in a page is found, in files of ours and in others that have checksums."""
    path = tmp_path / "table.parquet"
    with shuffle.sort_table(pa.table({"a": list(range(1000, 1100))}), by=["a"], memory="200MiB") as result:
        result.write(path)
    column = pyarrow.parquet.read_metadata(path).row_group(0).column(0)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 1] ^= 1  # of the last value
    path.write_bytes(data)
    assert isinstance(read_all(path), TableError)


# --- CSV


def csv_bytes(random: Random) -> bytes:
    """Cells as people have them, without quotation marks."""
    cells = ("", "a", "1", "-2.5", "é", "=1+1", "@x", "x y", "\t", "2024-01-01")
    lines = [b"a,b,c"]
    lines += [",".join(random.choices(cells, k=3)).encode() for _ in range(random.randint(0, 12))]
    return random.choice((b"\n", b"\r\n")).join([*lines, b""])


def twin(data: bytes) -> list[list[str]] | None:
    """What such bytes hold: lines that are not empty, of as many cells as the first; None if they do not."""
    rows = [line.split(b",") for line in re.split(rb"\r\n|\n|\r", data.removeprefix(b"\xef\xbb\xbf")) if line]
    if not rows or len({len(row) for row in rows}) > 1 or len(set(rows[0])) < len(rows[0]):
        return None
    try:
        return [[cell.decode() for cell in row] for row in rows]
    except UnicodeDecodeError:
        return None


@pytest.mark.parametrize("part", PARTS)
def test_damaged_csv(part: int, tmp_path: Path) -> None:
    """As the twin reads it, where there are no quotation marks; with them, an error or some table."""
    random = amounts.source("csv", part)
    path = tmp_path / "table.csv"
    mutator = Mutator(random, [b'"', b'""', b'"\n"', b"\r", b"\0", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b",,,", b"\xff"])
    count, accepted = amounts.amount(60, 2500), 0
    for _ in range(count):
        data = mutator.mutate(csv_bytes(random))
        path.write_bytes(data)
        expected = twin(data)
        plain = b'"' not in data
        types = dict.fromkeys(expected[0], "string") if plain and expected else None
        found = read_all(path, column_types=types)
        if isinstance(found, TableError):
            assert not (plain and expected and len(expected) > 1), (data, found)
            continue
        accepted += 1
        if plain and expected:
            assert [list(row.values()) for row in found] == expected[1:], data
    amounts.report("damaged CSV", fuzz_inputs=count, accepted=accepted)


def test_cells_come_out_as_they_went_in(tmp_path: Path) -> None:
    """Formulas, quotes, line ends, NUL, U+2028: nothing is neutralised, stripped or turned."""
    cells = [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\rx",
        'say "x"',
        "a,b",
        "a\nb",
        "a\r\nb",
        "a\0b",
        "\u2028",
        "é",
        " x ",
    ]
    with (tmp_path / "in.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["place", "cell"], *([f"{place:02}", cell] for place, cell in enumerate(cells))])
    types = {"place": "string", "cell": "string"}
    with shuffle.sort_table(tmp_path / "in.csv", by=["-place"], memory="200MiB", column_types=types) as result:
        result.write(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        assert [row[1] for row in csv.reader(file)] == ["cell", *reversed(cells)]


# --- bombs


def test_one_long_line(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"a\n" + b"x" * (4 << 20))
    assert "a row is longer than" in str(read_all(path))


def test_a_long_line_packed_small(tmp_path: Path) -> None:
    path = tmp_path / "table.csv.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(b"a\n")
        for _ in range(amounts.amount(8, 1024)):
            file.write(bytes(1 << 20))
    assert "a row is longer than" in str(read_all(path, format="csv"))


def test_a_quotation_mark_that_nobody_closes(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for data in (
        b'a,b\n1,"2\n' + b"3,4\n" * 300_000,
        b'a,b\n1,"2\n3,4\n',
        b'a,b\n1,2\n3,"4',
        b'a\n1\n"',
        b'a\r\n"\r\n',
    ):
        path.write_bytes(data)
        for columns in (None, ["a"]):
            assert "a quotation mark is not closed" in str(read_all(path, columns=columns)), data
    path.write_bytes(b'a,b\n"1""","\n\n"')
    assert read_all(path) == [{"a": '1"', "b": "\n\n"}]


def test_very_many_columns(tmp_path: Path) -> None:
    """So many as are allowed are read, and counted against the memory; more are refused before they take any."""
    path = tmp_path / "table.csv"
    for count in (amounts.amount(1000, 10_000), 100_000):
        names = [f"c{number}" for number in range(count)]
        path.write_text(f"{','.join(names)}\n{','.join('1' * count)}\n")
        found = read_all(path)
        if count > 10_000:
            assert "100,000 columns, and at most 10,000 can be read" in str(found)
        else:
            assert found == [dict.fromkeys(names, 1)]
    path.write_text("c7," + ",".join(names[:100]) + "\n")
    assert "several columns are called 'c7'" in str(read_all(path))


def test_lines_that_are_nothing_but_ends() -> None:
    data = b"\n" * amounts.amount(300_000, 3_000_000)
    with tiny.machine(managed_bytes=1 << 20) as machine:
        assert machine.sort(data) == data


def test_one_line_longer_than_memory() -> None:
    data = b"b\n" + b"x" * amounts.amount(1 << 20, 16 << 20) + b"\na\n"
    with tiny.machine(managed_bytes=256 * KIB) as machine:
        assert machine.sort(data) == tiny.sorted_bytes(data)


# --- text and records of one length


@pytest.mark.parametrize("part", PARTS)
def test_any_bytes_are_lines(part: int) -> None:
    random = amounts.source("lines", part)
    mutator = Mutator(random, [b"\r\n", b"\0", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\r", b"\x1b[31m"])
    count = amounts.amount(10, 300)
    with tiny.machine(managed_bytes=96 * KIB) as machine:
        for _ in range(count):
            data = mutator.mutate(b"\n".join(random.randbytes(random.randrange(60)) for _ in range(200)))
            assert machine.sort(data) == tiny.sorted_bytes(data)
    amounts.report("any bytes as lines", fuzz_inputs=count, lost_records=0)


def test_records_that_do_not_fill_the_file() -> None:
    random = amounts.source("fixed")
    count = amounts.amount(20, 400)
    with tiny.machine(managed_bytes=96 * KIB) as machine:
        for _ in range(count):
            data = random.randbytes(random.randrange(3000))
            choices = {"record_bytes": 12, "key_offset": 3, "key_bytes": 2}
            if len(data) % 12:
                with pytest.raises(RecordFormatError, match=r"input0: .* no whole number of records"):
                    machine.sort(data, **choices)  # type: ignore[arg-type]
            else:
                assert machine.sort(data, **choices) == tiny.sorted_bytes(data, tiny.SERIAL)  # type: ignore[arg-type]
    amounts.report("records that do not fill the file", fuzz_inputs=count)


# --- what must not run


def planted(tmp_path: Path) -> bytes:
    """A pickle that leaves a file where it is loaded."""

    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    return pickle.dumps(Bomb())


@pytest.mark.parametrize("name", ["arrow.py_extension_type", "arrow.opaque", "anything"])
def test_an_extension_type_is_never_unpickled(tmp_path: Path, name: str) -> None:
    metadata = {b"ARROW:extension:name": name.encode(), b"ARROW:extension:metadata": planted(tmp_path)}
    schema = pa.schema([pa.field("a", pa.int64(), metadata=metadata)])
    made = pa.table({"a": [2, 1]}).cast(pa.schema([pa.field("a", pa.int64())]))
    with pa.OSFile(str(tmp_path / "table.arrow"), "wb") as out, pa.ipc.new_file(out, schema) as writer:
        writer.write_table(pa.Table.from_arrays(made.columns, schema=schema))
    pyarrow.parquet.write_table(pa.Table.from_arrays(made.columns, schema=schema), tmp_path / "table.parquet")
    for path in (tmp_path / "table.arrow", tmp_path / "table.parquet"):
        try:
            with shuffle.sort_table(path, by=["a"], memory="200MiB") as result:
                assert result.to_table()["a"].to_pylist() == [1, 2]
        except (SortError, ValueError) as error:
            assert name == "arrow.opaque", error  # pyarrow knows it, and its metadata is none
    assert not (tmp_path / "ran").exists()


SHELL = "$(touch ran)`touch ran`;touch ran|touch ran&\n"


def test_no_option_reaches_a_shell(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and values of options are data, whatever stands in them."""
    monkeypatch.chdir(tmp_path)
    name = SHELL.replace("/", "")
    (tmp_path / name).write_bytes(b"b\na\n")
    (tmp_path / "temp").mkdir()
    assert here(capfd, "sort", name, f"{name}out", "-T", "temp").status == 0
    assert (tmp_path / f"{name}out").read_bytes() == b"a\nb\n"
    for option in ("--memory", "--temp-dir", "--max-disk", "--compress", "--stats", "--record-bytes", "--sort-kernel"):
        assert here(capfd, "sort", option, name, name, "out").status in (0, 2)
    for option in ("--by", "--sort-by", "--agg", "--format", "--partitioner"):
        assert here(capfd, "shuffle", "--partitions", "2", option, name, name, "out").status == 2
    assert not (tmp_path / "ran").exists()


def test_nothing_in_the_engine_makes_code_of_text() -> None:
    """Outside the sealed rows of pickled records nothing unpickles, evaluates or starts a shell."""
    root = Path(shuffle.__file__).parents[1]
    pattern = re.compile(
        r"\bpickle\.loads?\(|cloudpickle\.loads?\(|marshal\.load|shelve\.|(?<![.\w])eval\(|(?<![.\w])exec\("
        r"|os\.system\(|os\.popen\(|shell=True|allow_pickle=True|yaml\.load"
    )
    found = {
        str(path.relative_to(root))
        for folder in ("io_manager", "memory", "serializers", "shuffle")
        for path in (root / folder).rglob("*.py")
        if pattern.search(path.read_text(encoding="utf-8"))
    }
    assert found <= UNPICKLING, found - UNPICKLING


UNPICKLING = {
    "serializers/columns/fields.py",  # names of attributes, all of them identifiers, and no other text
    "serializers/types/generic.py",  # rows of a job that sealed its files
    "shuffle/exchange/record_file.py",  # batches, each behind its seal
    "shuffle/exchange/task_manager.py",  # what worker processes of the job say through its own pipes
    "shuffle/exchange/tasks.py",
    "shuffle/exchange/worker.py",
    "shuffle/exchange/worker_process.py",
}


def test_names_that_python_writes_in_another_form() -> None:
    """A ligature in code is two letters; the name of an attribute stays as it is."""

    class Thing:
        fix = 2

    thing = Thing()
    vars(thing).update({"\ufb01x": 1})
    assert attribute_reader("\ufb01x")([thing]) == [1] and attribute_reader("fix")([thing]) == [2]


# --- terminals and logs


def test_errors_quote_what_came_from_outside(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """ESC, newline and bidirectional marks in names of files, columns and cells are shown, and do nothing."""
    place = Place(tmp_path)
    odd = "x\x1b[31m\n\u202eevil\x07"
    broken = place.write(f"{odd}.csv", f"{odd.strip()},b\n1\n".encode())
    cell = place.write(f"{odd}2.csv", b"a\n" + b"1\n" * 1_400_000 + f"{odd}\n".encode().replace(b"\n", b"") + b"\n")
    names = [place.inputs / odd, broken, cell]
    for path in names:
        out = tmp_path / "out"
        words = ["shuffle", "--partitions", "2", "--by", "a", path, out, "--format", "csv"]
        complaint = here(capfd, *place.arguments(*words)).complaint()
        assert "\\x1b[31m\\n\\u202eevil\\x07" in complaint
    assert here(capfd, *place.arguments("sort", place.inputs / odd, place.output)).complaint().isascii()
    place.check_untouched()


def test_no_record_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At INFO a job says what it does, and never what it reads."""
    needle = b"needle-that-nobody-may-see"
    with caplog.at_level("INFO"), tiny.machine(managed_bytes=96 * KIB) as machine:
        machine.sort((needle + b"\n") * 20_000)
        with shuffle.sort([needle.decode(), "x"], memory="200MiB") as result:
            list(result)
    assert needle.decode() not in caplog.text


# --- in a process of its own


CHILD = """
import faulthandler, sys
faulthandler.enable()
from tests.test_reliability import test_fuzz_inputs as fuzz
fuzz.read_many(sys.argv[1:])
"""


def read_many(names: Sequence[str]) -> None:
    """Read every file, as the child does."""
    for name in names:
        read_all(Path(name))


@pytest.mark.parametrize("part", PARTS)
def test_no_file_ends_the_process(part: int, tmp_path: Path) -> None:
    """Thousands of damaged files in another process, which has to be there at the end."""
    random = amounts.source("processes", part)
    count = amounts.amount(30, 2000)
    for number in range(count):
        make, suffix = random.choice(((parquet_bytes, "parquet"), (arrow_bytes, "arrow")))
        mutator = Mutator(random)
        (tmp_path / f"table{number}.{suffix}").write_bytes(mutator.mutate(make(table(random), random)))
    words = [sys.executable, "-c", CHILD, *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr[-3000:]
    shutil.rmtree(tmp_path)
    amounts.report("damaged tables in a process of their own", fuzz_inputs=count)
