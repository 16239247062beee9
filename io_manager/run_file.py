"""What the rest of the engine knows of a run: where it is and what it amounts to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class RunFile:
    """One finished run. Small and picklable; the block index stays on disk until `open_run`.

    `first_key` and `last_key` are at most 64 leading bytes of the order keys, b"" for an empty run.
    """

    path: Path
    run_id: int
    block_bytes: int
    disk_bytes: int
    block_count: int
    record_count: int
    raw_bytes: int
    first_key: bytes
    last_key: bytes
    direct: bool = False
    """Written past the page cache, and to be read so."""


@dataclass(frozen=True)
class IndexPart:
    """The entries of blocks `first` to `stop - 1` of a run's block index, and the checksum of their bytes.

    Whoever knows it need not read the whole index to prove them.
    """

    first: int
    stop: int
    checksum: int


class PooledBuffer(Protocol):
    """What this floor needs of a buffer: its bytes, 4096-aligned, and a way home. `memory.Buffer` is one."""

    @property
    def view(self) -> memoryview:
        """The writable bytes of the buffer."""

    def release(self) -> None:
        """Give the buffer back to its pool. Idempotent."""
