"""The part of an output that goes past the page cache: the bytes are those of a bytes twin, however writes are cut."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from io_manager import ALIGNMENT, IOThreads, OutputFile, output, platform_files
from tests.test_io_manager.harness import run

PAGES = 40
LENGTH = PAGES * ALIGNMENT + 1234


@pytest.fixture(autouse=True)
def direct_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small outputs are written as large ones are."""
    monkeypatch.setattr(output, "DIRECT_BYTES_MIN", 1)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[bool, int, int]]]:
    """Every write to a file: whether it was direct, where, how long."""
    made: list[tuple[bool, int, int]] = []
    real = platform_files.write_exactly

    def write_exactly(fd: int, view: memoryview, offset: int) -> None:
        flags = int(Path(f"/proc/self/fdinfo/{fd}").read_text().split("flags:")[1].split()[0], 8)
        if len(view):
            made.append((bool(flags & platform_files._O_DIRECT), offset, len(view)))
        real(fd, view, offset)

    monkeypatch.setattr(platform_files, "write_exactly", write_exactly)
    yield made


def needs_direct(directory: Path) -> None:
    """A file system that refuses is served through the cache; there is nothing to see there."""
    if not platform_files.direct_works(directory, "probe"):
        pytest.skip("this file system offers no direct I/O")


def placed(data: bytes, start_in_page: int) -> memoryview:
    """The same bytes, in memory that begins so far into a page."""
    room = platform_files.aligned_bytes(start_in_page + len(data))
    room[start_in_page:] = data
    return room[start_in_page:]


def cut(source: random.Random, length: int, parts: int) -> list[tuple[int, int]]:
    """Ranges that tile `length`: some end on a page, some share one, some lie within one."""
    ends = {source.randrange(1, length) for _ in range(parts)}
    ends |= {end // ALIGNMENT * ALIGNMENT for end in list(ends)[:3]} | {length}
    ends |= {end + source.randrange(1, 60) for end in list(ends)[:4] if end + 60 < length}
    ordered = sorted(ends - {0})
    return list(zip([0, *ordered], ordered, strict=False))


async def write_all(path: Path, data: bytes, ranges: list[tuple[int, int]], expected: int, *, shift: int = 0) -> None:
    """Write the ranges all at once, each in memory that agrees with its place in the file but for `shift`."""
    threads = IOThreads(4)
    try:
        async with OutputFile(path, threads=threads) as made:
            await made.open(expected)
            views = {start: placed(data[start:end], (start + shift) % ALIGNMENT) for start, end in ranges}
            await asyncio.gather(*(made.write(start, views[start]) for start, _ in ranges))
            await made.publish()
    finally:
        threads.close()


@pytest.mark.parametrize("seed", range(30))
def test_any_cut_gives_the_same_bytes(tmp_path: Path, writes: list[tuple[bool, int, int]], seed: int) -> None:
    needs_direct(tmp_path)
    source = random.Random(seed)
    data = source.randbytes(source.choice([1, ALIGNMENT - 1, ALIGNMENT, ALIGNMENT + 1, LENGTH, 3 * ALIGNMENT, 70_000]))
    ranges = cut(source, len(data), source.randrange(1, 30)) if len(data) > 100 else [(0, len(data))]
    source.shuffle(ranges)
    target = tmp_path / "out"
    writes.clear()
    run(write_all(target, data, ranges, source.choice([1, len(data), 2 * len(data)])))
    assert target.read_bytes() == data, (seed, ranges)
    assert list(tmp_path.iterdir()) == [target]
    for is_direct, offset, length in writes:
        if is_direct:
            assert offset % ALIGNMENT == length % ALIGNMENT == 0
        else:  # a page of the file that is written through the cache is never written past it
            pages = set(range(offset // ALIGNMENT, -(-(offset + length) // ALIGNMENT)))
            directly = [write for write in writes if write[0]]
            assert not any(pages & set(range(o // ALIGNMENT, (o + n) // ALIGNMENT)) for _, o, n in directly)


def test_whole_pages_go_past_the_cache_and_edges_through_it(
    tmp_path: Path, writes: list[tuple[bool, int, int]]
) -> None:
    needs_direct(tmp_path)
    data = random.Random(1).randbytes(LENGTH)
    writes.clear()
    run(write_all(tmp_path / "out", data, [(0, 5000), (5000, LENGTH)], LENGTH))
    assert sorted(writes, key=lambda write: write[1]) == [
        (True, 0, ALIGNMENT),
        (False, ALIGNMENT, 5000 - ALIGNMENT),
        (False, 5000, 2 * ALIGNMENT - 5000),
        (True, 2 * ALIGNMENT, (PAGES - 2) * ALIGNMENT),
        (False, PAGES * ALIGNMENT, 1234),
    ]


def test_memory_that_does_not_agree_goes_through_the_cache(tmp_path: Path, writes: list[tuple[bool, int, int]]) -> None:
    data = random.Random(2).randbytes(LENGTH)
    run(write_all(tmp_path / "out", data, [(0, 9000), (9000, LENGTH)], LENGTH, shift=8))
    assert (tmp_path / "out").read_bytes() == data
    assert not any(is_direct for is_direct, _, _ in writes)


def test_a_small_output_and_one_of_unknown_size_stay_in_the_cache(
    tmp_path: Path, writes: list[tuple[bool, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = random.Random(3).randbytes(LENGTH)
    run(write_all(tmp_path / "unknown", data, [(0, LENGTH)], 0))
    monkeypatch.setattr(output, "DIRECT_BYTES_MIN", LENGTH + 1)
    run(write_all(tmp_path / "small", data, [(0, LENGTH)], LENGTH))
    assert (tmp_path / "unknown").read_bytes() == (tmp_path / "small").read_bytes() == data
    assert not any(is_direct for is_direct, _, _ in writes)


def test_a_file_system_without_it_gets_the_same_bytes(
    tmp_path: Path, writes: list[tuple[bool, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform_files, "open_direct", lambda path: -1)
    data = random.Random(4).randbytes(LENGTH)
    run(write_all(tmp_path / "out", data, [(0, 4097), (4097, LENGTH)], LENGTH))
    assert (tmp_path / "out").read_bytes() == data and not any(is_direct for is_direct, _, _ in writes)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_abandoned_it_leaves_no_descriptor_and_no_file(tmp_path: Path) -> None:
    async def attempt() -> None:
        threads = IOThreads(2)
        async with OutputFile(tmp_path / "out", threads=threads) as made:
            await made.open(LENGTH)
            await made.write(0, placed(bytes(3 * ALIGNMENT), 0))
        threads.close()

    before = open_descriptors()
    run(attempt())
    assert open_descriptors() == before and not list(tmp_path.iterdir())
