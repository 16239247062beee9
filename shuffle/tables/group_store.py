"""The rows of one key, to be read as often as wanted: in memory while they are few, else in a temporary file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from io_manager import DiskLimitError
from io_manager.errors import disk_errors
from memory import MIB
from shuffle.closable import Closable
from shuffle.options import SortOptions

KEPT_BYTES = 4 * MIB


class GroupStore(Closable):
    """Keeps `batches` of one schema, `kept_bytes` of them in memory at most. Use it in a `with`.

    The file has no name, so that nothing can be left of it, and it counts against `options.disk_bytes_max` by itself.
    """

    def __init__(self, batches: Iterable[Any], options: SortOptions, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept: list[Any] = []
        self._file: IO[bytes] | None = None
        self._limit_bytes = options.disk_bytes_max
        self._directory = Path(options.temp_dirs[0] if options.temp_dirs else tempfile.gettempdir())
        self.row_count = 0
        size = 0
        source = iter(batches)
        for batch in source:
            self._kept.append(batch)
            self.row_count += batch.num_rows
            size += batch.nbytes
            if size > kept_bytes:
                self._spill(source)

    @property
    def has_spilled(self) -> bool:
        """Whether the rows are in a file."""
        return self._file is not None

    def batches(self) -> Iterator[Any]:
        """All of them. Not twice at the same time."""
        if self._file is None:
            yield from self._kept
            return
        with os.fdopen(os.dup(self._file.fileno()), "rb") as file, self._disk_errors("reading"):
            file.seek(0)
            yield from pa.ipc.open_stream(pa.PythonFile(file, mode="r"))

    def close(self) -> None:
        """Forget the rows. Idempotent."""
        self._kept.clear()
        if self._file is not None:
            self._file.close()

    def _spill(self, rest: Iterator[Any]) -> None:
        with self._disk_errors("storing"):
            self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - closed by close
        try:
            self._write(self._file, rest)
        except BaseException:
            self.close()
            raise

    def _write(self, file: IO[bytes], rest: Iterator[Any]) -> None:
        schema = self._kept[0].schema
        with pa.ipc.new_stream(pa.PythonFile(_Kept(file), mode="w"), schema) as writer:
            for batch in self._kept:
                self._write_batch(writer, batch, file)
            self._kept.clear()
            for batch in rest:
                self.row_count += batch.num_rows
                self._write_batch(writer, batch, file)
        with self._disk_errors("storing"):
            file.flush()

    def _write_batch(self, writer: Any, batch: Any, file: IO[bytes]) -> None:
        used, needed = file.tell(), batch.nbytes
        if self._limit_bytes is not None and used + needed > self._limit_bytes:
            raise DiskLimitError.reached(limit_bytes=self._limit_bytes, used_bytes=used, needed_bytes=needed)
        with self._disk_errors("storing", needed):
            writer.write_batch(batch)

    def _disk_errors(self, doing: str, needed_bytes: int = 0) -> AbstractContextManager[None]:
        return disk_errors(self._directory / "", doing=f"{doing} the rows of one key", needed_bytes=needed_bytes)


class _Kept:
    """A file that pyarrow may write to, and not close."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write
        self.tell = file.tell
        self.flush = file.flush

    def close(self) -> None:
        """Leave it open."""


__all__ = ["KEPT_BYTES", "GroupStore"]
