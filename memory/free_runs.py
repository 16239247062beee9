"""Which segments of an arena are free, as runs of neighbours.

    |####|......|#|...........|###|
     extents ->          <- segments

Extents are cut from the lowest run that is long enough, single segments from the very top, so that the two
kinds of request do not chop up each other's room. Neighbouring runs always grow together again: an arena with
everything given back is one run.
"""

from bisect import bisect_left


class FreeRuns:
    """Segments 0 to `segment_count` - 1, all free at first."""

    __slots__ = ("_counts", "_starts", "free_count")

    def __init__(self, segment_count: int) -> None:
        self._starts = [0] if segment_count else []
        self._counts = [segment_count] if segment_count else []
        self.free_count = segment_count

    def runs(self) -> list[tuple[int, int]]:
        """(start, count) of every free run, in order."""
        return list(zip(self._starts, self._counts, strict=True))

    def take_run(self, count: int) -> int | None:
        """Take `count` neighbours and return the first; None if no run is long enough."""
        assert count > 0, count
        for at, run_count in enumerate(self._counts):
            if run_count >= count:
                return self._cut_front(at, count)
        return None

    def take_last(self) -> int:
        """Take the highest free segment."""
        assert self.free_count, "the budget lets nobody ask for a segment that is not there"
        self._counts[-1] -= 1
        index = self._starts[-1] + self._counts[-1]
        if not self._counts[-1]:
            del self._starts[-1], self._counts[-1]
        self.free_count -= 1
        return index

    def give(self, start: int, count: int) -> None:
        """Put `count` segments back, joined with the free neighbours on both sides."""
        at = bisect_left(self._starts, start)
        assert at == len(self._starts) or start + count <= self._starts[at], "segments given back twice"
        assert at == 0 or self._starts[at - 1] + self._counts[at - 1] <= start, "segments given back twice"
        self._starts.insert(at, start)
        self._counts.insert(at, count)
        self.free_count += count
        self._join(at)
        if at:
            self._join(at - 1)

    def _cut_front(self, at: int, count: int) -> int:
        start = self._starts[at]
        self._starts[at] += count
        self._counts[at] -= count
        if not self._counts[at]:
            del self._starts[at], self._counts[at]
        self.free_count -= count
        return start

    def _join(self, at: int) -> None:
        """Join run `at` with the next if they touch."""
        if at + 1 < len(self._starts) and self._starts[at] + self._counts[at] == self._starts[at + 1]:
            self._counts[at] += self._counts[at + 1]
            del self._starts[at + 1], self._counts[at + 1]
