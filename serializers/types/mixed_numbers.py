"""The order of numbers of several types, by their exact value as Python has it: True is 1 is 1.0, and 2**53 + 1 lies
between two floats. NaN goes last.

    zero, infinities, NaN    kind
    any other number         kind | exponent | fraction, both inverted if the number is negative

The kinds are 00 -infinity, 01 negative, 02 zero, 03 positive, 04 infinity, 05 NaN. A number is 2**exponent times
1.fraction. The exponent is a uint16, counted from that of the smallest float; FF FF says that it is a uint64 and
follows. The fraction is its bits from the left, filled up to whole bytes, without zeros at the end; as closed bytes
where something follows it, or the number is negative. 3 is 03 | 04 33 | 80.

Where a Decimal is among the types, the keys are those of Decimal: no other number lacks an exact one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from struct import Struct
from typing import Any

from serializers.errors import CorruptRecordError
from serializers.types.decimals import DECIMAL
from serializers.types.mismatch import mismatch
from serializers.types.order_bytes import skip_closed, write_closed
from serializers.types.parts import PartsComparator
from serializers.types.type_information import TypeInformation
from serializers.views import BytesInput

Number = int | float | Decimal

_MINUS_INFINITY, _NEGATIVE, _ZERO, _POSITIVE, _INFINITY, _NAN = range(6)
_EXPONENT_MIN = -1074
_SHORT, _LONG = Struct(">H"), Struct(">Q")
_LONG_FOLLOWS = 0xFFFF
_FLOAT_BITS = 53
_DECIMALS = DECIMAL.create_comparator()
_INVERT = bytes(255 - byte for byte in range(256))


def is_number_type(python_type: type) -> bool:
    """Whether values of the class are numbers that can be put in one order: real, and exact in Python's own types."""
    if issubclass(python_type, Number):
        return True
    if python_type.__module__ != "numpy":
        return False
    import numpy as np

    dtype = np.dtype(python_type) if issubclass(python_type, np.generic) else np.dtype(object)
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def python_number(value: Any) -> Number:
    """`value` as a number of Python's own, of the same value."""
    number: Number = value.item() if hasattr(value, "dtype") else value  # numpy.float64 is a float, too
    return number


def _is_nan(number: Number) -> bool:
    return number.is_nan() if isinstance(number, Decimal) else number != number


class MixedNumberComparator(PartsComparator[Any]):
    """The order of ints, bools and floats together: of the values of some `members` of the union `type_info`."""

    def __init__(
        self,
        type_info: TypeInformation[Any],
        members: Sequence[TypeInformation[Any]],
        *,
        descending: bool,
        nulls_last: bool,
    ) -> None:
        super().__init__(type_info, descending=descending, nulls_last=nulls_last)
        self._classes = tuple(member.python_type for member in members)

    def number(self, value: Any) -> Number:
        """The number that `value` is. Raises ValueMismatchError if it is of none of the types."""
        if type(value) in self._classes or (isinstance(value, self._classes) and type(value) is not bool):
            return python_number(value)
        raise mismatch(value, self.type_info.name, "Declare its type as one more member")

    def compare(self, left: Any, right: Any) -> int:
        left, right = self.number(left), self.number(right)
        if _is_nan(left) or _is_nan(right):
            return self.directed(_is_nan(left) - _is_nan(right))
        return self.directed((left > right) - (left < right))

    def write_ascending(self, value: Any, out: bytearray, *, is_last: bool) -> None:
        number = self.number(value)
        if isinstance(number, float):
            if not math.isfinite(number):
                out.append(_NAN if number != number else _INFINITY if number > 0 else _MINUS_INFINITY)
                return
            fraction, exponent = math.frexp(abs(number))
            significand, shift = int(fraction * (1 << _FLOAT_BITS)), exponent - _FLOAT_BITS
        else:
            assert isinstance(number, int), number
            significand, shift = abs(int(number)), 0
        if significand == 0:
            out.append(_ZERO)
        elif number > 0:
            out.append(_POSITIVE)
            _write_magnitude(significand, shift, out, is_last=is_last)
        else:
            out.append(_NEGATIVE)
            start = len(out)
            _write_magnitude(significand, shift, out, is_last=False)
            out[start:] = out[start:].translate(_INVERT)

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        kind = source.read_byte()
        if kind == _POSITIVE:
            _skip_magnitude(source, is_last=is_last)
        elif kind == _NEGATIVE:
            ahead = BytesInput(bytes(source.data[source.position : source.end]).translate(_INVERT))
            _skip_magnitude(ahead, is_last=False)
            source.skip(ahead.position)
        elif kind > _NAN:
            raise CorruptRecordError(f"no number's key begins with {kind}")


def _write_magnitude(significand: int, shift: int, out: bytearray, *, is_last: bool) -> None:
    """Append exponent and fraction of `significand * 2**shift`."""
    bits = significand.bit_length() - 1
    biased = bits + shift - _EXPONENT_MIN
    if biased < _LONG_FOLLOWS:
        out += _SHORT.pack(biased)
    else:
        out += _SHORT.pack(_LONG_FOLLOWS) + _LONG.pack(biased)
    byte_count = bits + 7 >> 3
    fraction = significand ^ 1 << bits
    data = (fraction << 8 * byte_count - bits).to_bytes(byte_count, "big").rstrip(b"\0")
    if is_last:
        out += data
    else:
        write_closed(data, out)


def _skip_magnitude(source: BytesInput, *, is_last: bool) -> None:
    if is_last:
        source.skip(source.remaining)
        return
    if source.read_packed(_SHORT)[0] == _LONG_FOLLOWS:
        source.skip(_LONG.size)
    skip_closed(source)


class MixedDecimalComparator(MixedNumberComparator):
    """The order of Decimals and other numbers together."""

    def number(self, value: Any) -> Decimal:
        """A Decimal of the same value. Unlike `Decimal(value)` this is not refused by any context."""
        number = super().number(value)
        return number if isinstance(number, Decimal) else Decimal.from_float(number)

    def write_ascending(self, value: Any, out: bytearray, *, is_last: bool) -> None:
        _DECIMALS.write_ascending(self.number(value), out, is_last=is_last)

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        _DECIMALS.skip_ascending(source, is_last=is_last)


def mixed_comparator(
    type_info: TypeInformation[Any], members: Sequence[TypeInformation[Any]], *, descending: bool, nulls_last: bool
) -> MixedNumberComparator:
    """The order of the numbers that are of any type of `members`, which are members of the union `type_info`."""
    has_decimal = any(issubclass(member.python_type, Decimal) for member in members)
    comparator = MixedDecimalComparator if has_decimal else MixedNumberComparator
    return comparator(type_info, members, descending=descending, nulls_last=nulls_last)


__all__ = [
    "MixedDecimalComparator",
    "MixedNumberComparator",
    "is_number_type",
    "mixed_comparator",
    "python_number",
]
