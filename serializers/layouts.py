"""Where records begin and end in a stream of bytes, and which of their bytes is the key.

Two layouts need no type: lines of text, whose key is the line, and records of one length, whose key is a slice. In
both the key stands in the record already, so it is never copied: a layout says where it is.
"""

from dataclasses import dataclass

SLACK_BYTES = 64
"""Bytes that must be readable behind any record, and writable behind any target: kernels move whole vectors."""

LINE_INDEX_BYTES = 12
"""A sort buffer keeps an 8-byte word and a 4-byte offset for every line."""

WORD_BYTES = 8
"""A sort buffer keeps an 8-byte word for every record of fixed length."""


class LayoutError(ValueError):
    """A record layout that cannot be, with what would be right."""


@dataclass(frozen=True)
class RecordLayout:
    """Lines (`record_bytes == 0`: the key is the line without its delimiter) or records of `record_bytes` bytes.

    Build one with `lines` or `fixed`.
    """

    record_bytes: int
    key_offset: int
    key_bytes: int
    delimiter: int

    @property
    def is_lines(self) -> bool:
        """Whether records end at a delimiter rather than after a fixed number of bytes."""
        return self.record_bytes == 0

    @property
    def index_bytes(self) -> int:
        """What a sort buffer keeps for each record beside its bytes."""
        return LINE_INDEX_BYTES if self.is_lines else WORD_BYTES

    def key(self, record: bytes) -> bytes:
        """The key of one whole record (a line with its delimiter)."""
        if self.is_lines:
            return record[:-1]
        return record[self.key_offset : self.key_offset + self.key_bytes]

    def leading_key(self, view: memoryview, limit: int) -> bytes:
        """At most `limit` bytes of the key of the record that begins at `view[0]`."""
        if not self.is_lines:
            return bytes(view[self.key_offset : self.key_offset + min(limit, self.key_bytes)])
        looked_at = 256  # most lines are short, and `limit` may be a whole block
        while True:
            line, found, _ = bytes(view[: min(looked_at, limit + 1)]).partition(bytes([self.delimiter]))
            if found or looked_at > min(limit, len(view)):
                return line[:limit]
            looked_at *= 8

    def describe(self) -> str:
        """The layout in words, as `explain` prints it."""
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
    if not 0 <= key_offset < record_bytes:
        raise LayoutError(f"--key-offset {key_offset}: must be 0 to {record_bytes - 1}, inside the record")
    length = record_bytes - key_offset if key_bytes is None else key_bytes
    if not 1 <= length <= record_bytes - key_offset:
        raise LayoutError(f"--key-bytes {length}: must be 1 to {record_bytes - key_offset}, to the end of the record")
    return RecordLayout(record_bytes=record_bytes, key_offset=key_offset, key_bytes=length, delimiter=0)
