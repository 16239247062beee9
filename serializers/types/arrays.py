"""Arrays: of numpy (`serializers.types.numpy_arrays`, and of objects, below), and Python's own `array.array`.

    array.array       byte: typecode | varint count | the elements, little-endian
    object array      byte: dimensions | varint: each of them | the elements in C order

numpy arrays have no order, as in Python. Python's own do: as lists of their elements.
"""

from __future__ import annotations

import array
import sys
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

from serializers.errors import CorruptRecordError, NotOrderableError, SerializationError, ValueMismatchError
from serializers.types.mismatch import mismatch
from serializers.types.numbers import FLOAT32, FLOAT64, IntegerInfo
from serializers.types.numpy_arrays import NumpyArrayInfo, empty_array, read_shape, write_shape
from serializers.types.parts import PartedInfo, PartsSerializer, too_deep
from serializers.types.sequences import SequenceComparator, check_count, skip_elements
from serializers.types.text import STR
from serializers.types.type_information import Field, TypeInformation
from serializers.views import InputView, OutputView

# --- array.array


@dataclass(frozen=True)
class PythonArrayInfo(TypeInformation[Any]):
    """An `array.array`; of any typecode if that is None."""

    typecode: str | None = None

    def __post_init__(self) -> None:
        if self.typecode is not None and self.typecode not in array.typecodes:
            raise ValueError(f"there is no typecode {self.typecode!r}, only {', '.join(array.typecodes)}")

    @property
    def name(self) -> str:
        return "array" if self.typecode is None else f"array[{self.typecode}]"

    @property
    def python_type(self) -> type:
        return array.array

    @property
    def element(self) -> TypeInformation[Any]:
        """The type of the elements. Raises NotOrderableError if any typecode may come."""
        if self.typecode is None:
            raise NotOrderableError("an array of any typecode has no order. Declare the typecode: PythonArrayInfo('d')")
        if self.typecode in "fd":
            return FLOAT32 if self.typecode == "f" else FLOAT64
        if self.typecode == "u":
            return STR
        return IntegerInfo(8 * array.array(self.typecode).itemsize, signed=self.typecode.islower())

    def create_serializer(self) -> PythonArraySerializer:
        return PythonArraySerializer(self)

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> SequenceComparator:
        element = self.element.create_comparator(descending=descending, nulls_last=nulls_last)
        make: Any = partial(_array_of, self.typecode)
        return PythonArrayComparator(self, element, make, descending=descending, nulls_last=nulls_last)


def _array_of(typecode: Any, elements: list[Any]) -> array.array[Any]:
    """An array of the elements of a key. Raises CorruptRecordError for one that is none, such as two characters."""
    try:
        return array.array(typecode, elements)
    except (TypeError, ValueError) as error:
        raise CorruptRecordError(f"no key of an array of typecode {typecode!r}: {error}") from error


def _check_array(value: Any, type_info: TypeInformation[Any], typecode: str | None) -> None:
    if not isinstance(value, array.array):
        raise mismatch(value, type_info.name, f"Convert it with array.array({typecode or 'd'!r}, value)")
    if typecode not in (None, value.typecode):
        raise ValueMismatchError(
            f"an array of typecode {value.typecode!r} is not {type_info.name}. "
            f"Convert it with array.array({typecode!r}, value)"
        )


class PythonArraySerializer(PartsSerializer[Any]):
    """The typecode, the count, and the elements."""

    type_info: PythonArrayInfo

    def __init__(self, type_info: PythonArrayInfo) -> None:
        super().__init__(type_info)
        self._typecode = type_info.typecode

    def serialize(self, value: Any, out: OutputView) -> None:
        _check_array(value, self.type_info, self._typecode)
        out.write_byte(ord(value.typecode))
        out.write_varint(len(value))
        out.write(_little_endian(value).tobytes())

    def _read_header(self, source: InputView) -> tuple[array.array[Any], int]:
        """An empty array, and how many bytes of elements follow."""
        typecode = chr(source.read_byte())
        if typecode not in (self._typecode or array.typecodes):
            raise CorruptRecordError(f"an array of typecode {typecode!r}, where {self.type_info.name} is expected")
        empty: array.array[Any] = array.array(typecode)
        return empty, source.read_varint() * empty.itemsize

    def deserialize(self, source: InputView) -> array.array[Any]:
        value, length = self._read_header(source)
        value.frombytes(source.read(length))
        value = _little_endian(value)
        if value.typecode == "u":
            try:
                value.tounicode()
            except ValueError as error:
                raise CorruptRecordError(f"an array of characters, one of which is none: {error}") from error
        return value

    def skip(self, source: InputView) -> None:
        source.skip(self._read_header(source)[1])


def _little_endian(value: array.array[Any]) -> array.array[Any]:
    """`value`, or on a big-endian machine a copy in the other byte order: the way there is the way back."""
    if sys.byteorder == "big":
        value = value[:]
        value.byteswap()
    return value


class PythonArrayComparator(SequenceComparator):
    """By the first element that differs; the shorter first."""

    type_info: PythonArrayInfo

    def check(self, value: Any) -> None:
        _check_array(value, self.type_info, self.type_info.typecode)


# --- object arrays


@dataclass(frozen=True)
class ObjectArrayInfo(PartedInfo[Any]):
    """A numpy array of dtype object, of any shape, whose elements are all of one type."""

    element: TypeInformation[Any]

    @property
    def name(self) -> str:
        return f"ndarray[object, {self.element.name}]"

    @property
    def python_type(self) -> type:
        return NumpyArrayInfo().python_type

    def parts(self) -> tuple[Field, ...]:
        return (Field("element", self.element),)

    def create_serializer(self) -> ObjectArraySerializer:
        return ObjectArraySerializer(self)


class ObjectArraySerializer(PartsSerializer[Any]):
    """The shape, and the elements."""

    def __init__(self, type_info: ObjectArrayInfo) -> None:
        super().__init__(type_info)
        self._class: Any = type_info.python_type
        self._element = type_info.element.create_serializer()

    def serialize(self, value: Any, out: OutputView) -> None:
        if type(value) is not self._class or value.dtype.kind != "O":
            raise mismatch(value, self.type_info.name, "Convert it with numpy.array(value, dtype=object)")
        write_shape(value.shape, out)
        write = self._element.serialize
        index = 0
        try:
            for element in value.reshape(-1).tolist():
                write(element, out)
                index += 1
        except SerializationError as error:
            error.at_field(str(index))
            raise
        except RecursionError as error:
            raise too_deep(str(index)) from error

    def deserialize(self, source: InputView) -> Any:
        shape = read_shape(source)
        count = prod(shape)
        check_count(count, self._element, source)
        read = self._element.deserialize
        elements: list[Any] = []
        try:
            for _ in range(count):
                elements.append(read(source))
        except SerializationError as error:
            error.at_field(str(len(elements)))
            raise
        value = empty_array(shape, object)
        flat = value.reshape(-1)
        for index, element in enumerate(elements):  # one by one: numpy would open up lists given at once
            flat[index] = element
        return value

    def skip(self, source: InputView) -> None:
        skip_elements(prod(read_shape(source)), self._element, source)


__all__ = [
    "NumpyArrayInfo",
    "ObjectArrayInfo",
    "ObjectArraySerializer",
    "PythonArrayComparator",
    "PythonArrayInfo",
    "PythonArraySerializer",
]
