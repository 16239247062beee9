"""Hundreds of jobs in one process, every second kind of which goes wrong; what it holds is measured as they go.

    python -m tests.test_reliability.many_jobs <directory> <rounds>

prints a JSON line of measurements for each round: a round is every kind once, so that all rounds do the same.
"""

import asyncio
import ctypes
import gc
import json
import operator
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

import shuffle
from io_manager import DiskLimitError, system
from memory import BufferPool, Extent, MemoryManager
from shuffle import engine
from shuffle.exchange.task_errors import TaskFailedError
from shuffle.files import make_options
from tests.test_exchange.executors import InlineExecutor, children
from tests.test_reliability.stage import shrink, without_pandas

Job = Callable[["Bench"], None]
JOBS: list[Job] = []
EVERY_TENTH: list[Job] = []
"""Those that start processes."""

COUNT = 4000


class Bench:
    """Inputs, and where to spill."""

    def __init__(self, directory: Path) -> None:
        self.temp = directory / "temp"
        self.temp.mkdir()
        self.output = directory / "output"
        self.lines = directory / "lines"
        rng = Random(1)
        self.lines.write_bytes(b"".join(b"%011d\n" % rng.randrange(10**9) for _ in range(3 * COUNT)))
        self.odd = directory / "odd"
        self.odd.write_bytes(self.lines.read_bytes() + b"half")
        self.pairs = [(rng.randrange(500), n) for n in range(COUNT)]
        self.keys = len({key for key, _ in self.pairs})
        self.table = _table(self.pairs)
        self.spill: Any = {"temp_dirs": [str(self.temp)], "threads": 2}
        self.rounds = 0

    def executor(self) -> InlineExecutor:
        """Tasks in this process."""
        return InlineExecutor(self.temp)


def job(function: Job) -> Job:
    """One of each round."""
    JOBS.append(function)
    return function


def _table(pairs: list[tuple[int, int]]) -> Any:
    import pyarrow as pa

    return pa.table({"k": [key for key, _ in pairs], "v": [str(value) for _, value in pairs]})


# --- files


@job
def sort_lines(bench: Bench) -> None:
    shuffle.sort_file(bench.lines, bench.output, **bench.spill)


@job
def sort_compressed(bench: Bench) -> None:
    shuffle.sort_file(bench.lines, bench.output, record_bytes=12, compress="zstd", **bench.spill)


@job
def the_disk_is_full(bench: Bench) -> None:
    with pytest.raises(DiskLimitError):
        shuffle.sort_file(bench.lines, bench.output, max_disk=40_000, **bench.spill)


@job
def the_input_ends_early(bench: Bench) -> None:
    with pytest.raises(ValueError, match="odd"):
        shuffle.sort_file(bench.odd, bench.output, record_bytes=12, **bench.spill)


@job
def no_input(bench: Bench) -> None:
    with pytest.raises(FileNotFoundError):
        shuffle.sort_file(bench.temp / "nothing", bench.output, **bench.spill)


@job
def no_room_for_the_output(bench: Bench) -> None:
    with pytest.raises(FileNotFoundError):
        shuffle.sort_file(bench.lines, bench.temp / "nowhere" / "output", **bench.spill)


@job
def cancelled(bench: Bench) -> None:
    """At another call every time."""

    async def attempt() -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(engine.sort([str(bench.lines)], str(bench.output), make_options(**bench.spill)))
        left = iter(range(bench.rounds * 37 % 300, -1, -1))

        def count_down(operation: str, function: Callable[..., Any], *args: Any) -> Any:
            if next(left, None) == 0:
                loop.call_soon_threadsafe(task.cancel)
            return function(*args)

        before = system.intercept(count_down)
        try:
            with pytest.raises(asyncio.CancelledError):
                await task
        finally:
            system.intercept(before)

    asyncio.run(attempt())


@job
def shuffle_by_hash(bench: Bench) -> None:
    directory = bench.temp.parent / "parts"
    shuffle.shuffle_file(bench.lines, directory, partitions=3, partitioner="hash", overwrite=True, **bench.spill)


# --- values


@job
def sort_values(bench: Bench) -> None:
    with shuffle.sort(iter(bench.pairs), by=["0", "-1"], **bench.spill) as result:
        assert len(list(result)) == COUNT


