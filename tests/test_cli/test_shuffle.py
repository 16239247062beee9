"""`spillway shuffle` and `spillway verify` of a directory, as their users meet them."""

from __future__ import annotations

import json
import signal
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

import cli
from tests.test_cli import SMALL_MEMORY, Ended, Place, here, spillway, without_root_privileges
from tests.test_cli.processes import STATUSES, Process, check_quiet_end, feed_and_stop, partial, running, until

MIB = 1 << 20
LINES = b"".join(b"%08d\n" % (n * 7919 % 100_000) for n in range(20_000))
SORTED = sorted(LINES.splitlines(keepends=True))
FINE = Ended(cli.OK, b"", "")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.write("lines", LINES)
    table = pa.table({"key": [n % 50 for n in range(2000)], "x": [n * 0.5 for n in range(2000)]})
    pyarrow.parquet.write_table(table, made.inputs / "table.parquet")
    return made


def parts(place: Place, suffix: str = "txt") -> list[bytes]:
    """What is in the files."""
    return [path.read_bytes() for path in sorted((place.home / "out").glob(f"part-*.{suffix}"))]


def check_nothing_made(place: Place) -> None:
    """No output, half or whole, and nothing spilled."""
    assert [path.name for path in place.home.iterdir()] == ["output"]
    assert list(place.temp.iterdir()) == []


def test_ranges_and_what_is_told(place: Place) -> None:
    stats = place.inputs / "stats"
    words = ("shuffle", "--partitions", 4, "--stats", stats, place.inputs / "lines", place.home / "out")
    assert spillway(*place.arguments(*words)) == FINE
    assert parts(place) == [b"".join(SORTED[start : start + 5000]) for start in range(0, 20_000, 5000)]
    told = json.loads(stats.read_text())
    assert (told["partitions"], told["records"], told["output_bytes"]) == (4, 20_000, len(LINES))
    assert told["peak_resident_bytes"] <= told["memory_bytes"]
    assert list(place.temp.iterdir()) == [] and len(list((place.home / "out").iterdir())) == 5
    for inputs in ((), (place.inputs / "lines",)):
        ended = spillway("verify", *inputs, place.home / "out")
        assert ended.status == cli.OK and not ended.stderr
        assert ended.stdout.startswith(b"verified: 20000 records, 180000 bytes, in 4 partitions, fingerprint ")


@pytest.mark.parametrize("partitioner", ["range", "hash", "round-robin"])
def test_standard_input_in_little_memory(place: Place, partitioner: str) -> None:
    """It spills, and keeps to the budget."""
    data, stats = LINES * 400, place.inputs / "stats"
    limits = ("-S", SMALL_MEMORY, "--stats", stats, "--partitioner", partitioner)
    words = ("shuffle", "--partitions", 3, *limits, "-", place.home / "out")
    assert spillway(*place.arguments(*words), stdin=data) == FINE
    told = json.loads(stats.read_text())
    assert told["spilled_bytes"] > 0 and told["peak_resident_bytes"] <= told["memory_bytes"] == 192 * MIB
    found = parts(place)
    assert sum(map(len, found)) == len(data) and list(place.temp.iterdir()) == []
    (place.inputs / "data").write_bytes(data)
    assert spillway("verify", place.inputs / "data", place.home / "out").status == cli.OK


