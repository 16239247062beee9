"""What the I/O of a job came to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class IOStats:
    """Sums over all runs of a job. Changed on the event loop only, so it needs no lock.

    `*_seconds` is time spent inside system calls, summed over threads. `disk_bytes` is what is promised or
    written now.
    """

    runs_written: int = 0
    blocks_written: int = 0
    raw_bytes_written: int = 0
    stored_bytes_written: int = 0
    write_seconds: float = 0.0
    blocks_read: int = 0
    raw_bytes_read: int = 0
    stored_bytes_read: int = 0
    read_seconds: float = 0.0
    disk_bytes: int = 0
    disk_bytes_peak: int = 0

    def note_written(self, *, raw_bytes: int, stored_bytes: int, seconds: float) -> None:
        """One block went to disk; `stored_bytes` with header and padding."""
        self.blocks_written += 1
        self.raw_bytes_written += raw_bytes
        self.stored_bytes_written += stored_bytes
        self.write_seconds += seconds

    def note_read(self, *, raw_bytes: int, stored_bytes: int, seconds: float) -> None:
        """One block came from disk."""
        self.blocks_read += 1
        self.raw_bytes_read += raw_bytes
        self.stored_bytes_read += stored_bytes
        self.read_seconds += seconds