@job
def read_half_and_dropped(bench: Bench) -> None:
    iterator = iter(shuffle.sort(iter(bench.pairs), **bench.spill))
    assert [next(iterator) for _ in range(COUNT // 2)]


@job
def a_key_function_raises(bench: Bench) -> None:
    def key(pair: tuple[int, int]) -> int:
        return 1 // (pair[1] - 3000)

    with pytest.raises(ZeroDivisionError), shuffle.Sorter(key=key, **bench.spill) as sorter:
        sorter.add(bench.pairs)


@job
def sort_beside_a_loop(bench: Bench) -> None:
    async def attempt() -> None:
        async with shuffle.AsyncSorter(**bench.spill) as sorter:
            await sorter.add(bench.pairs)
            async for _ in await sorter.finish():
                break

    asyncio.run(attempt())


@job
def aggregate_values(bench: Bench) -> None:
    with shuffle.aggregate(bench.pairs, by=0, aggregates={"n": "count", "all": "collect:1"}, **bench.spill) as result:
        assert len(list(result)) == bench.keys


@job
def reduce_and_drop(bench: Bench) -> None:
    next(iter(shuffle.reduce_by_key(iter(bench.pairs), operator.add, **bench.spill)))


@job
def reduce_raises(bench: Bench) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        shuffle.reduce_by_key(iter(bench.pairs), lambda left, right: 1 // 0, **bench.spill) as result,
    ):
        list(result)


@job
def join(bench: Bench) -> None:
    few = [(key, "x") for key in range(100)]
    with shuffle.merge_join(iter(bench.pairs), iter(few), on=0, **bench.spill) as result:
        assert list(result)


@job
def an_input_of_a_join_raises(bench: Bench) -> None:
    def broken() -> Iterator[tuple[int, int]]:
        yield from bench.pairs[:1500]
        raise KeyError("lost")

    with pytest.raises(KeyError), shuffle.merge_join(iter(bench.pairs), broken(), on=0, **bench.spill) as result:
        list(result)


# --- tables


@job
def sort_a_table(bench: Bench) -> None:
    with shuffle.sort_table(bench.table, ["k", "-v"], **bench.spill) as result:
        assert result.to_table().num_rows == COUNT


@job
def aggregate_a_table_and_drop(bench: Bench) -> None:
    iter(shuffle.aggregate(bench.table, by="k", aggregates={"n": "count", "least": "min:v"}, **bench.spill))


@job
def no_such_column(bench: Bench) -> None:
    with pytest.raises((shuffle.TableError, KeyError, ValueError)):
        shuffle.sort_table(bench.table, ["nothing"], **bench.spill).to_table()


# --- shuffles


@job
def shuffle_pairs(bench: Bench) -> None:
    with shuffle.Shuffle(reduce=operator.add, partitions=3).run(bench.pairs, bench.executor()) as result:
        assert len(list(result)) == bench.keys


@job
def a_map_function_raises(bench: Bench) -> None:
    shuffling = shuffle.Shuffle(map=lambda pair: [(1 // (pair[1] - 3000), 1)], type_info=tuple[int, int])
    with pytest.raises(TaskFailedError):
        shuffling.run(bench.pairs, bench.executor())


def with_workers(bench: Bench) -> None:
    shuffling = shuffle.Shuffle(reduce=operator.add, slots=1, memory="192MiB", temp_dirs=str(bench.temp))
    with shuffling.run(bench.pairs) as result:
        assert len(list(result)) == bench.keys


EVERY_TENTH.append(with_workers)


# --- what the process holds


def measure(bench: Bench) -> dict[str, Any]:
    """All that could leak; memory that was freed is given back first."""
    gc.collect()
    _wait_for_dropped()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "resident_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        "open_files": sorted(_target(path) for path in Path("/proc/self/fd").iterdir()),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "children": len(children()),
        "held": sorted(type(each).__name__ for each in gc.get_objects() if issubclass(type(each), _OF_MEMORY)),
        "files": sorted(path.name for path in bench.temp.iterdir()),
    }


_OF_MEMORY = (BufferPool, Extent, MemoryManager)


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""  # that of the listing itself


def _wait_for_dropped() -> None:
    """What was dropped is closed by threads of its own, which end then."""
    for thread in threading.enumerate():
        if thread.name.startswith("spillway"):
            thread.join(30)


def main(directory: str, rounds: str) -> None:
    """Rounds of jobs, a measurement after each."""
    without_pandas()
    shrink(96 << 10)
    bench = Bench(Path(directory))
    for number in range(int(rounds)):
        bench.rounds = number
        kinds = JOBS + EVERY_TENTH * (number % 10 == 0)
        for kind in kinds:
            try:
                kind(bench)
            except BaseException as error:
                error.add_note(f"in round {number}, {kind.__name__}")
                raise
        print(json.dumps({"jobs": len(kinds), **measure(bench)}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
