"""Past the page cache or through it: whichever takes a run sooner, as long as memory is free to hold it.

A spill file is written once, read once and deleted. Through the page cache it may never reach the disk at all, if there
is memory that nobody uses; then its price is two copies. Past the cache it costs the processor nearly nothing, and the
disk two transfers. Which is quicker depends on the disk and on the memory of the moment (1 MiB took from 0.2 to 2.5 ms
through the cache, and from 0.4 to 16 ms past it, on different machines and minutes), so it is measured: first one run
each way, then the quicker way, and the other once in a while.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TRY_OTHER_EVERY = 8
"""One run in so many goes the way that was slower last time: a disk gets busy, memory gets free."""

CACHE_SHARE = 4
"""At most a quarter of the memory that is free may be filled with spill files."""

SIDE_BY_SIDE = 2
"""Direct writes wait for the disk side by side, and cost half their time; a copy keeps a processor busy."""

_WEIGHT = 0.1


@dataclass
class WritePath:
    """Chooses for each run of a job. `memory_free_bytes` is what was free when the job began."""

    memory_free_bytes: int
    _runs: int = 0
    _seconds_per_byte: dict[bool, float] = field(default_factory=dict)

    def choose_direct(self, *, spilled_bytes: int, expected_bytes: int) -> bool:
        """Whether the next run, of `expected_bytes`, goes past the cache when `spilled_bytes` are on disk already."""
        if (spilled_bytes + expected_bytes) * CACHE_SHARE > self.memory_free_bytes:
            return True
        self._runs += 1
        cached, direct = (self._seconds_per_byte.get(way) for way in (False, True))
        if cached is None or direct is None:
            return cached is not None
        is_quicker = direct < cached * SIDE_BY_SIDE
        return is_quicker != (self._runs % TRY_OTHER_EVERY == 0)

    def note_write(self, *, direct: bool, size_bytes: int, seconds: float) -> None:
        """A block of `size_bytes` took `seconds`."""
        latest = seconds / max(1, size_bytes)
        known = self._seconds_per_byte.get(direct, latest)
        self._seconds_per_byte[direct] = known + _WEIGHT * (latest - known)
