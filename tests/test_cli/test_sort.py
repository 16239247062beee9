"""`sort` as users type it: every way to name input and output, every option, the same bytes as the obvious answer."""

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest

import cli
from tests import naive
from tests.test_cli import CHECKOUT, INSTALLED, OLD, SMALL_MEMORY, Ended, Place, here, spillway

WORDS = [b"", b"a", b"ab", b"b", b"\0", b"\xff", b"a\0", b"zebra" * 40]
FINE = Ended(cli.OK, b"", "")


def random_lines(count: int = 500, seed: int = 11) -> list[bytes]:
    """Lines with many ties, of all lengths and bytes, no newline in them."""
    source = random.Random(seed)
    return [source.choice(WORDS) + source.choice([b"", b"%d" % source.randrange(50)]) for _ in range(count)]


LINES = random_lines()
TEXT = b"".join(line + b"\n" for line in LINES)
SORTED = b"".join(line + b"\n" for line in sorted(LINES))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.write("text", TEXT)
    return made


@pytest.mark.parametrize("command", [INSTALLED, CHECKOUT], ids=["installed", "checkout"])
def test_a_process_from_anywhere(place: Place, command: list[str]) -> None:
    if not Path(command[0]).exists():
        pytest.skip("the command is not installed beside this interpreter")
    ended = spillway(*place.arguments("sort", "../inputs/text", "output"), command=command, cwd=place.home)
    assert ended == FINE
    assert place.output.read_bytes() == SORTED
    place.check_clean()


def test_a_filter(place: Place) -> None:
    assert spillway(*place.arguments("sort", "-", "-"), stdin=TEXT) == Ended(cli.OK, SORTED, "")
    place.check_untouched()


def test_standard_input_may_be_a_file_that_was_begun(place: Place) -> None:
    with (place.inputs / "text").open("rb") as stream:
        os.lseek(stream.fileno(), len(LINES[0]) + 1, os.SEEK_SET)
        assert spillway(*place.arguments("sort", "-", place.output), stdin=stream) == FINE
    assert place.output.read_bytes() == b"".join(line + b"\n" for line in sorted(LINES[1:]))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], SORTED),
        (["-r"], b"".join(line + b"\n" for line in sorted(LINES, reverse=True))),
        (["--reverse"], b"".join(line + b"\n" for line in sorted(LINES, reverse=True))),
        (["-u"], b"".join(line + b"\n" for line in sorted(set(LINES)))),
        (["-r", "-u"], b"".join(line + b"\n" for line in sorted(set(LINES), reverse=True))),
        (["--limit", "7"], b"".join(line + b"\n" for line in sorted(LINES)[:7])),
        (["--limit", "0"], b""),
        (["-u", "--limit", "7"], b"".join(line + b"\n" for line in sorted(set(LINES))[:7])),
        (["--sort-kernel", "numpy"], SORTED),
        (["--sort-kernel", "numba"], SORTED),
        (["--memory", "4GiB", "--max-disk", "0", "--compress", "zstd"], SORTED),
    ],
)
def test_options(
    place: Place, capfd: pytest.CaptureFixture[str], threads: int, options: list[str], expected: bytes
) -> None:
    words = place.arguments("sort", *options, "--parallel", threads, place.inputs / "text", place.output)
    assert here(capfd, *words) == FINE
    assert place.output.read_bytes() == expected
    place.check_clean()


def test_lines_that_end_with_nul(place: Place) -> None:
    lines = [line.replace(b"\0", b"\n") for line in LINES]
    path = place.write("nul", b"\0".join(lines))
    assert cli.run(["sort", "-z", str(path), str(place.output)]) == cli.OK
    assert place.output.read_bytes() == b"".join(line + b"\0" for line in sorted(lines))


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", b""), (b"\n", b"\n"), (b"b\na", b"a\nb\n"), (b"a", b"a\n"), (b"b\n\na\n", b"\na\nb\n")],
)
def test_the_last_line_needs_no_end(place: Place, data: bytes, expected: bytes) -> None:
    assert cli.run(["sort", str(place.write("data", data)), str(place.output)]) == cli.OK
    assert place.output.read_bytes() == expected


def test_several_inputs_keep_their_order_among_ties(place: Place) -> None:
    records = [b"%03d%05d" % (number * 37 % 100, number) for number in range(3000)]
    names = [place.write(f"part{part}", b"".join(records[part * 1000 : part * 1000 + 1000])) for part in range(3)]
    words = ["sort", "--record-bytes", "8", "--key-bytes", "3", "-o", str(place.output), *map(str, names)]
    assert cli.run(words) == cli.OK
    assert place.output.read_bytes() == b"".join(naive.stable_sort(records, lambda record: record[:3]))
    assert cli.run([*words, "-r"]) == cli.OK
    descending = naive.stable_sort(records, lambda record: record[:3], reverse=True)
    assert place.output.read_bytes() == b"".join(descending)


