"""Batches from one source to the lanes of an aggregator, each lane in a thread of its own.

    source ──next(), one thread at a time──> parts ──> lane 0
                                                   └─> lane 1 ...

A part is some batches that only one thread reads, such as a row group of a file; what it takes to read them is then
shared out as well. The first error ends all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

Batch = TypeVar("Batch")

Part = tuple[Iterable[Batch], int]
"""Batches, and the number of the first record."""


def run_lanes(parts: Iterator[Part[Batch]], takers: list[Callable[[Batch, int], int]]) -> None:
    """Let each of `takers` take batches, called with (batch, number of its first record), until there are no more.

    They return how many records there were. The first taker runs in this thread. Raises what any of them raises, or
    the source does.
    """
    feed = _Feed(parts)
    threads = [threading.Thread(target=feed.serve, args=(taker,), name="spillway-aggregate") for taker in takers[1:]]
    for thread in threads:
        thread.start()
    try:
        feed.serve(takers[0])
    except BaseException as error:  # an interrupt between two batches: nothing was told yet
        feed.fail(error)
    finally:
        for thread in threads:
            thread.join()
    if feed.error is not None:
        raise feed.error


class _Feed(Generic[Batch]):
    def __init__(self, parts: Iterator[Part[Batch]]) -> None:
        self.error: BaseException | None = None
        self._parts = parts
        self._lock = threading.Lock()

    def serve(self, take: Callable[[Batch, int], int]) -> None:
        try:
            while (part := self._next()) is not None:
                batches, first_record = part
                for batch in batches:
                    first_record += take(batch, first_record)
                    if self.error is not None:
                        return
        except BaseException as error:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        with self._lock:
            if self.error is None:
                self.error = error

    def _next(self) -> Part[Batch] | None:
        with self._lock:
            return None if self.error is not None else next(self._parts, None)
