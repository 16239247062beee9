"""Pairs of rows as record batches: the columns of both sides, taken at the rows that belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shuffle.kernels.join import NONE
from shuffle.tables.join_plan import JoinPlan
from shuffle.tables.numpy_arrays import arrow_array
from shuffle.tables.table_codec import TableCodec

Rows = NDArray[np.int64]
"""Row numbers in a batch; `NONE` for no row."""


class JoinOutput:
    """Makes batches of `plan.schema` from batches of stand-ins (`shuffle.tables.stand_ins`)."""

    def __init__(self, plan: JoinPlan, left: TableCodec, right: TableCodec) -> None:
        self._plan = plan
        self._left = left
        self._right = right
        self.row_count = 0

    def pairs(self, left: Any, right: Any, left_rows: Rows, right_rows: Rows) -> Any:
        """Row i is row `left_rows[i]` of `left` and row `right_rows[i]` of `right`. None is a side of no rows."""
        lefts, rights = _Side(left, left_rows), _Side(right, right_rows)
        columns = []
        for place, key_place in enumerate(self._plan.key_places):
            taken = lefts.take(place, self._left)
            if key_place is not None and lefts.has_none:
                taken = _filled(taken, lefts.is_none, rights.take(key_place, self._right))
            columns.append(self._left.unwrap(place, taken, self.row_count))
        for place in self._plan.right_places:
            columns.append(self._right.unwrap(place, rights.take(place, self._right), self.row_count))
        self.row_count += len(left_rows)
        return pa.RecordBatch.from_arrays(columns, schema=self._plan.schema)


class _Side:
    def __init__(self, batch: Any, rows: Rows) -> None:
        self.is_none = rows == NONE
        self.has_none = bool(self.is_none.any())
        self._batch = batch
        self._rows = arrow_array(rows, self.is_none if self.has_none else None)

    def take(self, place: int, codec: TableCodec) -> Any:
        if self._batch is None:
            return pa.nulls(len(self._rows), codec.carried.field(place).type)
        return self._batch.column(place).take(self._rows)


def _filled(left: Any, is_none: NDArray[np.bool_], right: Any) -> Any:
    """The left values, and the right ones where there is no left row."""
    both = pa.concat_arrays([left, right if right.type == left.type else right.cast(left.type)])
    return both.take(arrow_array(np.arange(len(left)) + np.where(is_none, len(left), 0)))


__all__ = ["JoinOutput", "Rows"]
