"""Bytes promised to an owner who keeps them elsewhere: a builder, a dictionary, a decoder's scratch.

    with manager.reserve("run 7") as reservation:
        if not reservation.try_grow(batch_bytes):
            spill()                             # frees what it wrote
            reservation.grow(batch_bytes)       # now it must fit, or the error says who holds what

Only the count is kept here. It is honest as long as the owner asks before he holds.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from memory.errors import MemoryBudgetError
from memory.sizes import format_size


class Reservation:
    """A share of a manager's budget that can grow and shrink; MemoryManager.reserve() makes them.

    `resize` is asked for every change and writes `size_bytes`, under the manager's lock.
    """

    __slots__ = ("_on_release", "_resize", "owner", "released", "size_bytes")

    def __init__(
        self,
        owner: str,
        *,
        resize: Callable[[Reservation, int], None],
        on_release: Callable[[Reservation], None],
    ) -> None:
        self.owner = owner
        self.size_bytes = 0
        self.released = False
        self._resize = resize
        self._on_release = on_release

    def __repr__(self) -> str:
        state = ", released" if self.released else ""
        return f"<Reservation of {self.owner!r}: {format_size(self.size_bytes)}{state}>"

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def grow(self, more_bytes: int) -> None:
        """Hold `more_bytes` more. Raises MemoryBudgetError, and changes nothing, if they are not free."""
        self._resize(self, _counted(more_bytes))

    def try_grow(self, more_bytes: int) -> bool:
        """Hold `more_bytes` more if they are free, and say whether they were."""
        try:
            self.grow(more_bytes)
        except MemoryBudgetError:
            return False
        return True

    def shrink(self, fewer_bytes: int) -> None:
        """Give `fewer_bytes` back. Raises ValueError for more than is held: nothing is credited twice."""
        self._resize(self, -_counted(fewer_bytes))

    def release(self) -> None:
        """Give everything back. A second release does nothing."""
        if not self.released:
            self._on_release(self)

    def retire(self) -> None:
        """Hold nothing from now on. For the manager, who does the crediting."""
        self.released = True
        self.size_bytes = 0


def _counted(size_bytes: int) -> int:
    if size_bytes < 0:
        raise ValueError(f"a reservation cannot change by {size_bytes} bytes: grow and shrink take a positive number")
    return size_bytes
