"""Rows of a Parquet file, a row group at a time, as dictionaries or tuples. pyarrow is imported when one is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

RowKind = Literal["dict", "tuple"]

_BATCH_ROWS = 4096


@dataclass(frozen=True)
class ParquetSplit:
    """Row group `row_group` of `path`; of its columns those named, all if None."""

    path: Path
    row_group: int
    columns: tuple[str, ...] | None = None
    row_kind: RowKind = "dict"

    @property
    def name(self) -> str:
        """For errors."""
        return f"{self.path}, row group {self.row_group}"

    def read(self) -> Iterator[Any]:
        """Its rows. Raises OSError; TableError for a file that is none, or damaged."""
        return chain.from_iterable(self._batches())

    def _batches(self) -> Iterator[list[Any]]:
        from serializers.columns.arrow_in import in_microseconds
        from shuffle.tables.parquet_file import ParquetFile

        with ParquetFile(self.path) as file:
            for batch in file.batches(self.row_group, _BATCH_ROWS, self.columns):
                rows = zip(*(in_microseconds(column).to_pylist() for column in batch.columns), strict=True)
                names = batch.schema.names
                yield [dict(zip(names, row, strict=True)) for row in rows] if self.row_kind == "dict" else list(rows)


def parquet_splits(
    path: str | Path, *, columns: Sequence[str] | None = None, row_kind: RowKind = "dict"
) -> list[ParquetSplit]:
    """All row groups of a file. Raises OSError, TableError, ImportError without pyarrow."""
    try:
        from shuffle.tables.parquet_file import ParquetFile
    except ImportError as error:
        raise ImportError("Parquet files need pyarrow: pip install 'spillway[arrow]'") from error
    with ParquetFile(path) as file:
        count = file.metadata.num_row_groups
    wanted = None if columns is None else tuple(columns)
    return [ParquetSplit(Path(path).absolute(), number, wanted, row_kind) for number in range(count)]
