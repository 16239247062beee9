"""Jobs in processes of their own, to be met by a signal at a known moment."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.test_cli import SECONDS_MAX, SPILLWAY, Place

STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
Process = subprocess.Popen[bytes]


def heed_everything() -> None:
    """Whoever started the tests may ignore signals (nohup does), and its children would."""
    for number in STATUSES:
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def running(place: Place, *words: object, preexec_fn: Callable[[], object] = heed_everything) -> Iterator[Process]:
    """A job with its streams in our hands."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [*SPILLWAY, *place.arguments(*words)]
    with subprocess.Popen(command, preexec_fn=preexec_fn, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def until(process: Process, condition: Callable[[], object]) -> None:
    """Wait until it is so, as long as the job runs."""
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.001)


def partial(output: Path) -> Path | None:
    """The output in the making."""
    return next(output.parent.glob(f".{output.name}.*.partial"), None)


def feed_and_stop(process: Process, data: bytes, output: Path, has_begun: Callable[[], object]) -> None:
    """Give it all `data`; as soon as `has_begun` it stands still, its output half written."""
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.close()
    process.stdin = None
    until(process, has_begun)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert partial(output) is not None, "it was too quick to be stopped"


def check_quiet_end(process: Process, status: int) -> None:
    """It ends so, and says nothing."""
    stdout, stderr = process.communicate(timeout=SECONDS_MAX)
    assert (process.returncode, stdout, stderr) == (status, b"", b"")
