"""Data to sort: the records behind `spillway gen`, the tests and the benchmarks.

    kind ── filler: (first record, count) -> a matrix of bytes, a row for each ──> writer, a few MiB at a time

Every kind but `fixed` is text: lines of exactly `record_bytes` with their newline, so that one file can be
sorted as lines and as records of fixed length. The same kind, sizes and seed give the same bytes, whatever
the chunk: a record draws a fixed number of words from one PCG64 stream, and no word is thrown away at the end
of a chunk.
"""

import os
import string
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from memory.sizes import format_size

CHUNK_BYTES = 4 << 20
"""Bytes made at a time."""

RECORD_BYTES_MAX = 1 << 20
GIANT_BYTES = 300 << 20
"""Bytes of the one giant line, newline included."""

POSITION_BYTES = 8
"""After the key of a `fixed` record stands its position, big-endian: equal keys must keep that order."""

VOCABULARY_WORDS = 1000
WORD_BYTES = 8
DISTINCT_LINES = 100
SKEWED_LINES = 10_000
SKEW = 1.1  # the n-th commonest line comes n**-SKEW times as often as the first: about word counts in text
PREFIX_BYTES = 40

_TABLE_BYTES = 4 << 20  # what the distinct lines of a kind may take
_SYMBOL_BITS = 6
_FIRST_SYMBOL = ord("0")  # of 64, "0" to "o", all printable: six bits of a random byte make one, with no table
_DIGITS_MAX = 10  # 60 bits, so that every counter fits a word

_Bytes = NDArray[np.uint8]
_Filler = Callable[[int, int], _Bytes]


class Writer(Protocol):
    """Anything with a `write` that takes bytes."""

    def write(self, data: Any, /) -> object: ...


@dataclass(frozen=True)
class Generated:
    """What was written."""

    records: int
    size_bytes: int


@dataclass(frozen=True)
class _Shape:
    records: int
    record_bytes: int
    key_bytes: int