def test_a_key_within_the_record(place: Place) -> None:
    records = [b"%05d%03d%02d" % (number, number * 37 % 100, number % 7) for number in range(1000)]
    path = place.write("records", b"".join(records))
    words = ["sort", "--record-bytes", "10", "--key-offset", "5", "--key-bytes", "3", str(path), str(place.output)]
    assert cli.run(words) == cli.OK
    assert place.output.read_bytes() == b"".join(naive.stable_sort(records, lambda record: record[5:8]))


def test_in_place_through_a_link_and_with_the_old_mode(place: Place) -> None:
    link = place.inputs / "link"
    link.symlink_to(place.output)
    place.output.write_bytes(TEXT)
    place.output.chmod(0o604)
    assert cli.run(place.arguments("sort", link, link)) == cli.OK
    assert place.output.read_bytes() == SORTED and link.is_symlink()
    assert place.output.stat().st_mode & 0o777 == 0o604
    place.check_clean()


def test_names_that_look_like_options(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.write("-r", TEXT).parent)
    assert cli.run(["sort", "-o", str(place.output), "--", "-r"]) == cli.OK
    assert place.output.read_bytes() == SORTED


@pytest.fixture(scope="module")
def spilling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 MiB of records of 100 bytes that carry their position behind 2 bytes of key."""
    path = tmp_path_factory.mktemp("spilling") / "fixed"
    words = ["gen", "--kind", "fixed", "--key-bytes", "2", "--size", "90MiB", "--seed", "5", str(path)]
    assert cli.run(words) == cli.OK
    return path


@pytest.mark.parametrize("compress", ["none", "lz4", "zstd", "auto"])
def test_what_spills_is_sorted_and_stable(place: Place, spilling: Path, compress: str) -> None:
    stats, second_temp = place.inputs / "stats", place.inputs / "temp"
    second_temp.mkdir()
    options = ["-S", SMALL_MEMORY, "--compress", compress, "--stats", stats, "-T", second_temp]
    words = place.arguments("sort", "--record-bytes", 100, "--key-bytes", 2, *options, spilling, place.output)
    assert spillway(*words) == FINE
    check_stable(spilling, place.output)
    place.check_clean()
    assert not list(second_temp.iterdir())
    told = json.loads(stats.read_text())
    size = spilling.stat().st_size
    assert told["version"] == 1 and told["records"] == told["records_written"] == size // 100
    assert told["input_bytes"] == told["output_bytes"] == size
    assert told["runs"] >= 3 and told["disk_bytes_peak"] >= told["spilled_bytes"] > size // 4
    assert told["runs"] == told["predicted"]["runs"]
    assert told["peak_resident_bytes"] <= told["memory_bytes"] == 192 << 20


def check_stable(source: Path, target: Path) -> None:
    """The records of `source`, by key and then by position."""
    before, after = (np.fromfile(path, np.dtype([("key", ">u2"), ("rest", "V98")])) for path in (source, target))
    order = np.argsort(before["key"], kind="stable")
    assert np.array_equal(before[order], after)


def test_the_bar_is_drawn_on_request_and_only_on_standard_error(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = here(capfd, *place.arguments("sort", "--progress", place.inputs / "text", place.output))
    assert ended.status == cli.OK and not ended.stdout
    assert place.output.read_bytes() == SORTED


def test_a_report_in_words_on_a_terminal(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    ended = here(capfd, *place.arguments("sort", "--no-progress", place.inputs / "text", place.output))
    assert ended.stderr.startswith(f"{len(LINES)} records") and "nothing spilled" in ended.stderr


def test_the_old_output_is_replaced_not_written_over(place: Place) -> None:
    with place.output.open("rb") as before:
        assert cli.run(["sort", str(place.inputs / "text"), str(place.output)]) == cli.OK
        assert before.read() == OLD


@pytest.mark.parametrize("command", ["sort", "merge", "check", "verify", "explain", "gen", "warmup", "clean"])
def test_every_command_explains_itself(capfd: pytest.CaptureFixture[str], command: str) -> None:
    ended = here(capfd, command, "--help")
    assert ended.status == cli.OK and not ended.stderr
    assert ended.stdout.startswith(b"Usage: spillway " + command.encode())


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    ended = here(capfd, "--version")
    assert ended.status == cli.OK and ended.stdout.startswith(b"spillway ")
