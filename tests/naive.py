"""Slow, obvious twins: what every kernel must agree with.

Nothing here knows of addresses, words or buffers; records and keys are `bytes`, compared by Python.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from serializers.layouts import RecordLayout

_WORD = (1 << 64) - 1
_A = (0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3, 0x589965CC75374CC3)
_B = (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89)


def compare(left: bytes, right: bytes) -> int:
    """-1, 0 or 1, as Python compares bytes."""
    return (left > right) - (left < right)


def split_lines(data: bytes, delimiter: bytes = b"\n") -> tuple[list[bytes], bytes]:
    """The whole lines of `data`, delimiters included, and what follows the last of them."""
    *whole, rest = data.split(delimiter)
    return [line + delimiter for line in whole], rest


def split_records(data: bytes, layout: RecordLayout) -> tuple[list[bytes], bytes]:
    """The whole records of `data` in either layout, and what follows the last of them."""
    if layout.is_lines:
        return split_lines(data, bytes([layout.delimiter]))
    size = layout.record_bytes
    end = len(data) // size * size
    return [data[start : start + size] for start in range(0, end, size)], data[end:]


def common_prefix(keys: Iterable[bytes]) -> bytes:
    """What all keys begin with."""
    low, high = min(keys := list(keys)), max(keys)
    length = next((i for i, (x, y) in enumerate(zip(low, high, strict=False)) if x != y), min(len(low), len(high)))
    return low[:length]


def stable_sort(records: Iterable[bytes], key: Callable[[bytes], bytes], *, reverse: bool = False) -> list[bytes]:
    """Records by key; equal keys keep the order they came in, in either direction."""
    return sorted(records, key=key, reverse=reverse)


def sort_order(keys: Sequence[bytes], *, reverse: bool = False) -> list[int]:
    """Which key is first, second and so on; equal keys in the order they came in."""
    return sorted(range(len(keys)), key=keys.__getitem__, reverse=reverse)


def merge(runs: Sequence[Sequence[bytes]], key: Callable[[bytes], bytes], *, reverse: bool = False) -> list[bytes]:
    """The runs as one: equal keys in the order of the runs. Runs are in order, so this is sorting them end to
    end."""
    return stable_sort((record for run in runs for record in run), key, reverse=reverse)


def cut_blocks(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    """Sizes of consecutive records, block by block: whole records while they fit, a larger one alone."""
    blocks: list[list[int]] = []
    for size in sizes:
        if blocks and sum(blocks[-1]) + size <= capacity:
            blocks[-1].append(size)
        else:
            blocks.append([size])
    return blocks


@dataclass(frozen=True)
class Checked:
    """What `check` found; the first disorder is counted from 1."""

    records: int
    size_bytes: int
    fingerprint: int
    disorders: int
    first_disorder: int | None
    duplicates: int


def check(data: bytes, layout: RecordLayout, *, reverse: bool = False, unique: bool = False) -> Checked:
    """`shuffle.verify.check_file` on bytes in memory."""
    if layout.is_lines and data and data[-1] != layout.delimiter:
        data += bytes([layout.delimiter])
    records, _ = split_records(data, layout)
    wrong = 1 if not reverse else -1
    orders = [compare(layout.key(x), layout.key(y)) for x, y in pairwise(records)]
    disorders = [i + 2 for i, order in enumerate(orders) if order == wrong or (unique and order == 0)]
    hashed = [record[:-1] if layout.is_lines else record for record in records]
    return Checked(
        records=len(records),
        size_bytes=len(data),
        fingerprint=fingerprint(hashed),
        disorders=len(disorders),
        first_disorder=disorders[0] if disorders else None,
        duplicates=orders.count(0),
    )


def fingerprint(records: Iterable[bytes]) -> int:
    """The sum of the 128-bit hashes of the records (lines without their delimiters), version 1."""
    return sum(hash_record(record) for record in records) % (1 << 128)


def hash_record(record: bytes) -> int:
    """Two lanes of 64 bits, 16 bytes at a time."""
    a, b = _A[0], _B[0]
    for start in range(0, len(record), 16):
        first = int.from_bytes(record[start : start + 8], "little")
        second = int.from_bytes(record[start + 8 : start + 16], "little")
        a, b = fold(first ^ _A[1], second ^ a), fold(second ^ _B[1], first ^ b)
    return fold(a ^ _A[2], len(record) ^ _A[3]) | fold(b ^ _B[2], len(record) ^ _B[3]) << 64


def fold(left: int, right: int) -> int:
    """Both halves of the 128-bit product, in one word."""
    product = left * right
    return (product ^ product >> 64) & _WORD


def make_varint(value: int) -> bytes:
    """An unsigned number, 7 bits a byte, low group first."""
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def make_row(key: bytes, value: bytes, *, key_varies: bool) -> bytes:
    """A row as docs/ROW_FORMAT.md draws it."""
    body = (make_varint(len(key)) if key_varies else b"") + key + value
    return make_varint(len(body)) + body
