"""Text that people wrote: the standard library of Python, sorted as the system's `sort` sorts it, to the byte.

The same bytes come out for any memory and any number of threads, and records with equal keys keep their order.
"""

import hashlib
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import shuffle
from shuffle.generate import generate

MEMORY = ["41MiB", "44MiB", "50MiB", "72MiB", "256MiB"]
"""From just above the floor of a library call, where all of it spills, to where nothing does."""

THREADS = [1, 2, 4]
TEXT_BYTES_MAX = 40 << 20


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every line of the standard library."""
    library = Path(sysconfig.get_path("stdlib"))
    path, size_bytes = tmp_path_factory.mktemp("text") / "text", 0
    with path.open("wb") as target:
        for module in sorted(library.rglob("*.py")):
            if "site-packages" not in module.parts and size_bytes < TEXT_BYTES_MAX:
                size_bytes += target.write(module.read_bytes().rstrip(b"\n") + b"\n")
    return path


@pytest.fixture(scope="module")
def expected(text: Path) -> bytes:
    """The same lines in order, by somebody else."""
    system_sort = shutil.which("sort")
    if system_sort is None:
        return b"".join(sorted(text.read_bytes().splitlines(keepends=True)))
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run([system_sort, str(text)], env=environment, capture_output=True, check=True).stdout


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("memory", MEMORY)
def test_as_the_system_sorts_it(tmp_path: Path, text: Path, expected: bytes, memory: str, threads: int) -> None:
    temp, output = tmp_path / "temp", tmp_path / "output"
    temp.mkdir()
    report = shuffle.sort_file(text, output, memory=memory, threads=threads, temp_dirs=[temp])
    assert output.read_bytes() == expected
    assert report.records == report.records_written == expected.count(b"\n")
    assert report.input_bytes == report.output_bytes == len(expected) == text.stat().st_size
    assert (report.spilled_bytes > 0) == (memory != MEMORY[-1]), report.describe()
    assert not list(temp.iterdir())


def test_descending_and_unique_as_the_system_has_them(tmp_path: Path, text: Path, expected: bytes) -> None:
    lines = sorted(set(expected.splitlines(keepends=True)), reverse=True)
    report = shuffle.sort_file(text, tmp_path / "output", memory="44MiB", reverse=True, unique=True)
    assert (tmp_path / "output").read_bytes() == b"".join(lines)
    assert report.records_written == len(lines) < report.records


@pytest.mark.parametrize("reverse", [False, True])
def test_records_carry_the_proof_that_ties_keep_their_order(tmp_path: Path, reverse: bool) -> None:
    source, output = tmp_path / "source", tmp_path / "output"
    generate(source, kind="fixed", size_bytes=24 << 20, record_bytes=40, key_bytes=1, seed=3)
    record = np.dtype([("key", "u1"), ("position", ">u8"), ("rest", "V31")])
    before = np.fromfile(source, record)
    keys = before["key"].astype(np.int16)
    wanted = before[np.argsort(-keys if reverse else keys, kind="stable")]
    digests = set()
    for memory in MEMORY:
        for threads in THREADS:
            shuffle.sort_file(
                source, output, memory=memory, threads=threads, record_bytes=40, key_bytes=1, reverse=reverse
            )
            digests.add(hashlib.sha256(output.read_bytes()).hexdigest())
    assert len(digests) == 1
    assert np.array_equal(np.fromfile(output, record), wanted)
