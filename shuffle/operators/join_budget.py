"""One budget of memory and disk for all that a join needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from memory import MIB, MemoryConfigurationError, default_memory_bytes, format_size
from shuffle.options import SortOptions
from shuffle.surroundings import OBJECTS_BYTES

STORE_BYTES = 64 * MIB
"""For the values of one key: little more than the least that a sort can have."""


class JoinBudget:
    """One budget for the sorts of a join and for its store. What values weigh as objects is counted once for all.

    A sort is given what is left of the disk by those before it.
    """

    def __init__(self, options: SortOptions, sorts: int) -> None:
        self._total_bytes = options.memory_bytes or default_memory_bytes()
        self._sorts = sorts
        of_sorts = self._total_bytes - STORE_BYTES
        share = of_sorts // max(sorts, 1) + OBJECTS_BYTES
        self._options = replace(options, memory_bytes=max(1, share))

    def next_sort(self) -> SortOptions:
        """For one side."""
        return self._options

    @property
    def store(self) -> SortOptions:
        """For the values of one key."""
        return replace(self._options, memory_bytes=STORE_BYTES, threads=1)

    def note_spilled(self, size_bytes: int) -> None:
        """A side takes so much disk from now on."""
        left = self._options.disk_bytes_max
        if left is not None:
            self._options = replace(self._options, disk_bytes_max=max(0, left - size_bytes))

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Let an error about too little memory say how it is shared."""
        try:
            yield
        except MemoryConfigurationError as error:
            error.add_note(
                f"of the {format_size(self._total_bytes)} of a join {format_size(STORE_BYTES)} are for the values of "
                f"one key, and the rest is shared by {self._sorts} sorts"
            )
            raise


__all__ = ["STORE_BYTES", "JoinBudget"]
