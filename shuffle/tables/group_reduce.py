"""Hand the rows of each group to a Python function, as a table, and put what it makes of them one behind another.

source ──sort by by=, sort_by=──> batches ──where groups begin──> function(key, rows) ──> batches of the result
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa

from memory import format_size
from serializers.columns.arrow_in import in_microseconds
from serializers.types.ordering import OrderKey
from shuffle.options import SortOptions
from shuffle.report import SortReport
from shuffle.tables.key_rows import GroupedBatch, KeyRows, grouped
from shuffle.tables.kinds import TableError
from shuffle.tables.table_result import TableResult
from shuffle.tables.table_sorter import SortedTable
from shuffle.tables.table_source import TableSource

GroupFunction = Callable[[Any, Any], Any]
"""Takes the key of a group and its rows; gives a table, a record batch, a dict of columns, or None for no rows."""


class GroupTooLargeError(TableError):
    """A group does not fit the memory that there is for one."""


class ReducedTable(TableResult):
    """What `function` makes of all groups, in the order of keys; computed anew each time it is read.

    group_bytes   how large a group may be; None: the function gets a `pyarrow.RecordBatchReader`, of any length
    schema        of the result; that of the first result if not given
    """

    def __init__(
        self,
        source: TableSource,
        function: GroupFunction,
        group: tuple[OrderKey, ...],
        sort: tuple[OrderKey, ...],
        options: SortOptions,
        *,
        group_bytes: int | None,
        schema: Any = None,
    ) -> None:
        self._source_schema = source.schema
        self._function = function
        self._group = group
        self._group_bytes = group_bytes
        self._key_rows = KeyRows(source.schema, group)
        self._sorted = SortedTable(source, group + sort, options)
        self._schema = schema
        self._begun: Generator[Any, None, None] | None = None

    @property
    def schema(self) -> Any:
        """The columns of the result. Unless they were given, the first group is reduced to find out."""
        if self._schema is None:
            self._begun = self._reduced()
            first = next(self._begun, None)
            if first is not None:
                self._begun = _put_back(first, self._begun)
            self._schema = pa.schema([]) if first is None else first.schema
        return self._schema

    @property
    def report(self) -> SortReport:
        """What sorting took."""
        return self._sorted.report

    def batches(self) -> Generator[Any, None, None]:
        _ = self.schema
        begun, self._begun = self._begun, None
        with closing(begun or self._reduced()) as results:
            yield from results

    def close(self) -> None:
        if self._begun is not None:
            self._begun.close()
        self._sorted.close()

    def _reduced(self) -> Generator[Any, None, None]:
        with closing(self._groups()) as groups:
            for key, rows in groups:
                try:
                    made = self._function(key, rows)
                    results = [] if made is None else _batches_of(made)
                except Exception as error:
                    error.add_note(f"the function was called for key {key!r}")
                    raise
                for batch in results:
                    yield batch if self._schema is None else _with_schema(batch, self._schema, key)

    def _groups(self) -> Generator[tuple[Any, Any], None, None]:
        with closing(self._sorted.batches()) as batches:
            walk = _Walk(grouped(batches, self._key_rows))
            while (head := walk.begin()) is not None:
                key = self._key_of(head)
                parts = walk.rows(head)
                if self._group_bytes is None:
                    yield key, pa.RecordBatchReader.from_batches(self._source_schema, parts)
                else:
                    yield key, self._whole(key, parts, self._group_bytes)
                for _ in parts:
                    pass

    def _whole(self, key: Any, parts: Iterator[Any], limit_bytes: int) -> Any:
        kept: list[Any] = []
        size = 0
        for part in parts:
            kept.append(part)
            size += part.nbytes
            if size > limit_bytes:
                raise GroupTooLargeError(
                    f"the rows of key {key!r} take more than {format_size(limit_bytes)}, a quarter of the memory. "
                    "Raise memory=, or let the function take a reader of its rows, with stream=True"
                )
        return pa.Table.from_batches(kept, self._source_schema)

    def _key_of(self, row: Any) -> Any:
        """The values of the first row of a group in the columns of the key."""
        values = []
        for key in self._group:
            value = in_microseconds(row.column(str(key.path[0])).slice(0, 1))[0].as_py()
            for step in key.path[1:]:
                value = None if value is None else value[step]
            values.append(value)
        return values[0] if len(values) == 1 else tuple(values)


class _Walk:
    """Goes from group to group through batches, and through the batches of one."""

    def __init__(self, parts: Iterator[GroupedBatch]) -> None:
        self._parts = parts
        self._part: GroupedBatch | None = next(parts, None)
        self._at = 0

    def begin(self) -> Any:
        """The rows of the next group that are in one batch; None at the end. Those before have been read."""
        if self._part is None:
            return None
        return self._take(self._part)

    def rows(self, head: Any) -> Iterator[Any]:
        """All rows of the group that begins with `head`."""
        yield head
        while self._part is not None and self._at == 0 and self._part.leads:
            yield self._take(self._part)

    def _take(self, part: GroupedBatch) -> Any:
        """The rows of the group at which we stand; go on behind them."""
        start = int(part.starts[self._at])
        self._at += 1
        if self._at < len(part.starts):
            return part.batch.slice(start, int(part.starts[self._at]) - start)
        self._part, self._at = next(self._parts, None), 0
        return part.batch.slice(start)


def _put_back(first: Any, rest: Generator[Any, None, None]) -> Generator[Any, None, None]:
    with closing(rest):
        yield first
        yield from rest


def _batches_of(made: Any) -> list[Any]:
    """What a function gave, as record batches."""
    if isinstance(made, dict):
        made = pa.table(made)
    if isinstance(made, pa.RecordBatch):
        return [made]
    if not hasattr(made, "__arrow_c_stream__"):
        raise TypeError(
            f"the function gave a {type(made).__qualname__}. Let it give a table, a dict of columns, or None"
        )
    table = made if isinstance(made, pa.Table) else pa.RecordBatchReader.from_stream(made).read_all()
    return table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]


def _with_schema(batch: Any, schema: Any, key: Any) -> Any:
    """The same columns in the order of `schema`, and with its types if they can have them. Raises TableError."""
    if batch.schema.equals(schema):
        return batch
    try:
        columns = [batch.column(field.name).cast(field.type) for field in schema]
        if len(columns) == batch.num_columns:
            return pa.RecordBatch.from_arrays(columns, schema=schema)
    except (pa.ArrowException, KeyError):
        pass
    raise TableError(
        f"key {key!r}: the function gave the columns {_listed(batch.schema)}, where {_listed(schema)} were expected. "
        "Let it give the same for every group, or say with schema= what they all are"
    )


def _listed(schema: Any) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema) or "none"


__all__ = ["GroupFunction", "GroupTooLargeError", "ReducedTable"]
