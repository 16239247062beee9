"""Threads that finish in any order go on in the order they were numbered.

Compressed blocks get their place in the file only once their length is known, and must get it in block order.
Work is started in block order, so whoever a thread waits for is running already: it waits for a compression
at most.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turnstile:
    """Lets numbers 0, 1, 2... through, one at a time."""

    def __init__(self) -> None:
        self._moved = threading.Condition()
        self._next = 0
        self._error: BaseException | None = None

    @contextmanager
    def turn(self, number: int) -> Iterator[None]:
        """Wait until all lower numbers are through. Raises the error of whichever of them failed."""
        with self._moved:
            self._moved.wait_for(lambda: self._next == number or self._error is not None)
            if self._error is not None:
                raise self._error
            try:
                yield
            except BaseException as error:
                self._error = error
                raise
            finally:
                self._next += 1
                self._moved.notify_all()

    def fail(self, error: BaseException) -> None:
        """A number will never come: nobody waits for it any more."""
        with self._moved:
            self._error = self._error or error
            self._moved.notify_all()
