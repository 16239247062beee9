"""What a job works with: its plan, its disk, its memory and its threads."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from io_manager import IOManager, IOThreads, JobDirectory, JobKey
from memory import BufferPool, MemoryManager, free_memory_bytes
from shuffle.options import SortOptions
from shuffle.plan import SortPlan
from shuffle.surroundings import temp_dirs

IO_THREADS = 4
"""Enough to keep two ranges reading and writing at once; they mostly wait for the disk."""


@dataclass(frozen=True)
class Means:
    """Made by `open_means`."""

    plan: SortPlan
    options: SortOptions
    io: IOManager
    managed: MemoryManager
    direct: MemoryManager
    workers: IOThreads

    def spill_pool(self) -> BufferPool:
        """Buffers for blocks on their way to disk: as many as direct memory holds."""
        plan = self.plan
        most = max(2, plan.memory.direct_bytes // plan.block_bytes)
        return BufferPool(self.direct, "spill", buffer_bytes=plan.block_bytes, required=2, maximum=most)

    def block_pool(self, block_bytes: int) -> BufferPool:
        """Buffers for the blocks of a run that is merged: several may be on their way to disk."""
        return BufferPool(self.direct, "merge output", buffer_bytes=block_bytes, required=2, maximum=8)

    def room_pool(self, block_bytes: int, *, required: int, maximum: int) -> BufferPool:
        """Buffers for records that are thrown into ranges of keys: a block for each range, and some on their way."""
        return BufferPool(self.managed, "rooms", buffer_bytes=block_bytes, required=required, maximum=maximum)


def spill_key(options: SortOptions) -> JobKey | None:
    """What the spill files of a job are sealed with; None for plain ones."""
    if options.job_key is not None or not (options.encrypt_spill or options.authentic):
        return options.job_key
    return JobKey.generate(encrypts=options.encrypt_spill)


async def open_means(
    plan: SortPlan, options: SortOptions, stack: AsyncExitStack, *, adopted: Sequence[JobDirectory] = ()
) -> Means:
    """Open all of it, until `stack` ends; spill to directories that were `adopted`, if any. Raises what temp
    directories do."""
    io = IOManager(
        temp_dirs(options),
        codec=options.compress,
        io_threads=IO_THREADS,
        max_disk_bytes=options.disk_bytes_max,
        memory_free_bytes=free_memory_bytes(),
        key=spill_key(options),
        adopted=adopted,
    )
    await stack.enter_async_context(io)
    managed = stack.enter_context(MemoryManager(plan.memory.managed_bytes))
    direct = stack.enter_context(MemoryManager(plan.memory.direct_bytes))
    workers = IOThreads(plan.threads)
    stack.callback(workers.close)
    return Means(plan, options, io, managed, direct, workers)
