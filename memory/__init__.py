"""Who may hold how many bytes: segments, extents, managers, pools, and the memory of the whole process.

The lowest floor. It imports nothing of ours, and neither numpy nor numba nor pyarrow.
"""

from memory.bounded_fraction import MemoryComponent
from memory.buffer import Buffer
from memory.clean_pages import drop_clean_pages
from memory.collector import collector_at_rest
from memory.derivation import FRAMEWORK_BYTES, MANAGED_BYTES_MIN, derive_process_memory
from memory.errors import (
    BufferLeakError,
    MemoryBudgetError,
    MemoryConfigurationError,
    MemoryShutdownError,
    PoolTimeoutError,
    SegmentReleasedError,
    SizeError,
)
from memory.extent import Extent
from memory.heap import trim_heap
from memory.manager import MemoryManager
from memory.pool import BufferPool
from memory.probe import (
    default_memory_bytes,
    free_memory_bytes,
    peak_resident_bytes,
    process_memory_limit,
    resident_bytes,
)
from memory.process import ProcessMemory
from memory.reservation import Reservation
from memory.segment import DEFAULT_SEGMENT_BYTES, MIN_SEGMENT_BYTES, MemorySegment
from memory.sizes import GIB, KIB, MIB, format_size, parse_size

__all__ = [
    "DEFAULT_SEGMENT_BYTES",
    "FRAMEWORK_BYTES",
    "GIB",
    "KIB",
    "MANAGED_BYTES_MIN",
    "MIB",
    "MIN_SEGMENT_BYTES",
    "Buffer",
    "BufferLeakError",
    "BufferPool",
    "Extent",
    "MemoryBudgetError",
    "MemoryComponent",
    "MemoryConfigurationError",
    "MemoryManager",
    "MemorySegment",
    "MemoryShutdownError",
    "PoolTimeoutError",
    "ProcessMemory",
    "Reservation",
    "SegmentReleasedError",
    "SizeError",
    "collector_at_rest",
    "default_memory_bytes",
    "derive_process_memory",
    "drop_clean_pages",
    "format_size",
    "free_memory_bytes",
    "parse_size",
    "peak_resident_bytes",
    "process_memory_limit",
    "resident_bytes",
    "trim_heap",
]
