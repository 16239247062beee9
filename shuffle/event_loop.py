"""The event loop that a job runs on, or one sentence that says why there is none."""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LOOP_DESCRIPTORS = 3
"""One to wait on, and a pair by which other threads wake it."""


def run(job: Coroutine[Any, Any, T]) -> T:
    """Run a job to its end on a loop of its own. Raises OSError, which names the limit, if there can be none."""
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(job)
    finally:
        job.close()  # of one that never began Python would complain


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop. Raises OSError, which names the limit, if there are no descriptors for one."""
    try:
        _look_for_descriptors()
        return asyncio.new_event_loop()
    except OSError as error:
        from io_manager.errors import cure_for, numbered  # and numpy, which `import shuffle` does without

        text = f"the event loop of a job: {error.strerror}. {cure_for(error.errno) or 'Run the job again.'}"
        raise numbered(OSError(text), error.errno) from error


def _look_for_descriptors() -> None:
    """First of all: half a loop would keep one, and Python complains of it on standard error."""
    found: list[int] = []
    try:
        for _ in range(LOOP_DESCRIPTORS):
            found.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for fd in found:
            os.close(fd)
