"""The unit of managed memory: a power of two of bytes, with an owner, on or off the heap.

One class for both backings; what differs is only whose bytes the window looks at.

Every access is checked against both ends: a negative offset is an error, never an index from the back. After
release every access raises SegmentReleasedError. One comparison makes both checks, for a released segment
ends before it begins. The content of a fresh segment is not defined.

A segment is not locked: whoever shares one between threads orders the accesses himself.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from contextlib import suppress

from memory import scalars
from memory.errors import SegmentReleasedError
from memory.scalars import ByteOrder, Scalar, Value
from memory.sizes import KIB, format_size

DEFAULT_SEGMENT_BYTES = 32 * KIB
MIN_SEGMENT_BYTES = 4 * KIB  # a page, so that what starts on a segment starts on a page

_RELEASED_END = -1


def check_segment_bytes(segment_bytes: int) -> int:
    """`segment_bytes` itself. Raises ValueError unless it is a power of two and at least 4 KiB."""
    if segment_bytes < MIN_SEGMENT_BYTES or segment_bytes & (segment_bytes - 1):
        raise ValueError(
            f"a segment cannot be {segment_bytes} bytes: it must be a power of two and "
            f"at least {format_size(MIN_SEGMENT_BYTES)}; {format_size(DEFAULT_SEGMENT_BYTES)} is usual"
        )
    return segment_bytes


class MemorySegment:
    """A checked window onto `memory`, any writable buffer of a power of two of bytes.

    `on_release` is told of the release and retires the segment: it is how a manager gets its bytes back.
    """

    __slots__ = ("_end", "_memory", "_on_release", "off_heap", "owner", "size_bytes")

    def __init__(
        self,
        memory: bytearray | memoryview | mmap.mmap,
        *,
        owner: str,
        on_release: Callable[[MemorySegment], None] | None = None,
    ) -> None:
        self._memory = memoryview(memory).cast("B")
        if self._memory.readonly:
            raise TypeError("a segment needs writable memory")
        self.owner = owner
        self.size_bytes = check_segment_bytes(self._memory.nbytes)
        self.off_heap = isinstance(self._memory.obj, mmap.mmap)
        self._end = self.size_bytes
        self._on_release = on_release

    def __repr__(self) -> str:
        state = "released" if self.released else "off-heap" if self.off_heap else "heap"
        return f"<MemorySegment of {self.owner!r}: {format_size(self.size_bytes)}, {state}>"

    # ------------------------------------------------------------------ life

    @property
    def released(self) -> bool:
        """Whether the memory has been given back."""
        return self._end == _RELEASED_END

    def release(self) -> None:
        """Give the memory back to where it came from. A second release does nothing."""
        if self.released:
            return
        if self._on_release is None:
            self.retire()
        else:
            self._on_release(self)

    def retire(self) -> None:
        """Let go of the memory without telling anyone. For the holder of the memory, who tells himself."""
        self._end = _RELEASED_END
        self._on_release = None
        # A foreign array may still look through the window; it keeps the mapping, but the segment is out of
        # reach.
        with suppress(BufferError):
            self._memory.release()
        self._memory = _NO_MEMORY

    # ----------------------------------------------------------------- bytes

    def view(self, offset: int = 0, length: int | None = None) -> memoryview:
        """A writable window on `length` bytes (None: to the end). Drop it before the segment is released.

        A window is not a lease: what it shows after the release is not defined.
        """
        if length is None:
            length = self.size_bytes - offset
        self._check(offset, length)
        return self._memory[offset : offset + length]

    def get_bytes(self, offset: int, length: int) -> bytes:
        """A copy of `length` bytes."""
        self._check(offset, length)
        return self._memory[offset : offset + length].tobytes()

    def put_bytes(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Copy all of `data` to `offset`. Data that lies in this very segment may overlap its target."""
        source = _as_bytes(data)
        self._check(offset, len(source))
        self._memory[offset : offset + len(source)] = source

    def copy_to(self, offset: int, target: MemorySegment, target_offset: int, length: int) -> None:
        """Copy `length` bytes into `target`, which may be this segment, the ranges overlapping."""
        self._check(offset, length)
        target._check(target_offset, length)
        target._memory[target_offset : target_offset + length] = self._memory[offset : offset + length]

    def swap(self, offset: int, other: MemorySegment, other_offset: int, length: int) -> None:
        """Exchange `length` bytes with `other`. Raises ValueError if the two ranges overlap."""
        if other is self and abs(offset - other_offset) < length:
            raise ValueError(f"cannot swap {length} bytes at {offset} and {other_offset}: the ranges overlap")
        other_bytes = other.get_bytes(other_offset, length)
        self.copy_to(offset, other, other_offset, length)
        self.put_bytes(offset, other_bytes)

    def compare(self, offset: int, length: int, other: MemorySegment, other_offset: int, other_length: int) -> int:
        """Unsigned lexicographic order of two ranges: -1, 0 or 1. A prefix comes before what it begins."""
        left, right = self.get_bytes(offset, length), other.get_bytes(other_offset, other_length)
        return (left > right) - (left < right)

    def equals(self, offset: int, other: MemorySegment, other_offset: int, length: int) -> bool:
        """Whether `length` bytes are the same in both."""
        return self.get_bytes(offset, length) == other.get_bytes(other_offset, length)

    # --------------------------------------------------------------- numbers

    def get_bool(self, offset: int) -> bool:
        """One byte; whatever is not zero is true."""
        return self._get(scalars.BOOL, offset, "little")

    def put_bool(self, offset: int, value: bool) -> None:
        """One byte, 1 or 0."""
        self._put(scalars.BOOL, offset, value, "little")

    def get_int8(self, offset: int) -> int:
        """One byte, signed."""
        return self._get(scalars.INT8, offset, "little")

    def put_int8(self, offset: int, value: int) -> None:
        """One byte, signed."""
        self._put(scalars.INT8, offset, value, "little")

    def get_uint8(self, offset: int) -> int:
        """One byte, unsigned."""
        return self._get(scalars.UINT8, offset, "little")

    def put_uint8(self, offset: int, value: int) -> None:
        """One byte, unsigned."""
        self._put(scalars.UINT8, offset, value, "little")

    def get_int16(self, offset: int, order: ByteOrder = "little") -> int:
        """Two bytes, signed."""
        return self._get(scalars.INT16, offset, order)

    def put_int16(self, offset: int, value: int, order: ByteOrder = "little") -> None:
        """Two bytes, signed."""
        self._put(scalars.INT16, offset, value, order)

    def get_uint16(self, offset: int, order: ByteOrder = "little") -> int:
        """Two bytes, unsigned."""
        return self._get(scalars.UINT16, offset, order)

    def put_uint16(self, offset: int, value: int, order: ByteOrder = "little") -> None:
        """Two bytes, unsigned."""
        self._put(scalars.UINT16, offset, value, order)

    def get_int32(self, offset: int, order: ByteOrder = "little") -> int:
        """Four bytes, signed."""
        return self._get(scalars.INT32, offset, order)

    def put_int32(self, offset: int, value: int, order: ByteOrder = "little") -> None:
        """Four bytes, signed."""
        self._put(scalars.INT32, offset, value, order)

    def get_uint32(self, offset: int, order: ByteOrder = "little") -> int:
        """Four bytes, unsigned."""
        return self._get(scalars.UINT32, offset, order)

    def put_uint32(self, offset: int, value: int, order: ByteOrder = "little") -> None:
        """Four bytes, unsigned."""
        self._put(scalars.UINT32, offset, value, order)

    def get_int64(self, offset: int, order: ByteOrder = "little") -> int:
        """Eight bytes, signed."""
        return self._get(scalars.INT64, offset, order)

    def put_int64(self, offset: int, value: int, order: ByteOrder = "little") -> None:
        """Eight bytes, signed."""
        self._put(scalars.INT64, offset, value, order)

    def get_uint64(self, offset: int, order: ByteOrder = "little") -> int:
        """Eight bytes, unsigned."""
        return self._get(scalars.UINT64, offset, order)

    def put_uint64(self, offset: int, value: int, order: ByteOrder = "little") -> None:
        """Eight bytes, unsigned."""
        self._put(scalars.UINT64, offset, value, order)

    def get_float32(self, offset: int, order: ByteOrder = "little") -> float:
        """Four bytes, IEEE 754."""
        return self._get(scalars.FLOAT32, offset, order)

    def put_float32(self, offset: int, value: float, order: ByteOrder = "little") -> None:
        """Four bytes, IEEE 754; raises ValueError where `value` is too large for them."""
        self._put(scalars.FLOAT32, offset, value, order)

    def get_float64(self, offset: int, order: ByteOrder = "little") -> float:
        """Eight bytes, IEEE 754."""
        return self._get(scalars.FLOAT64, offset, order)

    def put_float64(self, offset: int, value: float, order: ByteOrder = "little") -> None:
        """Eight bytes, IEEE 754."""
        self._put(scalars.FLOAT64, offset, value, order)

    # ---------------------------------------------------------------- checks

    def _get(self, scalar: Scalar[Value], offset: int, order: ByteOrder) -> Value:
        self._check(offset, scalar.size_bytes)
        return scalar.read(self._memory, offset, order)

    def _put(self, scalar: Scalar[Value], offset: int, value: Value, order: ByteOrder) -> None:
        self._check(offset, scalar.size_bytes)
        scalar.write(self._memory, offset, value, order)

    def _check(self, offset: int, length: int) -> None:
        if 0 <= offset <= self._end - length and length >= 0:
            return
        if self.released:
            raise SegmentReleasedError(f"a segment of {self.owner!r} was used after its release")
        raise IndexError(
            f"{length} bytes at offset {offset} do not lie within the {self.size_bytes} bytes of a segment"
        )


_NO_MEMORY = memoryview(b"")


def _as_bytes(data: bytes | bytearray | memoryview) -> bytes | memoryview:
    window = memoryview(data)
    plain = window.format == "B" and window.ndim == 1 and window.c_contiguous
    return window if plain else window.tobytes()
