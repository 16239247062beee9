"""Byte strings and unbounded integers as they stand in order keys: they compare as bytes, and end by themselves.

    closed bytes      00 becomes 00 FF, and 00 00 ends it: "a" is 61 00 00, "a\\0" is 61 00 FF 00 00
    unbounded int     a head that grows with sign and size, then the magnitude, big-endian:
                      -256 is 7E FE FF, -1 is 7F FE, 0 is 80, 1 is 81 01, 256 is 82 01 00

Each integer has one form only, so it serves as the value's bytes too. Beyond 8 bytes the head is FF (negative: 00) and
the count of bytes follows, in 4. Whatever belongs to a negative number is inverted.
"""

from __future__ import annotations

from serializers.errors import CorruptRecordError, ValueMismatchError
from serializers.views import BytesInput, InputView

_ZERO_HEAD = 0x80
_SHORT_BYTES_MAX = 8
_COUNT_BYTES = 4
_COUNT_MAX = (1 << 8 * _COUNT_BYTES) - 1
_LONG_HEAD, _LONG_NEGATIVE_HEAD = 0xFF, 0x00
_WINDOW_BYTES = 256


def write_closed(data: bytes | bytearray | memoryview, out: bytearray) -> None:
    """Append `data` and its end: no closed byte string is the beginning of another."""
    out += bytes(data).replace(b"\0", b"\0\xff")
    out += b"\0\0"


def read_closed(source: BytesInput) -> bytes:
    """What `write_closed` wrote. Raises CorruptRecordError if it does not end, or no 00 or FF follows a 00."""
    return _take_closed(source).replace(b"\0\xff", b"\0")


def skip_closed(source: BytesInput) -> None:
    """Pass over what `write_closed` wrote. Raises as `read_closed`."""
    _take_closed(source)


def _take_closed(source: BytesInput) -> bytes:
    """The bytes before the end, still with an FF behind each 00. Nothing but the end has 00 behind 00."""
    start = source.position
    end = find_bytes(source, b"\0\0", start)
    if end < 0:
        raise CorruptRecordError(f"the text at byte {start} of a key does not end")
    data = bytes(source.data[start:end])
    if data.count(0) != data.count(b"\0\xff"):
        raise CorruptRecordError(f"the text at byte {start} of a key has a 00 with neither 00 nor FF behind it")
    source.skip(end + 2 - start)
    return data


def find_bytes(source: BytesInput, pattern: bytes, position: int) -> int:
    """Where `pattern` first stands in the data of `source` from `position` on; -1 if nowhere before its end."""
    data = source.data
    if not isinstance(data, memoryview):
        return data.find(pattern, position, source.end)
    window_bytes = _WINDOW_BYTES  # a memoryview cannot be searched, and what lies behind the key may be long
    while position < source.end:
        found = bytes(data[position : min(position + window_bytes, source.end)]).find(pattern)
        if found >= 0:
            return position + found
        position += window_bytes - len(pattern) + 1
        window_bytes *= 2
    return -1


def write_big_integer(value: int, out: bytearray) -> None:
    """Append `value`, of any size: 1 byte for 0, 2 up to 255 either way, 9 for 64 bits."""
    out += big_integer_bytes(value)


def big_integer_bytes(value: int) -> bytes:
    """The bytes of `value`. Raises ValueMismatchError if it has 2**32 bytes or more."""
    count = value.bit_length() + 7 >> 3
    if count > _COUNT_MAX:
        raise ValueMismatchError(f"an integer of {count} bytes is too long: at most {_COUNT_MAX} can be written")
    if value < 0:
        magnitude = ((1 << 8 * count) - 1 + value).to_bytes(count, "big")
        if count <= _SHORT_BYTES_MAX:
            return bytes((_ZERO_HEAD - count,)) + magnitude
        return bytes((_LONG_NEGATIVE_HEAD,)) + (_COUNT_MAX - count).to_bytes(_COUNT_BYTES, "big") + magnitude
    magnitude = value.to_bytes(count, "big")
    if count <= _SHORT_BYTES_MAX:
        return bytes((_ZERO_HEAD + count,)) + magnitude
    return bytes((_LONG_HEAD,)) + count.to_bytes(_COUNT_BYTES, "big") + magnitude


def read_big_integer(source: InputView) -> int:
    """What `write_big_integer` wrote. Raises CorruptRecordError for any other form of the number."""
    start = source.position
    is_negative, count = _read_head(source)
    magnitude = int.from_bytes(source.read(count), "big")
    if is_negative:
        magnitude = (1 << 8 * count) - 1 - magnitude
    if magnitude.bit_length() + 7 >> 3 != count:
        raise CorruptRecordError(f"the integer at byte {start} has leading zeros")
    return -magnitude if is_negative else magnitude


def skip_big_integer(source: InputView) -> None:
    """Pass over what `write_big_integer` wrote."""
    source.skip(_read_head(source)[1])


def _read_head(source: InputView) -> tuple[bool, int]:
    """Whether the number is negative, and how many bytes its magnitude has."""
    start = source.position
    head = source.read_byte()
    count = abs(head - _ZERO_HEAD)
    if count <= _SHORT_BYTES_MAX:
        return head < _ZERO_HEAD, count
    if head not in (_LONG_HEAD, _LONG_NEGATIVE_HEAD):
        raise CorruptRecordError(f"no integer starts with {head:02X}, found at byte {start}")
    count = int.from_bytes(source.read(_COUNT_BYTES), "big")
    if head == _LONG_NEGATIVE_HEAD:
        count = _COUNT_MAX - count
    if count <= _SHORT_BYTES_MAX:
        raise CorruptRecordError(f"the integer at byte {start} is written longer than it is")
    return head == _LONG_NEGATIVE_HEAD, count


__all__ = [
    "big_integer_bytes",
    "find_bytes",
    "read_big_integer",
    "read_closed",
    "skip_big_integer",
    "skip_closed",
    "write_big_integer",
    "write_closed",
]
