"""Decimal: every sign, exponent and payload comes back, and order is numeric, whatever the size.

    value    kind | zigzag exponent | sized coefficient         kinds 0 and 1: finite, sign + and -
             kind | sized payload                               2, 3 infinity; 4, 5 NaN; 6, 7 sNaN

1.0 equals 1.00 and 1E+1 equals 10, so a key does not tell them apart: it is the adjusted exponent, and the digits
without the zeros at their end. Zeros are equal, and so are NaNs, which go behind infinity. No operation of ours raises
a signal, rounds, or depends on the context of the thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, DecimalException, InvalidOperation

from serializers.errors import CorruptRecordError
from serializers.types.mismatch import mismatch
from serializers.types.order_bytes import find_bytes
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView, OutputView

_INFINITY, _NAN, _SNAN = 2, 4, 6
_SPECIAL_KINDS = {"F": _INFINITY, "n": _NAN, "N": _SNAN}
_KINDS = 8

_KEY_MINUS_INFINITY, _KEY_NEGATIVE, _KEY_ZERO, _KEY_POSITIVE, _KEY_INFINITY, _KEY_NAN = range(6)
_EXPONENT_BIAS = 1 << 63
_DIGITS_UP = bytes((byte + 1) % 256 for byte in range(256))
_INVERT = bytes(255 - byte for byte in range(256))

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[InvalidOperation])


@dataclass(frozen=True)
class DecimalInfo(TypeInformation[Decimal]):
    """A decimal number of any size."""

    @property
    def name(self) -> str:
        return "Decimal"

    @property
    def python_type(self) -> type:
        return Decimal

    def create_serializer(self) -> DecimalSerializer:
        return DecimalSerializer()

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> DecimalComparator:
        return DecimalComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


def _checked(value: Decimal) -> Decimal:
    if type(value) is Decimal:
        return value
    if isinstance(value, Decimal):
        return Decimal(value, _EXACT)
    raise mismatch(value, "Decimal", "Convert it with Decimal(value)")


class DecimalSerializer(TypeSerializer[Decimal]):
    """Kind, exponent and coefficient."""

    def serialize(self, value: Decimal, out: OutputView) -> None:
        sign, digits, exponent = _checked(value).as_tuple()
        if isinstance(exponent, int):
            out.write_byte(sign)
            out.write_varint(exponent << 1 if exponent >= 0 else ~(exponent << 1))
            out.write_sized(_digits_to_bytes(digits))
        else:
            kind = _SPECIAL_KINDS[exponent]
            out.write_byte(kind + sign)
            if kind != _INFINITY:
                out.write_sized(_digits_to_bytes(digits))

    def deserialize(self, source: InputView) -> Decimal:
        kind = _read_kind(source)
        sign = kind & 1
        if kind - sign == _INFINITY:
            return Decimal("-Infinity" if sign else "Infinity")
        if kind >= _NAN:
            return _decimal(sign, source.read_sized(), "N" if kind >= _SNAN else "n")
        number = source.read_varint()
        return _decimal(sign, source.read_sized(), number >> 1 if number & 1 == 0 else ~(number >> 1))

    def skip(self, source: InputView) -> None:
        kind = _read_kind(source)
        if kind < _INFINITY:
            source.read_varint()
        if kind < _INFINITY or kind >= _NAN:
            source.skip_sized()


def _read_kind(source: InputView) -> int:
    kind = source.read_byte()
    if kind >= _KINDS:
        raise CorruptRecordError(f"there is no kind {kind} of Decimal")
    return kind


def _digits_to_bytes(digits: tuple[int, ...]) -> bytes:
    """The number that `digits` are, little-endian. Through Decimal: a str of over 4300 digits makes no int."""
    coefficient = int(Decimal((0, digits, 0), _EXACT))
    return coefficient.to_bytes(coefficient.bit_length() + 7 >> 3, "little")


def _decimal(sign: int, data: bytes, exponent: int | str) -> Decimal:
    if data.endswith(b"\0"):
        raise CorruptRecordError("the coefficient of a Decimal has leading zeros")
    digits = Decimal(int.from_bytes(data, "little"), _EXACT).as_tuple().digits if data else ()
    try:
        return Decimal((sign, digits, exponent), _EXACT)  # type: ignore[arg-type]
    except (DecimalException, ValueError, OverflowError) as error:
        raise CorruptRecordError(f"no Decimal has {len(digits)} digits and the exponent {exponent}") from error


class DecimalComparator(TypeComparator[Decimal]):
    """Numeric order, NaN last. A signalling NaN is no more than a NaN."""

    def compare(self, left: Decimal, right: Decimal) -> int:
        left, right = _checked(left), _checked(right)
        if left.is_nan() or right.is_nan():
            return self.directed(left.is_nan() - right.is_nan())
        return self.directed((left > right) - (left < right))

    def write_ascending(self, value: Decimal, out: bytearray, *, is_last: bool) -> None:
        value = _checked(value)
        if value.is_nan():
            out.append(_KEY_NAN)
        elif value.is_infinite():
            out.append(_KEY_MINUS_INFINITY if value.is_signed() else _KEY_INFINITY)
        elif not value:
            out.append(_KEY_ZERO)
        else:
            out.append(_KEY_NEGATIVE if value.is_signed() else _KEY_POSITIVE)
            magnitude = (value.adjusted() + _EXPONENT_BIAS).to_bytes(8, "big") + _key_digits(value)
            out += magnitude.translate(_INVERT) if value.is_signed() else magnitude

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        start = source.position
        kind = source.read_byte()
        if kind > _KEY_NAN:
            raise CorruptRecordError(f"no key of a Decimal starts with {kind}, found at byte {start}")
        if kind in (_KEY_NEGATIVE, _KEY_POSITIVE):
            source.skip(8)
            end = find_bytes(source, b"\0" if kind == _KEY_POSITIVE else b"\xff", source.position)
            if end < 0:
                raise CorruptRecordError(f"the key of a Decimal at byte {start} does not end")
            source.skip(end + 1 - source.position)


def _key_digits(value: Decimal) -> bytes:
    return bytes(value.as_tuple().digits).rstrip(b"\0").translate(_DIGITS_UP) + b"\0"


DECIMAL = DecimalInfo()
