"""Memory that pyarrow's allocator keeps of what was freed: given back when a job would else pass its budget.

The allocator (mimalloc, unless told otherwise) returns pages to the system only a while after they were freed, and for
each thread by itself. Of Parquet that is read with 12 MiB in use, 40 to 110 MiB were found resident. To return them
after every batch costs 40 % of the time of an aggregate; near the budget it is the price of keeping it.
"""

import itertools

import pyarrow as pa

from memory import resident_bytes

_KEPT_FREE = 8
"""Of the budget: an eighth is room for what batches bring before the next look."""

_BATCHES = 4
"""A look takes some 20 us, and a batch is a MiB."""


class PoolGuard:
    """Looks at the memory of the process, of which a job may add `memory_bytes` to what is resident now."""

    def __init__(self, memory_bytes: int) -> None:
        self._most = resident_bytes() + memory_bytes - memory_bytes // _KEPT_FREE
        self._batches = itertools.count()  # a single step of the interpreter, so threads need no lock

    def count_batch(self) -> None:
        """A batch is there. Now and then, look: if the process is near its budget, give back what is free."""
        if next(self._batches) % _BATCHES == 0 and resident_bytes() > self._most:
            pa.default_memory_pool().release_unused()
