"""Which runs to merge with which, when there are more than one merge can take.

    runs      0 1 2 3 4 5 6 7 8        fan-in 4
    step 1    0 1 [2 3 4] 5 6 7 8      only as many as must go, so that the last merge is full ...
    step 2    0 1 M [5 6 7 8]          ... neighbours only, the fewest bytes first
    last      0 1 M N

Only neighbours are merged, so that the numbers of runs keep the order of the input, and ties with it. With n runs and a
fan-in of f, ceil((n - f) / (f - 1)) merges come before the last; the first takes the remainder and the others are full
(Knuth, The Art of Computer Programming, volume 3, section 5.4.9). Integers only: a rounded logarithm has ended in
endless merging elsewhere. More runs than the square of the fan-in are first merged level by level, all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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


def plan_merges(run_bytes: Sequence[int], *, fan_in: int, step_fan_in: int | None = None) -> MergePlan:
    """Bring the runs, given by their sizes in the order of the input, down to `fan_in` at least bytes' cost.

    A step merges `step_fan_in` runs at most (`fan_in` if None): smaller steps rewrite a little more, and lose less.
    """
    step_fan_in = fan_in if step_fan_in is None else min(fan_in, step_fan_in)
    assert step_fan_in >= 2, f"a merge takes two runs at least, not {step_fan_in}"
    draft = _Draft(run_bytes)
    while len(draft.sizes) > fan_in * step_fan_in:  # every run has to be merged once before the last merges begin
        for first in range(len(draft.sizes) // step_fan_in):
            draft.note_step(first, step_fan_in)
        draft.merge_all(step_fan_in)
    while (excess := len(draft.sizes) - fan_in) > 0:
        count = (excess - 1) % (step_fan_in - 1) + 2
        first = _cheapest_window(draft.sizes, count)
        draft.note_step(first, count)
        draft.merge_window(slice(first, first + count))
    return MergePlan(tuple(draft.steps), 1 + int(draft.depths.max(initial=0)), draft.rewritten_bytes)


class _Draft:
    """A plan in the making: sizes and depths of the runs as they will stand after its steps."""

    def __init__(self, run_bytes: Sequence[int]) -> None:
        self.sizes = np.array(run_bytes, np.int64)
        self.depths = np.zeros(len(self.sizes), np.int64)
        self.steps: list[MergeStep] = []
        self.rewritten_bytes = 0

    def note_step(self, first: int, count: int) -> None:
        self.steps.append(MergeStep(first, count))

    def merge_window(self, window: slice) -> None:
        """These neighbours become one."""
        merged_bytes, depth = int(self.sizes[window].sum()), int(self.depths[window].max()) + 1
        self.sizes = np.concatenate([self.sizes[: window.start], [merged_bytes], self.sizes[window.stop :]])
        self.depths = np.concatenate([self.depths[: window.start], [depth], self.depths[window.stop :]])
        self.rewritten_bytes += merged_bytes

    def merge_all(self, count: int) -> None:
        """Every `count` neighbours become one; what is left over at the end stays."""
        whole = len(self.sizes) // count * count
        merged = self.sizes[:whole].reshape(-1, count).sum(axis=1)
        depths = self.depths[:whole].reshape(-1, count).max(axis=1) + 1
        self.rewritten_bytes += int(merged.sum())
        self.sizes = np.concatenate([merged, self.sizes[whole:]])
        self.depths = np.concatenate([depths, self.depths[whole:]])


def _cheapest_window(sizes: NDArray[np.int64], count: int) -> int:
    """Where the `count` neighbours with the fewest bytes begin."""
    ends = np.concatenate([[0], np.cumsum(sizes)])
    return int(np.argmin(ends[count:] - ends[:-count]))
