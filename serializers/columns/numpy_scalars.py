"""Columns of numpy scalars: the arrays of the Python numbers they equal, which order as they do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers.columns.column import Data, KeyForm, Loose
from serializers.columns.numbers import BoolColumn, FixedColumn, FloatColumn, IntegerColumn, are_all
from serializers.columns.scratch import Scratch
from serializers.columns.temporal import check_range
from serializers.types.numbers import BOOL, FloatInfo, IntegerInfo
from serializers.types.numpy_scalars import NumpyScalarInfo


class NumpyScalarColumn(FixedColumn):
    """Scalars of one dtype."""

    def __init__(self, type_info: NumpyScalarInfo) -> None:
        super().__init__(type_info)
        self._scalars = np.dtype(type_info.dtype_name)
        self._numbers = _number_column(self._scalars)
        self.dtype = self._scalars if self._numbers is None else self._numbers.dtype
        if self._numbers is not None:
            self.key_dtype = self._numbers.key_dtype

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        if not are_all(values, self._scalars.type):
            return Loose(values)
        array = scratch.empty(len(values), self.dtype)
        array.view(self._scalars)[:] = values
        return array

    def scatter(self, data: Data) -> list[Any]:
        if self._scalars.kind == "b":
            check_range(data, 0, 1)
        return list(data.view(self._scalars))

    def is_key_compiled(self, form: KeyForm) -> bool:
        return self._numbers is not None

    def keys(self, data: NDArray[Any]) -> NDArray[Any]:
        assert self._numbers is not None
        return self._numbers.keys(data)

    def from_keys(self, keys: NDArray[Any]) -> NDArray[Any]:
        assert self._numbers is not None
        return self._numbers.from_keys(keys)


def _number_column(dtype: np.dtype[Any]) -> FixedColumn | None:
    """The column of the Python numbers that scalars equal; None if they are complex."""
    bits = 8 * dtype.itemsize
    if dtype.kind == "b":
        return BoolColumn(BOOL)
    if dtype.kind == "f":
        return FloatColumn(FloatInfo(bits))
    return IntegerColumn(IntegerInfo(bits, dtype.kind == "i")) if dtype.kind in "iu" else None
