"""An event loop of our own, so that plain Python can wait for the engine, wherever it runs: in a loop too."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from shuffle.event_loop import new_event_loop

T = TypeVar("T")


class EngineThread:
    """Runs coroutines on one loop. A daemon: it does not keep the process alive."""

    _loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        """Raises OSError if the system has no thread or no descriptors left for a loop."""
        self._refusal: BaseException | None = None
        self._has_started = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="spillway-engine", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            from io_manager.errors import ThreadLimitError  # and numpy, which `import shuffle` does without

            raise ThreadLimitError.reached() from error
        self._has_started.wait()
        if self._refusal is not None:
            raise self._refusal

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end: its result, or what it raises. From any thread but this one.

        Interrupted while waiting (Ctrl-C), cancel it, and wait until it has given back what it held.
        """
        tasks: list[asyncio.Task[T]] = []
        is_done = threading.Event()

        def start() -> None:
            task = self._loop.create_task(work)
            task.add_done_callback(lambda _: is_done.set())
            tasks.append(task)

        def cancel() -> None:
            if tasks:
                tasks[0].cancel()
            else:  # interrupted even before it was asked for
                work.close()
                is_done.set()

        try:
            self._loop.call_soon_threadsafe(start)
            is_done.wait()
        except BaseException:
            self._loop.call_soon_threadsafe(cancel)
            is_done.wait()
            raise
        return tasks[0].result()

    def end_with(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, then end the loop, without waiting for either."""

        def start() -> None:
            self._last = self._loop.create_task(work)
            self._last.add_done_callback(lambda _: self._loop.stop())

        self._loop.call_soon_threadsafe(start)

    def close(self) -> None:
        """End the loop. Idempotent."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _serve(self) -> None:
        try:
            self._loop = new_event_loop()  # here, where Ctrl-C cannot leave it half made
        except BaseException as error:
            self._refusal = error
            return
        finally:
            self._has_started.set()
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()
