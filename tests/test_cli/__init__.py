"""The product as its users meet it: command lines, exit statuses, files, signals.

A process costs 0.6 s to start, so `cli.run` is called in this process wherever the process itself is not the point.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import cli

INSTALLED = [str(Path(sys.executable).with_name("spillway"))]
CHECKOUT = [sys.executable, cli.__file__]
SPILLWAY = INSTALLED if Path(INSTALLED[0]).exists() else CHECKOUT

SMALL_MEMORY = "192MiB"
"""A few runs of some 20 MiB each, so that inputs of more than 60 MiB spill."""

OLD = b"what stood here before\n"
SECONDS_MAX = 60


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    status: int
    stdout: bytes
    stderr: str

    def complaint(self) -> str:
        """The one line that an error is; fails if it is anything else."""
        assert self.status == cli.ERROR, self
        assert self.stderr.startswith("spillway: ") and self.stderr.endswith("\n"), self.stderr
        assert self.stderr.count("\n") == 1 and self.stderr[:-1].isprintable(), self.stderr
        assert not self.stdout, self
        for noise in ("Traceback", "Errno", "PosixPath", "Error:", "None"):
            assert noise not in self.stderr, self.stderr
        return self.stderr


class Place:
    """Room for one test: files to read, an output that stands there already, a directory to spill in."""

    def __init__(self, root: Path, *, home: Path | None = None, temp: Path | None = None) -> None:
        self.inputs = root / "inputs"
        self.home = home or root / "home"
        self.temp = temp or root / "temp"
        for directory in (self.inputs, self.home, self.temp):
            directory.mkdir(exist_ok=True)
        self.output = self.home / "output"
        self.output.write_bytes(OLD)

    def write(self, name: str, data: bytes) -> Path:
        """An input."""
        path = self.inputs / name
        path.write_bytes(data)
        return path

    def check_untouched(self) -> None:
        """The old output stands, and nothing lies about."""
        assert self.output.read_bytes() == OLD
        self.check_clean()

    def check_clean(self) -> None:
        """Nothing lies about."""
        assert list(self.home.iterdir()) == [self.output]
        assert list(self.temp.iterdir()) == []

    def arguments(self, *words: object) -> list[str]:
        """The words of a command line, followed by where to spill."""
        return [*(str(word) for word in words), "-T", str(self.temp)]


def spillway(
    *arguments: object, command: Sequence[str] = tuple(SPILLWAY), stdin: bytes | BinaryIO = b"", **how: Any
) -> Ended:
    """A process of its own."""
    words = [*command, *map(str, arguments)]
    how["input" if isinstance(stdin, bytes) else "stdin"] = stdin
    done = subprocess.run(words, capture_output=True, timeout=SECONDS_MAX, check=False, **how)
    return Ended(done.returncode, done.stdout, done.stderr.decode())


def here(capfd: pytest.CaptureFixture[str], *arguments: object) -> Ended:
    """The same command line within this process."""
    capfd.readouterr()
    status = cli.run([str(argument) for argument in arguments])
    captured = capfd.readouterr()
    return Ended(status, captured.out.encode(), captured.err)


def without_root_privileges() -> Callable[[], None] | None:
    """For `preexec_fn`: even root then meets the permissions of files. None where they are met anyway."""
    if os.geteuid():
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    drop_from_bounding_set, dac_override, dac_read_search = 24, 1, 2

    def drop() -> None:
        for capability in (dac_override, dac_read_search):
            prctl(drop_from_bounding_set, capability, 0, 0, 0)

    return drop
