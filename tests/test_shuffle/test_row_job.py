"""Rows in, rows out in order, as often as asked: in memory, spilled, longer than buffers, and after errors."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serializers import rows
from shuffle import SortOptions
from shuffle.row_job import RowJob
from tests import naive, tiny

KIB = 1 << 10


@dataclass
class Rows:
    data: NDArray[np.uint8]
    ends: NDArray[np.uint32]


def pack(batch: Sequence[bytes]) -> Rows:
    """Rows as a codec hands them over, with noise behind them."""
    data = np.frombuffer(b"".join(batch) + b"\xa5" * 64, np.uint8)
    return Rows(data, np.cumsum([len(row) for row in batch], dtype=np.uint32))


def make_rows(rng: random.Random, count: int, *, key_varies: bool, value_bytes: int = 30) -> list[bytes]:
    """Keys with many duplicates and prefixes; each value tells the place of its row."""
    made = []
    for place in range(count):
        key = bytes(rng.choice(b"ab\0") for _ in range(rng.randrange(6) if key_varies else 4))
        value = b"%08d" % place + rng.randbytes(rng.randrange(value_bytes))
        made.append(naive.make_row(key, value, key_varies=key_varies))
    return made


def in_order(records: Sequence[bytes], *, key_varies: bool, reverse: bool = False) -> list[bytes]:
    layout = rows(None if key_varies else 4)
    return naive.stable_sort(records, layout.key, reverse=reverse)


async def read_all(job: RowJob) -> bytes:
    reader = await job.read()
    found = bytearray()
    while (view := await reader.next()) is not None:
        assert len(view.obj) >= len(view) + 64 if isinstance(view.obj, bytearray) else True
        found += view
    await job.end_reading()
    return bytes(found)


async def sort_rows(
    records: Sequence[bytes], options: SortOptions, *, batch: int = 100, passes: int = 2
) -> list[bytes]:
    """What reading gives, each time."""
    job = RowJob(options)
    try:
        await job.open()
        for start in range(0, len(records), batch):
            await job.put(pack(records[start : start + batch]))
        report = await job.finish()
        assert report.records == len(records) and report.input_bytes == sum(map(len, records))
        return [await read_all(job) for _ in range(passes)]
    finally:
        await job.close()


@pytest.mark.parametrize("managed", [96 * KIB, 2048 * KIB], ids=["spilling", "in memory"])
@pytest.mark.parametrize("key_varies", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_sorted_and_stable_every_time(seed: int, reverse: bool, key_varies: bool, managed: int) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    records = make_rows(rng, rng.choice([1, 10, 3000, 12000]), key_varies=key_varies)
    options_ = {"layout": rows(None if key_varies else 4), "reverse": reverse, "threads": rng.choice([1, 2])}
    with tiny.machine(managed_bytes=managed) as machine:
        options = SortOptions(**options_, temp_dirs=(str(machine.temp_dir),))  # type: ignore[arg-type]
        wanted = b"".join(in_order(records, key_varies=key_varies, reverse=reverse))
        assert tiny.run(sort_rows(records, options)) == [wanted, wanted]


def test_no_rows_at_all() -> None:
    with tiny.machine() as machine:
        options = SortOptions(layout=rows(None), temp_dirs=(str(machine.temp_dir),))
        assert tiny.run(sort_rows([], options)) == [b"", b""]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_rows_longer_than_blocks_and_buffers(seed: int, reverse: bool) -> None:
    """Long keys that agree for blocks, long values behind equal short keys, whole buffers of one row."""
    print("seed", seed)
    rng = random.Random(seed)
    records = make_rows(rng, 800, key_varies=True)
    for _ in range(25):
        key = rng.choice([b"a", b"ab", b"ab" * rng.choice([10, 3000, 9000, 30000])]) + rng.choice([b"", b"x", b"y"])
        value = b"%05d" % rng.randrange(10**5) * rng.choice([1, 2000, 15000])
        records.insert(rng.randrange(len(records)), naive.make_row(key, value, key_varies=True))
    with tiny.machine(managed_bytes=256 * KIB) as machine:
        options = SortOptions(layout=rows(None), reverse=reverse, threads=2, temp_dirs=(str(machine.temp_dir),))
        found = tiny.run(sort_rows(records, options, batch=rng.choice([7, 90])))
    assert found == [b"".join(in_order(records, key_varies=True, reverse=reverse))] * 2


def test_long_rows_of_any_bytes_in_several_passes() -> None:
    """In the middle of a row stands nothing that looks like the beginning of one."""
    rng = random.Random(4)
    records = [naive.make_row(b"%03d" % rng.randrange(50), b"\xff" * 60_000, key_varies=True) for _ in range(60)]
    with tiny.machine(managed_bytes=128 * KIB) as machine:
        options = SortOptions(layout=rows(None), temp_dirs=(str(machine.temp_dir),))
        assert tiny.run(sort_rows(records, options, batch=1)) == [b"".join(in_order(records, key_varies=True))] * 2


def test_closed_at_any_moment(tmp_path: Path) -> None:
    """Before anything, with rows put, while reading, twice: everything comes home (the machine looks)."""
    records = make_rows(random.Random(1), 9000, key_varies=True)

    async def stop_after(steps: int) -> None:
        job = RowJob(options)
        with suppress(_EnoughError):
            if steps == 0:
                raise _EnoughError
            await job.open()
            for start in range(0, 9000, 1000):
                await job.put(pack(records[start : start + 1000]))
                if steps == 1:
                    raise _EnoughError
            if steps == 2:
                raise _EnoughError
            await job.finish()
            reader = await job.read()
            for _ in range(steps - 3):
                await reader.next()
        await job.close()
        await job.close()

    with tiny.machine(managed_bytes=96 * KIB) as machine:
        options = SortOptions(layout=rows(None), threads=2, temp_dirs=(str(machine.temp_dir),))
        for steps in range(8):
            tiny.run(stop_after(steps))
            assert machine.left_behind() == []


class _EnoughError(Exception):
    pass


def test_a_full_disk_reaches_whoever_puts_or_finishes() -> None:
    records = make_rows(random.Random(2), 9000, key_varies=True)

    async def put_all(job: RowJob) -> None:
        for start in range(0, 9000, 500):
            await job.put(pack(records[start : start + 500]))
        await job.finish()

    async def fill_up() -> None:
        job = RowJob(options)
        await job.open()
        try:
            with pytest.raises(OSError, match="--max-disk"):
                await put_all(job)
            with pytest.raises(OSError, match="--max-disk"):
                await job.finish()
        finally:
            await job.close()

    with tiny.machine(managed_bytes=96 * KIB) as machine:
        options = SortOptions(layout=rows(None), disk_bytes_max=30_000, temp_dirs=(str(machine.temp_dir),))
        tiny.run(fill_up())


def test_cancelled_while_putting() -> None:
    records = make_rows(random.Random(3), 9000, key_varies=True)

    async def cancel_late() -> None:
        job = RowJob(options)
        await job.open()

        async def put_all() -> None:
            for start in range(0, 9000, 500):
                await job.put(pack(records[start : start + 500]))

        task = asyncio.create_task(put_all())
        for _ in range(9):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await job.close()

    with tiny.machine(managed_bytes=96 * KIB) as machine:
        options = SortOptions(layout=rows(None), temp_dirs=(str(machine.temp_dir),))
        tiny.run(cancel_late())
