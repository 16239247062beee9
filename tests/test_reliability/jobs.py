"""Jobs that are hurt on purpose: each spills in a tiny machine, and has a slow twin that says what comes out.

    outcome = attempt(JOBS["sort lines"], [Fault("EIO", at=7)], seed=3)

A job ends in the right output or in a typed error that names file and cause. Either way nothing is left: no file, no
descriptor, no thread, no segment, and after an error the old output stands.
"""

from __future__ import annotations

import faulthandler
import gc
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import shuffle
from io_manager.faults import Fault, Faults, Injected
from shuffle.exchange.shuffle_job import Shuffle
from shuffle.exchange.task_errors import TaskFailedError
from tests import tiny
from tests.test_exchange.executors import InlineExecutor
from tests.test_reliability.amounts import amount, source
from tests.test_shuffle.partitioned import cut

OLD = b"what stood here before\n"
SECONDS_MAX = 60
"""No job here takes a hundredth of it. Then every thread tells where it is, and the process ends."""

PARTITIONS = 5
REMOVALS = {"unlink", "rmdir", "listdir", "stat"}
"""Calls without which nothing can be cleaned up, beside that which opens a directory to empty it."""


Scenery: TypeAlias = AbstractContextManager[object]


@dataclass(frozen=True)
class Room:
    """Where a job reads, writes and spills."""

    root: Path

    @property
    def temp(self) -> Path:
        """To spill in."""
        return self.root / "spill"

    @property
    def home(self) -> Path:
        """What is made stands here, and nothing else."""
        return self.root / "home"

    @property
    def output(self) -> Path:
        """An old output stands here."""
        return self.home / "output"

    def input(self, number: int = 0) -> Path:
        """One of the inputs."""
        return self.root / f"input{number}"


@dataclass(frozen=True)
class Job:
    """`run` returns what was made, which must be `expected`. Of a `publisher` that is `room.output` too."""

    name: str
    inputs: tuple[bytes, ...]
    run: Callable[[Room], Any]
    expected: Any
    is_publisher: bool = True
    in_directory: bool = False


@dataclass(frozen=True)
class Outcome:
    """How it ended: `error` is None where the output was right."""

    error: BaseException | None
    injected: Sequence[Injected]
    calls: Counter[str]


class Broken(AssertionError):
    """A promise was not kept; the text says which, and which faults it took."""


def attempt(
    job: Job, faults: Sequence[Fault] | Faults, *, seed: int = 0, scenery: Callable[[Room], Scenery] | None = None
) -> Outcome:
    """Run it once with these faults, and hold it to all promises.

    A `scenery` is entered around it, and may make it fail too.
    """
    descriptors, threads = _descriptors(), threading.active_count()
    error: BaseException | None = None
    armed = faults if isinstance(faults, Faults) else Faults(faults, seed=seed)
    try:
        with _watched(), tiny.machine(managed_bytes=96 << 10) as machine:
            room = _furnish(machine.directory, job)
            with scenery(room) if scenery else nullcontext():
                error = _run(job, room, armed)
                _check_files(job, room, armed, error)
    except BaseException as broken:
        raise Broken(f"{job.name} with {faults}, seed {seed}, after {armed.injected[-5:]}: {broken!r}") from broken
    if error is not None:
        _require(bool(armed.injected or scenery), f"{job.name}: an error that nobody injected: {error!r}")
        _check_error(job, error, armed)
    if _descriptors() > descriptors:
        gc.collect()  # the frames of an error may hold a generator, and that a file
    _require(_descriptors() <= descriptors, f"{job.name} with {faults}: descriptors left: {_open_files()}")
    _require(threading.active_count() <= threads, f"{job.name} with {faults}: threads left: {threading.enumerate()}")
    return Outcome(error, armed.injected, armed.calls)


def _run(job: Job, room: Room, armed: Faults) -> BaseException | None:
    try:
        with armed:
            made = job.run(room)
    except Exception as error:
        return error
    _require(made == job.expected, "the output is wrong, and nobody was told")
    return None


def _furnish(root: Path, job: Job) -> Room:
    room = Room(root)
    room.home.mkdir()
    for number, data in enumerate(job.inputs):
        room.input(number).write_bytes(data)
    if not job.in_directory:
        room.output.write_bytes(OLD)
    return room


