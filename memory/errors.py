"""What can go wrong with memory: one small family, each member under the builtin it is a kind of.

    MemoryError      MemoryBudgetError         more was asked for than is free
    ValueError       MemoryConfigurationError  the sizes given contradict each other
                     SegmentReleasedError      used after it was given back
                     SizeError                 a size nobody can read (defined beside the parser)
    RuntimeError     MemoryShutdownError       the manager or pool is closed
                     BufferLeakError           a pool was closed with buffers still out
    TimeoutError     PoolTimeoutError          no buffer came home in time

Every text ends in the cure. All of them survive pickling, for they cross process borders.
"""

from collections.abc import Mapping

from memory.sizes import SizeError, format_size

__all__ = [
    "BufferLeakError",
    "MemoryBudgetError",
    "MemoryConfigurationError",
    "MemoryShutdownError",
    "PoolTimeoutError",
    "SegmentReleasedError",
    "SizeError",
    "describe_holders",
]

HOLDERS_SHOWN = 8


class MemoryBudgetError(MemoryError):
    """More was asked for than is free. Nothing was changed: what the asker held before it still holds.

    `holders` maps each owner to the bytes it holds.
    """

    def __init__(
        self, owner: str, asked_bytes: int, free_bytes: int, total_bytes: int, holders: Mapping[str, int]
    ) -> None:
        super().__init__(owner, asked_bytes, free_bytes, total_bytes, dict(holders))
        self.owner = owner
        self.asked_bytes = asked_bytes
        self.free_bytes = free_bytes
        self.total_bytes = total_bytes
        self.holders = dict(holders)

    def __str__(self) -> str:
        asked, free, total = map(format_size, (self.asked_bytes, self.free_bytes, self.total_bytes))
        return (
            f"{self.owner!r} asked for {asked} ({self.asked_bytes} bytes); "
            f"{free} ({self.free_bytes} bytes) of {total} are free. {describe_holders(self.holders)} "
            "Raise the memory budget, or release some of these first."
        )


class MemoryConfigurationError(ValueError):
    """The memory sizes given contradict each other, or leave too little. The text lists each and its rule."""


class SegmentReleasedError(ValueError):
    """A segment, extent, buffer or reservation was used after its release."""


class MemoryShutdownError(RuntimeError):
    """The memory manager has been shut down, or the pool closed."""


class BufferLeakError(RuntimeError):
    """A pool was closed while buffers were out. Their memory has been taken back all the same."""


class PoolTimeoutError(TimeoutError):
    """No buffer came home before the time was up."""


def describe_holders(holders: Mapping[str, int]) -> str:
    """One sentence: who holds how much, the largest first."""
    if not holders:
        return "Nobody holds any."
    largest_first = sorted(holders.items(), key=lambda holder: (-holder[1], holder[0]))
    shown = [f"{owner!r} {format_size(size_bytes)}" for owner, size_bytes in largest_first[:HOLDERS_SHOWN]]
    if rest := largest_first[HOLDERS_SHOWN:]:
        shown.append(f"{len(rest)} others {format_size(sum(size_bytes for _, size_bytes in rest))}")
    return f"Held: {', '.join(shown)}."
