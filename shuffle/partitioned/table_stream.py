"""Tables into an output directory: columns to rows, sorted by partition and key, and back to columns, file after file.

inputs ──(aggregate)──> PartitionedTable ──(number, batches)──> row groups ──> Parquet, CSV, Arrow writer ──> PartFile
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pyarrow as pa

from memory import default_memory_bytes
from serializers.types.ordering import OrderKey
from shuffle.aggregation.operator import aggregate
from shuffle.options import SortOptions
from shuffle.partitioned.manifest import Manifest, Partition
from shuffle.partitioned.part_file import PartFile
from shuffle.partitioned.part_files import PartFiles
from shuffle.partitioned.request import Request, ShuffleError
from shuffle.partitioned.shuffle_file import Shuffled, input_bytes
from shuffle.partitioned.table_digest import TEXT_FORMATS, TableDigest
from shuffle.tables.byte_sink import ByteSink
from shuffle.tables.kinds import TableFormat, format_of
from shuffle.tables.partition import PartitionedTable, plan_partitions
from shuffle.tables.table_codec import order_keys
from shuffle.tables.table_files import GROUP_BYTES, row_groups
from shuffle.tables.table_source import TableSource, open_table
from shuffle.tables.table_writers import table_writer

_WRITER_BYTES = {"parquet": 8 * GROUP_BYTES}
_WRITER_BYTES_ELSE = 4 * GROUP_BYTES
"""What it takes to gather a group of rows, put it together, encode and digest it."""

_WRITE_BYTES = 1 << 20


def shuffle_table(request: Request, options: SortOptions, on_read: Callable[[int], None]) -> Shuffled:
    """Write every row, or every group, into the file of its partition. Raises TableError and what the job does."""
    kind = format_of(request.inputs[0], request.output_format or request.format)
    with (
        ExitStack() as stack,
        PartFiles(request.directory, request.partitions, suffix=f".{kind}", overwrite=request.overwrite) as files,
    ):
        source = open_tables(request.inputs, request.format, stack)
        files.open(input_bytes(request.inputs))
        memory_bytes = (options.memory_bytes or default_memory_bytes()) - source.reader_bytes
        memory_bytes -= _WRITER_BYTES.get(kind, _WRITER_BYTES_ELSE)
        if request.aggregates:
            memory_bytes //= 2
            source = _aggregated(request, _watched(source, on_read), options, memory_bytes, stack)
        else:
            source = _watched(source, on_read)
        group, sort = keys_of(source.schema, source.name, request.by, request.sort_by)
        keeps_groups = bool(request.aggregates) and request.partitioner == "range"
        plan = plan_partitions(
            request.partitioner, request.partitions, source.schema, group, sort, keep_groups=keeps_groups
        )
        options = replace(options, memory_bytes=max(1, memory_bytes))
        table = stack.enter_context(PartitionedTable(source, plan, options))
        for number, batches in table:
            _write(files, number, batches, table.schema, group + sort, kind)
        report = table.report
        manifest = files.publish(lambda parts: _describe(request, kind, table.schema, parts))
    assert manifest.total.records == report.records, "nothing lost, nothing doubled"
    return Shuffled(report, manifest)


def open_tables(paths: Iterable[str], format: str | None, stack: ExitStack, schema: Any | None = None) -> TableSource:
    """Files with the same columns as one table, until `stack` ends. Raises TableError, ShuffleError, OSError.

    `schema` is what the first is known to have, so that the types of text need not be guessed.
    """
    first, *others = paths
    source = stack.enter_context(
        open_table(first, format=format) if schema is None else _open_like(schema, first, format)
    )
    for path in others:
        with _open_like(source.schema, path, format) as other:
            _check_schema(source, other)
    if not others:
        return source

    def chain(batches: Iterator[Any]) -> Iterator[Any]:
        yield from batches
        for path in others:
            with _open_like(source.schema, path, format) as other:
                for batch in other.batches():
                    yield pa.RecordBatch.from_arrays(batch.columns, schema=source.schema)

    return source.derived(source.schema, chain)


def keys_of(
    schema: Any, name: str, by: tuple[str, ...], sort_by: tuple[str, ...]
) -> tuple[tuple[OrderKey, ...], tuple[OrderKey, ...]]:
    """The columns that say where rows go, and the further ones that order them. Raises TableError."""
    group = order_keys(list(by), schema, name) if by else ()
    sort = order_keys(list(sort_by), schema, name) if sort_by else ()
    return group, sort


def encode_schema(schema: Any) -> str:
    """A schema as the manifest has it."""
    return base64.b64encode(schema.remove_metadata().serialize().to_pybytes()).decode("ascii")


def decode_schema(text: str) -> Any:
    """The schema that was encoded. Raises ValueError kinds for anything else."""
    serialized = pa.py_buffer(base64.b64decode(text, validate=True))
    try:
        return pa.ipc.read_schema(serialized)
    except (pa.ArrowException, OSError) as error:  # some are no kinds of ValueError
        raise ValueError(f"the schema is none: {error}") from error


def _open_like(schema: Any, path: str, format: str | None) -> TableSource:
    """A file that should have this schema: text is read as its types."""
    is_text = format_of(path, format) in TEXT_FORMATS
    types = {field.name: field.type for field in schema} if is_text else None
    return open_table(path, format=format, column_types=types)


def _check_schema(first: TableSource, other: TableSource) -> None:
    if not first.schema.equals(other.schema):
        columns = ", ".join(f"{field.name} {field.type}" for field in first.schema)
        raise ShuffleError(f"{other.name}: its columns are not those of {first.name}: {columns}. Make them the same")


def _watched(source: TableSource, on_read: Callable[[int], None]) -> TableSource:
    def tell(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            yield batch
            on_read(batch.nbytes)

    return source.derived(source.schema, tell)


def _aggregated(
    request: Request, source: TableSource, options: SortOptions, memory_bytes: int, stack: ExitStack
) -> TableSource:
    """The groups of the inputs. Reading them back is a source of its own."""
    groups = aggregate(
        pa.RecordBatchReader.from_batches(source.schema, source.batches()),
        list(request.by),
        list(request.aggregates),
        memory=max(1, memory_bytes),
        temp_dirs=options.temp_dirs,
        max_disk=options.disk_bytes_max,
        threads=options.threads,
        compress=options.compress,
        encrypt_spill=options.encrypt_spill,
    )
    stack.callback(groups.close)
    return TableSource("the groups", groups.schema, groups.batches)


def _write(
    files: PartFiles, number: int, batches: Iterator[Any], schema: Any, keys: tuple[OrderKey, ...], kind: TableFormat
) -> None:
    file = files.make(number, None)
    digest = TableDigest(schema, keys, kind)
    with (
        files.errors(f"writing {file.path.name}"),
        _PartSink(file) as sink,
        table_writer(kind, sink, schema, file.path.name) as write,
    ):
        for group in row_groups(batches, schema):
            write(group)
            for batch in group.to_batches():
                digest.add(batch)
    file.content = digest.content(sink.tell())
    files.finish(file)


def _describe(request: Request, kind: str, schema: Any, partitions: list[Partition]) -> Manifest:
    records = {
        "kind": "table",
        "format": kind,
        "columns": [[field.name, str(field.type)] for field in schema],
        "schema": encode_schema(schema),
        "aggregates": list(request.aggregates),
    }
    order = {"by": list(request.by), "sort_by": list(request.sort_by)}
    return Manifest(records, request.partitioner, order, partitions)


class _PartSink(ByteSink):
    """What pyarrow writes to: bytes, gathered, for a file of ours."""

    def __init__(self, file: PartFile) -> None:
        super().__init__()
        self._file = file

    def __enter__(self) -> _PartSink:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.put_waiting()
        self.closed = True

    def put(self, position: int, piece: memoryview) -> None:
        self._file.write(piece)