def _check_files(job: Job, room: Room, armed: Faults, error: BaseException | None) -> None:
    """What stands under the final name is old or complete, and nothing else is left."""
    old: Any = None if job.in_directory else OLD
    stands: Any = _stands(room.output)
    if job.is_publisher:
        wanted = [job.expected] if error is None else [old, job.expected]
        _require(stands in wanted, "what stands under the final name is neither the old output nor the new one")
    else:
        _require(stands == old, "an output was touched")
    left = [str(path) for path in (*room.temp.rglob("*"), *room.home.iterdir()) if path != room.output]
    if any(hinders_removal(each, room.temp) for each in armed.injected):
        for path in (*room.temp.iterdir(), *room.home.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return
    _require(not left, f"files left: {left}")


def hinders_removal(fault: Injected, temp_dir: Path) -> bool:
    """Whether a job that met this fault may leave something: it could not find it, or not remove it."""
    return fault.operation in REMOVALS or (fault.operation == "open" and Path(fault.target).parent == temp_dir)


def _stands(output: Path) -> Any:
    if output.is_dir():
        return _parts(output)
    return output.read_bytes() if output.exists() else None


def _check_error(job: Job, error: BaseException, armed: Faults) -> None:
    text = f"{job.name}: {type(error).__name__}: {error} after {armed.injected[-3:]}"
    if isinstance(error, TaskFailedError):
        _require(isinstance(error.__cause__, OSError), f"no cause: {text}")
        assert error.__cause__ is not None
        error = error.__cause__
    _require(isinstance(error, OSError | MemoryError), f"not a typed error: {text}")
    if "(ulimit -n)" in str(error):
        return  # it may be that no file was wanted at all
    _require("[Errno" not in str(error) or getattr(error, "filename", None) is not None, f"no file is named: {text}")
    _require("/" in str(error) or isinstance(error, MemoryError), f"no file is named: {text}")
    _require("\n" not in str(error), f"not one line: {text}")


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise Broken(text)


@contextmanager
def _watched() -> Iterator[None]:
    faulthandler.dump_traceback_later(SECONDS_MAX, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _open_files() -> list[str]:
    return sorted(str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink())


# --- the jobs


def _lines(count: int, seed: int, width: int = 24) -> bytes:
    source = Random(seed)
    return b"".join(b"%0*x\n" % (source.randrange(1, width), source.getrandbits(40)) for _ in range(count))


def _sorting(data: Sequence[bytes], **choices: Any) -> Callable[[Room], bytes]:
    def run(room: Room) -> bytes:
        inputs = [room.input(number) for number in range(len(data))]
        shuffle.sort_file(inputs, room.output, temp_dirs=[room.temp], threads=2, **choices)
        return room.output.read_bytes()

    return run


def _sort_job(name: str, data: Sequence[bytes], layout: Any = tiny.LINES, **choices: Any) -> Job:
    of_layout = {} if layout is tiny.LINES else {"record_bytes": 12, "key_offset": 3, "key_bytes": 2}
    of_order = {each: choices[each] for each in ("reverse", "unique", "limit") if each in choices}
    expected = tiny.sorted_bytes(b"".join(data), layout, **of_order)
    return Job(name, tuple(data), _sorting(data, **of_layout, **choices), expected)


def _merge_job() -> Job:
    parts = [tiny.sorted_bytes(_lines(1500, seed)) for seed in range(4)]

    def run(room: Room) -> bytes:
        inputs = [room.input(number) for number in range(len(parts))]
        shuffle.merge_files(inputs, room.output, temp_dirs=[room.temp], threads=2)
        return room.output.read_bytes()

    return Job("merge lines", tuple(parts), run, tiny.sorted_bytes(b"".join(parts)))


def _sorter_job() -> Job:
    source = Random(5)
    values = [(source.randrange(500), "v" * source.randrange(60), number) for number in range(5000)]

    def run(room: Room) -> list[Any]:
        with shuffle.Sorter[Any](temp_dirs=[room.temp]) as sorter:
            sorter.add(values)
            return list(sorter.finish())

    return Job("sort objects", (), run, sorted(values), is_publisher=False)


def _table_job() -> Job:
    import pyarrow as pa

    source = Random(6)
    rows = [(source.randrange(999), "t" * source.randrange(40)) for _ in range(5000)]
    table = pa.table({"number": [number for number, _ in rows], "text": [text for _, text in rows]})

    def run(room: Room) -> list[Any]:
        from shuffle.tables import sort_table

        with sort_table(table, ["number"], temp_dirs=[room.temp]) as result:
            found = result.to_table()
        return list(zip(found["number"].to_pylist(), found["text"].to_pylist(), strict=True))

    expected = sorted(rows, key=lambda row: row[0])
    return Job("sort table", (), run, expected, is_publisher=False)


def _aggregate_job() -> Job:
    """Keys that hardly come twice, and ascend: they are thrown into ranges, the last of which must be split."""
    import pyarrow as pa

    keys = [*range(1100), *range(0, 1100, 5)]
    table = pa.table({"key": keys, "value": [key * 0.25 for key in keys]})

    def run(room: Room) -> list[Any]:
        asked = {"total": "sum:value", "n": "count"}
        with shuffle.aggregate(table, by="key", aggregates=asked, temp_dirs=[room.temp], threads=2) as result:
            found = result.to_table()
        return list(zip(*(found[name].to_pylist() for name in ("key", "total", "n")), strict=True))

    counts = Counter(keys)
    expected = [(key, key * 0.25 * count, count) for key, count in sorted(counts.items())]
    return Job("aggregate table", (), run, expected, is_publisher=False)


def _parts(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(directory.glob("part-*"))]


def _directory_job(partitioner: str) -> Job:
    data = _lines(6000, 7)
    layout = tiny.LINES

    def run(room: Room) -> list[bytes]:
        shuffle.shuffle_file(
            room.input(), room.output, partitions=PARTITIONS, partitioner=partitioner, temp_dirs=[room.temp], threads=2
        )
        return _parts(room.output)

    expected = cut(data, layout, PARTITIONS) if partitioner == "range" else _made_once(data, run)
    return Job(f"shuffle file by {partitioner}", (data,), run, expected, in_directory=True)


def _made_once(data: bytes, run: Callable[[Room], Any]) -> Any:
    """Without any fault; all records are there."""
    with tiny.machine() as machine:
        room = Room(machine.directory)
        room.home.mkdir()
        room.input().write_bytes(data)
        made = run(room)
        shutil.rmtree(room.output)
    assert sorted(b"".join(made).splitlines()) == sorted(data.splitlines())
    return made


def _exchange_job() -> Job:
    pairs = [(number % 97, f"{number:07}") for number in range(3000)]

    def run(room: Room) -> list[Any]:
        job = Shuffle(partitions=2, split_records=1500)
        with job.run(pairs, InlineExecutor(room.temp)) as result:
            return sorted(result)

    return Job("shuffle objects", (), run, sorted(pairs), is_publisher=False)


def _reduce_job() -> Job:
    pairs = [(number % 1009, number) for number in range(3000)]
    sums: Counter[int] = Counter()
    for key, number in pairs:
        sums[key] += number

    def run(room: Room) -> dict[int, int]:
        job = Shuffle(reduce=lambda one, other: one + other, combine=False, partitions=2, split_records=1500)
        with job.run(pairs, InlineExecutor(room.temp)) as result:
            return dict(result)

    return Job("shuffle and reduce", (), run, dict(sums), is_publisher=False)


@cache
def job(name: str) -> Job:
    """One of `NAMES`, made once."""
    return _MAKERS[name]()


_MAKERS: dict[str, Callable[[], Job]] = {
    "sort lines": lambda: _sort_job("sort lines", [_lines(7000, 1)]),
    "sort records": lambda: _sort_job("sort records", [Random(2).randbytes(12 * 12_000)], tiny.SERIAL, reverse=True),
    "sort compressed": lambda: _sort_job("sort compressed", [_lines(7000, 3), _lines(3000, 4)], compress="lz4"),
    "sort long lines": lambda: _sort_job("sort long lines", [_lines(2000, 8) + b"l" * 90_000 + b"\n"]),
    "merge lines": _merge_job,
    "sort objects": _sorter_job,
    "sort table": _table_job,
    "aggregate table": _aggregate_job,
    "shuffle file by range": lambda: _directory_job("range"),
    "shuffle file by hash": lambda: _directory_job("hash"),
    "shuffle objects": _exchange_job,
    "shuffle and reduce": _reduce_job,
}

NAMES = tuple(_MAKERS)
"""Of all jobs."""


def drawn(test: str, quick: int, names: Sequence[str] = NAMES) -> list[str]:
    """The jobs for one test: so many in the short form, others with another seed; all of them in the long form."""
    return amount(source(test, "jobs").sample(names, quick), list(names))
