"""The event loop of a job: made whole, or refused in one sentence that says which limit to raise."""

import gc
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import io_manager.errors  # noqa: F401  what has to be said cannot be loaded when there is nothing to load it with
from shuffle import event_loop
from shuffle.engine_thread import EngineThread


async def nothing() -> int:
    return 7


def run_nothing() -> int:
    return event_loop.run(nothing())


@contextmanager
def descriptors(count: int) -> Iterator[None]:
    """So many more may be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.dup(2) for _ in range(count + 1)]
    for fd in free:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[count], hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def refusal_of(work: Callable[[], object], count: int) -> OSError | None:
    """With so many descriptors. What is left must be as many, when nobody has collected garbage yet."""
    with descriptors(count):
        try:
            work()
        except OSError as error:
            for fd in [os.dup(2) for _ in range(count)]:
                os.close(fd)
            return error
    return None


@pytest.mark.parametrize("work", [run_nothing, lambda: EngineThread().close()], ids=["loop", "thread"])
def test_without_descriptors_it_is_refused(work: Callable[[], object], capfd: pytest.CaptureFixture[str]) -> None:
    for count in range(event_loop.LOOP_DESCRIPTORS):
        error = refusal_of(work, count)
        assert error is not None and "event loop of a job: Too many open files" in str(error)
        assert "ulimit -n" in str(error)
    gc.collect()
    assert capfd.readouterr() == ("", "")
    assert refusal_of(work, event_loop.LOOP_DESCRIPTORS) is None


def test_it_runs_a_job() -> None:
    assert run_nothing() == 7
