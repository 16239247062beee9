"""Lines and records of one length by hash, or in turn: as rows, with the number of their partition before the key.

    inputs ──> records ──> rows, hash of the key ──> number | key ──RowSession──> in order of both ──> file after file

One sort gives all partitions, one behind another, so one file is open at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serializers import SLACK_BYTES, RecordLayout
from serializers.columns.scratch import address_of
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.keyed_rows import hash_keys, join_keys
from shuffle.exchange.partitioners import Partitioner, partitions_of_hashes
from shuffle.kernels import records as kernel
from shuffle.options import SortOptions
from shuffle.partitioned.digest import Digest
from shuffle.partitioned.part_files import PartFiles
from shuffle.partitioned.record_reader import read_records
from shuffle.report import SortReport
from shuffle.row_session import RowSession
from shuffle.verify import layout_words

RECORDS_MAX = 1 << 16
"""At a time: their rows, keys and hashes stay in a second-level cache."""


@dataclass(frozen=True)
class RecordRows:
    """Rows made of records: row i ends at `data[ends[i]]`, and slack follows the last."""

    data: NDArray[np.uint8]
    ends: NDArray[np.uint32]


def record_shape(layout: RecordLayout, partition_bytes: int) -> KeyShape:
    """What the key of such a row is made of."""
    return KeyShape(partition_bytes, None if layout.is_lines else layout.key_bytes, 0)


def record_rows(view: memoryview, layout: RecordLayout) -> Iterator[RecordRows]:
    """The rows of whole records with slack behind them, some at a time. Each is good until the next."""
    words = layout_numbers(layout)
    start = address = address_of(np.frombuffer(view, np.uint8)) if len(view) else 0
    end = address + len(view)
    target, ends = np.empty(_row_room(len(view), layout), np.uint8), np.empty(RECORDS_MAX, np.uint32)
    while start < end:
        count, start = kernel.write_rows(start, end, words, address_of(target), ends)
        assert count, "whole records"
        yield RecordRows(target, ends[: int(count)])


def layout_numbers(layout: RecordLayout) -> NDArray[np.uint64]:
    """A layout as the kernels of rows take it."""
    return np.array([layout.record_bytes, layout.key_offset, layout.key_bytes, layout.delimiter], np.uint64)


def shuffle_records(
    inputs: Sequence[str],
    files: PartFiles,
    options: SortOptions,
    partitioner: Partitioner,
    partitions: int,
    on_read: Callable[[int], None],
) -> SortReport:
    """Write every record into the file of its partition, in order there. Raises what the job does."""
    layout = options.layout
    shape = record_shape(layout, partitioner.partition_bytes(partitions))
    with closing(RowSession(replace(options, layout=shape.layout))) as session:
        count = 0
        for view in read_records(inputs, layout):
            for rows in record_rows(view, layout):
                numbers = partitioner.assign(rows, shape, partitions, first_record=count)
                session.put(join_keys(rows, shape, partitions=numbers))
                count += len(rows.ends)
            on_read(len(view))
        report = session.finish()
        assert report.records == count, (report.records, count)
        _write(session, files, shape, options)
    return report


def hash_partitions(path: Path, layout: RecordLayout, partitions: int) -> Iterator[NDArray[np.uint32]]:
    """The partition of each record in a file, by the hash of its key, some at a time. Raises as `read_records` does."""
    shape = record_shape(layout, 0)
    for view in read_records([str(path)], layout):
        for rows in record_rows(view, layout):
            yield partitions_of_hashes(hash_keys(rows, shape), partitions)


def _write(session: RowSession, files: PartFiles, shape: KeyShape, options: SortOptions) -> None:
    words = layout_words(options.layout, reverse=options.reverse, unique=False)
    last, file = -1, None
    for number, view in _partitioned(session, shape, options.layout):
        if number != last or file is None:
            if file is not None:
                files.finish(file)
            last, file = number, files.make(number, Digest(options.layout, words))
        with files.errors(f"writing {file.path.name}", len(view)):
            file.append(view, 0)


def _partitioned(session: RowSession, shape: KeyShape, layout: RecordLayout) -> Iterator[tuple[int, memoryview]]:
    """Partition numbers, and whole records of theirs with slack behind them; each is good until the next."""
    words = layout_numbers(layout)
    target = np.empty(0, np.uint8)
    for view in session.read():
        if len(target) < len(view) + SLACK_BYTES:
            target = np.empty(len(view) + SLACK_BYTES, np.uint8)
        start = address_of(np.frombuffer(view, np.uint8))
        end = start + len(view)
        while start < end:
            start, target_end, number = kernel.read_rows(start, end, shape.partition_bytes, words, address_of(target))
            yield int(number), target.data[: int(target_end) - address_of(target)]


def _row_room(size_bytes: int, layout: RecordLayout) -> int:
    """The most that the rows of so many bytes of records take."""
    if layout.is_lines:
        return 2 * size_bytes + 2 * SLACK_BYTES  # a line that is empty takes 1 byte, and its row 2
    count = min(RECORDS_MAX, size_bytes // layout.record_bytes)
    return count * (layout.record_bytes + layout.key_bytes + 5) + 2 * SLACK_BYTES
