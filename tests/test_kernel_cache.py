"""Machine code is kept where it was asked to be kept, compiled once, and never needed: without a place, it still runs.

One small kernel stands for all of them; each process that compiles it takes about a second.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from serializers import kernel_cache
from tests.test_cli import without_root_privileges

ROOT = Path(__file__).parent.parent
COMPILE_ONE = """
import numpy as np
from shuffle.kernels.locate import compare
left, right = (np.frombuffer(text + bytes(64), np.uint8) for text in (b"abc", b"abd"))
print(int(compare(left.ctypes.data, 3, right.ctypes.data, 3)))
"""


def compile_one(cache: Path) -> str:
    """What a process says that needs one kernel; the kernel must be right."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILE_ONE],
        cwd=ROOT,
        env={**os.environ, kernel_cache.CACHE_VARIABLE: str(cache)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        preexec_fn=without_root_privileges(),
    )
    assert done.stdout == "-1\n"
    return done.stderr


def test_compiled_once_and_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "made" / "when wanted"
    said = compile_one(cache)
    assert said.count("\n") == 1 and "compiling the kernels" in said
    assert "once: about ten seconds" in said and "spillway warmup" in said
    monkeypatch.setenv(kernel_cache.CACHE_VARIABLE, str(cache))
    directory = kernel_cache.cache_directory()
    assert directory.parent == cache and directory.stat().st_mode & 0o777 == 0o700
    kept = {path: path.stat().st_mtime_ns for path in directory.rglob("*.o")}
    assert kept and all(path.name.startswith("shuffle.kernels.locate.") for path in kept)
    assert compile_one(cache) == ""
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*.o")} == kept


def test_a_place_that_cannot_be_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    warning, notice = compile_one(tmp_path / "file" / "cache").splitlines()
    assert "compiled anew by every process" in warning and kernel_cache.CACHE_VARIABLE in warning
    assert "compiling the kernels" in notice


def test_a_place_that_is_write_protected_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kernel_cache.CACHE_VARIABLE, str(tmp_path))
    directory = kernel_cache.cache_directory()
    directory.mkdir(mode=0o500)
    try:
        warning, notice = compile_one(tmp_path).splitlines()
    finally:
        directory.chmod(0o700)
    assert "compiled anew by every process" in warning and str(directory) in warning
    assert "compiling the kernels" in notice


def test_where_it_is_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(kernel_cache.CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kernel_cache.cache_directory().parent == tmp_path / "spillway"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kernel_cache.cache_directory().parent == tmp_path / ".cache" / "spillway"


def test_the_first_run_ever_keeps_its_budget(tmp_path: Path) -> None:
    """Compiling takes more memory than this, so the command starts over once it has compiled, input still unread."""
    lines = b"b\na\n"
    done = subprocess.run(
        [sys.executable, "cli.py", "sort", "--memory", "192MiB", "--stats", str(tmp_path / "stats"), "-", "-"],
        cwd=ROOT,
        env={**os.environ, kernel_cache.CACHE_VARIABLE: str(tmp_path / "cache")},
        input=lines,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, b"a\nb\n"), done
    assert done.stderr.count(b"compiling the kernels") == 1, done.stderr
    assert json.loads((tmp_path / "stats").read_text())["peak_resident_bytes"] < 192 << 20
