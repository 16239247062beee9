"""A signal ends what is stoppable, wherever it meets it, and nothing is said about what it broke off."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from io_manager.doomed import doom
from shuffle import event_loop, stop_signals
from shuffle.stop_signals import STOP_SIGNALS, Stopped, run_to_end, stoppable

SECONDS_MAX = 30


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """After a signal the others are heeded no more, until the process ends: this one goes on."""
    before, hook = {number: signal.getsignal(number) for number in STOP_SIGNALS}, sys.unraisablehook
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook


class Trap:
    """The signal comes while it is finalized."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


class HalfMade:
    """Cannot be finalized, as what an interrupt met in its constructor."""

    def __del__(self) -> None:
        raise AttributeError("_socket")


async def coroutine() -> None:
    """Never awaited."""


def test_one_that_is_lost_in_a_finalizer_comes_again(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Stopped) as stopped, stoppable():
        Trap()
        threading.Event().wait(SECONDS_MAX)
        raise AssertionError("it went on")
    assert stopped.value.code == 143
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_what_is_half_made_is_not_reported(capfd: pytest.CaptureFixture[str], number: int) -> None:
    with pytest.raises(Stopped) as stopped, stoppable():
        try:
            os.kill(os.getpid(), number)
            threading.Event().wait(SECONDS_MAX)
        finally:
            HalfMade()
            coroutine()
    assert stopped.value.code == 128 + number
    assert capfd.readouterr() == ("", "")


def test_what_nobody_has_noted_yet_is_removed(tmp_path: Path) -> None:
    with pytest.raises(Stopped), stoppable():
        doom(tmp_path / "made", Path.unlink)
        doom(tmp_path / "never made", Path.unlink)
        (tmp_path / "made").touch()
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(SECONDS_MAX)
    assert list(tmp_path.iterdir()) == []


def test_without_a_signal_all_is_as_before() -> None:
    before = [*map(signal.getsignal, STOP_SIGNALS), sys.unraisablehook]
    with pytest.raises(ZeroDivisionError), stoppable():
        raise ZeroDivisionError
    assert [*map(signal.getsignal, STOP_SIGNALS), sys.unraisablehook] == before


# --- a job on a loop of its own


async def waiting() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(SECONDS_MAX)
    raise AssertionError("it went on")


async def signalled_as_the_loop_closes() -> int:
    loop = asyncio.get_running_loop()
    close = loop.shutdown_asyncgens

    async def signalled() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await close()

    loop.shutdown_asyncgens = signalled  # type: ignore[method-assign]
    return 7


def test_a_job_is_cancelled(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Stopped) as stopped:
        run_to_end(waiting())
    assert stopped.value.code == 143
    assert capfd.readouterr() == ("", "")


def test_a_signal_before_the_loop_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly() -> asyncio.AbstractEventLoop:
        os.kill(os.getpid(), signal.SIGHUP)
        return asyncio.new_event_loop()

    monkeypatch.setattr(event_loop, "new_event_loop", slowly)
    with pytest.raises(Stopped) as stopped:
        run_to_end(asyncio.sleep(SECONDS_MAX))
    assert stopped.value.code == 129


def test_a_signal_when_the_job_is_done_comes_too_late(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_to_end(signalled_as_the_loop_closes()) == 7
    assert capfd.readouterr() == ("", "")


def test_one_that_comes_while_another_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is cancelled, and once."""

    class Numbers(list[int]):
        def append(self, number: int) -> None:
            super().append(number)
            if len(self) == 1:
                os.kill(os.getpid(), signal.SIGINT)  # its handler runs before this returns

    class Flooded(stop_signals._Signals):
        def __init__(self, stop: Callable[[], object]) -> None:
            super().__init__(lambda: (stops.append(1), stop()))
            self._numbers = Numbers()

    stops: list[int] = []
    monkeypatch.setattr(stop_signals, "_Signals", Flooded)
    with pytest.raises(Stopped) as stopped:
        run_to_end(waiting())
    assert stopped.value.code == 143 and stops == [1]
