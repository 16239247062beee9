"""Many jobs at once on one temp directory, in one process and in many, one of them killed: each comes out right.

None touches what is another's, though all of them sweep as they start, at the same moment.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import shuffle
from io_manager.directories import JobDirectories
from io_manager.partial_file import make_partial, partial_path, sweep_partials
from shuffle import engine
from shuffle.files import make_options
from shuffle.partitioned.output_directory import OutputDirectory
from tests import tiny
from tests.test_reliability.amounts import amount, report, source
from tests.test_reliability.moments import Moment
from tests.test_reliability.stage import Stage

JOBS = 16
LINES = 3000
ROUNDS = amount(1, 25)


def made(number: int, round_number: int) -> bytes:
    """The input of one job, unlike any other's."""
    rng = source("concurrent", number, round_number)
    return b"".join(b"%02d %011d\n" % (number, rng.randrange(10**9)) for _ in range(LINES))


def in_order(data: bytes) -> bytes:
    return b"".join(sorted(data.splitlines(keepends=True)))


def in_threads(job: Callable[[int], None]) -> None:
    """All at once: they start when all are there. Raises what one of them raised."""
    barrier = threading.Barrier(JOBS)

    def begin(number: int) -> None:
        barrier.wait()
        job(number)

    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(begin, range(JOBS)))


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_threads_of_one_process(round_number: int) -> None:
    with tiny.machine() as machine:
        spill: Any = {"temp_dirs": [machine.temp_dir], "threads": 2}

        def job(number: int) -> None:
            data = made(number, round_number)
            path = machine.directory / f"input{number}"
            path.write_bytes(data)
            if number % 4 == 3:
                with shuffle.sort(data.splitlines(keepends=True), **spill) as result:
                    assert b"".join(result) == in_order(data)
            elif number % 4 == 2:
                parts = machine.directory / f"parts{number}"
                shuffle.shuffle_file(path, parts, partitions=3, partitioner="hash", **spill)
                found = [part.read_bytes() for part in sorted(parts.glob("part-*"))]
                assert found == [in_order(part) for part in found] and in_order(b"".join(found)) == in_order(data)
            else:
                output = machine.directory / f"output{number}"
                shuffle.sort_file(path, output, compress="lz4" if number % 4 else "none", **spill)
                assert output.read_bytes() == in_order(data)

        in_threads(job)
    report("16 jobs in threads", jobs=JOBS, wrong_outputs=0, leftovers=0)


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_tasks_of_one_event_loop(round_number: int) -> None:
    with tiny.machine() as machine:
        options = make_options(temp_dirs=[machine.temp_dir], threads=2)
        inputs = [made(number, round_number) for number in range(JOBS)]
        paths = machine.write(inputs)
        outputs = [machine.directory / f"output{number}" for number in range(JOBS)]

        async def jobs() -> None:
            async with asyncio.TaskGroup() as group:
                for path, output in zip(paths, outputs, strict=True):
                    group.create_task(engine.sort([str(path)], str(output), options))

        tiny.run(jobs())
        for data, output in zip(inputs, outputs, strict=True):
            assert output.read_bytes() == in_order(data)
    report("16 jobs on an event loop", jobs=JOBS, wrong_outputs=0, leftovers=0)


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_processes_of_which_one_is_killed(stage: Stage, tmp_path: Path, round_number: int) -> None:
    """Half of them write to outputs beside each other, and two to the very same one."""
    rng, temp = source("processes", round_number), tmp_path / "temp"
    temp.mkdir()
    victim = rng.randrange(JOBS)
    inputs = [made(number, round_number) for number in range(JOBS)]
    inputs[1] = inputs[0]
    outputs = [tmp_path / f"output{number}" for number in range(JOBS)]
    outputs[1] = outputs[0]
    running = []
    for number, (data, output) in enumerate(zip(inputs, outputs, strict=True)):
        path = tmp_path / f"input{number}"
        path.write_bytes(data)
        moment = Moment(rng.randrange(200), (signal.SIGKILL,)) if number == victim else None
        running.append(stage.start(["sort", "--threads", 2, "-T", temp, path, output], moment=moment))
    for number, process in enumerate(running):
        ended = stage.wait(process)
        if number == victim and ended.struck_at is not None:
            assert ended.status == 128 + signal.SIGKILL
            continue
        assert (ended.status, ended.log) == (0, ""), (number, ended)
        assert outputs[number].read_bytes() == in_order(inputs[number]), number
    again = stage.run(["sort", "-T", temp, tmp_path / f"input{victim}", outputs[victim]])
    assert (again.status, again.log) == (0, "")
    assert list(temp.iterdir()) == [] and list(tmp_path.glob(".*")) == []
    report("16 processes, one killed", jobs=JOBS + 1, kills=1, wrong_outputs=0, leftovers=0)


# --- start-up, again and again at the same moment


TIMES = amount(10, 300)


def test_directories_made_while_others_sweep(tmp_path: Path) -> None:
    def job(number: int) -> None:
        for _ in range(TIMES):
            directories = JobDirectories([tmp_path], max_disk_bytes=None, direct=False)
            assert all(not found.freed_bytes for found in directories.create())  # at most one that was just being made
            path = directories.choose(0).path
            assert (path / "owner.json").exists()
            directories.close()
            assert not path.exists()

    in_threads(job)
    assert list(tmp_path.iterdir()) == []


def test_partial_files_made_while_others_sweep(tmp_path: Path) -> None:
    target = tmp_path / "output"

    def job(number: int) -> None:
        for _ in range(TIMES):
            sweep_partials(target)
            path = partial_path(target)
            fd = make_partial(path)
            sweep_partials(target)
            os.write(fd, b"%d" % number)
            assert path.read_bytes() == b"%d" % number
            path.unlink()
            os.close(fd)

    in_threads(job)
    assert list(tmp_path.iterdir()) == []


def test_output_directories_made_while_others_sweep(tmp_path: Path) -> None:
    """The last to be published stands, whole."""

    def job(number: int) -> None:
        for _ in range(TIMES):
            directory = OutputDirectory(tmp_path / "output", mark="mark", overwrite=True)
            directory.open(None)
            for name in ("mark", "data"):
                (directory.partial / name).write_text(str(number))
            directory.publish()

    in_threads(job)
    (output,) = tmp_path.iterdir()
    assert (output / "mark").read_text() == (output / "data").read_text()
