"""Memory that ends where it ends: behind `SLACK_BYTES` of noise stands a page that nobody may touch."""

import ctypes
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers import SLACK_BYTES

_NO_ACCESS = 0


class GuardedBytes:
    """`data`, as an array with slack; to read or write beyond that ends the process."""

    def __init__(self, data: bytes) -> None:
        size = len(data) + SLACK_BYTES
        whole = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        self._map = mmap.mmap(-1, whole + mmap.PAGESIZE)
        memory: NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)
        address = int(memory.ctypes.data) + whole
        libc: Any = ctypes.CDLL(None, use_errno=True)
        assert libc.mprotect(ctypes.c_void_p(address), mmap.PAGESIZE, _NO_ACCESS) == 0, ctypes.get_errno()
        memory[:whole] = np.random.default_rng(size).integers(0, 256, whole, np.uint8)
        self._whole = memory[whole - size : whole]
        self.array = self._whole[:-SLACK_BYTES]
        self.array[:] = np.frombuffer(data, np.uint8)

    def with_slack(self, data: bytes) -> NDArray[np.uint8]:
        """The array, and `SLACK_BYTES` more that hold `data`: memory without any slack."""
        assert len(data) == SLACK_BYTES
        whole: NDArray[np.uint8] = self._whole
        whole[-SLACK_BYTES:] = np.frombuffer(data, np.uint8)
        return whole
