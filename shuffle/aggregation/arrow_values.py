"""Arrow columns as words, and results as Arrow columns.

    bool, int8 ... int64, temporal, decimals of up to 18 digits ──> SIGNED
    uint8 ... uint64                                            ──> UNSIGNED
    float16, float32, float64                                   ──> FLOAT

What is 8 bytes wide already, and has slack enough, is not copied. Other types have no states of a fixed length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shuffle.aggregation.aggregates import Aggregate
from shuffle.aggregation.errors import AggregateError
from shuffle.aggregation.finish import Finished
from shuffle.aggregation.state_plan import ValueColumn
from shuffle.kernels.states import FLOAT, SIGNED, UNSIGNED
from shuffle.tables.numpy_arrays import arrow_array
from shuffle.tables.stand_ins import stand_in_for

Type = Any
"""A `pyarrow.DataType`."""

_DTYPES = {SIGNED: np.dtype(np.int64), UNSIGNED: np.dtype(np.uint64), FLOAT: np.dtype(np.float64)}
_ARROW = {SIGNED: pa.int64(), UNSIGNED: pa.uint64(), FLOAT: pa.float64()}
_DECIMAL_DIGITS_MAX = 38


class WordColumn:
    """Columns of one type as words and back. `kind` is what the words are; None if there is no such way."""

    def __init__(self, arrow_type: Type) -> None:
        self.type = arrow_type
        self._stand_in = stand_in_for(arrow_type)
        self._carried = arrow_type if self._stand_in is None else self._stand_in.type
        self.kind = _kind_of(self._carried)

    def words(self, array: Any) -> ValueColumn:
        """The words of an array, and its nulls."""
        if self._stand_in is not None:
            array = self._stand_in.wrap(array)
        return ValueColumn(_items(array, self.kind), null_bytes(array))

    def array(self, words: NDArray[Any], nulls: NDArray[np.bool_] | None) -> Any:
        """An array of the type, of words."""
        array = arrow_array(words.astype(_numpy_type(self._carried), copy=False), nulls)
        if self._carried != array.type:
            array = array.cast(self._carried)
        return array if self._stand_in is None else self._stand_in.unwrap(array)


def _kind_of(carried: Type) -> int | None:
    kinds = pa.types
    if kinds.is_signed_integer(carried) or kinds.is_boolean(carried):
        return SIGNED
    if kinds.is_unsigned_integer(carried):
        return UNSIGNED
    return FLOAT if kinds.is_floating(carried) else None


def _numpy_type(carried: Type) -> np.dtype[Any]:
    return np.dtype(np.bool_) if pa.types.is_boolean(carried) else np.dtype(carried.to_pandas_dtype())


def _items(array: Any, kind: int | None) -> NDArray[Any]:
    assert kind is not None
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.zeros(len(array), _DTYPES[kind])
    items = np.frombuffer(buffer, array.type.to_pandas_dtype())[array.offset : array.offset + len(array)]
    return items.astype(_DTYPES[kind], copy=False)


def null_bytes(array: Any) -> NDArray[np.uint8] | None:
    """A byte for each value that is 1 where it is null; None if none is."""
    if not array.null_count:
        return None
    first, skipped = divmod(array.offset, 8)
    octets = np.frombuffer(array.buffers()[0], np.uint8)[first:]
    return np.unpackbits(octets, count=skipped + len(array), bitorder="little")[skipped:] ^ np.uint8(1)


def result_type(aggregate: Aggregate, arrow_type: Type) -> Type:
    """The type of results on a column (None: on records). Raises AggregateError for what its type does not have."""
    kinds, kind = pa.types, aggregate.kind
    if kind in ("count", "count_distinct"):
        return pa.int64()
    if kind in ("top", "collect"):
        return pa.list_(arrow_type)
    if kind in ("min", "max", "first", "last"):
        return arrow_type
    word = WordColumn(arrow_type)
    if kind == "sum" and (kinds.is_duration(arrow_type) or kinds.is_decimal(arrow_type)) and word.kind is not None:
        is_decimal = kinds.is_decimal(arrow_type)
        return pa.decimal128(_DECIMAL_DIGITS_MAX, arrow_type.scale) if is_decimal else arrow_type
    if word.kind is None or kinds.is_temporal(arrow_type) or kinds.is_decimal(arrow_type):
        cure = "Cast the column to float64, or to a decimal of at most 18 digits to sum it"
        raise AggregateError(f"{aggregate}: a column of {arrow_type} has no {kind}. {cure}")
    return _ARROW[word.kind] if kind == "sum" else pa.float64()


def result_array(finished: Finished, aggregate: Aggregate, arrow_type: Type | None, result: Type) -> Any:
    """Results as an array of type `result`. Sums must fit it."""
    if aggregate.kind in ("min", "max", "first", "last"):
        return WordColumn(arrow_type).array(finished.values, finished.nulls)
    if pa.types.is_decimal(result):
        wide = np.stack([finished.values, finished.highs], axis=1)  # type: ignore[list-item]
        validity = None if finished.nulls is None else pa.py_buffer(np.packbits(~finished.nulls, bitorder="little"))
        return pa.Array.from_buffers(result, len(wide), [validity, pa.py_buffer(wide)])
    array = arrow_array(finished.values, finished.nulls)
    return array if array.type == result else array.view(result)
