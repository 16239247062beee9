"""Columns of numbers, bools and None.

A list of ints becomes an array by `struct`, which is the quickest way there is (8 ns a value, half of what numpy takes)
and refuses what does not fit. That all are ints, and none is a bool, costs another 11 ns: `list.count` of their types.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers.columns.column import Column, Data, KeyForm, Loose, Pending, first
from serializers.columns.read_steps import RowBytes, StepsToRead
from serializers.columns.scratch import Scratch
from serializers.columns.steps import UnknownBytesError
from serializers.columns.write_steps import StepsToWrite
from serializers.types.numbers import BigIntegerInfo, FloatInfo, IntegerInfo
from serializers.types.order_bytes import read_big_integer
from serializers.views import BytesInput

_WIDE_HEAD_BYTES = 5
_INVERT = bytes(255 - byte for byte in range(256))
_FLOAT_FORMATS = {16: "e", 32: "f", 64: "d"}
_EXACT_INT_MAX = 1 << 53
"""Up to here a float equals every int."""


def pack(values: list[Any], code: str, scratch: Scratch) -> NDArray[Any] | None:
    """Numbers as an array of items of `code`, a letter of `struct`; None if one does not fit."""
    array = scratch.empty(len(values), np.dtype(f"<{code}"))
    buffer: Any = array
    try:
        struct.pack_into(f"<{len(values)}{code}", buffer, 0, *values)
    except (struct.error, OverflowError):
        return None
    return array


def are_all(values: list[Any], cls: type) -> bool:
    """Whether each value is of that very class."""
    return list(map(type, values)).count(cls) == len(values)


class NoneColumn(Column):
    """None, many times: no bytes."""

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        return Loose(values)

    def put(self, data: Data, steps: StepsToWrite) -> None:
        if any(value is not None for value in data.values):
            super().put(data, steps)

    def get(self, steps: StepsToRead) -> Pending:
        return lambda count: Loose([None] * count)

    def put_key(self, data: Data, form: KeyForm, steps: StepsToWrite) -> None:
        self.put(data, steps)

    def is_key_compiled(self, form: KeyForm) -> bool:
        return True

    def get_key(self, form: KeyForm, steps: StepsToRead) -> Pending:
        return self.get(steps)


class FixedColumn(Column, ABC):
    """Values that are items of an array, and so are their order keys. Subclasses say how one becomes the other."""

    dtype: np.dtype[Any]
    key_dtype: np.dtype[Any]
    """Unsigned and big-endian."""

    @abstractmethod
    def keys(self, data: NDArray[Any]) -> NDArray[Any]:
        """The ascending order keys, native or not."""

    def from_keys(self, keys: NDArray[Any]) -> NDArray[Any]:
        """The items that `keys` made these of, native. Only where the comparator is invertible."""
        raise NotImplementedError

    def put(self, data: Data, steps: StepsToWrite) -> None:
        if isinstance(data, Loose):
            super().put(data, steps)
        else:
            steps.copy(data)

    def get(self, steps: StepsToRead) -> Pending:
        return first(steps.copy(self.dtype))

    def put_key(self, data: Data, form: KeyForm, steps: StepsToWrite) -> None:
        if isinstance(data, Loose):
            super().put_key(data, form, steps)
            return
        keys = steps.scratch.empty(len(data), self.key_dtype)
        keys[:] = self.keys(data)
        if form.descending:
            octets = keys.view(np.uint8)
            np.invert(octets, out=octets)
        steps.copy(keys)

    def is_key_compiled(self, form: KeyForm) -> bool:
        return True

    def get_key(self, form: KeyForm, steps: StepsToRead) -> Pending:
        column = steps.copy(self.key_dtype)

        def finish(count: int) -> Data:
            keys = column[:count]
            if form.descending:
                octets = keys.view(np.uint8)
                np.invert(octets, out=octets)
            return self.from_keys(keys.astype(self.key_dtype.newbyteorder("=")))

        return finish


class IntegerColumn(FixedColumn):
    """Ints of 8 to 64 bits."""

    type_info: IntegerInfo

    def __init__(self, type_info: IntegerInfo) -> None:
        super().__init__(type_info)
        self._code = {8: "b", 16: "h", 32: "i", 64: "q"}[type_info.bits]
        self._code = self._code if type_info.signed else self._code.upper()
        self.dtype = np.dtype(f"<{self._code}")
        self.key_dtype = np.dtype(f">u{type_info.bits // 8}")
        unsigned = self.key_dtype.newbyteorder("=").type
        self._sign = unsigned(1 << type_info.bits - 1 if type_info.signed else 0)

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        array = pack(values, self._code, scratch) if are_all(values, int) else None
        return Loose(values) if array is None else array

    def scatter(self, data: Data) -> list[Any]:
        return list(data.tolist())

    def keys(self, data: NDArray[Any]) -> NDArray[Any]:
        keys: NDArray[Any] = data.view(self._sign.dtype) ^ self._sign
        return keys

    def from_keys(self, keys: NDArray[Any]) -> NDArray[Any]:
        data: NDArray[Any] = (keys ^ self._sign).view(self.dtype)
        return data


class BoolColumn(FixedColumn):
    """False and True, as 0 and 1."""

    dtype = key_dtype = np.dtype(np.uint8)

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        return scratch.copy(bytes(values)) if are_all(values, bool) else Loose(values)

    def scatter(self, data: Data) -> list[Any]:
        if len(data) and data.max() > 1:
            raise UnknownBytesError
        return list(data.view(np.bool_).tolist())

    def keys(self, data: NDArray[Any]) -> NDArray[Any]:
        return data

    def from_keys(self, keys: NDArray[Any]) -> NDArray[Any]:
        return keys


class FloatColumn(FixedColumn):
    """Floats of 16, 32 or 64 bits."""

    type_info: FloatInfo

    def __init__(self, type_info: FloatInfo) -> None:
        super().__init__(type_info)
        self._code = _FLOAT_FORMATS[type_info.bits]
        self.dtype = np.dtype(f"<{self._code}")
        self.key_dtype = np.dtype(f">u{type_info.bits // 8}")
        self._unsigned: Any = self.key_dtype.newbyteorder("=").type
        self._sign = self._unsigned(1 << type_info.bits - 1)
        self._infinity, nan = np.array([np.inf, np.nan], self.dtype).view(self._unsigned)
        self._nan_key = nan | self._sign

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        types = list(map(type, values))
        ints = types.count(int)
        array = pack(values, "d", scratch) if types.count(float) + ints == len(values) else None
        if array is None or (ints and any(type(value) is int and abs(value) > _EXACT_INT_MAX for value in values)):
            return Loose(values)
        return array if self._code == "d" else self._narrow(array, values, scratch)

    def _narrow(self, wide: NDArray[np.float64], values: list[Any], scratch: Scratch) -> Data:
        array = pack(values, self._code, scratch)
        with np.errstate(invalid="ignore"):
            is_exact = array is not None and bool(((array == wide) | np.isnan(wide)).all())
        return array if is_exact else Loose(values)

    def scatter(self, data: Data) -> list[Any]:
        if self._code == "e":  # of a NaN numpy keeps more bits than struct does
            return list(struct.unpack(f"<{len(data)}e", data))
        return list(data.tolist())

    def keys(self, data: NDArray[Any]) -> NDArray[Any]:
        """By the bits alone: to compare some NaNs is an exception to the processor."""
        bits = data.view(self._unsigned)
        magnitudes = bits & ~self._sign
        keys: NDArray[Any] = np.where(bits & self._sign, ~bits, bits | self._sign)
        keys[magnitudes == 0] = self._sign
        keys[magnitudes > self._infinity] = self._nan_key
        return keys


class BigIntegerColumn(Column):
    """Ints of any size. The quick way takes 64 bits; its bytes are order keys already."""

    type_info: BigIntegerInfo
    is_compiled = True
    bytes_min = 1

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        array = pack(values, "q", scratch) if are_all(values, int) else None
        return Loose(values) if array is None else array

    def scatter(self, data: Data) -> list[Any]:
        return list(data.tolist())

    def put(self, data: Data, steps: StepsToWrite) -> None:
        if isinstance(data, Loose):
            super().put(data, steps)
        else:
            steps.integers(data)

    def put_key(self, data: Data, form: KeyForm, steps: StepsToWrite) -> None:
        if isinstance(data, Loose):
            super().put_key(data, form, steps)
        else:
            steps.integers(data, inverted=form.descending)

    def get(self, steps: StepsToRead) -> Pending:
        return self.get_key(KeyForm(), steps)

    def is_key_compiled(self, form: KeyForm) -> bool:
        return True

    def get_key(self, form: KeyForm, steps: StepsToRead) -> Pending:
        column, wide = steps.integers(inverted=form.descending)

        def finish(count: int) -> Data:
            array = column[:count]
            numbers = wide()
            if not numbers:
                return array
            values = array.tolist()
            for number in numbers:
                values[number] = _read_wide(steps.rows, values[number], inverted=form.descending)
            return Loose(values)

        return finish


def _read_wide(rows: RowBytes, address: int, *, inverted: bool) -> int:
    """An int of more than 64 bits."""
    source = rows.input(address, rows.address + rows.size)
    if inverted:
        head = source.fork().read(_WIDE_HEAD_BYTES).translate(_INVERT)
        size = int.from_bytes(head[1:], "big") if head[0] else (1 << 32) - 1 - int.from_bytes(head[1:], "big")
        source = BytesInput(source.read(_WIDE_HEAD_BYTES + size if head[0] in (0, 255) else 9).translate(_INVERT))
    return read_big_integer(source)
