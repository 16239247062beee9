"""Record batches to rows and back, in an order that users ask for by the names of columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from serializers.arrow_columns import ArrowCodec
from serializers.columns.pieces import EncodedRows, Rows
from serializers.errors import SerializationError
from serializers.types.arrow_types import type_info_of_arrow
from serializers.types.ordering import By, OrderingComparator, OrderKey, parse_by
from shuffle.tables.kinds import check_column
from shuffle.tables.stand_ins import stand_in_for

_SUFFIXES = (":nulls-first", ":nulls-last")


def order_keys(by: By, schema: Any, table: str, *, nulls_last: bool = False) -> tuple[OrderKey, ...]:
    """What `by` says of the columns of `schema`. A column whose name has dots in it is found before a field of a field.

    Raises TableError, which lists the columns, for one that there is not.
    """
    listed = [by] if isinstance(by, str | int | OrderKey) else list(by)
    keys = [_order_key(each, schema, table) for each in parse_by(listed) and listed]
    return tuple(replace(key, nulls_last=key.nulls_last or nulls_last) for key in keys)


def _order_key(by: str | int | OrderKey, schema: Any, table: str) -> OrderKey:
    if isinstance(by, str):
        bare = by.removesuffix(_SUFFIXES[0]).removesuffix(_SUFFIXES[1])
        name = bare.removeprefix("-")
        if name in schema.names:
            return OrderKey((name,), bare.startswith("-"), by.endswith(_SUFFIXES[1]))
    key = parse_by(by)[0]
    first = key.path[0] if key.path else ""
    if isinstance(first, int) and first < len(schema.names):
        return replace(key, path=(schema.names[first], *key.path[1:]))
    check_column(str(first), schema.names, table)
    return key


def column_names(keys: Iterable[OrderKey]) -> list[str]:
    """The columns that keys are in, each once."""
    return list(dict.fromkeys(str(key.path[0]) for key in keys))


class TableCodec:
    """Rows of record batches with `schema`, ordered by `keys`; without keys all rows are equal. For one thread."""

    def __init__(self, schema: Any, keys: tuple[OrderKey, ...]) -> None:
        self.schema = schema
        self._stand_ins = [stand_in_for(field.type) for field in schema]
        self.carried = pa.schema(
            [
                field if stand_in is None else pa.field(field.name, stand_in.type, field.nullable)
                for field, stand_in in zip(schema, self._stand_ins, strict=True)
            ]
        )
        keys = _first_of_each(keys)
        ordering = OrderingComparator(type_info_of_arrow(self.carried), keys) if keys else None
        self._codec = ArrowCodec(self.carried, ordering)
        self.key_bytes = self._codec.key_bytes
        self.holds_only_keys = self._codec.plan.is_only_key

    def encode(self, batch: Any, first_record: int) -> Iterator[EncodedRows]:
        """The rows of a batch, mostly at once. Raises SerializationError, with record and column."""
        carried = self._wrapped(batch)
        done = 0
        while done < batch.num_rows:
            rows = self._codec.encode_some_of_table(carried.slice(done), first_record + done)
            done += rows.count
            yield rows

    def decode(self, rows: Rows, first_record: int) -> Iterator[Any]:
        """The record batches of whole rows. Raises SerializationError."""
        for batch in self.decode_carried(rows, first_record).to_batches():
            columns = [self.unwrap(place, column, first_record) for place, column in enumerate(batch.columns)]
            yield table_batch(columns, self.schema, batch.num_rows)
            first_record += batch.num_rows

    def decode_carried(self, rows: Rows, first_record: int) -> Any:
        """The same as a `pyarrow.Table`, with stand-ins where columns have them."""
        return self._codec.decode_table(rows, first_record)

    def unwrap(self, place: int, column: Any, first_record: int) -> Any:
        """An array of column `place` as the schema has it. Raises SerializationError."""
        field, stand_in = self.schema.field(place), self._stand_ins[place]
        try:
            return column if stand_in is None else stand_in.unwrap(column)
        except pa.ArrowInvalid as error:
            problem = f"{field.type} cannot hold what is here: {error}. Cast the column to the type of its values"
            raise SerializationError(problem).at_field(field.name).at_record(first_record) from error

    def _wrapped(self, batch: Any) -> Any:
        columns = [
            column if stand_in is None else stand_in.wrap(column)
            for column, stand_in in zip(batch.columns, self._stand_ins, strict=True)
        ]
        return table_batch(columns, self.carried, batch.num_rows)


def _first_of_each(keys: tuple[OrderKey, ...]) -> tuple[OrderKey, ...]:
    """Without those whose path was there before: it has decided already."""
    return tuple({key.path: key for key in reversed(keys)}[path] for path in dict.fromkeys(key.path for key in keys))


def table_batch(columns: list[Any], schema: Any, count: int) -> Any:
    """A record batch of `count` rows, which there may be even without columns."""
    if columns:
        return pa.RecordBatch.from_arrays(columns, schema=schema)
    return pa.RecordBatch.from_struct_array(pa.array([{}] * count, pa.struct([])))


__all__ = ["TableCodec", "column_names", "order_keys", "table_batch"]
