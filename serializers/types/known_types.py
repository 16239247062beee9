"""Classes whose type information is known without looking into them: Python's own, and numpy's.

numpy is not imported here: whoever has a numpy type at hand has imported it.
"""

from __future__ import annotations

import array
import sys
import typing
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from serializers.errors import UnknownTypeError
from serializers.types.arrays import NumpyArrayInfo, PythonArrayInfo
from serializers.types.decimals import DECIMAL
from serializers.types.identifiers import UUID_INFO
from serializers.types.numbers import BOOL, FLOAT64, INT, NONE
from serializers.types.numpy_scalars import NumpyScalarInfo
from serializers.types.temporal import DATE, DATETIME, TIME, TIMEDELTA
from serializers.types.text import BYTEARRAY, BYTES, STR
from serializers.types.type_information import TypeInformation

Info = TypeInformation[Any]

_KNOWN: dict[type, Info] = {
    type(None): NONE,
    bool: BOOL,
    int: INT,
    float: FLOAT64,
    Decimal: DECIMAL,
    str: STR,
    bytes: BYTES,
    bytearray: BYTEARRAY,
    date: DATE,
    time: TIME,
    datetime: DATETIME,
    timedelta: TIMEDELTA,
    UUID: UUID_INFO,
    array.array: PythonArrayInfo(),
}


def known_info(cls: type) -> Info | None:
    """The type information of one of Python's or numpy's own classes; None for any other class."""
    return _KNOWN.get(cls) or _of_numpy(cls)


def _of_numpy(cls: type) -> Info | None:
    numpy = sys.modules.get("numpy")
    if numpy is None or cls.__module__ != "numpy":
        return None
    if cls is numpy.ndarray:
        return NumpyArrayInfo()
    dtype = _dtype_of(cls, numpy)
    return None if dtype is None else scalar_info(dtype)


def _dtype_of(scalar: Any, numpy: Any) -> Any:
    """The dtype of a class of scalars; None for a family of them like `numpy.floating`, and for what is none."""
    if not isinstance(scalar, type) or not issubclass(scalar, numpy.generic):
        return None
    try:
        dtype = numpy.dtype(scalar)
    except TypeError:
        return None
    return dtype if dtype.type is scalar else None


def scalar_info(dtype: Any) -> Info | None:
    """The type information of the scalars of a numpy dtype; None if there is only a generic one."""
    if dtype.kind in "US":  # numpy.str_ is a str, and comes back as one
        return STR if dtype.kind == "U" else BYTES
    try:
        return NumpyScalarInfo(dtype.name)
    except UnknownTypeError:
        return None


def is_dtype(value: Any) -> bool:
    """Whether `value` is one of numpy's dtypes."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.dtype)


def array_info(dtype: Any) -> Info:
    """The type information of numpy arrays of a dtype other than object. Raises ValueMismatchError if there is none."""
    if dtype.kind in "US":
        return NumpyArrayInfo("str" if dtype.kind == "U" else "bytes")
    if dtype.kind in "biufc" and dtype.isnative:
        return NumpyArrayInfo(dtype.name)
    return NumpyArrayInfo.of(dtype)


def array_dtype(arguments: tuple[Any, ...]) -> Any:
    """The dtype that the arguments of `numpy.ndarray[shape, numpy.dtype[scalar]]` name; None if any may come."""
    numpy = sys.modules["numpy"]
    named = arguments[1] if len(arguments) > 1 else None
    if isinstance(named, numpy.dtype):
        return named
    dtype = _dtype_of(next(iter(typing.get_args(named)), None), numpy)
    has_unit_or_fields = dtype is not None and dtype.kind in "mMV"  # which the class of the scalar does not tell
    return None if has_unit_or_fields else dtype


__all__ = ["array_dtype", "array_info", "is_dtype", "known_info", "scalar_info"]
