"""Which of sorted rows differ in their order keys from the row before: of (key, value), where a value is a new one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serializers.columns.scratch import address_of
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.keyed_rows import group_key, group_starts
from shuffle.kernels.locate import find_last


class NewMarks:
    """For views of whole rows, one after the other, with slack behind each; none is empty."""

    def __init__(self, key_bytes: int | None) -> None:
        self._shape = KeyShape(0, key_bytes, 0)
        self._last: bytes | None = None

    def of(self, view: memoryview, count: int) -> NDArray[np.bool_]:
        """A mark for each of the `count` rows of a view."""
        marks = np.zeros(count, np.bool_)
        marks[group_starts(view, self._shape)] = True
        marks[0] = group_key(view, self._shape) != self._last
        start = address_of(np.frombuffer(view, np.uint8))
        last = find_last(start, start + len(view), 0, self._shape.layout.key_bytes, 0) - start
        self._last = group_key(view[last:], self._shape)
        return marks
