"""One budget of memory and disk for an aggregator and the sorts beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from memory import MemoryConfigurationError, default_memory_bytes, format_size
from shuffle.options import SortOptions
from shuffle.surroundings import GROWTH_BYTES, OBJECTS_BYTES


def shared_options(options: SortOptions, jobs: int, *, taken_bytes: int = 0) -> SortOptions:
    """The options of each of `jobs` jobs, beside which `taken_bytes` are taken.

    What a job adds to the process beside the memory it manages is counted once for all.
    """
    total = (options.memory_bytes or default_memory_bytes()) - taken_bytes
    share = (total + (jobs - 1) * (GROWTH_BYTES + OBJECTS_BYTES)) // jobs
    disk = None if options.disk_bytes_max is None else options.disk_bytes_max // jobs
    return replace(options, memory_bytes=max(1, share), disk_bytes_max=disk)


@contextmanager
def explained(options: SortOptions, sorts: int) -> Iterator[None]:
    """Let an error about too little memory say how it is shared."""
    try:
        yield
    except MemoryConfigurationError as error:
        if sorts:
            total = format_size(options.memory_bytes or default_memory_bytes())
            error.add_note(
                f"{total} are shared by the hash tables and {sorts} sorts, one for each field and order that "
                "aggregates such as collect, top, count_distinct, or the least text need. Ask for fewer at a time"
            )
        raise
