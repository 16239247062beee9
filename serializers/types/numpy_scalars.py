"""numpy scalars: they come back as the same numpy type, bit for bit, and are ordered as the Python numbers they equal.

`NumpyScalarInfo("float32")` is the type of `numpy.float32`, `NumpyScalarInfo("bool")` that of `numpy.bool_`. Complex
numbers have no order. Scalars with a unit, of text or of bytes are of no type here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from serializers.errors import CorruptRecordError, NotOrderableError, UnknownTypeError
from serializers.types.mismatch import mismatch
from serializers.types.numbers import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    FloatInfo,
)
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView, OutputView

_INTEGERS = (INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64)
_PYTHON_TYPES: dict[str, TypeInformation[Any] | None] = {
    "bool": BOOL,
    **{info.name: info for info in (*_INTEGERS, FloatInfo(16), FLOAT32, FLOAT64)},
    "complex64": None,
    "complex128": None,
}
"""The type that orders the scalars of a dtype; None if nothing does."""


@dataclass(frozen=True)
class NumpyScalarInfo(TypeInformation[Any]):
    """The scalars of a dtype, by its name (`dtype.name`). Raises UnknownTypeError for what is no number."""

    dtype_name: str

    def __post_init__(self) -> None:
        if self.dtype_name not in _PYTHON_TYPES:
            known = ", ".join(_PYTHON_TYPES)
            raise UnknownTypeError(
                f"numpy scalars of dtype {self.dtype_name!r} are of no known type. Known are: {known}"
            )

    @property
    def name(self) -> str:
        return f"numpy.{self.dtype_name}"

    @property
    def python_type(self) -> type:
        import numpy as np

        return np.dtype(self.dtype_name).type

    def create_serializer(self) -> NumpyScalarSerializer:
        return NumpyScalarSerializer(self.dtype_name)

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> NumpyScalarComparator:
        if _PYTHON_TYPES[self.dtype_name] is None:
            raise NotOrderableError(
                f"values of {self.name} have no order. Sort by a part: key=lambda value: value.real"
            )
        return NumpyScalarComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


class NumpyScalarSerializer(TypeSerializer[Any]):
    """The bytes of the scalar, little-endian."""

    length: int

    def __init__(self, dtype_name: str) -> None:
        import numpy as np

        self.dtype_name = dtype_name
        self._numpy = np
        self._dtype = np.dtype(dtype_name)
        self._stored = self._dtype.newbyteorder("<")
        self.scalar_type = self._dtype.type
        self.length = self._dtype.itemsize

    def __reduce__(self) -> tuple[Any, ...]:
        return NumpyScalarSerializer, (self.dtype_name,)

    def checked(self, value: Any) -> Any:
        """`value` as it will come back. Raises ValueMismatchError if it is not of the type."""
        if type(value) is self.scalar_type:
            return value
        if isinstance(value, self._numpy.generic) and value.dtype == self._dtype:
            return self.scalar_type(value)  # C has two names for one type: numpy.longlong is an int64 as well
        raise mismatch(value, f"numpy.{self.dtype_name}", f"Convert it with numpy.{self.scalar_type.__name__}(value)")

    def serialize(self, value: Any, out: OutputView) -> None:
        value = self.checked(value)
        out.write((value if sys.byteorder == "little" else value.byteswap()).tobytes())

    def deserialize(self, source: InputView) -> Any:
        data = source.read(self.length)
        if self.dtype_name == "bool" and data > b"\1":
            raise CorruptRecordError(f"a bool is 0 or 1, not {data[0]}")
        return self._numpy.frombuffer(data, self._stored)[0]

    def skip(self, source: InputView) -> None:
        source.skip(self.length)


class NumpyScalarComparator(TypeComparator[Any]):
    """The order of the Python numbers."""

    serializer: NumpyScalarSerializer

    def __init__(
        self, serializer: NumpyScalarSerializer, *, descending: bool = False, nulls_last: bool = False
    ) -> None:
        super().__init__(serializer, descending=descending, nulls_last=nulls_last)
        python_type = _PYTHON_TYPES[serializer.dtype_name]
        assert python_type is not None, serializer.dtype_name
        self._numbers = python_type.create_comparator()
        self.key_bytes = self._numbers.key_bytes
        self.is_invertible = self._numbers.is_invertible

    def compare(self, left: Any, right: Any) -> int:
        left, right = self.serializer.checked(left), self.serializer.checked(right)
        return self.directed(self._numbers.compare(left.item(), right.item()))

    def write_ascending(self, value: Any, out: bytearray, *, is_last: bool) -> None:
        self._numbers.write_ascending(self.serializer.checked(value).item(), out, is_last=is_last)

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> Any:
        return self.serializer.scalar_type(self._numbers.read_ascending(source, is_last=is_last))

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        self._numbers.skip_ascending(source, is_last=is_last)
