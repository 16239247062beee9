"""What everything that combines pairs before the sort has in common: counts, and a judgement whether it pays."""

from __future__ import annotations

import logging

SAMPLE_PAIRS = 1 << 17
WORTH = 0.1
"""At least so many of the pairs of a sample must have gone: combining costs less than the sort, but not nothing."""

_log = logging.getLogger(__name__)


class Combining:
    """Combines the pairs of one map task. `note` says why it gave up; "" as long as it has not."""

    def __init__(self, task: str) -> None:
        self._task = task
        self.pairs_in = self.pairs_out = 0
        self.note = ""

    def judge(self, pairs_in: int, pairs_out: int) -> None:
        """Give up if so many pairs have come to almost as many."""
        gone = pairs_in - pairs_out
        if not self.note and pairs_in >= SAMPLE_PAIRS and gone < WORTH * pairs_in:
            self.give_up(f"only {gone} of {pairs_in} pairs could be combined")

    def give_up(self, why: str) -> None:
        """Combine no more."""
        self.note = why
        _log.info("%s: no pairs are combined any more: %s", self._task, why)


__all__ = ["Combining"]
