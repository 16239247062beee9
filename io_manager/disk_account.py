"""How much disk the runs of a job take, now and at most, and the limit of --max-disk.

A job has one account. Each run holds a claim on it: charged when disk is promised, settled to the real size
when the run is written, released when it is deleted.
"""

from __future__ import annotations

import threading

from io_manager.errors import DiskLimitError


class DiskAccount:
    """Bytes of disk in use over all temp directories. Claims grow in I/O threads, so it has a lock."""

    def __init__(self, limit_bytes: int | None) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self.used_bytes = 0
        self.used_bytes_peak = 0

    def charge(self, needed_bytes: int) -> None:
        """Add to the use (or subtract, if negative). Raises DiskLimitError, charging nothing, at the
        limit."""
        with self._lock:
            used = self.used_bytes + needed_bytes
            if needed_bytes > 0 and self._limit_bytes is not None and used > self._limit_bytes:
                raise DiskLimitError.reached(
                    limit_bytes=self._limit_bytes, used_bytes=self.used_bytes, needed_bytes=needed_bytes
                )
            assert used >= 0, (self.used_bytes, needed_bytes)
            self.used_bytes = used
            self.used_bytes_peak = max(used, self.used_bytes_peak)


class DiskClaim:
    """What one run holds of the account."""

    def __init__(self, account: DiskAccount, expected_bytes: int) -> None:
        """Raises DiskLimitError when the expected bytes do not fit under the limit."""
        account.charge(expected_bytes)
        self._account = account
        self.claimed_bytes = expected_bytes
        self.unwritten_bytes = expected_bytes

    def preallocated(self) -> None:
        """The disk has already set the expected bytes aside: they are missing from its free space."""
        self.unwritten_bytes = 0

    def written_to(self, end: int) -> None:
        """The file reaches to byte `end`. Raises DiskLimitError when that is more than was expected, and too
        much."""
        self.unwritten_bytes = max(0, min(self.unwritten_bytes, self.claimed_bytes - end))
        if end > self.claimed_bytes:
            self._account.charge(end - self.claimed_bytes)
            self.claimed_bytes = end

    def settle(self, final_bytes: int) -> None:
        """The file is complete and takes `final_bytes`, 0 when deleted. Idempotent."""
        self._account.charge(final_bytes - self.claimed_bytes)
        self.claimed_bytes, self.unwritten_bytes = final_bytes, 0
