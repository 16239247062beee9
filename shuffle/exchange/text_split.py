"""Lines of a text file, a range of bytes at a time: a line belongs to the range in which it begins.

So lines are neither lost nor doubled wherever a file is cut, and the cuts depend on nothing but its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from itertools import chain
from pathlib import Path

SPLIT_BYTES_MIN = 16 << 20
SPLIT_BYTES_MAX = 64 << 20
SPLITS = 32
"""A task for each: half a second of Python or more, so that starting one costs nothing, and so many that the last ones
end together. Fewer and larger ones combine more."""

JOINED_BYTES = 4 << 20
"""Small files share a task until they come to this."""

_READ_BYTES = 1 << 19
"""Decoded and cut into lines, with a few MB of Python objects, at once."""


@dataclass(frozen=True)
class TextSplit:
    """The lines of `path` that begin at bytes `start` to `end` - 1, without their newlines.

    Text is UTF-8; what is none comes as lone surrogates, as in names of files, and `surrogateescape` gives it back.
    """

    path: Path
    start: int
    end: int

    @property
    def name(self) -> str:
        """For errors."""
        return f"{self.path}, bytes {self.start} to {self.end}"

    def read(self) -> Iterator[str]:
        """Its lines. Raises OSError."""
        return chain.from_iterable(self._batches())

    def _batches(self) -> Iterator[list[str]]:
        with FileIO(self.path) as file:
            end = _first_line_from(file, self.end)
            position = file.seek(_first_line_from(file, self.start))
            rest: list[bytes] = []
            while position < end and (block := file.read(min(_READ_BYTES, end - position))):
                position += len(block)
                cut = block.rfind(b"\n") + 1
                if cut:
                    yield _lines(b"".join([*rest, memoryview(block)[:cut]]))
                    rest.clear()
                rest.append(block[cut:])
            if last := b"".join(rest):
                yield [_decode(last)]


@dataclass(frozen=True)
class JoinedSplit:
    """The lines of several small files, one file behind another."""

    parts: tuple[TextSplit, ...]

    @property
    def name(self) -> str:
        """For errors."""
        return f"{self.parts[0].path} to {self.parts[-1].path}, {len(self.parts)} files"

    def read(self) -> Iterator[str]:
        """Their lines. Raises OSError."""
        return chain.from_iterable(part.read() for part in self.parts)


def join_small(splits: Iterable[TextSplit]) -> Iterator[TextSplit | JoinedSplit]:
    """The same lines in the same order, with neighbours joined as long as they are small together."""
    group: list[TextSplit] = []
    size_bytes = 0
    for split in splits:
        split_bytes = split.end - split.start
        if group and size_bytes + split_bytes > JOINED_BYTES:
            yield _joined(group)
            group, size_bytes = [], 0
        group.append(split)
        size_bytes += split_bytes
    if group:
        yield _joined(group)


def _joined(group: list[TextSplit]) -> TextSplit | JoinedSplit:
    return group[0] if len(group) == 1 else JoinedSplit(tuple(group))


def text_splits(path: str | Path, *, split_bytes: int | None = None) -> list[TextSplit]:
    """The lines of a file in ranges of `split_bytes`; by default what suits its size. Raises OSError."""
    size = Path(path).stat().st_size
    if split_bytes is None:
        split_bytes = min(max(size // SPLITS, SPLIT_BYTES_MIN), SPLIT_BYTES_MAX)
    if split_bytes < 1:
        raise ValueError(f"split_bytes is {split_bytes}: at least 1 is needed")
    starts = range(0, size, split_bytes)
    return [TextSplit(Path(path).absolute(), start, min(start + split_bytes, size)) for start in starts]


def _first_line_from(file: FileIO, offset: int) -> int:
    """Where the first line begins that begins at `offset` or later: at most at the end of the file."""
    if offset == 0:
        return 0
    position = file.seek(offset - 1)
    while block := file.read(1 << 16):
        found = block.find(b"\n")
        if found >= 0:
            return position + found + 1
        position += len(block)
    return position


def _lines(data: bytes) -> list[str]:
    lines = _decode(data).split("\n")
    lines.pop()  # behind the last newline
    return lines


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
