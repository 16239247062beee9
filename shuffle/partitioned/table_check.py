"""Check the table files of an output directory against its manifest, and against the tables that were shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from serializers import rows as rows_layout
from serializers.errors import SerializationError
from serializers.types.ordering import OrderKey
from shuffle.kernels import verify as kernel
from shuffle.partitioned.manifest import MANIFEST_NAME, Content, Manifest, Partition
from shuffle.partitioned.manifest_reader import ManifestError
from shuffle.partitioned.problems import Problem, differences
from shuffle.partitioned.table_digest import TEXT_FORMATS, TableDigest
from shuffle.partitioned.table_stream import decode_schema, keys_of, open_tables
from shuffle.tables.kinds import TableError
from shuffle.tables.partition import plan_partitions
from shuffle.tables.table_codec import TableCodec
from shuffle.tables.table_source import open_table
from shuffle.verify import layout_words


class TableCheck:
    """Checks Parquet, CSV, TSV and Arrow files. Reads a batch at a time."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self._directory = directory
        self._manifest = manifest
        try:
            self._format = str(manifest.records["format"])
            self._schema = decode_schema(manifest.records["schema"])
            by, sort_by = manifest.order["by"], manifest.order["sort_by"]
            self._group, self._sort = keys_of(self._schema, "the schema", tuple(by), tuple(sort_by))
            self._is_grouped = bool(manifest.records["aggregates"])
            self._partition_of = self._assigner()
        except (KeyError, TypeError, ValueError, OSError) as error:
            where = directory / MANIFEST_NAME
            raise ManifestError(f"{where}: records or order is none that is known ({error})") from error
        self._keys = self._group + self._sort

    def files(self) -> Iterator[Problem]:
        """Check every file."""
        order = RowOrder(self._schema, self._keys)
        for number, partition in enumerate(self._manifest.partitions):
            if self._manifest.partitioner != "range":
                order.restart()
            yield from self._file(number, partition, order)

    def totals(self, inputs: Sequence[str]) -> Iterator[Problem]:
        """Compare with what was shuffled."""
        if self._is_grouped:
            yield Problem(
                f"{self._directory}: holds aggregates, which cannot be compared with the records of the input"
            )
            return
        with ExitStack() as stack:
            source = open_tables(inputs, None, stack, self._schema)
            digest = TableDigest(self._schema, (), self._format)
            for batch in source.batches():
                digest.add(batch)
        found, total = digest.content(0), self._manifest.total
        told = Content(total.records, 0, fingerprint=total.fingerprint)
        yield from differences(self._directory, told, found, "in the input")

    def _assigner(self) -> Callable[[Any, int], Any] | None:
        if self._manifest.partitioner != "hash":
            return None
        count = len(self._manifest.partitions)
        return plan_partitions("hash", count, self._schema, self._group, self._sort, keep_groups=False).assign

    def _file(self, number: int, partition: Partition, order: RowOrder) -> Iterator[Problem]:
        path = self._directory / partition.file
        if not path.is_file():
            yield Problem(f"{path}: {'is no file' if path.exists() else 'is missing'}")
            return
        digest = TableDigest(self._schema, self._keys, self._format)
        misplaced = disorders = 0
        try:
            for batch in self._batches(path):
                digest.add(batch)
                disorders += order.look(batch)
                if self._partition_of is not None:
                    misplaced += int(np.count_nonzero(self._partition_of(batch, 0) != number))
        except (TableError, SerializationError) as error:
            yield Problem(str(error) if str(path) in str(error) else f"{path}: {error}")
            return
        if disorders:
            yield Problem(f"{path}: {disorders} rows out of order", is_order=True)
        if misplaced:
            yield Problem(f"{path}: {misplaced} rows belong in other partitions, by the hash of their keys")
        yield from differences(path, partition.content, digest.content(path.stat().st_size), "in the file")

    def _batches(self, path: Path) -> Iterator[Any]:
        is_text = self._format in TEXT_FORMATS
        types = {field.name: field.type for field in self._schema} if is_text else None
        with open_table(path, format=self._format, column_types=types) as source:
            if source.schema.names != self._schema.names or source.schema.types != self._schema.types:
                columns = ", ".join(f"{field.name} {field.type}" for field in source.schema)
                raise TableError(f"{path}: its columns are not those of the manifest, but {columns}")
            yield from source.batches()


class RowOrder:
    """Whether rows come in the order of `keys`, also from batch to batch."""

    def __init__(self, schema: Any, keys: tuple[OrderKey, ...]) -> None:
        self._codec = TableCodec(schema, keys)
        self._layout = rows_layout(self._codec.key_bytes)
        self._words = layout_words(self._layout, reverse=False, unique=False)
        self._last_key: bytes | None = None

    def restart(self) -> None:
        """What comes next need not follow what came."""
        self._last_key = None

    def look(self, batch: Any) -> int:
        """How many rows should stand before the row that they follow."""
        disorders = 0
        for rows in self._codec.encode(batch, 0):
            state = np.zeros(kernel.STATE_WORDS, np.uint64)
            start = rows.data.__array_interface__["data"][0]
            last, _ = kernel.verify_records(start, start, start + int(rows.ends[-1]), self._words, state)
            first_key = self._layout.key(rows.data[: int(rows.ends[0])].tobytes())
            disorders += int(state[kernel.DISORDERS])
            disorders += self._last_key is not None and first_key < self._last_key
            self._last_key = self._layout.key(rows.data[int(last - start) : int(rows.ends[-1])].tobytes())
        return disorders