def test_options_of_records(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    options = ("--record-bytes", 9, "--key-offset", 4, "--key-bytes", 4, "-r")
    words = ("shuffle", "--partitions", 2, *options, "-o", place.home / "out", place.inputs / "lines")
    assert here(capfd, *place.arguments(*words)) == FINE
    records = LINES.splitlines(keepends=True)
    assert b"".join(parts(place, "bin")) == b"".join(sorted(records, key=lambda record: record[4:8], reverse=True))
    assert here(capfd, "verify", place.inputs / "lines", place.home / "out").status == cli.OK


def test_tables(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    source, out = place.inputs / "table.parquet", place.home / "out"
    words = ("shuffle", source, out, "--partitions", 3, "--by", "key", "--agg", "sum:x, count", "-S", "1GiB")
    assert here(capfd, *place.arguments(*words)) == FINE
    together = pa.concat_tables([pyarrow.parquet.read_table(path) for path in out.glob("*.parquet")]).sort_by("key")
    assert together["key"].to_pylist() == list(range(50)) and together["count"].to_pylist() == [40] * 50
    assert here(capfd, "verify", out).status == cli.OK
    words = ("shuffle", source, out, "--partitions", 2, "--by", "key", "--sort-by", "-x", "--output-format", "csv")
    assert here(capfd, *place.arguments(*words), "--overwrite", "-S", "1GiB") == FINE
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "part-00000.csv", "part-00001.csv"]
    assert here(capfd, "verify", source, out).status == cli.OK
    check = here(capfd, "verify", place.inputs / "lines", out)
    assert check.status == cli.ERROR


def test_what_verify_says(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    out = place.home / "out"
    assert here(capfd, *place.arguments("shuffle", "--partitions", 2, place.inputs / "lines", out)) == FINE
    first = out / "part-00000.txt"
    records = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(b"".join([records[0], records[2], records[1], *records[3:]]))
    ended = here(capfd, "verify", out)
    assert ended == Ended(cli.NOT_IN_ORDER, b"", f"{first}: 1 records out of order, the first is record 3\n")
    (out / "part-00001.txt").unlink()
    ended = here(capfd, "verify", out)
    assert ended.status == cli.ERROR and f"{out}/part-00001.txt: is missing\n" in ended.stderr and not ended.stdout
    (out / "manifest.json").write_text("{}")
    assert "manifest.json: manifest: there is no manifest_version" in here(capfd, "verify", out).complaint()
    assert "leave such options out" in here(capfd, "verify", "-r", out).complaint()
    assert "is no output of a shuffle" in here(capfd, "verify", place.inputs).complaint()


CASES = {
    "no partitions": ("shuffle lines {home}/out", "--partitions", "Try: spillway shuffle --help"),
    "none": ("shuffle --partitions 0 lines {home}/out", "0 partitions", "1 to 10,000"),
    "too many": ("shuffle --partitions 10001 lines {home}/out", "10001 partitions", "1 to 10,000"),
    "one name": ("shuffle --partitions 2 lines", "give INPUT and OUTPUT_DIR", "--help"),
    "missing input": ("shuffle --partitions 2 missing {home}/out", "missing: no such file", "Check the name"),
    "missing input, hash": (
        "shuffle --partitions 2 --partitioner hash missing {home}/out",
        "missing: no such",
        "Check",
    ),
    "missing table": ("shuffle --partitions 2 --by a missing.parquet {home}/out", "missing.parquet", "Check"),
    "no parent": ("shuffle --partitions 2 lines {home}/none/out", "there is no directory", "Create it"),
    "output is a file": ("shuffle --partitions 2 lines {output}", "is a file", "Name a directory"),
    "output is full": ("shuffle --partitions 2 lines {inputs}", "holds files that no shuffle wrote", "Choose another"),
    "overwrite what is not ours": ("shuffle --partitions 2 --overwrite lines {inputs}", "no shuffle wrote", "Choose"),
    "by of lines": ("shuffle --partitions 2 --format lines --by a lines {home}/out", "lines and records", "leave out"),
    "no such column": ("shuffle --partitions 2 --by nope table.parquet {home}/out", "no column 'nope'", "key, x"),
    "no by": ("shuffle --partitions 2 table.parquet {home}/out", "needs columns to go by", "give --by"),
    "no such aggregate": ("shuffle --partitions 2 --by key --agg sun:x table.parquet {home}/out", "'sun'", "sum"),
    "unique": ("shuffle --partitions 2 -u lines {home}/out", "keeps all records", "leave out --unique"),
    "unknown partitioner": ("shuffle --partitions 2 --partitioner odd lines {home}/out", "'odd'", "'hash'"),
    "little memory": ("shuffle --partitions 2 -S 20MiB lines {home}/out", "too little memory", "the floor is"),
    "little memory, hash": ("shuffle --partitions 2 --partitioner hash -S 20MiB lines {home}/out", "enough", "floor"),
    "no temp directory": ("shuffle --partitions 2 -T none lines {home}/out", "no such directory", "--temp-dir"),
    "partial records": ("shuffle --partitions 2 --record-bytes 7 lines {home}/out", "180000 bytes", "--record-bytes"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_nothing_made(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    line, *words = CASES[case]
    monkeypatch.chdir(place.inputs)
    monkeypatch.setenv("TMPDIR", str(place.temp))
    before = sorted(place.inputs.iterdir())
    names = {"home": place.home, "output": place.output, "inputs": place.inputs}
    complaint = here(capfd, *(word.format(**names) for word in line.split())).complaint()
    for word in words:
        assert word in complaint, complaint
    check_nothing_made(place)
    assert sorted(place.inputs.iterdir()) == before


def test_an_output_is_replaced_only_if_that_is_said(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    words = place.arguments("shuffle", "--partitions", 2, place.inputs / "lines", place.home / "out")
    assert here(capfd, *words) == FINE
    assert "say --overwrite to replace it" in here(capfd, *words).complaint()
    assert here(capfd, *words, "--overwrite", "--partitions", 3) == FINE
    assert len(parts(place)) == 3 and len(list(place.home.iterdir())) == 2


def test_no_permission(place: Place) -> None:
    place.home.chmod(0o555)
    try:
        words = place.arguments("shuffle", "--partitions", 2, place.inputs / "lines", place.home / "out")
        complaint = spillway(*words, preexec_fn=without_root_privileges()).complaint()
    finally:
        place.home.chmod(0o755)
    assert "no permission to write in" in complaint
    check_nothing_made(place)


@pytest.mark.parametrize("partitioner", ["range", "hash"])
@pytest.mark.parametrize("size_is_known", [True, False])
def test_a_full_disk(tmp_path: Path, small_disk: Path, size_is_known: bool, partitioner: str) -> None:
    place = Place(tmp_path, home=small_disk)
    data = LINES * 20
    name = place.write("lines", data) if size_is_known else "-"
    words = place.arguments("shuffle", "--partitions", 50, "--partitioner", partitioner, name, place.home / "out")
    complaint = spillway(*words, stdin=data).complaint()
    assert f"{small_disk}: the disk is full: needed" in complaint and "larger disk" in complaint
    check_nothing_made(place)


# --- signals


def shuffling(place: Place, partitioner: str) -> AbstractContextManager[Process]:
    """A job that shuffles what we write to its standard input."""
    choices = ("-S", SMALL_MEMORY, "--partitions", 9, "--partitioner", partitioner)
    return running(place, "shuffle", *choices, "-", place.home / "out")


def stop_while_writing(process: Process, place: Place) -> None:
    """The job stands still, its output half written."""

    def has_begun() -> bool:
        made = partial(place.home / "out")
        return made is not None and any(path.stat().st_size for path in made.glob("part-*"))

    feed_and_stop(process, LINES * 450, place.home / "out", has_begun)


@pytest.mark.parametrize("partitioner", ["range", "hash"])
@pytest.mark.parametrize("number", STATUSES, ids=lambda number: number.name)
def test_stopped_while_it_writes(place: Place, number: signal.Signals, partitioner: str) -> None:
    with shuffling(place, partitioner) as process:
        stop_while_writing(process, place)
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        check_quiet_end(process, STATUSES[number])
    check_nothing_made(place)


@pytest.mark.parametrize("partitioner", ["range", "hash"])
def test_stopped_while_it_reads(place: Place, partitioner: str) -> None:
    with shuffling(place, partitioner) as process:
        assert process.stdin is not None
        process.stdin.write(LINES * 450)
        until(process, lambda: any(place.temp.glob("spillway-*/run-*.spill")))
        process.send_signal(signal.SIGTERM)
        check_quiet_end(process, 143)
    check_nothing_made(place)


def test_killed_outright(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    with shuffling(place, "range") as process:
        stop_while_writing(process, place)
        process.kill()
        check_quiet_end(process, -signal.SIGKILL)
    assert partial(place.home / "out") is not None and not (place.home / "out").exists()
    words = place.arguments("shuffle", "--partitions", 2, place.inputs / "lines", place.home / "out")
    assert here(capfd, *words) == FINE
    assert sorted(path.name for path in place.home.iterdir()) == ["out", "output"] and not any(place.temp.iterdir())
