"""From one number to the slots of a machine: one worker process in each, and an equal share of memory.

    memory ─┬─ driver      what running a job adds to the calling process
            ├─ slot 0 ─┬─ worker    a process at rest: interpreter, numpy, kernels
            │          └─ managed   what its task may hold, from a MemoryManager of its own
            └─ slot 1 ...

A task that sorts takes what the sort may add to the process out of `Slot.memory`, and gives it back.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from memory import (
    MIB,
    MemoryConfigurationError,
    MemoryManager,
    default_memory_bytes,
    format_size,
    parse_size,
)

DRIVER_BYTES = 48 * MIB
"""Numpy and the engine's modules, 30 MiB, and batches on their way into the job and out of it."""

WORKER_BYTES = 64 * MIB
"""A worker at rest: 51 MiB with numpy, engine and kernels, of which 30 MiB are files that all workers share."""

TASK_BYTES_MIN = 64 * MIB
"""With less a sort of rows cannot begin (56 MiB, most of it for Python objects), nor can records be read beside it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SlotSizes:
    """How many slots there are, and what one task may hold. Made by `size_slots`."""

    slots: int
    memory_bytes: int
    task_bytes: int

    def describe(self) -> str:
        """One line for people."""
        return (
            f"{format_size(self.memory_bytes)}: {self.slots} slots with {format_size(self.task_bytes)} for a task, "
            f"{format_size(WORKER_BYTES)} for a worker, {format_size(DRIVER_BYTES)} for the driver"
        )


def size_slots(slots: int | None, memory: int | str | None) -> SlotSizes:
    """Cut `memory` (default: half of what this process may use) into `slots` (default: cores, if memory allows).

    Raises MemoryConfigurationError, with the floor, if there is too little; ValueError for no slots.
    """
    if slots is not None and slots < 1:
        raise ValueError(f"slots is {slots}: at least 1 is needed")
    memory_bytes = default_memory_bytes() if memory is None else parse_size(memory)
    least = WORKER_BYTES + TASK_BYTES_MIN
    fitting = (memory_bytes - DRIVER_BYTES) // least
    count = min(_cores(), max(1, fitting)) if slots is None else slots
    if fitting < count:
        raise MemoryConfigurationError(
            f"too little memory: {format_size(memory_bytes)} for {_slots(count)}, and the floor is "
            f"{(DRIVER_BYTES + count * least) // MIB} MiB: {DRIVER_BYTES // MIB} for the driver, and for each slot "
            f"{WORKER_BYTES // MIB} for its worker process and {TASK_BYTES_MIN // MIB} for its task. "
            "Give at least that" + (", or fewer slots." if count > 1 else ".")
        )
    return SlotSizes(count, memory_bytes, (memory_bytes - DRIVER_BYTES) // count - WORKER_BYTES)


class Slot:
    """Where a task runs: the memory it may hold, and the directories it may spill in.

    number     of the slot, from 0 on: for reports; no result may depend on it
    memory     its manager: `total_bytes` is what a task may add to its process
    temp_dirs  where to spill
    """

    def __init__(self, number: int, task_bytes: int, temp_dirs: tuple[str, ...]) -> None:
        self.number = number
        self.temp_dirs = temp_dirs
        self.memory = MemoryManager(task_bytes)

    @contextmanager
    def reserved(self, owner: str, *, share: float = 1.0) -> Iterator[int]:
        """Bytes for a job of the engine: `share` of what is free. They count as held until the block ends."""
        with self.memory.reserve(owner, int(self.memory.free_bytes * share)) as reservation:
            yield reservation.size_bytes

    def take_back(self) -> dict[str, int]:
        """After a task: who still held how many bytes. The next task finds all of it free."""
        leaked = self.memory.shutdown()
        self.memory = MemoryManager(self.memory.total_bytes)
        return leaked

    def close(self) -> None:
        """Take everything back for good. Idempotent."""
        self.memory.shutdown()

    def __reduce__(self) -> Any:
        raise TypeError("a slot stays where it is: a task gets the one it runs in")


def log_leaks(task: str, leaked: dict[str, int]) -> None:
    """Say what a task did not give back."""
    for owner, size_bytes in leaked.items():
        _log.warning("%s: %r did not give back %s; taken back", task, owner, format_size(size_bytes))


def _slots(count: int) -> str:
    return "1 slot" if count == 1 else f"{count} slots"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
