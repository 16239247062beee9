"""numpy arrays of any dtype but object: what the elements are, how many there are in each direction, and their memory.

    varint-sized dtype | byte: dimensions | varint: each of them | the elements in C order

The dtype is written as `dtype.str`, "<f8" or "<M8[us]". One with fields is JSON of what `numpy.dtype` takes:
{"names": ["x", "y"], "formats": ["<f8", ["<i4", [2, 3]]], "offsets": [0, 8], "itemsize": 32}.

An array comes back contiguous in C order, writeable, and owning its memory, with the byte order that it had; if a dtype
is declared, with that of the declared one. numpy is imported where a serializer is made, not before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

from serializers.errors import CorruptRecordError, ValueMismatchError
from serializers.types.mismatch import mismatch
from serializers.types.parts import PartsSerializer
from serializers.types.type_information import TypeInformation
from serializers.views import InputView, OutputView

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Dtype = np.dtype[Any]

DIMENSIONS_MAX = 64
"""NPY_MAXDIMS of numpy 2."""


@dataclass(frozen=True)
class NumpyArrayInfo(TypeInformation[Any]):
    """A numpy array of any shape; of any dtype if `dtype_name` is None, else of that one, in either byte order.

    "str" and "bytes" take elements of any length. For a dtype with fields, use `NumpyArrayInfo.of`.
    """

    dtype_name: str | None = None

    @classmethod
    def of(cls, dtype: Dtype) -> NumpyArrayInfo:
        """Arrays of this dtype. Raises ValueMismatchError if its elements are not plain memory."""
        return cls(dtype_text(dtype))

    @property
    def name(self) -> str:
        return "ndarray" if self.dtype_name is None else f"ndarray[{self.dtype_name}]"

    @property
    def python_type(self) -> type:
        import numpy as np

        return np.ndarray

    @property
    def dtype(self) -> Dtype | None:
        """The declared dtype. Raises ValueError for a name that numpy does not know."""
        if self.dtype_name is None:
            return None
        try:
            return parsed_dtype(self.dtype_name)
        except CorruptRecordError as error:
            raise ValueError(f"numpy knows no dtype {self.dtype_name!r}") from error

    def create_serializer(self) -> NumpyArraySerializer:
        return NumpyArraySerializer(self)


# --- dtypes as text


@lru_cache
def dtype_text(dtype: Dtype) -> str:
    """The text for `dtype`. Raises ValueMismatchError if it has none, because its elements are not plain memory."""
    described = _described(dtype)
    try:
        text = described if isinstance(described, str) else json.dumps(described, separators=(",", ":"))
        if not dtype.hasobject and parsed_dtype(text) == dtype:
            return text
    except (CorruptRecordError, TypeError):  # such as a title that JSON does not know
        pass
    raise ValueMismatchError(
        f"an array of dtype {dtype} has more than plain numbers and text in it. "
        "Convert it with astype(object) and declare ObjectArrayInfo, or declare it generic"
    )


def _described(dtype: Dtype) -> Any:
    """`dtype` as JSON can say it."""
    if dtype.subdtype:
        base, shape = dtype.subdtype
        return [_described(base), list(shape)]
    if dtype.names is None:
        return dtype.str
    fields: list[Any] = [dtype.fields[name] for name in dtype.names]  # type: ignore[index]
    titles = [each[2] if len(each) > 2 else None for each in fields]
    return {
        "names": dtype.names,
        "formats": [_described(each[0]) for each in fields],
        "offsets": [each[1] for each in fields],
        "itemsize": dtype.itemsize,
        **({"titles": titles} if any(titles) else {}),
    }


@lru_cache
def parsed_dtype(text: str) -> Dtype:
    """The dtype of a text. Raises CorruptRecordError if there is none."""
    try:
        return _built(json.loads(text) if text.startswith("{") else text)
    except Exception as error:  # numpy raises TypeError, ValueError, SyntaxError, OverflowError, ...
        raise CorruptRecordError(f"numpy knows no dtype {text!r:.100}: {error}") from error


def _built(described: Any) -> Dtype:
    import numpy as np

    if isinstance(described, list):
        described = (_built(described[0]), tuple(described[1]))
    elif not isinstance(described, str):
        described = {**described, "formats": [_built(each) for each in described["formats"]]}
    dtype: Dtype = np.dtype(described)
    return dtype


# --- shapes


def write_shape(shape: tuple[int, ...], out: OutputView) -> None:
    """Append how many dimensions there are, and each of them."""
    out.write_byte(len(shape))
    for size in shape:
        out.write_varint(size)


def read_shape(source: InputView) -> tuple[int, ...]:
    """What `write_shape` wrote."""
    dimensions = source.read_byte()
    if dimensions > DIMENSIONS_MAX:
        raise CorruptRecordError(f"an array of {dimensions} dimensions; there are at most {DIMENSIONS_MAX}")
    return tuple([source.read_varint() for _ in range(dimensions)])


def empty_array(shape: tuple[int, ...], dtype: Any) -> Array:
    """A new array. Raises CorruptRecordError for a shape that there cannot be."""
    import numpy as np

    try:
        return np.ndarray(shape, dtype)  # numpy.empty makes strings of length 0 longer
    except ValueError as error:
        raise CorruptRecordError(f"there is no array of shape {shape} and dtype {dtype}: {error}") from error


# --- arrays


class NumpyArraySerializer(PartsSerializer[Any]):
    """The dtype, the shape, and the elements."""

    def __init__(self, type_info: NumpyArrayInfo) -> None:
        super().__init__(type_info)
        self._class: Any = type_info.python_type
        self._dtype = type_info.dtype
        self._is_any_length = self._dtype is not None and self._dtype.itemsize == 0

    def serialize(self, value: Any, out: OutputView) -> None:
        if type(value) is not self._class:  # a subclass means more than its memory: a mask, the file it is mapped from
            raise mismatch(value, self.type_info.name, "Convert it with numpy.array(value, subok=False)")
        array = self._as_declared(value)
        out.write_sized(dtype_text(array.dtype).encode())
        write_shape(array.shape, out)
        if array.nbytes:
            out.write(array.tobytes())

    def _as_declared(self, array: Array) -> Array:
        if self._fits(array.dtype):
            return array
        if self._dtype is not None and array.dtype.newbyteorder("=") == self._dtype.newbyteorder("="):
            return array.astype(self._dtype)
        raise ValueMismatchError(
            f"an array of {array.dtype} is not {self.type_info.name}. Convert it with astype, "
            "or declare the dtype it has"
        )

    def _fits(self, dtype: Dtype) -> bool:
        if self._dtype is None or dtype == self._dtype:
            return True
        return self._is_any_length and dtype.kind == self._dtype.kind and dtype.names is None

    def _read_header(self, source: InputView) -> tuple[Dtype, tuple[int, ...], int]:
        """The dtype, the shape, and how many bytes follow."""
        text = source.read_sized()
        dtype = parsed_dtype(str(text, "latin-1") if text.isascii() else text.decode("utf-8", "replace"))
        if dtype.hasobject or not self._fits(dtype):
            raise CorruptRecordError(f"an array of dtype {dtype}, where {self.type_info.name} is expected")
        shape = read_shape(source)
        length = prod(shape) * dtype.itemsize
        if length > source.remaining:
            raise CorruptRecordError(f"{length} bytes of an array are said to follow, and {source.remaining} bytes do")
        return dtype, shape, length

    def deserialize(self, source: InputView) -> Array:
        import numpy as np

        dtype, shape, length = self._read_header(source)
        array = empty_array(shape, dtype)
        if length:
            array.reshape(-1).view(np.uint8)[:] = np.frombuffer(source.read(length), np.uint8)
        return array

    def skip(self, source: InputView) -> None:
        source.skip(self._read_header(source)[2])


__all__ = [
    "DIMENSIONS_MAX",
    "NumpyArrayInfo",
    "NumpyArraySerializer",
    "dtype_text",
    "empty_array",
    "parsed_dtype",
    "read_shape",
    "write_shape",
]
