"""What is asked of a shuffle of files, and whether it can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from serializers import lines
from shuffle.errors import SortError
from shuffle.options import SortOptions

PARTITIONS_MAX = 10_000
"""As many files as a directory takes with comfort."""

Partitioner = Literal["range", "hash", "round-robin"]

TABLE_FORMATS = ("parquet", "csv", "tsv", "arrow")
_TABLE_SUFFIXES = (".parquet", ".pq", ".csv", ".tsv", ".arrow", ".arrows", ".feather", ".ipc")


class ShuffleError(SortError):
    """What was asked for cannot be; the text says what can."""


@dataclass(frozen=True)
class Request:
    """Inputs, an output directory, and how records get from the ones to the other. Made by `make_request`."""

    inputs: tuple[str, ...]
    directory: str
    partitions: int
    partitioner: Partitioner
    by: tuple[str, ...] = ()
    sort_by: tuple[str, ...] = ()
    aggregates: tuple[str, ...] = ()
    format: str | None = None
    output_format: str | None = None
    overwrite: bool = False
    is_table: bool = False

    @property
    def is_streamed(self) -> bool:
        """Whether records pass through this process one batch after another, rather than through the file engine."""
        return self.is_table or self.partitioner != "range"

    @property
    def modules(self) -> list[str]:
        """What must be loaded to do it, beside this."""
        if self.is_table:
            return ["shuffle.partitioned.table_stream"]
        return ["shuffle.partitioned.record_stream"] if self.is_streamed else []


def make_request(
    inputs: Sequence[str],
    directory: str,
    options: SortOptions,
    *,
    partitions: int,
    partitioner: str | None = None,
    by: Sequence[str] = (),
    sort_by: Sequence[str] = (),
    aggregates: Sequence[str] = (),
    format: str | None = None,
    output_format: str | None = None,
    overwrite: bool = False,
) -> Request:
    """Check what was asked for. Raises ShuffleError."""
    if not 1 <= partitions <= PARTITIONS_MAX:
        raise ShuffleError(f"{partitions} partitions: there may be 1 to {PARTITIONS_MAX:,}")
    of_columns = bool(by or sort_by or aggregates)
    is_table = _is_table(inputs, format, of_columns=of_columns)
    _check_layout(options, format, is_table=is_table)
    if is_table and not (by or partitioner == "round-robin"):
        raise ShuffleError("a table needs columns to go by: give --by, or --partitioner round-robin, or --format lines")
    if not is_table and (of_columns or output_format):
        raise ShuffleError("lines and records have no columns: leave out --by, --sort-by, --agg and --output-format")
    if aggregates and (not by or partitioner == "round-robin"):
        raise ShuffleError("--agg combines rows that are equal in the columns of --by: give --by, and hash or range")
    chosen = partitioner or ("hash" if is_table else "range")
    if chosen not in get_args(Partitioner):
        raise ShuffleError(f"{chosen!r} is no partitioner: there are {', '.join(get_args(Partitioner))}")
    if options.unique or options.limit is not None:
        raise ShuffleError("a shuffle keeps all records: leave out --unique and --limit, and sort what it wrote")
    return Request(
        tuple(inputs),
        directory,
        partitions,
        chosen,  # type: ignore[arg-type]
        tuple(by),
        tuple(sort_by),
        tuple(aggregates),
        format,
        output_format,
        overwrite,
        is_table,
    )


def _is_table(inputs: Sequence[str], format: str | None, *, of_columns: bool) -> bool:
    if format is not None and format not in ("lines", "fixed", *TABLE_FORMATS):
        raise ShuffleError(f"{format!r} is no format: there are lines, fixed, {', '.join(TABLE_FORMATS)}")
    if format is not None:
        return format in TABLE_FORMATS
    named = {Path(path).suffix.lower() in _TABLE_SUFFIXES for path in inputs}
    if len(named) > 1 and not of_columns:
        raise ShuffleError("some inputs are tables by their names, and others are not: say what they are with --format")
    return of_columns or named == {True}


def _check_layout(options: SortOptions, format: str | None, *, is_table: bool) -> None:
    is_plain = options.layout == lines() and not options.reverse
    if is_table and not is_plain:
        raise ShuffleError(
            'rows of a table are ordered by --by and --sort-by ("-amount" descends): leave out --reverse and the '
            "options of lines and records"
        )
    if format == "fixed" and options.layout.is_lines:
        raise ShuffleError("records of one length: say with --record-bytes how long they are")
    if format == "lines" and not options.layout.is_lines:
        raise ShuffleError("lines have no --record-bytes: leave it out, or say --format fixed")
