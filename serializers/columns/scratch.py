"""Memory that one batch after another works in: arrays of no particular content, all given up at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers.layouts import SLACK_BYTES

_BLOCK_BYTES = 1 << 18
_KEPT_BYTES_MAX = 16 << 20
_ALIGNMENT = 64


class Scratch:
    """Arrays with `SLACK_BYTES` behind each. They are worth nothing after `clear`; without it they are the caller's."""

    def __init__(self) -> None:
        self._blocks: list[NDArray[np.uint8]] = []
        self._used = 0

    def empty(self, count: int, dtype: Any) -> NDArray[Any]:
        """An array of `count` items, not initialised."""
        wanted = np.dtype(dtype)
        array_bytes = count * wanted.itemsize
        needed = array_bytes + SLACK_BYTES + _ALIGNMENT & -_ALIGNMENT
        if not self._blocks or self._used + needed > self._blocks[-1].size:
            size = max(needed, min(_BLOCK_BYTES << len(self._blocks), _KEPT_BYTES_MAX))
            self._blocks.append(np.empty(size, np.uint8))
            self._used = 0
        start = self._used
        self._used += needed
        return self._blocks[-1][start : start + array_bytes].view(wanted)

    def copy(self, data: Any, dtype: Any = np.uint8) -> NDArray[Any]:
        """A copy of a contiguous array or of bytes."""
        source = np.frombuffer(data, dtype) if len(data) else np.empty(0, dtype)
        target = self.empty(source.size, dtype)
        target[:] = source
        return target

    def clear(self) -> None:
        """Give all arrays up. One block, as large as the batch needed, stays for the next."""
        if len(self._blocks) > 1:
            size = min(sum(block.size for block in self._blocks), _KEPT_BYTES_MAX)
            self._blocks = [np.empty(size, np.uint8)]
        elif self._blocks and self._blocks[0].size > _KEPT_BYTES_MAX:
            self._blocks = []
        self._used = 0


def address_of(array: NDArray[Any]) -> int:
    """Where the items of an array are."""
    address: int = array.__array_interface__["data"][0]
    return address
