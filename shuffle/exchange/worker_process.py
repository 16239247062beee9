"""A worker process as the driver sees it: started, spoken to, found dead, ended.

It is a new interpreter, not a fork, so that threads and locks of the driver are none of its concern; and not a
`multiprocessing` process, so that a script needs no guard around its main part.
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

from shuffle.exchange.worker import STOP_SECONDS, WorkerSetup

_CODE = """
import pickle, sys
from multiprocessing.connection import Connection
connection = Connection({descriptor})
sys.path[:], sys.argv[:] = pickle.loads(connection.recv_bytes())
from shuffle.exchange.worker import main
main(connection)
"""

_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""There is a worker for every core already."""

_FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""pyarrow's own allocator keeps tens of MiB of what was freed, which is much of a worker's memory."""


class WorkerProcess:
    """One running worker. `connection` becomes ready when it has an outcome, or is dead."""

    def __init__(self, setup: WorkerSetup) -> None:
        """Start it, without waiting. Raises OSError if the system has no room for another process."""
        ours, theirs = socket.socketpair()
        with theirs:
            self.connection = Connection(ours.detach())
            code = _CODE.format(descriptor=theirs.fileno())
            try:
                with _interrupts_held():
                    self._process = subprocess.Popen(
                        [sys.executable, "-c", code],
                        stdin=subprocess.DEVNULL,
                        pass_fds=[theirs.fileno()],
                        env={**_FRUGAL, **os.environ, **dict.fromkeys(_ONE_THREAD, "1")},
                    )
            except BaseException:
                self.connection.close()
                raise
        self.send(pickle.dumps((sys.path, sys.argv)))
        self.send(pickle.dumps(setup))

    @property
    def process_id(self) -> int:
        """Of the worker."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it has not ended yet, for all we know."""
        return self._process.poll() is None

    def send(self, message: bytes) -> None:
        """Give it a task. That it died meanwhile shows when its outcome is received."""
        with suppress(OSError):
            self.connection.send_bytes(message)

    def receive(self) -> bytes | None:
        """The outcome it has sent; None if it is dead, whatever it was about to say."""
        try:
            return self.connection.recv_bytes()
        except (EOFError, OSError):
            return None

    def stop(self) -> None:
        """Ask it to stop its task, and to end; `join` waits for that."""
        self._process.send_signal(signal.SIGTERM)
        self.connection.close()

    def dismiss(self) -> None:
        """Let it end, if it has nothing to do; `join` waits for that."""
        self.connection.close()

    def join(self) -> int:
        """Wait until it has ended, but not for ever: its exit code."""
        self.connection.close()
        try:
            return self._process.wait(STOP_SECONDS)
        except BaseException as error:  # an interrupt too: nobody will come back for it
            self._process.kill()
            code = self._process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                return code
            raise


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C goes to the whole process group: a worker begins with it blocked, until it can ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
