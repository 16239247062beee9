"""Values of a type to rows and back, thousands at a time: the door of the batch path.

    values ──encode──> EncodedRows: rows one behind another, and where each ends
    values <──decode── rows

The bytes are those of docs/ROW_FORMAT.md, the same that serializers and comparators write one value at a time. A batch
that these have to look at, because something in it is out of the ordinary or wrong, takes ten times as long; so the
quick way is never a second opinion on what a type takes. `slow_batches` counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from serializers.columns.batch import Batch, Batches, ValueBatch
from serializers.columns.column import Data, Loose
from serializers.columns.pieces import EncodedRows, RowPieces, Rows, RowTarget
from serializers.columns.plan import plan_rows
from serializers.columns.scratch import Scratch
from serializers.columns.slow_rows import SlowRows
from serializers.columns.steps import BatchTooLargeError, UnknownBytesError
from serializers.errors import CorruptRecordError, SerializationError
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import TypeInformation
from serializers.views import BytesInput

_STEP_BYTES = 1 << 17
"""Of rows that are worked on at once: with values and arrays they stay in a cache of 1 MiB."""

_STEP_ROWS_MAX = 8192
_STEP_ROWS_FIRST = 128
_STEP_GROWTH = 16

Made = TypeVar("Made")

_TO_WRITE_SLOWLY = (SerializationError, RecursionError)
_TO_READ_SLOWLY = (CorruptRecordError, UnknownBytesError, RecursionError)


class RowCodec:
    """Rows of values of `type_info`, for one thread.

    ordering   orders the values: their type's own comparator or an OrderingComparator. None for rows without keys
    key_info   if given, `ordering` orders what a key function makes of the values, which is of this type

    `key_bytes` is the length of every order key; None if it varies, and rows say it.
    """

    step_bytes = _STEP_BYTES
    step_rows_max = _STEP_ROWS_MAX

    def __init__(
        self,
        type_info: TypeInformation[Any],
        ordering: TypeComparator[Any] | None,
        *,
        key_info: TypeInformation[Any] | None = None,
    ) -> None:
        self.plan = plan_rows(type_info, ordering, key_info)
        self.key_bytes = self.plan.key_bytes
        self.slow_batches = 0
        self._batches = Batches(self.plan)
        self._slow = SlowRows(self.plan)
        self._scratch = Scratch()
        self._step_rows = _STEP_ROWS_FIRST

    # --- values to rows

    def encode(self, values: Sequence[Any], first_record: int = 0, *, keys: Sequence[Any] | None = None) -> EncodedRows:
        """The rows of all values; `keys` are what the key function made of them.

        Raises ValueMismatchError, with the number of the record from `first_record` on and the field, for a value that
        is not of the type; SerializationError if the rows together take 2 GiB or more.
        """
        return whole(self.encode_some(values, first_record, keys=keys), len(values))

    def encode_some(
        self, values: Sequence[Any], first_record: int = 0, *, keys: Sequence[Any] | None = None
    ) -> EncodedRows:
        """The rows of as many values, from the first on, as take less than 2 GiB together; of one at least."""
        assert (keys is not None) == self.plan.has_key_function, "keys= goes with key_info="
        assert keys is None or len(keys) == len(values), "one key for each value"
        return self._encode_batch(ValueBatch(values, keys), first_record)

    def _encode_batch(self, batch: Batch, first_record: int) -> EncodedRows:
        target = RowTarget(len(batch))
        while target.count < len(batch):
            step = batch.part(target.count, min(target.count + self._step_rows, len(batch)))
            try:
                self._encode_step(step, target, first_record + target.count)
            except BatchTooLargeError:
                if target.count:
                    break
                problem = "the row takes 2 GiB or more, and at most 2 GiB - 1 can be written"
                raise SerializationError(problem).at_record(first_record) from None
        return target.rows()

    def _encode_step(self, step: Batch, target: RowTarget, number: int) -> None:
        """Append rows of the first values of `step`. Raises BatchTooLargeError if not even one has room."""
        size = target.size
        while True:
            try:
                data = step.gather(self._batches.column, self._scratch)
                if target.write(self._batches.put(data, step, self._scratch), len(step)):
                    self._adapt(len(step), target.size - size)
                    return
            except BatchTooLargeError:
                if len(step) == 1:
                    raise
                step = step.part(0, len(step) // 2)
            except _TO_WRITE_SLOWLY:
                self._encode_slowly(step, target, number)
                return
            finally:
                self._scratch.clear()

    def _adapt(self, count: int, written: int) -> None:
        """Let the next step have about `step_bytes`, but not many times the rows of this one."""
        wanted = self.step_bytes * count // max(written, 1)
        self._step_rows = max(1, min(wanted, count * _STEP_GROWTH, self.step_rows_max))

    def _encode_slowly(self, step: Batch, target: RowTarget, number: int) -> None:
        self.slow_batches += 1
        values = step.values
        for value, key in zip(values, step.keys or [None] * len(values), strict=True):
            try:
                target.append(self._slow.encode(value, key))
            except SerializationError as error:
                error.at_record(number)
                raise
            number += 1

    # --- rows to values

    def decode(self, rows: Rows, first_record: int = 0) -> list[Any]:
        """The values of a whole number of rows, one behind another.

        Raises CorruptRecordError, with the number of the record from `first_record` on.
        """
        values: list[Any] = []
        for part in self.decode_parts(rows, first_record):
            values += part
        return values

    def decode_parts(self, rows: Rows, first_record: int = 0) -> Iterator[list[Any]]:
        """The same, some thousand values at a time. Before the end the codec must not be used for anything else."""
        return self._decode_batches(rows, self._batches.column.values, first_record)

    def _decode_batches(
        self, rows: Rows, finish: Callable[[Data], Made], first_record: int, *, joins_texts: bool = True
    ) -> Iterator[Made]:
        """What `finish` makes of each batch, while the scratch is what it was."""
        pieces = RowPieces(rows, self.key_bytes, self.step_rows_max, self.step_bytes)
        while pieces.rest.size:
            piece, places = pieces.cut(self._scratch)
            try:
                made = finish(self._batches.get(piece, places, self._scratch, joins_texts=joins_texts))
            except _TO_READ_SLOWLY:
                made = finish(Loose(self._decode_slowly(piece.data, first_record)))
            finally:
                self._scratch.clear()
            if not len(places):
                self._decode_slowly(pieces.rest, first_record)
                raise AssertionError("a row that can be read was not found")
            first_record += len(places)
            yield made

    def _decode_slowly(self, rows: NDArray[np.uint8], number: int) -> list[Any]:
        self.slow_batches += 1
        source = BytesInput(memoryview(rows))  # type: ignore[arg-type]
        values: list[Any] = []
        try:
            while source.remaining:
                values.append(self._slow.decode(source))
        except SerializationError as error:
            error.at_record(number + len(values))
            raise
        return values


def whole(encoded: EncodedRows, count: int) -> EncodedRows:
    """The rows of `count` records. Raises SerializationError if they are fewer."""
    if encoded.count < count:
        raise SerializationError(
            f"{count} records take 2 GiB or more as rows: only {encoded.count} fit. Encode fewer of them at a time"
        )
    return encoded


__all__ = ["EncodedRows", "RowCodec", "whole"]
