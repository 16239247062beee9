"""`--memory` is what the command takes: in a control group of that size, and not a byte more, nothing is killed.

Without swap, and with the page cache that the job fills counted against it.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from memory import GIB, MIB
from shuffle.generate import generate
from tests.test_cli import SPILLWAY
from tests.test_reliability import amounts
from tests.test_reliability.cgroups import MemoryGroup, Ran, why_none

pytestmark = pytest.mark.skipif(why_none() is not None, reason=str(why_none()))

FIXED = ("--record-bytes", "100", "--key-bytes", "10")
MANY_FILES = 500


def kept(ran: Ran, budget_bytes: int, name: str, **figures: int) -> None:
    """Whether the promise was; and what it took, for the report."""
    print(f"{name}, {budget_bytes // MIB} MiB: {ran.describe()}")
    assert ran.killed == 0, (ran.describe(), ran.stderr)
    assert ran.status == 0, (ran.describe(), ran.stderr)
    is_over = ran.resident_bytes > budget_bytes
    amounts.report(
        f"memory promise: {name}, {budget_bytes // MIB} MiB",
        jobs=1,
        budget_overruns=int(is_over),
        wrong_outputs=0,
        resident_mib=round(ran.resident_bytes / MIB, 1),
        group_mib=round(ran.group_bytes / MIB, 1),
        seconds=round(ran.seconds, 1),
        **figures,
    )
    assert not is_over, ran.describe()
    assert ran.group_bytes <= budget_bytes, "the kernel holds the group to its limit"


@contextmanager
def generated(kind: str, size: int, record_bytes: int) -> Iterator[IO[bytes]]:
    """The same records each time, from a process outside the group: they take no disk."""
    words = [*SPILLWAY, "gen", "--kind", kind, "--size", str(size), "--record-bytes", str(record_bytes), "-"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield process.stdout
        process.stdout.close()
        assert process.wait() == 0


def verify(words: list[str], source: IO[bytes] | None) -> None:
    """The output is in order, and has the records of the input, by their fingerprint."""
    done = subprocess.run([*SPILLWAY, "verify", *words], stdin=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


SHAPES = {
    "text": ("text", 100, ()),
    "fixed": ("fixed", 100, FIXED),
    "tiny lines": ("text", 4, ()),
    "compressed": ("text", 100, ("--compress", "lz4")),
}
TEN_TIMES = {192: 2000 * MIB, 256: 2700 * MIB, 512: 5 * GIB, 1024: 4 * GIB}
PIPED = [
    *((budget, shape, TEN_TIMES[budget]) for budget in TEN_TIMES for shape in ("text", "fixed")),
    (192, "tiny lines", 200 * 10**6),
    (1024, "tiny lines", 2 * 10**9),
    (192, "compressed", 1000 * MIB),
]


@pytest.mark.parametrize(("budget_mib", "shape", "size"), amounts.amount([(192, "text", 120 * MIB)], PIPED))
def test_a_sort_of_what_is_piped_in(tmp_path: Path, budget_mib: int, shape: str, size: int) -> None:
    kind, record_bytes, options = SHAPES[shape]
    budget, output, stats = budget_mib * MIB, tmp_path / "output", tmp_path / "stats"
    words = ["sort", "-S", f"{budget_mib}MiB", "-T", tmp_path, "--stats", stats, *options, "-", output]
    with generated(kind, size, record_bytes) as source, MemoryGroup(budget) as group:
        ran = group.run([*SPILLWAY, *words], stdin=source)
    told = json.loads(stats.read_text()) if stats.exists() else {}
    kept(ran, budget, f"sort, {shape}", bytes=size, runs=told.get("runs", 0))
    assert told["spilled_bytes"] > 0, "too small an input proves nothing"
    with generated(kind, size, record_bytes) as source:
        verify([*options[: 4 if shape == "fixed" else 0], "-", str(output)], source)
    output.unlink()


@pytest.mark.parametrize(
    ("budget_mib", "giant_mib", "size"),
    amounts.amount(
        [(192, 70, 90 * MIB)], [(192, 300, 700 * MIB), *((budget, 300, GIB) for budget in (256, 512, 1024))]
    ),
)
def test_one_line_longer_than_the_memory_among_short_ones(
    tmp_path: Path, budget_mib: int, giant_mib: int, size: int
) -> None:
    """It goes through in pieces, so it need not fit."""
    budget, source, output = budget_mib * MIB, tmp_path / "input", tmp_path / "output"
    generate(source, kind="giant", size_bytes=size, giant_bytes=giant_mib * MIB)
    with MemoryGroup(budget) as group:
        ran = group.run([*SPILLWAY, "sort", "-S", f"{budget_mib}MiB", "-T", tmp_path, source, output])
    kept(ran, budget, f"sort, a line of {giant_mib} MiB", bytes=size)
    verify([str(source), str(output)], None)
    for each in (source, output):
        each.unlink()


def test_a_merge_of_500_files(tmp_path: Path) -> None:
    budget, size = 192 * MIB, amounts.amount(8 * MIB, 2 * GIB)
    sources = [tmp_path / f"{number:03}" for number in range(MANY_FILES)]
    for number, source in enumerate(sources):
        generate(source, kind="presorted", size_bytes=size // MANY_FILES, seed=number)
    with MemoryGroup(budget) as group:
        ran = group.run([*SPILLWAY, "merge", "-S", "192MiB", "-T", tmp_path, "-o", tmp_path / "output", *sources])
    kept(ran, budget, f"merge of {MANY_FILES} files", bytes=size, runs=MANY_FILES)
    verify([*map(str, sources), str(tmp_path / "output")], None)
    for each in (*sources, tmp_path / "output"):
        each.unlink()


@pytest.mark.parametrize("budget_mib", amounts.amount([192], [192, 512]))
def test_a_shuffle_of_lines(tmp_path: Path, budget_mib: int) -> None:
    budget, size, source = budget_mib * MIB, amounts.amount(80 * MIB, 1000 * MIB), tmp_path / "input"
    generate(source, kind="text", size_bytes=size)
    words = ["shuffle", "-S", f"{budget_mib}MiB", "-T", tmp_path, "--partitions", "64", source, tmp_path / "parts"]
    with MemoryGroup(budget) as group:
        ran = group.run([*SPILLWAY, *words])
    kept(ran, budget, "shuffle of lines to 64 files", bytes=size)
    verify([str(source), str(tmp_path / "parts")], None)
    source.unlink()


def test_more_than_the_group_has_is_killed(tmp_path: Path) -> None:
    """So that the other tests here can fail."""
    hoard = "kept = bytearray(b'x') * (96 << 20); print(len(kept))"
    with MemoryGroup(64 * MIB) as group:
        ran = group.run([sys.executable, "-c", hoard])
    assert ran.killed and ran.status == -9 and not ran.stdout, ran.describe()
