"""Pairs of equal keys folded into one before they are sorted, in windows of the output of a map task.

    pairs ── window ──> dictionary ──> fewer pairs ──> rows
             window ──> dictionary ──>

Where a window ends depends on the pairs alone, never on memory or slots: so a fold that is not quite associative, such
as the sum of floats, gives the same to the last bit however a job runs. A combiner that takes out too little gives up.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from serializers.types import TypeInformation
from shuffle.exchange.folds import Fold, fold_into
from shuffle.exchange.mapped_pairs import MappedPairs
from shuffle.exchange.pair_rows import Pair
from shuffle.exchange.pair_type import PairType
from shuffle.operators.key_equality import is_equal_as_bytes

WINDOW_PAIRS = 1 << 20
"""Folded values may grow, as lists do: so even a window of few keys ends."""

_STEP_PAIRS = 1 << 12
"""Between two looks at how many keys there are."""

WINDOW_KEYS_FIRST = 1 << 10
WINDOW_KEYS_MAX = 1 << 16
WINDOW_BYTES = 4 << 20
"""As rows; as Python objects the pairs of a window take three to ten times as much."""

SAMPLE_PAIRS = 1 << 17
WORTH = 0.1
"""At least so many of the pairs of a sample must have gone: a dictionary costs less than the sort, but not nothing."""

_log = logging.getLogger(__name__)


class WindowCombiner:
    """Folds the pairs of one map task. `note` says why it gave up; "" as long as it has not."""

    def __init__(self, task: str, pair_type: PairType, fold: Fold) -> None:
        self._task = task
        self._fold = fold
        self._keys_max = WINDOW_KEYS_FIRST
        self.pairs_out = 0
        self.note = ""
        if not _may_be_a_key(pair_type.key):
            self._give_up(f"keys of {pair_type.key.name} may be equal in Python, and not in order")

    def window(self, source: MappedPairs) -> list[Pair]:
        """What the next window of the pairs of `source` has come to; none at their end. Not once it has given up.

        Raises RecordFailedError from what was raised.
        """
        assert not self.note, self.note
        table: dict[object, object] = {}
        for _ in range(0, WINDOW_PAIRS, _STEP_PAIRS):
            source.feed(lambda pairs: fold_into(table, pairs, self._fold), _STEP_PAIRS)
            if source.has_ended or len(table) >= self._keys_max:
                break
        self.pairs_out += len(table)
        self._judge(source.pairs_taken)
        return list(table.items())

    def note_size(self, pairs: Sequence[Pair], row_bytes: int) -> None:
        """So many bytes are these pairs as rows: the next window is of a size that fits memory."""
        fitting = WINDOW_BYTES * len(pairs) // max(1, row_bytes)
        self._keys_max = max(1, min(WINDOW_KEYS_MAX, fitting))

    def _judge(self, pairs_in: int) -> None:
        gone = pairs_in - self.pairs_out
        if pairs_in >= SAMPLE_PAIRS and gone < WORTH * pairs_in:
            self._give_up(f"only {gone} of {pairs_in} pairs could be combined")

    def _give_up(self, why: str) -> None:
        self.note = why
        _log.info("%s: no pairs are combined any more: %s", self._task, why)


def _may_be_a_key(info: TypeInformation[object]) -> bool:
    """Whether a dictionary takes keys, and as equal those that the order takes as equal."""
    return is_equal_as_bytes(info) and info.python_type.__hash__ is not None


__all__ = ["WindowCombiner"]
