"""Only pages that nobody has changed are dropped, and what they held is there again when it is wanted."""

import subprocess
import sys
from pathlib import Path

import pytest

from memory import MIB, clean_pages, drop_clean_pages

HEADER = "{start:x}-{end:x} {mode} 00000000 fe:00 1234 {gap}{path}\n"
FIGURES = "Size: {size} kB\nRss: {resident} kB\nShared_Clean: 0 kB\nAnonymous: {anonymous} kB\nVmFlags: rd ex mr mw\n"

DROP_AND_COMPILE = """
import numba
from memory import drop_clean_pages, resident_bytes
numba.njit("int64(int64)")(lambda number: number + 1)
before = resident_bytes()
told = drop_clean_pages("llvm")
after = resident_bytes()
again = drop_clean_pages("llvm")
print(told, before - after, again, numba.njit("int64(int64)")(lambda number: number * 2)(21))
"""


class Mappings:
    """What the system says is mapped, and what was dropped."""

    def __init__(self) -> None:
        self.text = ""
        self.dropped: list[tuple[int, int]] = []

    def add(self, path: str, *, mode: str = "r-xp", resident: int = 40, anonymous: int = 0) -> tuple[int, int]:
        """One more mapping of 64 KiB: where it starts, and its length."""
        start = 0x7F00_0000_0000 + (self.text.count("Rss:") << 20)
        self.text += HEADER.format(start=start, end=start + 0x10000, mode=mode, gap=" " * 20, path=path)
        self.text += FIGURES.format(size=64, resident=resident, anonymous=anonymous)
        return start, 0x10000

    def drop(self, start: int, length: int) -> bool:
        """In place of the system call."""
        self.dropped.append((start, length))
        return True


@pytest.fixture
def mappings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mappings:
    made = Mappings()

    class Smaps:
        def read_text(self) -> str:
            return made.text

    monkeypatch.setattr(clean_pages, "_SMAPS", Smaps())
    monkeypatch.setattr(clean_pages, "_madvise", made.drop)
    return made


def test_clean_pages_of_that_library_alone(mappings: Mappings) -> None:
    mappings.add("/lib/libother.so")
    code = mappings.add("/lib/libllvm.so", resident=40)
    mappings.add("[heap]")
    data = mappings.add("/a b/libllvm lite.so (deleted)", mode="r--p", resident=8)
    mappings.add("/lib/llvm/libother.so")
    assert drop_clean_pages("llvm") == 48 << 10
    assert mappings.dropped == [code, data]


@pytest.mark.parametrize("change", [{"anonymous": 4}, {"mode": "rw-p"}, {"mode": "rwxp"}, {"mode": "rw-s"}])
def test_changed_or_changeable_pages_stay(mappings: Mappings, change: dict[str, object]) -> None:
    mappings.add("/lib/libllvm.so", **change)
    assert drop_clean_pages("llvm") == 0 and mappings.dropped == []


def test_what_is_not_told_is_not_dropped(mappings: Mappings) -> None:
    mappings.add("/lib/libllvm.so")
    mappings.text = mappings.text.replace("Anonymous:", "Unheard:")
    assert drop_clean_pages("llvm") == 0 and mappings.dropped == []


def test_a_system_that_refuses_has_given_nothing_back(mappings: Mappings, monkeypatch: pytest.MonkeyPatch) -> None:
    mappings.add("/lib/libllvm.so")
    monkeypatch.setattr(clean_pages, "_madvise", lambda start, length: False)
    assert drop_clean_pages("llvm") == 0


def test_a_system_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean_pages, "_SMAPS", tmp_path / "none")
    assert drop_clean_pages("llvm") == 0


@pytest.mark.skipif(not clean_pages._SMAPS.exists(), reason="only Linux tells what is mapped")
def test_the_compiler_gives_back_most_of_itself_and_works_on() -> None:
    root = Path(clean_pages.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", DROP_AND_COMPILE], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    told, fallen, again, answer = map(int, done.stdout.split())
    assert answer == 42
    assert told > 20 * MIB and abs(told - fallen) < 4 * MIB
    assert again < told // 10
