"""Waiting for a pipe or a terminal in a thread, in a way that can be called off.

A thread inside read(2) on a terminal cannot be cancelled, and a job that waits for it cannot be interrupted.
So a thread polls first, for the descriptor and for a pipe of ours that `wake` writes to.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress

from io_manager import system
from io_manager.errors import IOManagerClosedError


class WaitCalledOff(IOManagerClosedError):
    """`wake` was called; nothing was read or written."""


class Waker:
    """One pipe to call off waits with; once called off, always called off."""

    def __init__(self) -> None:
        self._read_fd, self._write_fd = system.pipe()  # not inherited by children, as all that Python opens
        os.set_blocking(self._write_fd, False)

    def wake(self) -> None:
        """End every wait, now and later."""
        with suppress(BlockingIOError):
            if self._write_fd >= 0:
                system.write(self._write_fd, b"!")

    def wait_readable(self, fd: int) -> None:
        """Return when `fd` has bytes, an end or an error to read. Raises WaitCalledOff."""
        self._wait(fd, select.POLLIN, None)

    def wait_writable(self, fd: int) -> None:
        """Return when `fd` takes at least PIPE_BUF bytes, or has an error to tell. Raises WaitCalledOff."""
        self._wait(fd, select.POLLOUT, None)

    def pause(self, seconds: float) -> None:
        """Wait for nothing but `wake`. Raises WaitCalledOff."""
        self._wait(-1, 0, seconds)

    def _wait(self, fd: int, events: int, seconds: float | None) -> None:
        poll = select.poll()
        poll.register(self._read_fd, select.POLLIN)
        if fd >= 0:
            poll.register(fd, events)
        ready = poll.poll(None if seconds is None else seconds * 1000)
        if any(ready_fd == self._read_fd for ready_fd, _ in ready):
            raise WaitCalledOff("the wait was called off")

    def close(self) -> None:
        """Idempotent."""
        for name in ("_read_fd", "_write_fd"):
            fd = getattr(self, name)
            setattr(self, name, -1)
            if fd >= 0:
                system.close(fd)
