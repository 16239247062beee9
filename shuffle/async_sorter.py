"""`Sorter` for programs with an event loop: the same work, in a thread, so that the loop goes on.

    async with shuffle.AsyncSorter(by="time") as sorter:
        async for batch in source:
            await sorter.add(batch)
        async for record in await sorter.finish():
            ...

Calls wait for each other. One that is cancelled finishes its work first, so that nothing is done by halves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack

from shuffle.report import SortReport
from shuffle.sorter import RecordChoices, SortedResult, Sorter

T = TypeVar("T")
R = TypeVar("R")


class AsyncSorter(Generic[T]):
    """Takes values, gives them back in order."""

    def __init__(self, **choices: Unpack[RecordChoices]) -> None:
        self._sorter: Sorter[T] = Sorter(**choices)
        self._turn = asyncio.Lock()

    async def add(self, values: Iterable[T]) -> None:
        """Take all `values`, which are iterated in another thread. Raises what `Sorter.add` does."""
        await self._run(lambda: self._sorter.add(values))

    async def finish(self) -> AsyncSortedResult[T]:
        """No more values: all of them, in order. Idempotent."""
        return AsyncSortedResult(await self._run(self._sorter.finish), self._run)

    async def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        await self._run(self._sorter.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, work: Callable[[], R]) -> R:
        async with self._turn:
            task = asyncio.ensure_future(asyncio.to_thread(work))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                await asyncio.wait([task])
                raise


class AsyncSortedResult(Generic[T]):
    """Sorted values, read from memory and disk each time they are iterated. Made by `AsyncSorter.finish`."""

    def __init__(self, result: SortedResult[T], run: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        self._result = result
        self._run = run

    async def __aiter__(self) -> AsyncIterator[T]:
        async for batch in self.batches():
            for value in batch:
                yield value

    async def batches(self) -> AsyncIterator[list[T]]:
        """The same in lists of some thousand values."""
        batches = self._result.batches()
        try:
            while batch := await self._run(lambda: next(batches, None)):
                yield batch
        finally:
            await self._run(batches.close)

    @property
    def report(self) -> SortReport:
        """What sorting took."""
        return self._result.report
