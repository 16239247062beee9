"""Commands to be hurt, a place to hurt them in, and what must be true of it afterwards.

home/output      what stood there before, or what the command makes of it, and never anything else
home/bystander   of a job that lives through it all
temp/            where all of them spill
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.test_reliability.amounts import source
from tests.test_reliability.stage import SECONDS_MAX, Ended, Stage

State: TypeAlias = bytes | dict[str, bytes] | None
"""What stands under a name: a file, a directory of files, or nothing."""

LINES = 9000
RECORD_BYTES = 16


@dataclass(frozen=True)
class Victim:
    """A command; `words` are given the place."""

    name: str
    words: Callable[["Place"], list[object]]
    in_place: bool = False
    makes_directory: bool = False


VICTIMS = [
    Victim("sort lines", lambda place: ["sort", place.input, place.output]),
    Victim(
        "sort fixed",
        lambda place: ["sort", "--record-bytes", RECORD_BYTES, "--compress", "lz4", place.input, place.output],
    ),
    Victim("sort in place", lambda place: ["sort", "-u", place.output, place.output], in_place=True),
    Victim(
        "shuffle by range",
        lambda place: ["shuffle", "--partitions", 3, "--overwrite", place.input, place.output],
        makes_directory=True,
    ),
    Victim(
        "shuffle by hash",
        lambda place: [
            *("shuffle", "--partitions", 3, "--overwrite", "--partitioner", "hash"),
            *("--record-bytes", RECORD_BYTES, place.input, place.output),
        ],
        makes_directory=True,
    ),
    Victim(
        "shuffle a table",
        lambda place: [
            *("shuffle", "--partitions", 3, "--overwrite", "--format", "csv", "--by", "word", "--sort-by", "-number"),
            *(place.table, place.output),
        ],
        makes_directory=True,
    ),
]


class Place:
    """One victim's place, with its input, and an output that an earlier job has left."""

    def __init__(self, root: Path, stage: Stage, victim: Victim) -> None:
        self.stage, self.victim = stage, victim
        self.home, self.temp = root / "home", root / "temp"
        self.input, self.table, self.output = root / "input", root / "input.csv", self.home / "output"
        for directory in (self.home, self.temp):
            directory.mkdir()
        rng = source(victim.name)
        self.input.write_bytes(_lines(rng, LINES))
        self.table.write_bytes(_table(rng, LINES // 3))
        self.old = self._make_old(rng)
        undisturbed = self.run()
        assert undisturbed.status == 0 and not undisturbed.log, undisturbed
        assert undisturbed.steps is not None
        self.steps = undisturbed.steps
        self.new = state(self.output)
        assert self.new != self.old
        self.put_back()

    def words(self) -> list[object]:
        """The command line."""
        return [*self.victim.words(self), "--threads", 2, "-T", self.temp]

    def run(self) -> Ended:
        """The command, undisturbed."""
        return self.stage.run(self.words())

    def put_back(self) -> None:
        """What stood there before."""
        if isinstance(self.old, bytes):
            self.output.write_bytes(self.old)
            return
        assert self.old is not None
        for path in self.output.iterdir():
            path.unlink()
        for name, data in self.old.items():
            (self.output / name).write_bytes(data)

    def check_whole(self) -> bool:
        """The old output, or the new one: whether it is the new one."""
        found = state(self.output)
        assert found in (self.old, self.new), f"the output is neither: {describe(found)}"
        return found == self.new

    def leftovers(self, spared: set[Path]) -> list[str]:
        """What lies about and belongs to nobody."""
        known = {self.output, *spared}
        return sorted(str(path) for path in [*self.home.iterdir(), *self.temp.iterdir()] if path not in known)

    @contextmanager
    def bystander(self) -> Iterator[set[Path]]:
        """A job that spills in the same directory, and writes beside the same output: all that is its own.

        It waits for the rest of its input, and must come to the right end.
        """
        data, pipe = _lines(source("bystander"), LINES), self.home.parent / "pipe"
        target = self.home.parent / "home" / "output.of.another"
        os.mkfifo(pipe)
        writer = os.open(pipe, os.O_RDWR)
        process = self.stage.start(["sort", "-T", self.temp, "-", target], stdin=pipe)
        try:
            _write(writer, data[: len(data) // 2])
            _wait_until(lambda: any(self.temp.glob("spillway-*/run-*.spill")))
            own = {*self.home.glob(".output.of.another.*.partial"), *self.temp.iterdir()}
            assert len(own) == 2, own
            yield own
            assert all(path.exists() for path in own), "a living job was touched"
            _write(writer, data[len(data) // 2 :])
        finally:
            os.close(writer)
        ended = self.stage.wait(process)
        assert (ended.status, ended.log) == (0, "")
        assert target.read_bytes() == b"".join(sorted(data.splitlines(keepends=True)))
        target.unlink()
        pipe.unlink()

    def _make_old(self, rng: random.Random) -> State:
        if self.victim.in_place:
            self.output.write_bytes(self.input.read_bytes())
        elif not self.victim.makes_directory:
            self.output.write_bytes(b"what stood here before\n")
        else:
            full = self.input.read_bytes(), self.table.read_bytes()
            self.input.write_bytes(_lines(rng, 50))
            self.table.write_bytes(_table(rng, 50))
            assert self.run().status == 0
            self.input.write_bytes(full[0])
            self.table.write_bytes(full[1])
        return state(self.output)


def state(path: Path) -> State:
    """What stands there."""
    if path.is_dir():
        return {inner.name: inner.read_bytes() for inner in path.iterdir()}
    return path.read_bytes() if path.exists() else None


def describe(found: State) -> str:
    """Short, for a failure."""
    if isinstance(found, dict):
        return str({name: len(data) for name, data in sorted(found.items())})
    return "nothing" if found is None else f"{len(found)} bytes"


def _lines(rng: random.Random, count: int) -> bytes:
    """Lines of one length, so that they are records too."""
    return b"".join(b"%015d\n" % rng.randrange(10**9) for _ in range(count))


def _table(rng: random.Random, count: int) -> bytes:
    rows = (f"{rng.choice('abcdefgh')},{rng.randrange(10**12)},{'x' * rng.randrange(40)}\n" for _ in range(count))
    return ("word,number,rest\n" + "".join(rows)).encode()


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.001)
