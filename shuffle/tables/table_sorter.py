"""Sort a table in bounded memory, and read it in order, as often as you like.

source ──batches──> TableSession ──when the first batch is wanted──> runs ──each reading merges them──> batches
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from memory import MemoryConfigurationError, format_size
from serializers.types.ordering import OrderKey
from shuffle.closable import ClosedByError
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.keyed_rows import group_starts
from shuffle.options import SortOptions
from shuffle.report import SortReport
from shuffle.tables.table_codec import TableCodec
from shuffle.tables.table_result import TableResult
from shuffle.tables.table_session import TableSession
from shuffle.tables.table_source import TableSource


class SortedTable(ClosedByError, TableResult):
    """The rows of a source in order. Sorted when the first are wanted; the first error closes it, and sticks."""

    def __init__(self, source: TableSource, keys: tuple[OrderKey, ...], options: SortOptions) -> None:
        super().__init__(source.schema)
        self._codec = TableCodec(source.schema, keys)
        self._source: TableSource | None = source
        self._options = options
        self._session: TableSession | None = None

    def batches(self) -> Generator[Any, None, None]:
        yield from self.sorted().batches()

    def __len__(self) -> int:
        """How many rows there are to read."""
        records, limit = self.report.records, self._options.limit
        if self._options.unique:
            return sum(len(group_starts(view, self._shape)) for view in self.sorted().views())
        return records if limit is None else min(records, limit)

    @property
    def report(self) -> SortReport:
        """What sorting took. Its `records` are those of the source."""
        report = self.sorted().report
        assert report is not None
        return report

    def close(self) -> None:
        self._is_closed = True
        if self._source is not None:
            self._source.close()
            self._source = None
        if self._session is not None:
            self._session.close()

    def sorted(self) -> TableSession:
        """The session, which has sorted all rows. Raises what sorting raises, again and again."""
        self._check_open("this table is closed. Sort it again")
        if self._source is not None:
            with self._closed_on_error(), self._source as source:
                self._session = self._open(source)
                self._session.put_all(source)
            self._source = None
        assert self._session is not None
        return self._session

    def _open(self, source: TableSource) -> TableSession:
        try:
            return TableSession(self._codec, self._options)
        except MemoryConfigurationError as error:
            if not source.reader_bytes:
                raise
            taken = format_size(source.reader_bytes)
            problem = f"{source.name}: reading it takes {taken} of the memory, and what is left is not enough: {error}"
            raise MemoryConfigurationError(problem) from error

    @property
    def _shape(self) -> KeyShape:
        return KeyShape(0, self._codec.key_bytes, 0)
