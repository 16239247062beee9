"""An event loop of our own, so that plain Python can wait for the engine, wherever it runs: in a loop too."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class EngineThread:
    """Runs coroutines on one loop. A daemon: it does not keep the process alive."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="spillway-engine", daemon=True)
        self._thread.start()

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

        self._loop.call_soon_threadsafe(start)
        try:
            is_done.wait()
        except BaseException:
            self._loop.call_soon_threadsafe(lambda: tasks[0].cancel())
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
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()
