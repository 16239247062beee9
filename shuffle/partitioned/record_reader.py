"""Files of records, read a piece at a time: every piece is whole records."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from serializers import SLACK_BYTES, RecordLayout
from shuffle.errors import RecordFormatError

PIECE_BYTES = 256 << 10

STDIN = "-"

_RESERVED_BYTES = SLACK_BYTES + 1  # and a delimiter for a last line without one


def read_records(inputs: Sequence[str], layout: RecordLayout) -> Iterator[memoryview]:
    """Whole records with slack behind them; each view is good until the next. A last line gets its delimiter.

    A piece is as long as it must be to hold one record. Raises RecordFormatError for records that do not fill a file,
    and OSError as the system gives it.
    """
    for name in inputs:
        with io.FileIO(0, closefd=False) if name == STDIN else io.FileIO(Path(name)) as file:
            yield from _pieces(file, name, layout)


def _pieces(file: io.FileIO, name: str, layout: RecordLayout) -> Iterator[memoryview]:
    held = bytearray(PIECE_BYTES + _RESERVED_BYTES)
    filled = done = 0
    is_over = False
    while not is_over:
        filled, is_over = _fill(file, held, filled)
        if is_over and filled and layout.is_lines and held[filled - 1] != layout.delimiter:
            held[filled] = layout.delimiter
            filled += 1
        whole = _whole_bytes(held, filled, layout)
        if whole:
            with memoryview(held) as view, view[:whole] as piece:
                yield piece
            held[: filled - whole] = held[whole:filled]
            filled -= whole
            done += whole
        elif not is_over:
            held += bytes(len(held))
    if filled:
        raise RecordFormatError(
            f"{name}: {done + filled} bytes are no whole number of records of {layout.record_bytes} bytes "
            f"({filled} are left over). Check --record-bytes."
        )


def _fill(file: io.FileIO, held: bytearray, filled: int) -> tuple[int, bool]:
    """Read until the buffer is full: (bytes in it, whether the file ended before that)."""
    with memoryview(held) as view:
        while filled < len(held) - _RESERVED_BYTES:
            with view[filled : len(held) - _RESERVED_BYTES] as room:
                count = file.readinto(room)
            if count is None:
                raise BlockingIOError(f"{file.name}: is non-blocking, and has nothing to read yet")
            if not count:
                return filled, True
            filled += count
    return filled, False


def _whole_bytes(held: bytearray, filled: int, layout: RecordLayout) -> int:
    """Bytes of whole records among those held."""
    if layout.is_lines:
        return held.rfind(bytes([layout.delimiter]), 0, filled) + 1
    return filled // layout.record_bytes * layout.record_bytes
