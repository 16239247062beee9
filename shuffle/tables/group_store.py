"""The rows of one key, to be read as often as wanted: in memory while they are few, else in a temporary file."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from io_manager import DiskLimitError, platform_files
from io_manager.byte_file import ByteFile
from io_manager.errors import disk_errors
from io_manager.sealed_file import SealedFile
from memory import KIB, MIB
from shuffle.closable import Closable
from shuffle.means import spill_key
from shuffle.options import SortOptions

KEPT_BYTES = 4 * MIB
_BUFFER_BYTES = 128 * KIB


class GroupStore(Closable):
    """Keeps `batches` of one schema, `kept_bytes` of them in memory at most. Use it in a `with`.

    The file has no name, so that nothing can be left of it, and it counts against `options.disk_bytes_max` by itself.
    It is encrypted, if `options` say so.
    """

    def __init__(self, batches: Iterable[Any], options: SortOptions, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept: list[Any] = []
        self._file: ByteFile | None = None
        self._sealed: SealedFile | None = None
        self._key = spill_key(options)
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
        plain = ByteFile(self._file.fileno(), owns=False)
        with plain if self._sealed is None else self._sealed.reader() as file, self._disk_errors("reading"):
            yield from pa.ipc.open_stream(pa.PythonFile(file, mode="r"))

    def close(self) -> None:
        """Forget the rows. Idempotent."""
        self._kept.clear()
        if self._file is not None:
            self._file.close()

    def _spill(self, rest: Iterator[Any]) -> None:
        with self._disk_errors("storing"):
            self._file = ByteFile(platform_files.open_unnamed(self._directory))
        fd = self._file.fileno()
        self._sealed = None if self._key is None else SealedFile(fd, self._key, self._directory)
        try:
            with ByteFile(fd, owns=False) as plain:
                sealed = self._sealed
                self._write(io.BufferedWriter(plain, _BUFFER_BYTES) if sealed is None else sealed.writer(), rest)
        except BaseException:
            self.close()
            raise

    def _write(self, file: IO[bytes], rest: Iterator[Any]) -> None:
        schema = self._kept[0].schema
        with pa.ipc.new_stream(pa.PythonFile(file, mode="w"), schema) as writer:
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


__all__ = ["KEPT_BYTES", "GroupStore"]
