"""Rows with the keys of a shuffle, from rows with plain ones and back: the door of the kernels that do it.

group rows ─┐
sort rows ──┼── join_keys ──> shuffled rows ── split_keys ──> group rows
partitions ─┘
"""

import numpy as np
from numpy.typing import NDArray

from serializers.columns.pieces import ROWS_BYTES_MAX, EncodedRows
from serializers.columns.scratch import address_of
from serializers.errors import CorruptRecordError, SerializationError
from serializers.layouts import SLACK_BYTES
from shuffle.exchange.key_shape import KeyShape
from shuffle.kernels import partition as kernels
from shuffle.row_feed import Rows

_NO_ENDS = np.empty(0, np.uint32)


RowBytes = memoryview | NDArray[np.uint8]
"""Whole rows, one behind another, with `SLACK_BYTES` of readable memory behind them."""


def join_keys(
    group_rows: Rows,
    shape: KeyShape,
    *,
    sort_rows: Rows | None = None,
    partitions: NDArray[np.uint32] | None = None,
) -> EncodedRows:
    """Rows with the keys of `shape`: of `group_rows` key and value, of `sort_rows` the key only, a number for each.

    Raises SerializationError if the rows together take 2 GiB or more.
    """
    count = len(group_rows.ends)
    assert (sort_rows is not None) == shape.has_sort_key, "sort keys go with a shape that has them"
    assert (partitions is not None) == bool(shape.partition_bytes), "partition numbers go with a shape that has them"
    assert sort_rows is None or len(sort_rows.ends) == count, "one sort key for each row"
    assert partitions is None or len(partitions) == count, "one partition number for each row"
    room = _joined_bytes_max(group_rows, sort_rows, shape)
    target, ends = np.empty(room + SLACK_BYTES, np.uint8), np.empty(count, np.uint32)
    done, size = kernels.join_rows(
        _words(shape),
        address_of(group_rows.data),
        group_rows.ends,
        0 if sort_rows is None else address_of(sort_rows.data),
        _NO_ENDS if sort_rows is None else sort_rows.ends,
        _NO_ENDS if partitions is None else partitions,
        address_of(target),
        min(room, ROWS_BYTES_MAX),
        ends,
    )
    if done < count and room > ROWS_BYTES_MAX:
        raise SerializationError(f"{count} rows with their keys take 2 GiB or more. Shuffle fewer of them at a time")
    assert done == count, f"row {done} of {count} is none of this shape: {shape}"
    return EncodedRows(target, int(size), ends)


def split_keys(view: RowBytes, shape: KeyShape) -> EncodedRows:
    """The rows in `view`, which have the keys of `shape`, as group rows: with the group key alone, and the value.

    Raises CorruptRecordError for bytes that are no such rows.
    """
    source = _bytes(view)
    target = np.empty(source.size + SLACK_BYTES, np.uint8)
    ends = np.empty(source.size // _row_bytes_min(shape) + 1, np.uint32)
    start = address_of(source)
    count, size, stop = kernels.split_rows(_words(shape), start, start + source.size, address_of(target), ends)
    _check_whole(int(count), stop - start, source.size)
    return EncodedRows(target, int(size), ends[: int(count)])


def group_starts(view: RowBytes, shape: KeyShape) -> NDArray[np.uint32]:
    """Which rows of `view`, counted from 0, have another partition or group than the row before; the first always has.

    Raises CorruptRecordError for bytes that are no rows of `shape`.
    """
    source = _bytes(view)
    starts = np.empty(source.size // _row_bytes_min(shape) + 1, np.uint32)
    start = address_of(source)
    groups, count, stop = kernels.find_groups(_words(shape), start, start + source.size, starts)
    _check_whole(int(count), stop - start, source.size)
    return starts[: int(groups)]


def group_key(row: memoryview | bytes, shape: KeyShape) -> bytes:
    """Partition number and group key, as they stand there, of the row that `row` begins with."""
    start, length = shape.layout.row_key(row)
    return group_prefix(bytes(row[start : start + length]), shape)


def group_prefix(key: bytes, shape: KeyShape) -> bytes:
    """Partition number and group key of a whole key; all of a key that was cut short before its group key ended."""
    if not shape.has_sort_key:
        return key
    if shape.group_bytes is not None:
        return key[: shape.partition_bytes + shape.group_bytes]
    start = shape.partition_bytes
    while (zero := key.find(b"\0", start)) >= 0:
        if key[zero + 1 : zero + 2] == b"\0":
            return key[: zero + 2]
        start = zero + 2
    return key


def hash_keys(group_rows: Rows, shape: KeyShape) -> NDArray[np.uint64]:
    """XXH64 of the group key of each of `group_rows`, as they are before `join_keys`: for ever the same."""
    hashes = np.empty(len(group_rows.ends), np.uint64)
    key_bytes = kernels.VARIES if shape.group_bytes is None else shape.group_bytes
    done = kernels.hash_rows(address_of(group_rows.data), group_rows.ends, key_bytes, hashes)
    assert done == len(hashes), f"row {done} of {len(hashes)} is none of this shape: {shape}"
    return hashes


def _joined_bytes_max(group_rows: Rows, sort_rows: Rows | None, shape: KeyShape) -> int:
    """What joined rows may take: closing a key doubles it at most."""
    count = len(group_rows.ends)
    if not count:
        return 0
    group_bytes = int(group_rows.ends[-1]) * (2 if shape.closes_group else 1)
    sort_bytes = 0 if sort_rows is None else int(sort_rows.ends[-1])
    return group_bytes + sort_bytes + count * (shape.partition_bytes + kernels.HEAD_BYTES_MAX + 2)


def _words(shape: KeyShape) -> NDArray[np.uint64]:
    """The shape as kernels take it."""
    lengths = [kernels.VARIES if length is None else length for length in (shape.group_bytes, shape.sort_bytes)]
    return np.array([shape.partition_bytes, *lengths, shape.closes_group, shape.key_bytes is None], np.uint64)


def _row_bytes_min(shape: KeyShape) -> int:
    """The least that a row takes."""
    return 1 + (1 + shape.partition_bytes if shape.key_bytes is None else shape.key_bytes)


def _check_whole(count: int, found_bytes: int, size_bytes: int) -> None:
    if found_bytes != size_bytes:
        problem = f"byte {found_bytes} of {size_bytes} begins a row that does not fit its own lengths"
        raise CorruptRecordError(problem).at_record(count)


def _bytes(view: RowBytes) -> NDArray[np.uint8]:
    return np.frombuffer(view, np.uint8) if len(view) else np.empty(0, np.uint8)
