"""Sizes as people write them, and as people read them.

    "256MiB"  "256M"  "1.5 GiB"  "1GB"  "4096"  "50%"   ──parse_size──>  bytes
    bytes  ──format_size──>  "256 MiB"  "1.5 GiB"  "37 bytes"

K, M, G, T and KiB, MiB, GiB, TiB count in 1024s; kB, MB, GB, TB in 1000s. Letters may be of either case. The
arithmetic is exact: a size is never a byte off because a float was in between.
"""

import re
from fractions import Fraction

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

_BINARY_UNITS = (("KiB", KIB), ("MiB", MIB), ("GiB", GIB), ("TiB", TIB))
_UNIT_BYTES = {
    **dict.fromkeys(("", "b", "byte", "bytes"), 1),
    **{name.lower(): unit_bytes for name, unit_bytes in _BINARY_UNITS},
    **{name[0].lower(): unit_bytes for name, unit_bytes in _BINARY_UNITS},
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
}
_SIZE = re.compile(r"\s*(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[a-z]*|%)\s*", re.IGNORECASE)


class SizeError(ValueError):
    """A size nobody can read. The text names what was written and shows the accepted forms."""


def parse_size(text: str | int, *, of: int | None = None) -> int:
    """Bytes meant by `text`, rounded down to a whole byte.

    `of` is the total in bytes that a percentage speaks of; without it a percentage is refused.
    Raises SizeError for anything else than a number and a known unit, and for negative numbers.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise _unreadable(text, "is not a size")
    number, unit = Fraction(match["number"]), match["unit"].lower()
    if unit == "%":
        return _percentage(text, number, of)
    if unit not in _UNIT_BYTES:
        raise _unreadable(text, f"has the unknown unit {match['unit']!r}")
    if _UNIT_BYTES[unit] == 1 and number.denominator != 1:
        raise _unreadable(text, "is not a whole number of bytes")  # "1.5" is nearly always a lost GiB
    return int(number * _UNIT_BYTES[unit])


def format_size(size_bytes: int) -> str:
    """`size_bytes` for people, to one decimal: "256 MiB", "1.5 GiB", "37 bytes"."""
    if abs(size_bytes) < KIB:
        return f"{size_bytes} byte" if abs(size_bytes) == 1 else f"{size_bytes} bytes"
    scaled = [(round(size_bytes / unit_bytes, 1), name) for name, unit_bytes in _BINARY_UNITS]
    # The first that fits once it is rounded: 1,048,575 bytes are 1 MiB and not 1024 KiB.
    number, name = next((pair for pair in scaled if abs(pair[0]) < 1024), scaled[-1])
    return f"{number:.1f}".removesuffix(".0") + f" {name}"


def _percentage(text: str | int, number: Fraction, of: int | None) -> int:
    if of is None:
        raise _unreadable(text, "is a percentage, and there is no total here to take it of")
    return int(number * of / 100)


def _unreadable(text: object, complaint: str) -> SizeError:
    return SizeError(f"{text!r} {complaint}. Write 4096, 512KiB, 256MiB (or 256M), 1.5GiB, 1GB or, of a total, 50%.")
