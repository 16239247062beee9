"""Sorts that are stopped and resumed: what they sort, where, and what must be true before and after.

home/output    old or new, and beside it at most one partial file while something is kept
temp/          at most one directory while something is kept, and nothing at the end
"""

import json
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from serializers import RecordLayout, fixed, lines
from tests import tiny
from tests.test_reliability.amounts import source
from tests.test_reliability.stage import Ended, Stage

OLD = b"what stood here before\n"
RECORD_BYTES = 16


@dataclass(frozen=True)
class Variation:
    """One way to sort: `words` of the command line, and the same for the slow twin."""

    name: str
    words: tuple[object, ...] = ()
    layout: RecordLayout = tiny.LINES
    reverse: bool = False
    unique: bool = False
    limit: int | None = None
    records: int = 6000
    long_every: int = 0
    ends_open: bool = False
    managed_bytes: int = 128 << 10
    in_place: bool = False


VARIATIONS = [
    Variation("lines in ranges", ("--threads", 2)),
    Variation("lines in passes", ("--threads", 2), managed_bytes=96 << 10, records=16000),
    Variation(
        "fixed, compressed",
        ("--record-bytes", RECORD_BYTES, "--key-offset", 2, "--key-bytes", 3, "--compress", "lz4", "--threads", 2),
        layout=fixed(RECORD_BYTES, key_offset=2, key_bytes=3),
        records=14000,
    ),
    Variation("unique", ("-u", "--threads", 2), unique=True),
    Variation("limit", ("--limit", 4000, "--threads", 1), limit=4000),
    Variation("reverse, NUL", ("-r", "-z", "--threads", 1), layout=lines(b"\0"), reverse=True, ends_open=True),
    Variation("long lines", ("--threads", 2), long_every=500),
    Variation("in place", ("-u", "-r", "--threads", 2), reverse=True, unique=True, in_place=True),
]


@cache
def contents(variation: Variation) -> bytes:
    """What is sorted. Many keys come more than once."""
    rng = source("resume", variation.name)
    if variation.layout.record_bytes:
        return rng.randbytes(variation.layout.record_bytes * variation.records)
    end = bytes([variation.layout.delimiter])
    words = []
    for number in range(variation.records):
        words.append(b"%05d %s" % (rng.randrange(variation.records), b"x" * rng.randrange(40)))
        if variation.long_every and number % variation.long_every == 0:
            words.append(b"%05d " % rng.randrange(variation.records) + b"long" * rng.randrange(1000, 12000))
    return end.join(words) + (b"" if variation.ends_open else end)


class ResumePlace:
    """Where one variation is sorted."""

    def __init__(self, root: Path, stage: Stage, variation: Variation) -> None:
        self.stage, self.variation = stage, variation
        self.home, self.temp, self.input = root / "home", root / "temp", root / "input"
        self.home.mkdir()
        self.temp.mkdir()
        self.output = self.home / "output"
        self.stats = root / "stats"
        self.expected = tiny.sorted_bytes(
            contents(variation),
            variation.layout,
            reverse=variation.reverse,
            unique=variation.unique,
            limit=variation.limit,
        )
        if variation.in_place:
            self.input = self.output
        self.put_back()

    def put_back(self) -> None:
        """As it was before the first command."""
        for path in self.home.iterdir():
            path.unlink()
        for path in self.temp.iterdir():
            shutil.rmtree(path)
        self.output.write_bytes(OLD)
        self.input.write_bytes(contents(self.variation))

    def words(self, *more: object) -> list[object]:
        """The command line."""
        return ["sort", *self.variation.words, *more, "-T", self.temp, self.input, self.output]

    def sort(self, *more: object, **choices: Any) -> Ended:
        """One command, resumable."""
        choices.setdefault("managed_bytes", self.variation.managed_bytes)
        return self.stage.run(self.words("--resume", "--stats", self.stats, *more), **choices)

    def resumed(self) -> dict[str, int] | None:
        """What the last command that ended well took over."""
        found: dict[str, int] | None = self.report()["resumed"]
        return found

    def report(self) -> dict[str, Any]:
        """What the last command that ended well did."""
        read: dict[str, Any] = json.loads(self.stats.read_text())
        return read

    def job_directory(self) -> Path:
        """Where something is kept."""
        (directory,) = self.temp.iterdir()
        return directory

    def partial(self) -> Path:
        """What is kept of the output."""
        (partial,) = self.home.glob(".output.*.unfinished")
        return partial

    def check_whole(self) -> bool:
        """The old output stands, or the new one: whether it is the new one."""
        stands = self.output.read_bytes()
        old = contents(self.variation) if self.variation.in_place else OLD
        assert stands in (old, self.expected), "what stands under the final name is neither old nor new"
        return stands == self.expected

    def check_done(self) -> None:
        """The new output stands, and nothing else is left."""
        assert self.output.read_bytes() == self.expected
        assert list(self.home.iterdir()) == [self.output]
        assert list(self.temp.iterdir()) == []
