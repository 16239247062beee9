"""Sorted rows whose values are ints, added up where keys are equal, before Python sees any of them.

    views of rows ──add_neighbours (kernel)──> views of fewer rows ──folded──> pairs

What is left has a row for each key of a view; but one for each of those whose sum takes more than 64 bits, and of those
whose key goes on in the next view: the fold does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from serializers.columns.scratch import address_of
from serializers.layouts import SLACK_BYTES
from serializers.types.integers import BigIntegerInfo, IntegerInfo
from serializers.types.text import BytesInfo, TextInfo
from shuffle.exchange.folds import Fold, is_addition
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.pair_type import PairType
from shuffle.kernels.pairs import add_neighbours

_WHOLE_IN_ORDER = (BigIntegerInfo, BytesInfo, IntegerInfo, TextInfo)
"""Keys of which nothing stands behind the order key."""


def adds_ints(pair_type: PairType, fold: Fold | None) -> bool:
    """Whether `fold` adds ints that stand in rows behind nothing but their keys."""
    return (
        fold is not None
        and pair_type.sort_key is None
        and isinstance(pair_type.key, _WHOLE_IN_ORDER)
        and isinstance(pair_type.value, BigIntegerInfo)
        and is_addition(fold)
    )


def added(views: Iterable[memoryview], shape: KeyShape) -> Iterator[memoryview]:
    """The same sums in fewer rows. Each view is good until the next."""
    target = np.empty(0, np.uint8)
    for view in views:
        source = np.frombuffer(view, np.uint8)
        if len(target) < len(view) + SLACK_BYTES:
            target = np.empty(2 * len(view) + SLACK_BYTES, np.uint8)
        start, base = address_of(source), address_of(target)
        end = add_neighbours(start, start + len(view), shape.layout.key_bytes, shape.key_bytes is None, base)
        yield memoryview(target)[: int(end) - base]  # type: ignore[arg-type]


__all__ = ["added", "adds_ints"]
