"""A process under a limit of the system, in which jobs are attempted: what they came to, as JSON.

    python -m tests.test_reliability.limited RLIMIT_NOFILE 64 "sort lines" "shuffle objects"

With `+` before the number, descriptors are limited to so many more than are open once everything is loaded.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from io_manager.doomed import remove_doomed
from tests.test_reliability import jobs

SPARES = 8
"""Descriptors that come free when a job has ended."""


def descriptors() -> int:
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def under(limit: int, most: int) -> Iterator[None]:
    """The soft limit, and afterwards the old one: the test itself writes files too."""
    soft, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(limit, (soft, hard))


def job_with_spares(name: str) -> jobs.Job:
    """The job, with descriptors in use that come free when it has ended: whoever looks what is left needs some."""
    job, spares = jobs.job(name), [os.dup(2) for _ in range(SPARES)]

    def run(room: jobs.Room) -> Any:
        try:
            return job.run(room)
        finally:
            for fd in spares:
                os.close(fd)
            remove_doomed()  # as at the end of the process: a directory cannot be looked into without a descriptor

    return replace(job, run=run)


def outcome(name: str, scenery: AbstractContextManager[object]) -> str:
    """How a job ends: "right", or an error that says what is wrong."""
    try:
        error = jobs.attempt(job_with_spares(name), [], scenery=lambda room: scenery).error
    except jobs.Broken as broken:
        return f"BROKEN {broken}"
    return "right" if error is None else f"{type(error).__name__}: {error}"


def main(limit: str, number: str, *names: str) -> None:
    """Set the limit when everything is loaded."""
    for name in names:
        assert outcome(name, nullcontext()) == "right", f"{name} fails without a limit"
    most = int(number) + SPARES + (descriptors() if number.startswith("+") else 0)
    if limit == "RLIMIT_NOFILE":  # a job raises the soft limit as far as it may
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(json.dumps({name: outcome(name, under(getattr(resource, limit), most)) for name in names}))


if __name__ == "__main__":
    main(*sys.argv[1:])
