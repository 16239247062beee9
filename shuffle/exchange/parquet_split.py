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
        """Its rows. Raises OSError, and what pyarrow raises for a file that is none."""
        return chain.from_iterable(self._batches())

    def _batches(self) -> Iterator[list[Any]]:
        import pyarrow.parquet

        from serializers.columns.arrow_in import in_microseconds

        columns = None if self.columns is None else list(self.columns)
        with pyarrow.parquet.ParquetFile(self.path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names if columns is None else columns
            for batch in file.iter_batches(
                _BATCH_ROWS, row_groups=[self.row_group], columns=columns, use_threads=False
            ):
                rows = zip(*(in_microseconds(column).to_pylist() for column in batch.columns), strict=True)
                yield [dict(zip(names, row, strict=True)) for row in rows] if self.row_kind == "dict" else list(rows)


def parquet_splits(
    path: str | Path, *, columns: Sequence[str] | None = None, row_kind: RowKind = "dict"
) -> list[ParquetSplit]:
    """All row groups of a file. Raises OSError, ImportError without pyarrow."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("Parquet files need pyarrow: pip install 'spillway[arrow]'") from error
    with pyarrow.parquet.ParquetFile(path) as file:
        count = file.metadata.num_row_groups
    wanted = None if columns is None else tuple(columns)
    return [ParquetSplit(Path(path).absolute(), number, wanted, row_kind) for number in range(count)]