def generate(
    target: str | os.PathLike[str] | Writer,
    *,
    kind: str,
    records: int | None = None,
    size_bytes: int | None = None,
    record_bytes: int = 100,
    key_bytes: int = 10,
    seed: int = 0,
    giant_bytes: int = GIANT_BYTES,
) -> Generated:
    """Write `records` records, or as many whole ones as `size_bytes` holds, to a path, a writer or "-"
    (stdout).

    `key_bytes` matters to `fixed`, `giant_bytes` to `giant`, whose giant line counts as a record and for the
    size. Raises ValueError for an unknown kind and for sizes that cannot be; OSError as the system gives it.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no kind of data; the kinds are {', '.join(KINDS)}")
    if not 2 <= record_bytes <= RECORD_BYTES_MAX:
        raise ValueError(f"--record-bytes {record_bytes}: must be 2 to {RECORD_BYTES_MAX}; for longer, the kind giant")
    giant = giant_bytes if kind == "giant" else 0
    if kind == "giant" and giant < 2:
        raise ValueError(f"a giant line of {format_size(giant)} is none; at least 2 bytes")
    shape = _Shape(_short_records(records, size_bytes, record_bytes, giant), record_bytes, key_bytes)
    stream = np.random.PCG64(seed)
    filler = KINDS[kind](shape, stream)
    with _opened(target) as writer:
        half = (shape.records + 1) // 2 if giant else shape.records
        _write_all(writer, _chunks(filler, record_bytes, 0, half))
        _write_all(writer, _giant_line(stream, giant))
        _write_all(writer, _chunks(filler, record_bytes, half, shape.records))
    return Generated(shape.records + bool(giant), shape.records * record_bytes + giant)


def _short_records(records: int | None, size_bytes: int | None, record_bytes: int, giant_bytes: int) -> int:
    """How many records of ordinary length there are to be."""
    if (records is None) == (size_bytes is None):
        raise ValueError("say how much: either a number of records or a size, and not both")
    if records is None:
        records = max(0, (size_bytes or 0) - giant_bytes) // record_bytes
    elif giant_bytes and records:
        records -= 1
    if records < 0 or (size_bytes or 0) < 0:
        raise ValueError("a number of records or a size is not negative")
    return records


def _opened(target: str | os.PathLike[str] | Writer) -> Any:
    """A context whose value writes; what was open before stays open after."""
    if target == "-":
        return nullcontext(sys.stdout.buffer)
    if isinstance(target, str | os.PathLike):
        return Path(target).open("wb", buffering=0)
    return nullcontext(target)


def _chunks(filler: _Filler, record_bytes: int, begin: int, end: int) -> Iterator[_Bytes]:
    step = max(1, CHUNK_BYTES // record_bytes)
    for start in range(begin, end, step):
        yield filler(start, min(step, end - start))


def _write_all(writer: Writer, chunks: Iterator[_Bytes]) -> None:
    """An unbuffered file may take less than it is given."""
    for chunk in chunks:
        left = np.ascontiguousarray(chunk).reshape(-1).data
        while left:
            written = writer.write(left)
            left = left[written if isinstance(written, int) else len(left) :]


def _random_bytes(stream: np.random.PCG64, count: int, width: int) -> _Bytes:
    """`count` rows of `width` random bytes; each row uses up whole words of the stream."""
    row_words = -(-width // 8)
    words = np.asarray(stream.random_raw(count * row_words), np.dtype("<u8"))
    return words.view(np.uint8).reshape(count, row_words * 8)[:, :width]


def _random_symbols(stream: np.random.PCG64, count: int, width: int) -> _Bytes:
    """`count` rows of `width` printable symbols."""
    rows = _random_bytes(stream, count, width)
    rows &= np.uint8(0x3F)
    rows += np.uint8(_FIRST_SYMBOL)
    return rows


def _random_lines(stream: np.random.PCG64, count: int, width: int) -> _Bytes:
    """`count` lines of `width` bytes: printable symbols, then a newline."""
    rows = _random_symbols(stream, count, width)
    rows[:, -1] = ord("\n")
    return rows


def _fractions(stream: np.random.PCG64, count: int) -> NDArray[np.float64]:
    """Uniform in [0, 1), one word of the stream for each."""
    words = np.asarray(stream.random_raw(count), np.uint64)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _giant_line(stream: np.random.PCG64, size_bytes: int) -> Iterator[_Bytes]:
    piece_bytes = max(8, CHUNK_BYTES & ~7)  # whole words, so that pieces of any size join to the same line
    for start in range(0, size_bytes, piece_bytes):
        make = _random_symbols if start + piece_bytes < size_bytes else _random_lines
        yield make(stream, 1, min(piece_bytes, size_bytes - start))


def _text(shape: _Shape, stream: np.random.PCG64) -> _Filler:
    return lambda start, count: _random_lines(stream, count, shape.record_bytes)


def _fixed(shape: _Shape, stream: np.random.PCG64) -> _Filler:
    """Any bytes: a random key, the position, random filler."""
    least = shape.key_bytes + POSITION_BYTES
    if shape.key_bytes < 1 or least > shape.record_bytes:
        raise ValueError(
            f"--record-bytes {shape.record_bytes}: a key of {shape.key_bytes} bytes (at least 1) and "
            f"{POSITION_BYTES} bytes of position need {max(least, POSITION_BYTES + 1)}"
        )

    def fill(start: int, count: int) -> _Bytes:
        rows = _random_bytes(stream, count, shape.record_bytes)
        positions = np.arange(start, start + count, dtype=">u8").view(np.uint8).reshape(count, POSITION_BYTES)
        rows[:, shape.key_bytes : least] = positions
        return rows

    return fill


def _words(shape: _Shape, stream: np.random.PCG64) -> _Filler:
    """Words of seven small letters and a space between them, for keys that are fields."""
    letters = np.frombuffer(string.ascii_lowercase.encode(), np.uint8)
    table = letters[_random_bytes(stream, VOCABULARY_WORDS, WORD_BYTES) % len(letters)]
    table[:, -1] = ord(" ")
    line_words = -(-shape.record_bytes // WORD_BYTES)

    def fill(start: int, count: int) -> _Bytes:
        chosen = (_fractions(stream, count * line_words) * VOCABULARY_WORDS).astype(np.intp)
        rows = table[chosen].reshape(count, line_words * WORD_BYTES)[:, : shape.record_bytes].copy()
        rows[:, -1] = ord("\n")
        return rows

    return fill


def _skewed(shape: _Shape, stream: np.random.PCG64) -> _Filler:
    """Zipf's law over some thousand distinct lines."""
    count_distinct = max(1, min(SKEWED_LINES, _TABLE_BYTES // shape.record_bytes))
    table = _random_lines(stream, count_distinct, shape.record_bytes)
    ends = np.cumsum(np.arange(1, count_distinct + 1, dtype=np.float64) ** -SKEW)
    ends /= ends[-1]
    return lambda start, count: table[np.searchsorted(ends, _fractions(stream, count), side="right")]


def _duplicates(shape: _Shape, stream: np.random.PCG64) -> _Filler:
    count_distinct = max(1, min(DISTINCT_LINES, _TABLE_BYTES // shape.record_bytes))
    table = _random_lines(stream, count_distinct, shape.record_bytes)
    return lambda start, count: table[(_fractions(stream, count) * count_distinct).astype(np.intp)]


def _equal(shape: _Shape, stream: np.random.PCG64) -> _Filler:
    line = _random_lines(stream, 1, shape.record_bytes)
    return lambda start, count: np.repeat(line, count, axis=0)


def _common_prefix(shape: _Shape, stream: np.random.PCG64) -> _Filler:
    """The same `PREFIX_BYTES` first (half the line if that is less), then what differs."""
    prefix_bytes = min(PREFIX_BYTES, shape.record_bytes // 2)
    prefix = _random_symbols(stream, 1, prefix_bytes)

    def fill(start: int, count: int) -> _Bytes:
        rows = _random_lines(stream, count, shape.record_bytes)
        rows[:, :prefix_bytes] = prefix
        return rows

    return fill


def _counting(shape: _Shape, stream: np.random.PCG64, *, reverse: bool) -> _Filler:
    """Lines led by a counter whose digits are the 64 symbols, its steps wide enough to use all of the first
    digit."""
    digits = min(_DIGITS_MAX, shape.record_bytes - 1)
    step = (1 << _SYMBOL_BITS * digits) // max(1, shape.records)
    if not step:
        raise ValueError(f"--record-bytes {shape.record_bytes}: too short to number {shape.records} records")

    def fill(start: int, count: int) -> _Bytes:
        rows = _random_lines(stream, count, shape.record_bytes)
        positions = np.arange(start, start + count, dtype=np.uint64)
        counters = (np.uint64(shape.records - 1) - positions if reverse else positions) * np.uint64(step)
        for digit in range(digits):
            shift = np.uint64(_SYMBOL_BITS * (digits - 1 - digit))
            rows[:, digit] = (counters >> shift & np.uint64(63)) + np.uint64(_FIRST_SYMBOL)
        return rows

    return fill


def _presorted(shape: _Shape, stream: np.random.PCG64) -> _Filler:
    return _counting(shape, stream, reverse=False)


def _reversed(shape: _Shape, stream: np.random.PCG64) -> _Filler:
    return _counting(shape, stream, reverse=True)


KINDS: dict[str, Callable[[_Shape, np.random.PCG64], _Filler]] = {
    "fixed": _fixed,
    "text": _text,
    "words": _words,
    "skewed": _skewed,
    "duplicates": _duplicates,
    "equal": _equal,
    "common-prefix": _common_prefix,
    "presorted": _presorted,
    "reversed": _reversed,
    "giant": _text,
}
"""Every kind by name: records ordered at random unless the name says otherwise."""
