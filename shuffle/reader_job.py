"""What the jobs have in common that give their rows to a reader: means taken at the start, given back at the end."""

from contextlib import AsyncExitStack
from typing import Any, Protocol, TypeVar

from shuffle.engine import everything_ended
from shuffle.means import Means, open_means
from shuffle.options import SortOptions
from shuffle.plan import SortPlan, make_plan
from shuffle.surroundings import look_around_for_rows

T_co = TypeVar("T_co", covariant=True)


class Reader(Protocol[T_co]):
    """What a job gives out, some at a time; on the job's event loop."""

    async def next(self) -> T_co | None:
        """Some more, good until the next; None at the end."""

    async def close(self) -> None:
        """Give back what reading takes. Idempotent."""


class ReaderJob:
    """Open, then read as often as wanted, then close; on one event loop. One reader at a time."""

    def __init__(self, options: SortOptions) -> None:
        self._options = options
        self._stack = AsyncExitStack()
        self._reader: Reader[Any] | None = None

    async def open(self) -> SortPlan:
        """Plan, and take temp directories and threads. Raises what a plan raises, and what directories do."""
        plan = make_plan(self._options, look_around_for_rows(self._options))
        try:
            self._means = await open_means(plan, self._options, self._stack)
        except BaseException:
            await self._stack.aclose()
            raise
        return plan

    @property
    def means(self) -> Means:
        """Plan, memory, disk and threads of the job, between `open` and `close`."""
        return self._means

    def check_unread(self) -> None:
        """Nobody reads: there is memory for one merge."""
        assert self._reader is None, "one reader at a time: there is memory for one merge"

    async def end_reading(self) -> None:
        """Close the reader, if there is one."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()

    async def close(self) -> None:
        """Give everything back, wherever the job stands. Idempotent."""
        await self.end_reading()
        async with everything_ended(self._stack):
            pass
