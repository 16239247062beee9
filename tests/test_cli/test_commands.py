"""The commands beside `sort`: what they print, and to which stream; what they return; what they leave alone."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cli
from io_manager.owner import Owner
from tests import naive
from tests.test_cli import Ended, Place, here, spillway

FINE = Ended(cli.OK, b"", "")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.write("sorted", b"a\nb\nb\nc\n")
    made.write("unsorted", b"a\nc\nb\n")
    return made


# --- merge


def test_merge_keeps_the_order_of_its_inputs_among_ties(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    records = [b"%03d%05d" % (number * 37 % 100, number) for number in range(3000)]
    parts = [naive.stable_sort(records[part::3], lambda record: record[:3]) for part in range(3)]
    names = [place.write(f"part{part}", b"".join(each)) for part, each in enumerate(parts)]
    words = place.arguments("merge", "--record-bytes", 8, "--key-bytes", 3, "-o", place.output, *names)
    assert here(capfd, *words) == FINE
    joined = [record for part in parts for record in part]
    assert place.output.read_bytes() == b"".join(naive.stable_sort(joined, lambda record: record[:3]))
    place.check_clean()


@pytest.mark.parametrize(
    ("options", "parts", "expected"),
    [
        ([], [b"a\nc\n", b"b\nd"], b"a\nb\nc\nd\n"),
        ([], [b"", b"", b""], b""),
        ([], [b"b\n"], b"b\n"),
        ([], [b"", b"a\na\n", b"a\n"], b"a\na\na\n"),
        (["-u"], [b"a\na\nb\n", b"a\nc\n"], b"a\nb\nc\n"),
        (["-r"], [b"c\na\n", b"d\nb\n"], b"d\nc\nb\na\n"),
        (["--limit", "2"], [b"a\nc\n", b"b\nd\n"], b"a\nb\n"),
        (["-z"], [b"a\0c\0", b"b"], b"a\0b\0c\0"),
    ],
)
def test_merge_options(place: Place, options: list[str], parts: list[bytes], expected: bytes) -> None:
    names = [place.write(f"part{number}", data) for number, data in enumerate(parts)]
    assert cli.run(place.arguments("merge", *options, "-o", place.output, *names)) == cli.OK
    assert place.output.read_bytes() == expected
    place.check_clean()


def test_merge_into_one_of_its_inputs(place: Place) -> None:
    place.output.write_bytes(b"b\nd\n")
    assert cli.run(place.arguments("merge", "-o", place.output, place.inputs / "sorted", place.output)) == cli.OK
    assert place.output.read_bytes() == b"a\nb\nb\nb\nc\nd\n"
    place.check_clean()


def test_merge_finds_disorder_at_the_very_end(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [b"%06d\n" % number for number in range(50_000)]
    name = place.write("almost", b"".join([*lines, lines[0]]))
    complaint = here(capfd, *place.arguments("merge", "-o", place.output, place.inputs / "sorted", name)).complaint()
    assert "almost: not in the order" in complaint
    place.check_untouched()


def test_merge_reads_no_pipes(place: Place) -> None:
    ended = spillway(*place.arguments("merge", "-o", place.output, "-"), stdin=b"a\n")
    assert "merge reads files, not pipes" in ended.complaint()
    place.check_untouched()


# --- check and verify


@pytest.mark.parametrize(
    ("options", "name", "status"),
    [
        ([], "sorted", cli.OK),
        ([], "unsorted", cli.NOT_IN_ORDER),
        (["-u"], "sorted", cli.NOT_IN_ORDER),
        (["-r"], "sorted", cli.NOT_IN_ORDER),
        (["--record-bytes", "2"], "sorted", cli.OK),
        (["--record-bytes", "2", "--key-offset", "1"], "unsorted", cli.OK),
        (["-z", "-S", "1MiB"], "unsorted", cli.OK),
    ],
)
def test_check(place: Place, capfd: pytest.CaptureFixture[str], options: list[str], name: str, status: int) -> None:
    ended = here(capfd, "check", *options, place.inputs / name)
    assert ended.status == status
    said, silent = (ended.stderr, ended.stdout) if status else (ended.stdout.decode(), ended.stderr)
    assert not silent and said.count("\n") == 1 and ("in order" in said) == (status == cli.OK)


def test_check_reads_standard_input() -> None:
    ended = spillway("check", "-", stdin=b"b\na\n")
    assert ended.status == cli.NOT_IN_ORDER and "first record 2" in ended.stderr


def test_verify(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    inputs = [place.inputs / "unsorted", place.inputs / "sorted"]
    assert cli.run(place.arguments("sort", "-o", place.output, *inputs)) == cli.OK
    ended = here(capfd, "verify", *inputs, place.output)
    assert ended.status == cli.OK and ended.stdout.startswith(b"verified: 7 records") and not ended.stderr
    place.output.write_bytes(place.output.read_bytes().replace(b"c", b"d", 1))
    ended = here(capfd, "verify", *inputs, place.output)
    assert ended.status == cli.NOT_IN_ORDER and not ended.stdout
    assert [line.split(":")[0] for line in ended.stderr.splitlines()] == ["order", "fingerprint"]


# --- explain


def test_explain_tells_what_sort_then_does(place: Place) -> None:
    name, stats = place.inputs / "big", place.inputs / "stats"
    assert cli.run(["gen", "--size", "80MiB", str(name)]) == cli.OK
    told = spillway(*place.arguments("explain", "-S", "192MiB", name))
    assert told.status == cli.OK and not told.stderr
    place.check_untouched()
    rows = {line[:8].strip(): line[8:] for line in told.stdout.decode().splitlines() if not line.startswith(" ")}
    assert list(rows) == ["records", "input", "sort", "spill", "merge", "memory"]
    assert rows["records"] == r"lines ended by \n" and rows["input"].startswith("80 MiB")
    assert "process" in told.stdout.decode() and "192 MiB  given" in told.stdout.decode()
    assert spillway(*place.arguments("sort", "-S", "192MiB", "--stats", stats, name, place.output)).status == cli.OK
    did = json.loads(stats.read_text())
    assert rows["merge"].startswith(f"{did['runs']} runs") and "one pass" in rows["merge"] and did["passes"] == 1


def test_explain_of_standard_input_knows_no_size(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(fifo := place.inputs / "fifo")
    ended = here(capfd, "explain", fifo)
    assert ended.status == cli.OK and b"of unknown size" in ended.stdout


# --- gen


@pytest.mark.parametrize("kind", ["fixed", "text", "words", "skewed", "duplicates", "equal", "common-prefix"])
def test_gen_gives_equal_files_for_equal_seeds(place: Place, capfd: pytest.CaptureFixture[str], kind: str) -> None:
    made = []
    for seed in (1, 1, 2):
        words = ("gen", "--kind", kind, "--records", 50, "--record-bytes", 60, "--seed", seed, place.output)
        assert here(capfd, *words).stderr == f"{place.output}: 50 records, 2.9 KiB\n"
        made.append(place.output.read_bytes())
    assert len(made[0]) == 3000 and made[0] == made[1] != made[2]


@pytest.mark.parametrize(("kind", "status"), [("presorted", cli.OK), ("reversed", cli.NOT_IN_ORDER)])
def test_gen_in_and_against_the_order(place: Place, kind: str, status: int) -> None:
    assert cli.run(["gen", "--kind", kind, "--size", "1MiB", str(place.output)]) == cli.OK
    assert cli.run(["check", str(place.output)]) == status
    assert cli.run(["check", "-r", str(place.output)]) == cli.NOT_IN_ORDER - status


def test_gen_of_one_giant_line_among_short_ones(place: Place) -> None:
    words = ["gen", "--kind", "giant", "--giant-bytes", "100000", "--records", "11", str(place.output)]
    assert cli.run(words) == cli.OK
    lengths = sorted(len(line) + 1 for line in place.output.read_bytes().splitlines())
    assert lengths == [100] * 10 + [100_000]


def test_gen_writes_to_standard_output() -> None:
    ended = spillway("gen", "--records", "3", "--record-bytes", "10", "-")
    assert ended.status == cli.OK and len(ended.stdout) == 30 and ended.stderr == "-: 3 records, 30 bytes\n"


# --- warmup


def test_warmup_says_where_the_kernels_are(capfd: pytest.CaptureFixture[str]) -> None:
    ended = here(capfd, "warmup")
    assert ended.status == cli.OK and not ended.stdout
    assert ended.stderr.startswith("kernels are ready in ")
    assert Path(ended.stderr.removeprefix("kernels are ready in ").rpartition(" (")[0]).is_dir()


# --- clean


def job_directory(temp: Path, digit: str, owner: Owner) -> Path:
    """What a job of `owner` keeps in a temp directory."""
    path = temp / f"spillway-{digit * 32}"
    path.mkdir(mode=0o700)
    (path / "owner.json").write_bytes(owner.to_bytes())
    (path / "run-0.spill").write_bytes(bytes(8192))
    return path


def dead_owner() -> Owner:
    """The owner that a process was which has ended."""
    code = "import sys; from io_manager.owner import Owner; sys.stdout.buffer.write(Owner.this_process().to_bytes())"
    folder = str(Path(cli.__file__).parent)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, check=True, timeout=60)
    owner = Owner.from_bytes(done.stdout)
    assert owner is not None
    return owner


def test_clean_removes_what_dead_jobs_left_and_nothing_else(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    dead = job_directory(place.temp, "d", dead_owner())
    alive = job_directory(place.temp, "a", Owner.this_process())
    (place.temp / "spillway-notes").mkdir()
    ended = here(capfd, "clean", "-T", place.temp)
    assert ended == Ended(cli.OK, f"removed {dead} (12 KiB)\n".encode(), "")
    assert sorted(place.temp.iterdir()) == [alive, place.temp / "spillway-notes"]
    ended = here(capfd, "clean", "-T", place.temp)
    assert ended == Ended(cli.OK, f"{place.temp}: nothing left by dead jobs\n".encode(), "")


def test_every_job_cleans_too(place: Place) -> None:
    job_directory(place.temp, "d", dead_owner())
    assert cli.run(place.arguments("sort", place.inputs / "unsorted", place.output)) == cli.OK
    place.check_clean()


def test_help_needs_no_kernels() -> None:
    """It is typed often, and must come at once."""
    code = "import sys, cli; cli.run(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(cli.__file__).parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("Usage: spillway")
    assert not {"numba", "llvmlite", "pyarrow", "numpy", "rich"} & set(done.stderr.split())


def test_a_command_within_a_process_leaves_its_collector_alone(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """What is frozen is never collected: sessions that nobody holds any more would stay open."""
    frozen = gc.get_freeze_count()
    assert here(capfd, *place.arguments("sort", place.inputs / "unsorted", place.output)) == FINE
    assert gc.isenabled() and gc.get_freeze_count() == frozen
