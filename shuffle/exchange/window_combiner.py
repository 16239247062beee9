"""Pairs of equal keys folded into one before they are sorted, in windows of the output of a map task.

    pairs ── window ──> dictionary ──> fewer pairs ──> rows
             window ──> dictionary ──>

Where a window ends depends on the pairs alone, never on memory or slots: so a fold that is not quite associative, such
as the sum of floats, gives the same to the last bit however a job runs. A combiner that takes out too little gives up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from serializers.types import TypeInformation
from shuffle.batches import WEIGHT_MAX, weigh
from shuffle.exchange.combining import Combining
from shuffle.exchange.folds import Fold, fold_into
from shuffle.exchange.mapped_pairs import MappedPairs
from shuffle.exchange.pair_rows import Pair
from shuffle.exchange.pair_type import PairType
from shuffle.operators.key_equality import is_equal_as_bytes

WINDOW_PAIRS = 1 << 20
"""Folded values may grow, as lists do: so even a window of few keys ends."""

_STEP_PAIRS = 1 << 12
"""Between two looks at how many keys there are."""

_FIRST_LOOKS = (1, 8, 32, 128, 512, 2048)
"""At what pairs weigh: nobody knows yet."""

WINDOW_KEYS_FIRST = 1 << 10
WINDOW_KEYS_MAX = 1 << 16
WINDOW_BYTES = 4 << 20
"""As rows; as Python objects the pairs of a window take three to ten times as much."""


class WindowCombiner(Combining):
    """Folds the pairs of one map task in a dictionary."""

    def __init__(self, task: str, pair_type: PairType, fold: Fold) -> None:
        super().__init__(task)
        self._fold = fold
        self._keys_max = WINDOW_KEYS_FIRST
        if not _may_be_a_key(pair_type.key):
            self.give_up(f"keys of {pair_type.key.name} may be equal in Python, and not in order")

    def window(self, source: MappedPairs) -> list[Pair]:
        """What the next window of the pairs of `source` has come to; none at their end. Not once it has given up.

        Raises RecordFailedError from what was raised.
        """
        assert not self.note, self.note
        table: dict[object, object] = {}
        taken = 0
        for looked_at in _looks():
            source.feed(lambda pairs: fold_into(table, pairs, self._fold), looked_at - taken)
            taken = looked_at
            has_many_keys = taken >= _STEP_PAIRS and len(table) >= self._keys_max
            if source.has_ended or has_many_keys or _is_heavy(table):
                break
        self.pairs_out += len(table)
        self.judge(source.pairs_taken, self.pairs_out)
        return list(table.items())

    def note_size(self, pairs: Sequence[Pair], row_bytes: int) -> None:
        """So many bytes are these pairs as rows: the next window is of a size that fits memory."""
        fitting = WINDOW_BYTES * len(pairs) // max(1, row_bytes)
        self._keys_max = max(1, min(WINDOW_KEYS_MAX, fitting))


def _looks() -> Iterator[int]:
    """After how many pairs a window is looked at."""
    yield from (pairs for pairs in _FIRST_LOOKS if pairs < _STEP_PAIRS)
    yield from range(_STEP_PAIRS, WINDOW_PAIRS + _STEP_PAIRS, _STEP_PAIRS)


def _is_heavy(table: dict[object, object]) -> bool:
    """Whether pairs such as the last that came in are too large for more of them: a window has no size before that."""
    return bool(table) and weigh(next(reversed(table.items()))) * len(table) > WEIGHT_MAX


def _may_be_a_key(info: TypeInformation[object]) -> bool:
    """Whether a dictionary takes keys, and as equal those that the order takes as equal."""
    return is_equal_as_bytes(info) and info.python_type.__hash__ is not None


__all__ = ["WindowCombiner"]
