"""Parquet as all of the engine reads it: in the caller's thread, through small buffers, and nothing of it believed.

Pages are proved by their checksums where a file has them, and batches are validated: pyarrow itself believes what the
indexes of a dictionary and the bytes of a text are, and kernels would follow them anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet

from memory import KIB, MIB
from shuffle.tables.kinds import NAME_IS_NO_TEXT, TableError

_BUFFER_BYTES = 64 * KIB
_PAGE_BYTES = 1 * MIB
"""What a page of a column takes, as pyarrow and most others write it."""

_CURE = "See whether it is a Parquet file, and whole: it may have been cut short, or damaged. If so, get it again"


@contextmanager
def read_errors(name: str, cure: str) -> Iterator[None]:
    """Say of what pyarrow raises which file it is about, and what to do; what the system raises says it already."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise TableError(f"{name}: {str(error).rstrip('.')}. {cure}") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{name}: {NAME_IS_NO_TEXT}") from error


class ParquetFile:
    """An open file: its `schema` and `metadata`. A context manager.

    `metadata` is what the footer of the file says, if it was read before. Raises TableError, OSError.
    """

    def __init__(self, path: str | os.PathLike[str], *, metadata: Any = None) -> None:
        self.name = os.fspath(path)
        with read_errors(self.name, _CURE):
            self._source = pa.OSFile(self.name)
            try:
                self._file = pyarrow.parquet.ParquetFile(
                    self._source,
                    metadata=metadata,
                    pre_buffer=False,
                    buffer_size=_BUFFER_BYTES,
                    page_checksum_verification=True,
                )
                self.schema = self._file.schema_arrow
            except BaseException:
                self._source.close()
                raise
        self.metadata = self._file.metadata

    def groups(self) -> list[tuple[int, int]]:
        """(rows, bytes before they are packed) of each row group. It looks at all of them: not for each one anew."""
        groups = map(self.metadata.row_group, range(self.metadata.num_row_groups))
        return [(group.num_rows, group.total_byte_size) for group in groups]

    def batches(self, group: int, rows: int, columns: Sequence[str] | None) -> Iterator[Any]:
        """A row group in batches of up to `rows`, with `columns` in that order; all if None. Raises TableError."""
        wanted = None if columns is None else list(columns)
        with read_errors(self.name, _CURE):
            for batch in self._file.iter_batches(rows, [group], wanted, use_threads=False):
                batch.validate(full=True)
                if batch.num_rows:
                    yield batch if wanted is None else batch.select(wanted)

    def reader_bytes(self) -> int:
        """The most that reading takes: a page, unpacked and packed, and a dictionary for every column."""
        largest = max((size for _, size in self.groups()), default=0)
        return min(2 * largest, int(self.metadata.num_columns) * (_BUFFER_BYTES + 3 * _PAGE_BYTES))

    def close(self) -> None:
        """Idempotent."""
        self._file.close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
