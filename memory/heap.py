"""Give back what the heap of the process keeps for later.

The C library keeps freed memory, and the larger the pieces are that a process frees, the larger those it keeps: up to
32 MiB each. After values of some MiB that comes to several times their size, of which no budget knows.
"""

import ctypes
import functools
from collections.abc import Callable


def trim_heap() -> bool:
    """Give free pages of the heap to the operating system: whether any were, False where there is no such call.

    Takes from 50 us to some ms, so it is for those who have just freed megabytes.
    """
    trim = _malloc_trim()
    return trim is not None and bool(trim(0))


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Of the GNU C library; others keep less, or have another name for it."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return trim
