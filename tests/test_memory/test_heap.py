"""What a process has freed goes back to the system, once somebody says so."""

import subprocess
import sys
from pathlib import Path

import pytest

import memory
from memory import MIB, heap, trim_heap

# Pieces of 1 MiB below one that stays: the C library keeps them, for it gives back from the top only.
FREE_AND_TRIM = f"""
from memory import resident_bytes, trim_heap
small = b"x" * (16 * {MIB})
del small  # from now on the C library does not map pieces of this size any more
pieces = [b"x" * {MIB} for _ in range(64)]
top = b"x" * {MIB}
del pieces
before = resident_bytes()
print(trim_heap(), before - resident_bytes())
"""


@pytest.mark.skipif(heap._malloc_trim() is None, reason="this C library has no malloc_trim")
def test_freed_memory_goes_back() -> None:
    root = Path(memory.__file__).parent.parent
    words = [sys.executable, "-c", FREE_AND_TRIM]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=True, timeout=60)
    told, fallen = done.stdout.split()
    assert told == "True" and int(fallen) > 48 * MIB, done.stdout


def test_a_system_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_malloc_trim", lambda: None)
    assert not trim_heap()
