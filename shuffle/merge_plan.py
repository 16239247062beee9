"""Which runs to merge with which, when there are more than one merge can take.

    runs      0 1 2 3 4 5 6 7 8        fan-in 4
    step 1    0 1 [2 3 4] 5 6 7 8      only as many as must go, so that the last merge is full ...
    step 2    0 1 M [5 6 7 8]          ... neighbours only, the fewest bytes first
    last      0 1 M N

Only neighbours are merged, so that the numbers of runs keep the order of the input, and ties with it. With n runs and a
fan-in of f, ceil((n - f) / (f - 1)) merges come before the last; the first takes the remainder and the others are full
(Knuth, The Art of Computer Programming, volume 3, section 5.4.9). Integers only: a rounded logarithm has ended in
endless merging elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MergeStep:
    """Merge the runs at `first` to `first + count - 1` of the list as it then stands into one, in their place."""

    first: int
    count: int


@dataclass(frozen=True)
class MergePlan:
    """The steps before the last merge; how often a byte is merged at most, the last merge included; bytes rewritten."""

    steps: tuple[MergeStep, ...]
    passes: int
    rewritten_bytes: int


def plan_merges(run_bytes: Sequence[int], *, fan_in: int) -> MergePlan:
    """Bring the runs, given by their sizes in the order of the input, down to `fan_in` at least bytes' cost."""
    assert fan_in >= 2, f"a merge takes two runs at least, not {fan_in}"
    sizes, depths = list(run_bytes), [0] * len(run_bytes)
    steps: list[MergeStep] = []
    rewritten_bytes = 0
    while len(sizes) > fan_in:
        count = (len(sizes) - fan_in - 1) % (fan_in - 1) + 2
        first = _cheapest_window(sizes, count)
        window = slice(first, first + count)
        merged_bytes, depth = sum(sizes[window]), 1 + max(depths[window])
        sizes[window], depths[window] = [merged_bytes], [depth]
        steps.append(MergeStep(first, count))
        rewritten_bytes += merged_bytes
    return MergePlan(tuple(steps), 1 + max(depths, default=0), rewritten_bytes)


def _cheapest_window(sizes: Sequence[int], count: int) -> int:
    """Where the `count` neighbours with the fewest bytes begin."""
    total = best = sum(sizes[:count])
    first = 0
    for end in range(count, len(sizes)):
        total += sizes[end] - sizes[end - count]
        if total < best:
            best, first = total, end - count + 1
    return first
