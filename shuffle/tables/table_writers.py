"""What writes record batches as Parquet, CSV or Arrow to an open file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from shuffle.tables.kinds import TableError, TableFormat

_SAMPLE_ROWS = 4096

Write = Callable[[Any], None]
"""Takes a `pyarrow.Table` of one chunk a column."""


@contextmanager
def table_writer(kind: TableFormat, sink: Any, schema: Any, name: str) -> Iterator[Write]:
    """What writes tables of `schema` to `sink`. Errors call the file `name`; raises TableError."""
    make = {"parquet": _parquet, "arrow": _arrow}.get(kind, _text)
    with _format_errors(name, kind):
        writer, write = make(pa.PythonFile(sink, mode="w"), schema, kind)

    def checked(table: Any) -> None:
        with _format_errors(name, kind):
            write(table)

    try:
        yield checked
    except BaseException:
        _discard(writer)
        raise
    with _format_errors(name, kind):
        writer.close()


@contextmanager
def _format_errors(name: str, kind: TableFormat) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        cure = (
            "Cast or leave out the column" if kind == "arrow" else "Write it as Arrow, or cast or leave out the column"
        )
        raise TableError(f"{name}: {kind} cannot hold it: {str(error).rstrip('.')}. {cure}") from error


def _discard(writer: Any) -> None:
    """Close it so that it does not write any more: what it wrote is thrown away."""
    with suppress(pa.ArrowException, OSError, ValueError):
        writer.close()


def _parquet(sink: Any, schema: Any, kind: str) -> tuple[Any, Write]:
    writer = _ParquetWriter(sink, schema)
    return writer, writer.write


class _ParquetWriter:
    """Opens the file with its first rows, which say for which columns a dictionary is worth the while.

    To look for each value in a dictionary takes 50 ns and more, and where hardly any comes twice it gains nothing.
    """

    def __init__(self, sink: Any, schema: Any) -> None:
        self._sink = sink
        self._schema = schema
        self._writer: Any = None
        if any(pa.types.is_nested(field.type) for field in schema):
            self._open(True)

    def write(self, table: Any) -> None:
        """Write a row group."""
        if self._writer is None:
            self._open(
                [name for name, column in zip(table.column_names, table.columns, strict=True) if _repeats(column)]
            )
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def close(self) -> None:
        """Write what ends the file."""
        if self._writer is None:
            self._open(True)
        self._writer.close()

    def _open(self, use_dictionary: bool | list[str]) -> None:
        self._writer = pyarrow.parquet.ParquetWriter(
            self._sink, self._schema, use_dictionary=use_dictionary, write_page_checksum=True
        )


def _repeats(column: Any) -> bool:
    """Whether the first values of a column, if they are no texts, come twice on average."""
    if not pa.types.is_primitive(column.type):
        return True
    first = column.slice(0, _SAMPLE_ROWS)
    return int(pyarrow.compute.count_distinct(first, mode="all").as_py()) * 2 <= len(first)


def _text(sink: Any, schema: Any, kind: str) -> tuple[Any, Write]:
    options = pyarrow.csv.WriteOptions(delimiter="\t" if kind == "tsv" else ",")
    writer = pyarrow.csv.CSVWriter(sink, schema, write_options=options)
    return writer, writer.write_table


def _arrow(sink: Any, schema: Any, kind: str) -> tuple[Any, Write]:
    """Dictionaries only grow: the file format has room for what is new in each batch, and not for other ones."""
    writer = pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True))
    growing = {place: GrowingDictionary(field.type) for place, field in enumerate(schema) if _has_dictionary(field)}

    def write(table: Any) -> None:
        for place, dictionary in growing.items():
            table = table.set_column(place, schema.field(place), dictionary.encode(table.column(place)))
        writer.write_table(table)

    return writer, write


def _has_dictionary(field: Any) -> bool:
    return bool(pa.types.is_dictionary(field.type))


class GrowingDictionary:
    """One dictionary for many arrays of `arrow_type`: later ones append what they have and it has not."""

    def __init__(self, arrow_type: Any) -> None:
        self._type = arrow_type
        self._values = pa.array([], arrow_type.value_type)

    def encode(self, column: Any) -> Any:
        """The same values by the places that they have in the dictionary. Raises ArrowInvalid if it gets too long."""
        compute = pyarrow.compute
        values = column.cast(self._type.value_type).combine_chunks()
        new = compute.unique(values.drop_null())
        new = new.filter(compute.invert(compute.is_in(new, self._values)))
        if len(new):
            self._values = pa.concat_arrays([self._values, new])
        places = compute.index_in(values, self._values).cast(self._type.index_type)
        return pa.DictionaryArray.from_arrays(places, self._values, ordered=self._type.ordered)


__all__ = ["GrowingDictionary", "Write", "table_writer"]
