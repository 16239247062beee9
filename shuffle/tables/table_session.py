"""Record batches in, sorted record batches out: a row session with a codec at both ends.

caller's thread                        engine thread
batch ──encode──> rows ──put─────────> sort, spill
batch <──decode── rows <──read──────── merge
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

from serializers import lines
from serializers import rows as rows_layout
from shuffle.options import ResourceChoices, SortOptions, read_options
from shuffle.report import SortReport
from shuffle.row_session import RowSession
from shuffle.tables.table_codec import TableCodec
from shuffle.tables.table_source import TableSource


def options_of(
    choices: ResourceChoices, *, taken_bytes: int = 0, share: int = 1, unique: bool = False, limit: int | None = None
) -> SortOptions:
    """Options of one of `share` sessions of a job, beside which `taken_bytes` of memory are taken.

    Raises ValueError for a choice that makes no sense. The layout is still to be set.
    """
    options = read_options(lines(), **choices, unique=unique, limit=limit)
    memory_bytes, disk_bytes = options.memory_bytes, options.disk_bytes_max
    return replace(
        options,
        memory_bytes=None if memory_bytes is None else max(1, (memory_bytes - taken_bytes) // share),
        disk_bytes_max=None if disk_bytes is None else disk_bytes // share,
    )


class TableSession:
    """Sorts batches of the codec's schema. For one thread at a time; close it when done."""

    def __init__(self, codec: TableCodec, options: SortOptions) -> None:
        self.codec = codec
        self.report: SortReport | None = None
        self.record_count = 0
        self._rows = RowSession(replace(options, layout=rows_layout(codec.key_bytes)))

    def put(self, batch: Any) -> None:
        """Add the rows of a batch. Raises SerializationError, with record and column, and what the job does."""
        for rows in self.codec.encode(batch, self.record_count):
            self._rows.put(rows)
            self.record_count += rows.count

    def put_all(self, source: TableSource) -> SortReport:
        """Add all rows of a source, and get ready to be read."""
        for batch in source.batches():
            self.put(batch)
        return self.finish()

    def finish(self) -> SortReport:
        """No more batches: get ready to be read."""
        self.report = self._rows.finish()
        return self.report

    def views(self) -> Generator[memoryview, None, None]:
        """The sorted rows as they are; each view is good until the next."""
        yield from self._rows.read()

    def batches(self) -> Iterator[Any]:
        """The sorted rows as record batches."""
        first_record = 0
        for view in self.views():
            for batch in self.codec.decode(view, first_record):
                yield batch
                first_record += batch.num_rows

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        self._rows.close()
