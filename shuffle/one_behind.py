"""Work that one thread does behind another's back: while the caller makes the next piece, this one is dealt with."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class OneBehind(Generic[T]):
    """Calls `work` for every piece, in order, in a thread of its own. Holds one piece besides the caller's next."""

    def __init__(self, work: Callable[[T], None], *, name: str) -> None:
        self._work = work
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._pending: Future[None] | None = None

    def put(self, piece: T) -> None:
        """Hand over a piece, once the one before is done. Raises what `work` raised for that."""
        self._settle()
        self._pending = self._thread.submit(self._work, piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Wait for the last piece. Raises what `work` raised, unless something else is being raised already."""
        try:
            if kind is None:
                self._settle()
        finally:
            self._thread.shutdown()

    def _settle(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()
