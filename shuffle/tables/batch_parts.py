"""Record batches cut into small ones, without a copy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

BATCH_BYTES = 1 << 20
"""Of a batch: as much as fits a processor's cache together with the rows that are made of it."""


def cut(batch: Any, batch_bytes: int) -> Iterator[Any]:
    """A batch in parts of about `batch_bytes`, of one row at least, without a copy."""
    size, count = batch.nbytes, batch.num_rows
    if size <= batch_bytes or count < 2:
        yield batch
        return
    row_count = max(1, count * batch_bytes // size)
    parts = [batch.slice(start, row_count) for start in range(0, count, row_count)]
    if len(parts) == 1:
        yield batch
        return
    for part in parts:
        # Rows differ in length, so a part may be large still; where nbytes knows no slices, nothing gets smaller.
        yield from cut(part, batch_bytes) if 2 * batch_bytes < part.nbytes < size else (part,)


__all__ = ["BATCH_BYTES", "cut"]
