"""What a job writes below a directory, byte for byte as the system gets it, whoever removes it later.

with recorded(machine.temp_dir) as written:
    job()
assert not written.holds(b"needle")
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from io_manager import system

NEEDLES = (b"NEEDLE", b"needle")
"""What every key and every value of these tests holds, as text or as bytes. No ciphertext holds it by chance: of 10 GiB
one in ten thousand would hold so many given bytes."""


class Written:
    """All that was written, in pieces, and into how many files."""

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self.pieces: list[bytes] = []
        self.names: set[str] = set()

    @property
    def size_bytes(self) -> int:
        """Of all files; of spill files, if only those were written."""
        return sum(map(len, self.pieces))

    def holds(self, *needles: bytes) -> bool:
        """Whether a needle was written."""
        return any(needle in piece for piece in self.pieces for needle in needles)

    def note(self, fd: int, pieces: Sequence[Any]) -> None:
        """What goes to a descriptor, if its file is or was below the directory; who owns the place is no secret."""
        name = str(Path(f"/proc/self/fd/{fd}").readlink())
        if name.startswith(self._directory) and "/owner." not in name:
            self.names.add(Path(name).name)
            self.pieces += [bytes(piece) for piece in pieces]


@contextmanager
def recorded(directory: Path) -> Iterator[Written]:
    """Everything this process writes below `directory` through the boundary."""
    written = Written(directory)

    def look(operation: str, function: Callable[..., Any], *args: Any) -> Any:
        if operation == "pwritev":
            written.note(args[0], args[1])
        elif operation == "write":
            written.note(args[0], [args[1]])
        return function(*args)

    before = system.intercept(look)
    try:
        yield written
    finally:
        system.intercept(before)


def raw_bytes(directory: Path) -> dict[str, bytes]:
    """The files that stand below a directory now; what others remove meanwhile is not there."""
    found = {}
    for place, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):
                found[f"{place}/{name}"] = Path(place, name).read_bytes()
    return found
