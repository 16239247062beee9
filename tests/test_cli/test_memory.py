"""`--memory` is the size of the whole process as the operating system sees it, whatever the records look like.

The most that was ever resident is asked twice: the job tells it in `--stats` (VmHWM), and a small parent learns it when
the job has ended. The parent must be small, because `ru_maxrss` of a child begins with the size of whoever forked it.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import cli
from tests.test_cli import SECONDS_MAX, SPILLWAY, Place

MIB = 1 << 20
FIXED = ("--record-bytes", "100", "--key-bytes", "10")
SHAPES = {
    "text": ("--kind", "text", "--size", "140MiB"),
    "fixed": ("--kind", "fixed", "--size", "140MiB"),
    "short": ("--kind", "text", "--record-bytes", "6", "--size", "70MiB"),
    "giant": ("--kind", "giant", "--giant-bytes", "90MiB", "--size", "140MiB"),
    "large": ("--kind", "text", "--size", "400MiB"),
}
CASES = [
    (192, "text", ()),
    (192, "fixed", FIXED),
    (192, "short", ()),
    (192, "giant", ()),
    (192, "text", ("--compress", "zstd")),
    (192, "text", ("--threads", "4")),
    (256, "text", ("--unique",)),
    (256, "fixed", (*FIXED, "--sort-kernel", "numpy")),
    (256, "short", ("--reverse",)),
    (256, "giant", ("--threads", "4")),
    (512, "large", ()),
]

WAIT_AND_MEASURE = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the inputs stand, made when they are first wanted."""
    return tmp_path_factory.mktemp("inputs")


def make(inputs: Path, shape: str) -> Path:
    path = inputs / shape
    if not path.exists():
        assert cli.run(["gen", *SHAPES[shape], str(path)]) == cli.OK
    return path


def measured(*arguments: object) -> int:
    """Bytes that a process of its own had resident at most."""
    words = [sys.executable, "-I", "-S", "-c", WAIT_AND_MEASURE, *SPILLWAY, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    return int(done.stdout)


@pytest.mark.parametrize(("memory_mib", "shape", "options"), CASES)
def test_never_larger_than_allowed(
    tmp_path: Path, inputs: Path, memory_mib: int, shape: str, options: tuple[str, ...]
) -> None:
    place, stats, source = Place(tmp_path), tmp_path / "stats", make(inputs, shape)
    limits = ("-S", f"{memory_mib}MiB", "--stats", stats)
    peak_bytes = measured(*place.arguments("sort", *limits, *options, source, place.output))
    told = json.loads(stats.read_text())
    figures = f"{peak_bytes / MIB:.1f} MiB seen, {told['peak_resident_bytes'] / MIB:.1f} MiB told, of {memory_mib} MiB"
    print(shape, *options, figures)
    assert told["spilled_bytes"] > 0, "too small an input proves nothing"
    assert max(peak_bytes, told["peak_resident_bytes"]) <= memory_mib * MIB == told["memory_bytes"], figures
    assert told["peak_resident_bytes"] > 100 * MIB, figures  # or it measures something else
    place.check_clean()
    place.output.unlink()


def test_a_merge_keeps_to_it_too(tmp_path: Path, inputs: Path) -> None:
    place, stats, halves = Place(tmp_path), tmp_path / "stats", []
    for name in ("first", "second"):
        halves.append(tmp_path / name)
        assert cli.run(["gen", "--kind", "presorted", "--size", "60MiB", str(halves[-1])]) == cli.OK
    limits = ("-S", "192MiB", "--stats", stats)
    peak_bytes = measured(*place.arguments("merge", *limits, "-o", place.output, *halves))
    told = json.loads(stats.read_text())
    assert max(peak_bytes, told["peak_resident_bytes"]) <= 192 * MIB
    assert place.output.stat().st_size == sum(half.stat().st_size for half in halves)
    place.check_clean()
