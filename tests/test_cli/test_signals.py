"""Stopped at any moment, a job leaves the old output and nothing else; killed outright, the next job cleans up.

A job that reads from our pipe cannot leave the phase in which it spills, so that a signal surely meets it there. To
meet it while it merges, it is stopped as soon as its output grows, and only then signalled.
"""

import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import cli
from tests.test_cli import OLD, SECONDS_MAX, SMALL_MEMORY, SPILLWAY, Place
from tests.test_cli.processes import (
    STATUSES,
    Process,
    check_quiet_end,
    feed_and_stop,
    heed_everything,
    partial,
    running,
    until,
)

MIB = 1 << 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Lines that do not fit `SMALL_MEMORY`."""
    path = tmp_path_factory.mktemp("data") / "data"
    assert cli.run(["gen", "--size", "100MiB", str(path)]) == cli.OK
    return path.read_bytes()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def sorting(place: Place, *, preexec_fn: Callable[[], object] = heed_everything) -> AbstractContextManager[Process]:
    """A job that sorts what we write to its standard input."""
    return running(place, "sort", "-S", SMALL_MEMORY, "--threads", 1, "-", place.output, preexec_fn=preexec_fn)


def feed_until_it_spills(process: Process, place: Place, data: bytes) -> int:
    """Bytes written: the job now waits for more, having spilled."""
    assert process.stdin is not None
    for fed in range(0, len(data), MIB):
        if any(place.temp.glob("spillway-*/run-*.spill")):
            return fed
        process.stdin.write(data[fed : fed + MIB])
    until(process, lambda: any(place.temp.glob("spillway-*/run-*.spill")))
    return len(data)


def stop_while_merging(process: Process, place: Place, data: bytes) -> None:
    """The job stands still, its output half written."""

    def has_begun() -> bool:
        made = partial(place.output)
        return made is not None and made.stat().st_size > 0

    feed_and_stop(process, data, place.output, has_begun)


@pytest.mark.parametrize("number", STATUSES, ids=lambda number: number.name)
def test_stopped_while_it_spills(place: Place, data: bytes, number: signal.Signals) -> None:
    with sorting(place) as process:
        feed_until_it_spills(process, place, data)
        process.send_signal(number)
        check_quiet_end(process, STATUSES[number])
    place.check_untouched()


@pytest.mark.parametrize("number", STATUSES, ids=lambda number: number.name)
def test_stopped_while_it_merges(place: Place, data: bytes, number: signal.Signals) -> None:
    with sorting(place) as process:
        stop_while_merging(process, place, data)
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        check_quiet_end(process, STATUSES[number])
    place.check_untouched()


@pytest.mark.parametrize("first", STATUSES, ids=lambda number: number.name)
def test_the_impatient_do_no_harm(place: Place, data: bytes, first: signal.Signals) -> None:
    """The status is that of the signal that is met first; however many follow, everything is cleaned up."""
    with sorting(place) as process:
        feed_until_it_spills(process, place, data)
        process.send_signal(first)
        deadline = time.monotonic() + SECONDS_MAX
        while process.poll() is None and time.monotonic() < deadline:
            for number in STATUSES:
                process.send_signal(number)
            time.sleep(0.0002)
        stdout, stderr = process.communicate(timeout=SECONDS_MAX)
    status = 128 - process.returncode if process.returncode < 0 else process.returncode  # as a shell has it
    assert status in STATUSES.values() and not stdout and not stderr, (status, stderr)
    place.check_untouched()


def test_what_nohup_ignores_stays_ignored(place: Place, data: bytes) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with sorting(place, preexec_fn=ignore) as process:
        fed = feed_until_it_spills(process, place, data)
        process.send_signal(signal.SIGHUP)
        assert process.stdin is not None
        process.stdin.write(data[fed:])
        check_quiet_end(process, cli.OK)
    assert place.output.stat().st_size == len(data)
    place.check_clean()


def test_killed_outright(place: Place, data: bytes) -> None:
    with sorting(place) as process:
        feed_until_it_spills(process, place, data)
        process.kill()
        check_quiet_end(process, -signal.SIGKILL)
    assert place.output.read_bytes() == OLD
    (left,) = place.temp.iterdir()
    assert any(left.glob("run-*.spill")) and partial(place.output) is not None
    source = place.write("lines", b"b\na\n")
    assert cli.run(place.arguments("sort", source, place.output)) == cli.OK
    assert place.output.read_bytes() == b"a\nb\n"
    place.check_clean()


@pytest.mark.parametrize(
    "pipeline",
    [
        "sort -S 192MiB -T {temp} {data} - | head -n 1",
        "sort -T {temp} {data} - | true",
        "gen --size 10MiB - | head -n 1",
        "check {data} | true",
        "explain {data} | true",
        "sort --help | true",
    ],
)
def test_nobody_reads_any_more(place: Place, pipeline: str) -> None:
    source = place.inputs / "data"
    assert cli.run(["gen", "--kind", "presorted", "--size", "10MiB", str(source)]) == cli.OK
    command = f"{shlex.join(SPILLWAY)} {pipeline.format(temp=place.temp, data=source)}; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=SECONDS_MAX, check=True)
    assert done.stdout.splitlines()[-1] == b"141" and not done.stderr.replace(b"-: 104,857 records, 10 MiB\n", b"")
    place.check_untouched()
