"""`sort_file` end to end against the slow twin, on a machine so small that everything spills.

`tests.tiny.machine` looks after every test here: no memory out, no spill file, no partial output at the end.
"""

import asyncio
import errno
import itertools
import os
import random
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import shuffle
from io_manager import DiskFullError, DiskLimitError, TempDirError, platform_files
from memory import MemoryConfigurationError
from serializers import fixed, lines
from shuffle import Choices, RecordFormatError, SortOptions, engine, run_builder
from shuffle.files import make_options
from shuffle.plan import SortPlan
from shuffle.range_merge import RangeMerge
from tests import tiny

KIB = 1 << 10
BUDGETS = [40 * KIB, 64 * KIB, 100 * KIB, 256 * KIB, 2048 * KIB]
EXTENT_BYTES_MAX = 32 * KIB


def random_lines(count: int, seed: int, length: int = 40) -> bytes:
    """Lines of any bytes, some equal."""
    rng = random.Random(seed)
    made = [rng.randbytes(rng.randrange(length)).replace(b"\n", b"") for _ in range(count)]
    return b"".join(line + b"\n" for line in made + rng.choices(made or [b""], k=count // 10))


def numbered_records(count: int, seed: int, key_kinds: int = 40) -> bytes:
    """`tiny.SERIAL` records with few keys, each carrying its position, so that a broken tie shows."""
    rng = random.Random(seed)
    return b"".join(
        b"key" + rng.randrange(key_kinds).to_bytes(2, "big") + number.to_bytes(7, "big") for number in range(count)
    )


SERIAL: Choices = {"record_bytes": 12, "key_offset": 3, "key_bytes": 2}

# --- every combination of options


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("limit", [None, 0, 1, 700, 10**6])
@pytest.mark.parametrize("kind", ["lines", "records"])
def test_every_combination_of_options(reverse: bool, unique: bool, limit: int | None, kind: str) -> None:
    """In memory, in one pass and in several."""
    is_lines = kind == "lines"
    data = random_lines(3000, 1) if is_lines else numbered_records(6000, 1)
    layout = tiny.LINES if is_lines else tiny.SERIAL
    expected = tiny.sorted_bytes(data, layout, reverse=reverse, unique=unique, limit=limit)
    more: Choices = {} if is_lines else SERIAL
    for budget in (BUDGETS[0], BUDGETS[2], BUDGETS[-1]):
        with tiny.machine(managed_bytes=budget) as machine:
            found = machine.sort(data, reverse=reverse, unique=unique, limit=limit, threads=2, **more)
            assert found == expected
            assert machine.report.records_written == len(tiny.naive.split_records(expected, layout)[0])
            assert machine.report.output_bytes == len(expected)


SIZES = [0, 1, 5, 60, 400, 3903, 3904, 8000, 16_000, 33_000, 50_000]
LINE = st.tuples(
    st.sampled_from([b"", b"\0", b"a", b"b", b"\xff", b"p" * 70, b"p" * 70 + b"q", b"\r"]),
    st.sampled_from(SIZES[:5] * 8 + SIZES),
    st.sampled_from([b"", b"x", b"\r"]),
)


@settings(deadline=None, max_examples=60)
@given(
    parts=st.lists(st.lists(LINE, max_size=60), min_size=1, max_size=3),
    times=st.integers(1, 8),
    ends=st.booleans(),
    delimiter=st.sampled_from([b"\n", b"\0"]),
    reverse=st.booleans(),
    unique=st.booleans(),
    limit=st.none() | st.integers(0, 50),
    threads=st.sampled_from([1, 2, 4]),
    budget=st.sampled_from(BUDGETS),
    compress=st.sampled_from(["none", "lz4", "zstd", "auto"]),
    sort_kernel=st.sampled_from(["auto", "numba", "numpy"]),
)
def test_lines_of_all_lengths(
    parts: list[list[tuple[bytes, int, bytes]]],
    times: int,
    ends: bool,
    delimiter: bytes,
    reverse: bool,
    unique: bool,
    limit: int | None,
    threads: int,
    budget: int,
    compress: Any,
    sort_kernel: Any,
) -> None:
    inputs = []
    for part in parts:
        texts = [(key + b"-" * length + end).replace(delimiter, b"+") + delimiter for key, length, end in part]
        inputs.append(b"".join(texts * times if sum(map(len, texts)) < 60_000 else texts))
    if not ends:
        inputs = [data[:-1] for data in inputs]
    whole = [data if data.endswith(delimiter) or not data else data + delimiter for data in inputs]
    expected = tiny.sorted_bytes(b"".join(whole), lines(delimiter), reverse=reverse, unique=unique, limit=limit)
    with tiny.machine(managed_bytes=budget) as machine:
        found = machine.sort(
            inputs,
            delimiter=delimiter,
            reverse=reverse,
            unique=unique,
            limit=limit,
            threads=threads,
            compress=compress,
            sort_kernel=sort_kernel,
        )
        assert found == expected


@settings(deadline=None, max_examples=40)
@given(
    record_bytes=st.sampled_from([1, 2, 12, 100, 999, 3904, 9000]),
    key=st.tuples(st.integers(0, 30), st.none() | st.integers(1, 200)),
    count=st.integers(0, 400),
    symbols=st.sampled_from([b"\0\xff", b"ab", bytes(range(256))]),
    reverse=st.booleans(),
    unique=st.booleans(),
    threads=st.sampled_from([1, 2, 4]),
    budget=st.sampled_from(BUDGETS),
    seed=st.integers(0, 99),
)
@example(
    record_bytes=9000,
    key=(0, None),
    count=1,
    symbols=b"ab",
    reverse=False,
    unique=False,
    threads=4,
    budget=2048 * KIB,
    seed=1,
)
def test_records_of_all_lengths(
    record_bytes: int,
    key: tuple[int, int | None],
    count: int,
    symbols: bytes,
    reverse: bool,
    unique: bool,
    threads: int,
    budget: int,
    seed: int,
) -> None:
    """Longer records need larger blocks, and more memory than the smallest budgets."""
    key_offset = min(key[0], record_bytes - 1)
    key_bytes = None if key[1] is None else min(key[1], record_bytes - key_offset)
    layout = fixed(record_bytes, key_offset=key_offset, key_bytes=key_bytes)
    data = bytes(random.Random(seed).choices(symbols, k=record_bytes * min(count, 300_000 // record_bytes)))
    with tiny.machine(managed_bytes=max(budget, 20 * record_bytes + 64 * KIB), direct_bytes=512 * KIB) as machine:
        found = machine.sort(
            data,
            record_bytes=record_bytes,
            key_offset=key_offset,
            key_bytes=key_bytes,
            reverse=reverse,
            unique=unique,
            threads=threads,
        )
        assert found == tiny.sorted_bytes(data, layout, reverse=reverse, unique=unique)


# --- the same bytes, whatever the machine


@pytest.mark.parametrize("reverse", [False, True])
def test_the_same_bytes_for_any_threads_and_any_budget(reverse: bool) -> None:
    data, ways = numbered_records(12_000, 5), set()
    expected = tiny.sorted_bytes(data, tiny.SERIAL, reverse=reverse)
    for threads, budget in itertools.product([1, 2, 4], BUDGETS):
        with tiny.machine(managed_bytes=budget) as machine:
            assert machine.sort(data, threads=threads, reverse=reverse, **SERIAL) == expected, (threads, budget)
            report = machine.report
            ways.add((report.passes > 1, report.ranges > 1, report.runs_in_memory > 0, report.spilled_bytes > 0))
    assert {(True, False, False, True), (False, True, True, False), (False, True, True, True)} <= ways, ways


@pytest.mark.parametrize("compress", ["none", "lz4", "zstd", "auto"])
@pytest.mark.parametrize("budget", [200 * KIB, 600 * KIB])
def test_the_same_bytes_for_any_codec(compress: Any, budget: int) -> None:
    """In blocks of several pages, so that there are pages to save."""
    data = b"".join(b"%08d compresses well %s\n" % (n * 7919 % 10_007, b"." * (n % 90)) for n in range(10_000))
    with tiny.machine(managed_bytes=budget, direct_bytes=800 * KIB, block_bytes=(16 * KIB, 16 * KIB)) as machine:
        assert machine.sort(data, compress=compress, threads=2) == tiny.sorted_bytes(data)
        if compress in ("lz4", "zstd"):
            assert 0 < machine.report.spilled_bytes < len(data) * machine.report.passes * 3 / 4


@pytest.mark.parametrize("kind", ["equal", "ascending", "descending", "prefix", "two", "staircase"])
@pytest.mark.parametrize("budget", [BUDGETS[0], BUDGETS[3]])
def test_shapes_that_trip_sorts(kind: str, budget: int) -> None:
    numbers = range(6000)
    made = {
        "equal": [b"the same line"] * 6000,
        "ascending": [b"%07d" % n for n in numbers],
        "descending": [b"%07d" % (9000 - n) for n in numbers],
        "prefix": [b"p" * 70 + b"%07d" % (n * 7919 % 6007) for n in numbers],
        "two": [b"a" if n % 2 else b"b" for n in numbers],
        "staircase": [b"s" * (n % 130) for n in numbers],
    }[kind]
    data = b"".join(line + b"\n" for line in made)
    for reverse, threads in ((False, 2), (True, 2), (False, 1)):
        with tiny.machine(managed_bytes=budget) as machine:
            assert machine.sort(data, threads=threads, reverse=reverse) == tiny.sorted_bytes(data, reverse=reverse)


def test_several_ranges_with_equal_keys_across_all_of_them() -> None:
    data = numbered_records(20_000, 3, key_kinds=1)
    with tiny.machine(managed_bytes=512 * KIB) as machine:
        assert machine.sort(data, threads=4, **SERIAL) == data
        assert machine.report.ranges == 4


def test_passes_forced_by_few_open_files() -> None:
    data = random_lines(8000, 6)
    for open_files_max in (50, 51, 55):
        with tiny.machine(managed_bytes=400 * KIB, open_files_max=open_files_max) as machine:
            assert machine.sort(data, threads=2) == tiny.sorted_bytes(data)
            assert machine.report.passes > 1
            assert machine.report.predicted["passes"] > 1


# --- awkward inputs


@pytest.mark.parametrize("inputs", [[b""], [b"", b""], [b"\n"], [b"\n\n\n"], [b"x"], [b"x", b"", b"a"], [b"\n", b"a"]])
@pytest.mark.parametrize("unique", [False, True])
def test_almost_nothing(inputs: list[bytes], unique: bool) -> None:
    whole = b"".join(data if data.endswith(b"\n") or not data else data + b"\n" for data in inputs)
    with tiny.machine() as machine:
        assert machine.sort(inputs, unique=unique) == tiny.sorted_bytes(whole, unique=unique)


def test_no_input_no_sort() -> None:
    with pytest.raises(ValueError, match="no input was named"):
        shuffle.sort_file([], "nowhere")


def test_carriage_returns_are_bytes_like_any_other() -> None:
    with tiny.machine() as machine:
        assert machine.sort(b"b\r\na\n\r\na\r\n\n") == b"\n\r\na\na\r\nb\r\n"


def test_empty_lines_fill_buffers_with_index() -> None:
    """And a sample that saw only long lines does not keep the reader waiting for a buffer for ever."""
    piece = (b"x" * 999 + b"\n") * 66 + b"\n" * 40_000
    with tiny.machine(managed_bytes=4096 * KIB, extent_bytes=(16 * KIB, 1024 * KIB)) as machine:
        assert machine.sort(piece * 4, threads=1) == b"\n" * 160_000 + (b"x" * 999 + b"\n") * 264
        assert machine.report.predicted["runs"] == 1
        assert machine.report.runs > 1


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("unique", [False, True])
@pytest.mark.parametrize("budget", [BUDGETS[0], BUDGETS[3]])
def test_lines_longer_than_a_sort_buffer(reverse: bool, unique: bool, budget: int) -> None:
    """Equal ones, ones that begin alike, and short lines before, between and behind them."""
    long = b"m" * 3 * EXTENT_BYTES_MAX
    giants = [long, b"m" * 3904 * 10, long, long[:-1], long + b"a", b"", long, b"z" * 40_000, long + b"\0"]
    data = b"".join(random_lines(100, seed) + giant + b"\n" for seed, giant in enumerate(giants))
    for whole in (data, data[:-1], data + random_lines(2000, 99)):
        with tiny.machine(managed_bytes=budget) as machine:
            found = machine.sort(whole, threads=2, reverse=reverse, unique=unique)
            assert found == tiny.sorted_bytes(whole, reverse=reverse, unique=unique)
            assert machine.report.records == whole.count(b"\n") + (not whole.endswith(b"\n"))


def test_several_passes_over_lines_that_span_blocks() -> None:
    rng = random.Random(3)
    giants = [bytes([rng.choice(b"abc")]) * rng.randrange(3000, 30_000) + b"\n" for _ in range(40)]
    data = b"".join(random_lines(60, seed) + giant for seed, giant in enumerate(giants))
    for reverse in (False, True):
        with tiny.machine(managed_bytes=BUDGETS[0]) as machine:
            assert machine.sort(data, threads=1, reverse=reverse) == tiny.sorted_bytes(data, reverse=reverse)
            assert machine.report.passes > 2


# --- pipes


def feed_pipe(path: Path, data: bytes, chunk_bytes: int) -> threading.Thread:
    """Write to a named pipe, a little at a time, from another thread."""
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            for start in range(0, len(data), chunk_bytes):
                pipe.write(data[start : start + chunk_bytes])

    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.mark.parametrize("chunk_bytes", [997, 4096, 65536])
@pytest.mark.parametrize("size", [0, 1, 100, 8000])
def test_a_pipe_has_no_size_and_no_end_before_it_ends(chunk_bytes: int, size: int) -> None:
    data = random_lines(size, size)[:-1]
    for budget in (BUDGETS[0], BUDGETS[3]):
        with tiny.machine(managed_bytes=budget) as machine:
            writer = feed_pipe(machine.directory / "pipe", data, chunk_bytes)
            report = shuffle.sort_file(
                machine.directory / "pipe", machine.output, temp_dirs=[machine.temp_dir], threads=2
            )
            writer.join()
            assert machine.output.read_bytes() == tiny.sorted_bytes(data)
            assert report.predicted["runs"] is None


def test_a_pipe_of_records_between_files() -> None:
    parts = [numbered_records(count, count) for count in (500, 4000, 1)]
    with tiny.machine() as machine:
        paths = machine.write(parts)
        paths[1].unlink()
        writer = feed_pipe(paths[1], parts[1], 777)
        shuffle.sort_file(paths, machine.output, temp_dirs=[machine.temp_dir], threads=2, **SERIAL)
        writer.join()
        assert machine.output.read_bytes() == tiny.sorted_bytes(b"".join(parts), tiny.SERIAL)


@pytest.mark.parametrize("unique", [False, True])
def test_out_into_a_pipe(unique: bool) -> None:
    data, received = random_lines(6000, 8), []
    with tiny.machine() as machine:
        path = machine.directory / "out"
        os.mkfifo(path)
        reader = threading.Thread(target=lambda: received.append(path.read_bytes()))
        reader.start()
        report = shuffle.sort_file(machine.write(data), path, temp_dirs=[machine.temp_dir], threads=2, unique=unique)
        reader.join()
        assert received == [tiny.sorted_bytes(data, unique=unique)]
        assert report.ranges == 1


def test_standard_input_and_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """ "-" is whatever the descriptors 0 and 1 are: here two pipes."""
    data, received = random_lines(5000, 9), []
    kept = [os.dup(number) for number in (0, 1)]
    (in_read, in_write), (out_read, out_write) = os.pipe(), os.pipe()

    def write() -> None:
        with os.fdopen(in_write, "wb") as pipe:
            pipe.write(data)

    def read() -> None:
        with os.fdopen(out_read, "rb") as pipe:
            received.append(pipe.read())

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    with tiny.machine() as machine:
        os.dup2(in_read, 0)
        os.dup2(out_write, 1)
        os.close(out_write)
        try:
            for thread in threads:
                thread.start()
            shuffle.sort_file("-", "-", temp_dirs=[machine.temp_dir], threads=2)
        finally:
            for number, descriptor in enumerate(kept):
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.close(in_read)
        for thread in threads:
            thread.join()
    assert received == [tiny.sorted_bytes(data)]


# --- where the output goes


def test_the_output_may_be_an_input() -> None:
    data = random_lines(5000, 10)
    with tiny.machine() as machine:
        (path,) = machine.write(data)
        shuffle.sort_file(path, path, temp_dirs=[machine.temp_dir], threads=2)
        assert path.read_bytes() == tiny.sorted_bytes(data)


def test_inside_a_running_event_loop() -> None:
    """A notebook has one: the job runs beside it."""
    data = random_lines(3000, 11)
    with tiny.machine() as machine:

        async def cell() -> bytes:
            return machine.sort(data, threads=2)

        assert asyncio.run(cell()) == tiny.sorted_bytes(data)

        async def bad_cell() -> bytes:
            return machine.sort(data, record_bytes=7777)

        with pytest.raises(RecordFormatError):
            asyncio.run(bad_cell())


def test_two_sorts_at_once() -> None:
    data = [random_lines(4000, seed) for seed in (1, 2)]
    with tiny.machine() as machine:
        paths = machine.write(data)
        outputs = [machine.directory / f"sorted{number}" for number in range(2)]
        threads = [
            threading.Thread(
                target=shuffle.sort_file, args=pair, kwargs={"temp_dirs": [machine.temp_dir], "threads": 2}
            )
            for pair in zip(paths, outputs, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [path.read_bytes() for path in outputs] == [tiny.sorted_bytes(each) for each in data]


def test_several_temp_directories() -> None:
    data = random_lines(8000, 12)
    with tiny.machine() as machine:
        dirs = [machine.temp_dir / "a", machine.temp_dir / "b"]
        for directory in dirs:
            directory.mkdir()
        shuffle.sort_file(machine.write(data), machine.output, temp_dirs=dirs, threads=2)
        assert machine.output.read_bytes() == tiny.sorted_bytes(data)
        for directory in dirs:
            directory.rmdir()


# --- what the report says


def test_the_report_adds_up() -> None:
    data = random_lines(8000, 13)
    with tiny.machine(managed_bytes=400 * KIB) as machine:
        machine.sort([data, data], threads=2)
        report = machine.report
        assert report.records == report.records_written == 2 * data.count(b"\n")
        assert report.input_bytes == report.output_bytes == 2 * len(data)
        assert 0 < report.runs_in_memory < report.runs
        assert 0 < report.spilled_bytes < 2 * report.output_bytes
        assert report.disk_bytes_peak > 0
        assert report.passes == report.predicted["passes"] == 1
        assert abs(report.runs - report.predicted["runs"]) <= 2
        assert report.stages["merge"].bytes == report.output_bytes
        assert report.as_dict()["records"] == report.records


def test_a_sort_that_fits_touches_no_disk() -> None:
    data = random_lines(5000, 14)
    with tiny.machine(managed_bytes=4096 * KIB) as machine:
        machine.sort(data, threads=2, max_disk=0)
        assert machine.report.spilled_bytes == machine.report.disk_bytes_peak == 0
        assert machine.report.runs == machine.report.runs_in_memory


def test_spills_only_what_memory_cannot_hold() -> None:
    """A run is spilled when its room is wanted, not as soon as there is a run."""
    data = random_lines(12_000, 15)
    with tiny.machine(managed_bytes=400 * KIB) as machine:
        machine.sort(data, threads=1)
        report = machine.report
        assert report.predicted["runs_in_memory"] >= 5
        assert report.runs_in_memory >= report.predicted["runs_in_memory"] - 1


# --- errors: the old output stands, and nothing stays behind


class Failing:
    """A machine with an old output, which a job that fails must leave alone."""

    def __init__(self, machine: tiny.Machine) -> None:
        self.machine = machine
        machine.output.write_bytes(b"the old output")

    def sort(self, error: type[Exception], match: str, inputs: bytes | Sequence[bytes], **choices: Any) -> None:
        with pytest.raises(error, match=match or None):
            self.machine.sort(inputs, **choices)
        assert self.machine.output.read_bytes() == b"the old output"
        assert self.machine.left_behind() == []


@pytest.mark.parametrize("max_disk", [0, 4096, 30_000, 100_000, 150_000])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_disk_limit(max_disk: int, threads: int) -> None:
    data = random_lines(8000, 16)
    with tiny.machine(managed_bytes=BUDGETS[0]) as machine:
        Failing(machine).sort(DiskLimitError, "", data, max_disk=max_disk, threads=threads)
        Failing(machine).sort(DiskLimitError, "", b"l" * 300_000, max_disk=max_disk, threads=threads)
    with tiny.machine(managed_bytes=BUDGETS[0]) as machine:
        assert machine.sort(data, max_disk="10MiB", threads=threads) == tiny.sorted_bytes(data)


@pytest.mark.parametrize("at_call", [0, 1, 5, 12, 20, 40, 60])
@pytest.mark.parametrize("managed", [BUDGETS[0], BUDGETS[3]])
def test_a_disk_that_fills_up_at_any_moment(at_call: int, managed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While spilling, merging passes, or writing the output."""
    real, calls = platform_files.write_exactly, itertools.count()

    def write_exactly(fd: int, view: memoryview, offset: int) -> None:
        if next(calls) >= at_call:
            raise OSError(errno.ENOSPC, "injected")
        real(fd, view, offset)

    data = random_lines(8000, 17)
    with tiny.machine(managed_bytes=managed) as machine:
        monkeypatch.setattr(platform_files, "write_exactly", write_exactly)
        Failing(machine).sort(DiskFullError if at_call else TempDirError, "", data, threads=2)


@pytest.mark.parametrize("at_call", [0, 1, 7, 30, 60])
@pytest.mark.parametrize("managed", [BUDGETS[0], BUDGETS[2], BUDGETS[3]])
def test_a_disk_that_cannot_be_read_at_any_moment(at_call: int, managed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = platform_files.read_exactly, itertools.count()

    def read_exactly(fd: int, view: memoryview, offset: int) -> int:
        if next(calls) >= at_call:
            raise OSError(errno.EIO, "injected")
        return real(fd, view, offset)

    data = random_lines(8000, 18)
    with tiny.machine(managed_bytes=managed) as machine:
        monkeypatch.setattr(platform_files, "read_exactly", read_exactly)
        Failing(machine).sort(OSError, "", data, threads=2)


@pytest.mark.parametrize("at_call", [0, 1, 6])
def test_an_error_in_a_sorting_thread(at_call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = run_builder.MemoryRun, itertools.count()

    def broken(*args: Any) -> run_builder.MemoryRun:
        if next(calls) == at_call:
            raise ZeroDivisionError("injected")
        return real(*args)

    with tiny.machine() as machine:
        monkeypatch.setattr(run_builder, "MemoryRun", broken)
        Failing(machine).sort(ZeroDivisionError, "injected", random_lines(8000, 19), threads=2)


@pytest.mark.parametrize("at_call", [0, 1, 5, 11])
@pytest.mark.parametrize("managed", [BUDGETS[0], BUDGETS[3]])
def test_an_error_in_a_merging_thread(at_call: int, managed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = RangeMerge._close_target, itertools.count()

    def broken(merge: RangeMerge, flags: int = 0) -> None:
        if next(calls) == at_call:
            raise ZeroDivisionError("injected")
        real(merge, flags)

    with tiny.machine(managed_bytes=managed) as machine:
        monkeypatch.setattr(RangeMerge, "_close_target", broken)
        Failing(machine).sort(ZeroDivisionError, "injected", random_lines(12_000, 20), threads=2)


class Canceller:
    """Watches a job, and has it cancelled when it has moved so many bytes."""

    def __init__(self, size_bytes: int) -> None:
        self.job: asyncio.Task[Any]
        self._left = size_bytes

    def start(self, plan: SortPlan) -> None:
        self.advance(0)

    def advance(self, size_bytes: int) -> None:
        self._left -= size_bytes
        if self._left <= 0:
            asyncio.get_running_loop().call_soon(self.job.cancel)


@pytest.mark.parametrize("percent", [0, 1, 20, 50, 90, 101, 120, 150, 180, 195])
@pytest.mark.parametrize("managed", [BUDGETS[0], BUDGETS[3]])
def test_a_job_that_is_cancelled_at_any_moment(percent: int, managed: int) -> None:
    """While reading, up to a hundred, and while merging, up to two hundred or more."""
    data = random_lines(8000, 22) + b"l" * 100_000 + b"\n"
    with tiny.machine(managed_bytes=managed) as machine:
        machine.output.write_bytes(b"the old output")
        names = [str(path) for path in machine.write(data)]
        options = SortOptions(temp_dirs=[str(machine.temp_dir)], threads=2)

        async def cancel() -> None:
            watcher = Canceller(len(data) * percent // 100)
            watcher.job = asyncio.create_task(engine.sort(names, str(machine.output), options, watcher=watcher))
            with pytest.raises(asyncio.CancelledError):
                await watcher.job

        tiny.run(cancel())
        assert machine.output.read_bytes() == b"the old output"
        assert machine.left_behind() == []


def test_records_that_do_not_fill_their_file() -> None:
    with tiny.machine() as machine:
        failing = Failing(machine)
        failing.sort(RecordFormatError, "1 are left over", bytes(12 * 5000 + 1), **SERIAL)
        failing.sort(RecordFormatError, r"input1: .*11 are left over", [bytes(12), bytes(11)], **SERIAL)
        failing.sort(RecordFormatError, "input0", [bytes(7), bytes(5)], **SERIAL)


def test_names_that_lead_nowhere() -> None:
    with tiny.machine() as machine:
        for inputs, output, error in (
            ([machine.directory / "missing"], machine.output, FileNotFoundError),
            ([machine.directory], machine.output, IsADirectoryError),
            (machine.write(b"x\n"), machine.directory, IsADirectoryError),
            (machine.write(b"x\n"), machine.directory / "missing" / "output", FileNotFoundError),
        ):
            with pytest.raises(error):
                shuffle.sort_file(inputs, output, temp_dirs=[machine.temp_dir])
        with pytest.raises(OSError):
            shuffle.sort_file(machine.write(b"x\n"), machine.output, temp_dirs=[machine.directory / "missing"])
        assert not machine.output.exists()


def test_choices_that_make_no_sense() -> None:
    for choices in (
        {"threads": 0},
        {"limit": -1},
        {"max_disk": "-1"},
        {"record_bytes": 0},
        {"record_bytes": 10, "key_offset": 10},
        {"key_offset": 3},
        {"delimiter": b"ab"},
        {"delimiter": b""},
        {"memory": "plenty"},
    ):
        with pytest.raises(ValueError):
            shuffle.sort_file("nowhere", "nowhere", **choices)  # type: ignore[arg-type]


def test_too_little_memory_is_said_before_anything_is_touched(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"b\na\n")
    with pytest.raises(MemoryConfigurationError, match="the floor is"):
        shuffle.sort_file(tmp_path / "input", tmp_path / "output", memory="1MiB", temp_dirs=[tmp_path])
    assert [path.name for path in tmp_path.iterdir()] == ["input"]


def test_at_the_floor_with_no_tricks(tmp_path: Path) -> None:
    """The real constants, and the least memory a library call may have."""
    data = random_lines(100_000, 21, length=60)
    (tmp_path / "input").write_bytes(data)
    report = shuffle.sort_file(tmp_path / "input", tmp_path / "output", memory="40MiB", temp_dirs=[tmp_path])
    assert (tmp_path / "output").read_bytes() == tiny.sorted_bytes(data)
    assert report.passes == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input", "output"]


def test_one_temp_dir_may_be_named_alone(tmp_path: Path) -> None:
    assert make_options(temp_dirs=str(tmp_path)).temp_dirs == (str(tmp_path),)
    assert make_options(temp_dirs=tmp_path).temp_dirs == make_options(temp_dirs=[tmp_path]).temp_dirs
