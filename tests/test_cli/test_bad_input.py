"""Whatever is wrong: one line that says what and what to do, status 2, old output untouched, nothing left behind."""

import json
import os
import re
import resource
from pathlib import Path

import pytest

import cli
from io_manager import platform_files
from tests.test_cli import SMALL_MEMORY, Ended, Place, here, spillway, without_root_privileges

MIB = 1 << 20
LINES = b"".join(b"%08d\n" % (n * 7919 % 100_000) for n in range(20_000))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.write("lines", LINES)
    made.write("sorted", b"a\nb\nc\n")
    made.write("unsorted", b"a\nc\nb\n")
    made.write("a\nname\x1b[31m", b"")
    (made.inputs / "directory").mkdir()
    return made


CASES = {
    "missing input": ("sort missing {output}", "missing: no such file", "Check the name"),
    "second input missing": ("sort -o {output} lines missing", "missing: no such file", "Check the name"),
    "input is a directory": ("sort directory {output}", "directory: is a directory", "Name the files"),
    "merge a missing file": ("merge -o {output} sorted missing", "missing: no such file", "Check the name"),
    "merge a directory": ("merge -o {output} sorted directory", "is a directory", "Name the files"),
    "output without a parent": ("sort lines {home}/none/output", "no directory", "Create it"),
    "output is a directory": ("sort lines {home}", "is a directory", "Name a file in it"),
    "output under a file": ("sort lines {output}/output", "no directory", "Create it"),
    "unknown unit": ("sort -S 12QiB lines {output}", "unknown unit 'QiB'", "Write 4096, 512KiB"),
    "no size at all": ("sort --max-disk lots lines {output}", "'lots' is not a size", "Write 4096, 512KiB"),
    "percentage of nothing": ("sort -S 50% lines {output}", "percentage", "Write 4096"),
    "records do not fill the file": (
        "sort --record-bytes 7 lines {output}",
        "lines: 180000 bytes are no whole number of records of 7 bytes (2 are left over)",
        "Check --record-bytes",
    ),
    "records do not fill a file to merge": ("merge --record-bytes 4 -o {output} sorted", "(2 are left over)", "Check"),
    "no record": ("sort --record-bytes 0 lines {output}", "--record-bytes 0", "at least one byte"),
    "a giant record": (f"sort --record-bytes {10**30} lines {{output}}", "--record-bytes 1000", "no file holds"),
    "key begins outside": ("sort --record-bytes 9 --key-offset 9 lines {output}", "--key-offset 9", "must be 0 to 8"),
    "key begins before": ("sort --record-bytes 9 --key-offset -1 lines {output}", "--key-offset -1", "must be 0 to 8"),
    "key ends outside": (
        "sort --record-bytes 9 --key-offset 5 --key-bytes 5 lines {output}",
        "--key-bytes 5",
        "must be 1 to 4",
    ),
    "key within a line": ("sort --key-offset 5 lines {output}", "--key-offset", "needs --record-bytes"),
    "no temp directory": ("sort -T {home}/none lines {output}", "none: no such directory", "--temp-dir"),
    "temp directory is a file": ("sort -T {output} lines {output}", "is not a directory", "--temp-dir"),
    "second temp directory missing": ("sort -T {temp} -T none lines {output}", "no such directory", "--temp-dir"),
    "unsorted input to merge": ("merge -o {output} sorted unsorted", "unsorted: not in the order", "Sort it first"),
    "wrong way round": ("merge -r -o {output} sorted sorted", "sorted: not in the order", "--reverse"),
    "merge without output": ("merge sorted {output}", "name the output", "merge -o OUTPUT INPUT"),
    "sort without output": ("sort lines", "give INPUT and OUTPUT", "-o OUTPUT"),
    "three names": ("sort lines {output} unsorted", "give INPUT and OUTPUT", "-o OUTPUT"),
    "both outputs named": ("sort -o {output} lines {home}/another", "another: no such file", "Check the name"),
    "nothing named": ("sort", "Missing argument", "Try: spillway sort --help"),
    "unknown option": ("sort --nope lines {output}", "No such option", "Try: spillway sort --help"),
    "unknown command": ("nope lines {output}", "No such command 'nope'", "Try: spillway --help"),
    "no threads": ("sort --threads 0 lines {output}", "--threads", "x>=1"),
    "negative limit": ("sort --limit -1 lines {output}", "--limit", "x>=0"),
    "unknown codec": ("sort --compress rar lines {output}", "--compress", "'zstd'"),
    "report has no directory": ("sort --stats {home}/none/stats lines {output}", "--stats", "name a file"),
    "report is a directory": ("sort --stats {home} lines {output}", "--stats", "name a file"),
    "explain a missing file": ("explain missing", "missing: no such file", "Check the name"),
    "check a missing file": ("check missing", "missing: no such file", "Check the name"),
    "check a directory": ("check directory", "directory: is a directory", "Name a file in it"),
    "check in no memory": ("check -S 10 lines", "too little to check", "raise --memory"),
    "check partial records": ("check --record-bytes 7 lines", "180000 bytes", "--record-bytes"),
    "verify one file": ("verify lines", "give INPUT and OUTPUT", "Try: spillway verify --help"),
    "verify a missing file": ("verify lines missing", "missing: no such file", "Check the name"),
    "verify against a missing file": ("verify missing lines", "missing: no such file", "Check the name"),
    "generate nothing": ("gen {output}", "say how much", "a number of records or a size"),
    "generate the unknown": ("gen --kind odd --records 1 {output}", "'odd' is no kind", "the kinds are fixed"),
    "generate into nowhere": ("gen --records 1 {home}/none/output", "no such file or directory", "Check the name"),
    "generate into a full device": ("gen --records 1 /dev/full", "/dev/full: no space left", "Free some space"),
    "clean a missing directory": ("clean -T {home}/none", "no such file or directory", "Check the name"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_nothing_changed(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    line, *words = CASES[case]
    monkeypatch.chdir(place.inputs)
    monkeypatch.setenv("TMPDIR", str(place.temp))
    names = {"home": place.home, "output": place.output, "temp": place.temp}
    complaint = here(capfd, *(word.format(**names) for word in line.split())).complaint()
    for word in words:
        assert word in complaint, complaint
    place.check_untouched()


def test_names_cannot_forge_lines(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    complaint = here(capfd, "sort", f"{place.inputs}/a\nname\x1b[31m/x", place.output).complaint()
    assert r"a\nname\x1b[31m/x" in complaint


def test_no_command_shows_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    ended = here(capfd)
    assert ended.status == cli.ERROR and "Usage: spillway" in ended.stderr and not ended.stdout


def test_an_input_that_shrinks_is_no_early_end(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, calls, real = place.inputs / "lines", iter(range(1000)), platform_files.read_exactly

    def shrink_then_read(fd: int, view: memoryview, offset: int) -> int:
        if next(calls) == 4:  # after the samples that the plan wants
            os.truncate(path, 100_000)
        return real(fd, view, offset)

    monkeypatch.setattr(platform_files, "read_exactly", shrink_then_read)
    complaint = here(capfd, *place.arguments("sort", path, place.output)).complaint()
    assert "shrank while being read: it ends at byte 100000, but had 180000" in complaint
    assert "Run again" in complaint
    place.check_untouched()


# --- in a process of its own


def test_the_floor_is_named_and_is_enough(place: Place) -> None:
    too_little = spillway(*place.arguments("sort", "-S", "64MiB", place.inputs / "lines", place.output))
    floor = re.search(r"the floor is (\d+ MiB)", too_little.complaint())
    assert floor and "Give at least that" in too_little.stderr
    place.check_untouched()
    options = ("-S", floor[1], "--stats", place.inputs / "stats")
    enough = spillway(*place.arguments("sort", *options, place.inputs / "lines", place.output))
    assert enough == Ended(cli.OK, b"", "")
    told = json.loads((place.inputs / "stats").read_text())
    assert told["peak_resident_bytes"] <= told["memory_bytes"], "what is refused below must suffice at it"
    assert place.output.read_bytes() == b"".join(sorted(LINES.splitlines(keepends=True)))
    place.check_clean()


@pytest.mark.parametrize(
    ("closed", "mode", "words"),
    [
        ("inputs/lines", 0o000, ["no permission to read it", "Ask its owner"]),
        ("home", 0o555, ["no permission to write in", "Choose another output"]),
        ("home/output", 0o444, ["is write-protected", "Choose another output"]),
        ("temp", 0o555, ["temp: permission denied", "--temp-dir"]),
    ],
)
def test_permissions(tmp_path: Path, place: Place, closed: str, mode: int, words: list[str]) -> None:
    before = (tmp_path / closed).stat().st_mode
    (tmp_path / closed).chmod(mode)
    try:
        ended = spillway(
            *place.arguments("sort", place.inputs / "lines", place.output), preexec_fn=without_root_privileges()
        )
    finally:
        (tmp_path / closed).chmod(before)
    for word in words:
        assert word in ended.complaint()
    place.check_untouched()


@pytest.mark.parametrize("size_is_known", [True, False])
def test_a_full_output_disk(tmp_path: Path, small_disk: Path, size_is_known: bool) -> None:
    place = Place(tmp_path, home=small_disk)
    data = LINES * 20
    name = place.write("lines", data) if size_is_known else "-"
    complaint = spillway(*place.arguments("sort", name, place.output), stdin=data).complaint()
    assert f"{small_disk}: the disk is full: needed" in complaint and "larger disk" in complaint
    place.check_untouched()


def test_a_full_temp_disk(tmp_path: Path, small_disk: Path, big: Path) -> None:
    place = Place(tmp_path, temp=small_disk)
    complaint = spillway(*place.arguments("sort", "-S", SMALL_MEMORY, big, place.output)).complaint()
    assert str(small_disk) in complaint and "the disk is full: needed" in complaint and "--temp-dir" in complaint
    place.check_untouched()


def test_the_limit_on_spill_files(place: Place, big: Path) -> None:
    words = place.arguments("sort", "-S", SMALL_MEMORY, "--max-disk", "5MiB", big, place.output)
    complaint = spillway(*words).complaint()
    assert "--max-disk 5 MiB is reached" in complaint and "Raise --max-disk" in complaint
    place.check_untouched()


@pytest.mark.parametrize("limited", ["output", "spill"])
def test_the_limit_on_file_sizes(place: Place, big: Path, limited: str) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))

    target = place.output if limited == "output" else "-"
    ended = spillway(*place.arguments("sort", "-S", SMALL_MEMORY, big, target), preexec_fn=limit)
    assert "File too large" in ended.complaint() and "ulimit -f" in ended.stderr
    place.check_untouched()


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 MiB of lines."""
    path = tmp_path_factory.mktemp("big") / "big"
    assert cli.run(["gen", "--size", "90MiB", str(path)]) == cli.OK
    return path
