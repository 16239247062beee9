"""Where records begin and end in a stream of bytes, and which of their bytes is the key.

Lines of text, whose key is the line, and records of one length, whose key is a slice, need no type: the key stands in
the record already, and is never copied. Rows are what values of a type are written as (docs/ROW_FORMAT.md): they begin
with their length and their key.
"""

from dataclasses import dataclass

SLACK_BYTES = 64
"""Bytes that must be readable behind any record, and writable behind any target: kernels move whole vectors."""

LINE_INDEX_BYTES = 12
"""A sort buffer keeps an 8-byte word and a 4-byte offset for every line."""

ROW_FLAG = 1 << 62
"""In `key_bytes`: records are rows, and the rest is the length of every key."""

ROW_KEYS_VARY = 1 << 61
"""In `key_bytes`, with `ROW_FLAG`: every row says how long its key is."""

_VARINT_BYTES_MAX = 10
RECORD_BYTES_MAX = 1 << 60
"""No file is longer than eight of these."""

WORD_BYTES = 8
"""A sort buffer keeps an 8-byte word for every record of fixed length."""


class LayoutError(ValueError):
    """A record layout that cannot be, with what would be right."""


@dataclass(frozen=True)
class RecordLayout:
    """Lines (the key is the line without its delimiter), records of `record_bytes` bytes, or rows.

    Build one with `lines`, `fixed` or `rows`. `record_bytes` is 0 where records differ in length.
    """

    record_bytes: int
    key_offset: int
    key_bytes: int
    delimiter: int

    @property
    def is_lines(self) -> bool:
        """Whether records end at a delimiter rather than after a fixed number of bytes."""
        return not self.record_bytes and not self.is_rows

    @property
    def is_rows(self) -> bool:
        """Whether records say how long they and their keys are."""
        return self.key_bytes >= ROW_FLAG

    @property
    def is_indexed(self) -> bool:
        """Whether a sort buffer must remember where each record stands."""
        return not self.record_bytes

    @property
    def index_bytes(self) -> int:
        """What a sort buffer keeps for each record beside its bytes."""
        return LINE_INDEX_BYTES if self.is_indexed else WORD_BYTES

    def key(self, record: bytes) -> bytes:
        """The key of one whole record (a line with its delimiter)."""
        if self.is_lines:
            return record[:-1]
        if self.is_rows:
            start, length = self.row_key(record)
            return record[start : start + length]
        return record[self.key_offset : self.key_offset + self.key_bytes]

    def leading_key(self, view: memoryview, limit: int) -> bytes:
        """At most `limit` bytes of the key of the record that begins at `view[0]`."""
        if self.is_rows:
            start, length = self.row_key(view)
            return bytes(view[start : start + min(limit, length)])
        if not self.is_lines:
            return bytes(view[self.key_offset : self.key_offset + min(limit, self.key_bytes)])
        looked_at = 256  # most lines are short, and `limit` may be a whole block
        while True:
            line, found, _ = bytes(view[: min(looked_at, limit + 1)]).partition(bytes([self.delimiter]))
            if found or looked_at > min(limit, len(view)):
                return line[:limit]
            looked_at *= 8

    def row_key(self, row: bytes | memoryview) -> tuple[int, int]:
        """Where in a row its key begins, and how long it is; of a row that is cut short its beginning is enough."""
        start, _ = _read_varint(row, 0)
        if self.key_bytes & ROW_KEYS_VARY:
            return _read_varint(row, start)
        return start, self.key_bytes - ROW_FLAG

    def describe(self) -> str:
        """The layout in words, as `explain` prints it."""
        if self.is_rows:
            return "rows"
        if self.is_lines:
            return "lines ended by " + ({10: "\\n", 0: "NUL"}.get(self.delimiter) or f"byte {self.delimiter}")
        key_end = self.key_offset + self.key_bytes
        return f"records of {self.record_bytes} bytes, key in bytes {self.key_offset} to {key_end - 1}"


def lines(delimiter: bytes = b"\n") -> RecordLayout:
    """Lines of any bytes and any length; the key is the line without its one-byte delimiter."""
    if len(delimiter) != 1:
        raise LayoutError(f"a line delimiter is one byte, not {len(delimiter)}")
    return RecordLayout(record_bytes=0, key_offset=0, key_bytes=0, delimiter=delimiter[0])


def fixed(record_bytes: int, *, key_offset: int = 0, key_bytes: int | None = None) -> RecordLayout:
    """Records of `record_bytes` bytes; the key is `key_bytes` from `key_offset` on (the rest of the record if None)."""
    if record_bytes < 1:
        raise LayoutError(f"--record-bytes {record_bytes}: a record has at least one byte")
    if record_bytes > RECORD_BYTES_MAX:
        raise LayoutError(f"--record-bytes {record_bytes}: no file holds a record of over {RECORD_BYTES_MAX} bytes")
    if not 0 <= key_offset < record_bytes:
        raise LayoutError(f"--key-offset {key_offset}: must be 0 to {record_bytes - 1}, inside the record")
    length = record_bytes - key_offset if key_bytes is None else key_bytes
    if not 1 <= length <= record_bytes - key_offset:
        raise LayoutError(f"--key-bytes {length}: must be 1 to {record_bytes - key_offset}, to the end of the record")
    return RecordLayout(record_bytes=record_bytes, key_offset=key_offset, key_bytes=length, delimiter=0)


def rows(key_bytes: int | None) -> RecordLayout:
    """Rows whose keys are all `key_bytes` long; None if their lengths differ."""
    flags = ROW_FLAG | (ROW_KEYS_VARY if key_bytes is None else key_bytes)
    return RecordLayout(record_bytes=0, key_offset=0, key_bytes=flags, delimiter=0)


def _read_varint(view: bytes | memoryview, start: int) -> tuple[int, int]:
    """(where it ends, its value)."""
    value = 0
    for i in range(_VARINT_BYTES_MAX):
        byte = view[start + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return start + i + 1, value
    raise AssertionError("no row begins like this")
