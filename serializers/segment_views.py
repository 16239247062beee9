"""The views over memory segments: a stream of bytes that goes on from one segment to the next.

      segment 0          segment 1          segment 2
    ┌──────────────────┬──────────────────┬──────────────────┐
    │ record │ record │ record │ record │ record │            │
    └──────────────────┴──────────────────┴──────────────────┘
                                            position ┘

Records, and the numbers within them, may lie across a boundary: whoever writes or reads does not see it. All segments
have the same size. The views look at the segments' memory and own none of it: release the segments when the views are
done, and use no view after that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any

from serializers.errors import CorruptRecordError
from serializers.views import InputView, OutputView

if TYPE_CHECKING:  # to import the floor below would load asyncio
    from memory import MemorySegment

_NO_WINDOW = memoryview(bytearray())


class SegmentOutput(OutputView):
    """Appends to `segments`, which `next_segment` is asked for one at a time, when there is no room left.

    What a refusal of `next_segment` raises is passed on, and `position` is where it was: of the bytes of that call
    nothing has been written. A record is several calls, so whoever must not leave half of one notes `position` before
    it, and calls `truncate` with that. Segments once handed over stay in `segments`, and are filled before more are
    asked for.
    """

    def __init__(self, next_segment: Callable[[], MemorySegment]) -> None:
        self.segments: list[MemorySegment] = []
        self._next_segment = next_segment
        self._stand_in(-1, 0)

    def _stand_in(self, index: int, offset: int) -> None:
        """Write on at `offset` of segment `index`; -1 is before the first."""
        self._index = index
        self._window = self.segments[index].view() if index >= 0 else _NO_WINDOW
        self._size_bytes = len(self._window)
        self._offset = offset

    @property
    def position(self) -> int:  # type: ignore[override]
        """Bytes written."""
        return max(self._index, 0) * self._size_bytes + self._offset

    def truncate(self, position: int) -> None:
        """Forget what was written from `position` on. The segments are kept."""
        assert 0 <= position <= self.position, (position, self.position)
        if position != self.position:
            index, offset = divmod(position, self._size_bytes)
            self._stand_in(index, offset)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if type(data) is memoryview:
            data = data.cast("B") if data.nbytes and data.c_contiguous else data.tobytes()
        end = self._offset + len(data)
        if end <= self._size_bytes:
            self._window[self._offset : end] = data
            self._offset = end
        else:
            self._write_across(data)

    def write_byte(self, value: int) -> None:
        if self._offset == self._size_bytes:
            self._write_across(bytes((value,)))
        else:
            self._window[self._offset] = value
            self._offset += 1

    def write_packed(self, packed: Struct, *values: Any) -> None:
        end = self._offset + packed.size
        if end <= self._size_bytes:
            packed.pack_into(self._window, self._offset, *values)
            self._offset = end
        else:
            self._write_across(packed.pack(*values))

    def _write_across(self, data: bytes | bytearray | memoryview) -> None:
        self._make_room(len(data))
        rest = memoryview(data)
        while rest:
            if self._offset == self._size_bytes:
                self._stand_in(self._index + 1, 0)
            part = rest[: self._size_bytes - self._offset]
            end = self._offset + len(part)
            self._window[self._offset : end] = part
            self._offset = end
            rest = rest[len(part) :]

    def _make_room(self, length: int) -> None:
        """Ask for as many segments as `length` more bytes need: all before the first byte is written."""
        end = self.position + length
        while not self.segments or end > len(self.segments) * self.segments[0].size_bytes:
            segment = self._next_segment()
            assert not self.segments or segment.size_bytes == self.segments[0].size_bytes, segment
            self.segments.append(segment)


class SegmentInput(InputView):
    """Reads the first `length` bytes of `segments`; `seek` goes anywhere among them."""

    def __init__(self, segments: Sequence[MemorySegment], length: int, position: int = 0) -> None:
        self.segments = segments
        self.length = length
        self._segment_bytes = segments[0].size_bytes if segments else 1
        assert 0 <= length <= len(segments) * self._segment_bytes, (length, segments)
        self.seek(position)

    def seek(self, position: int) -> None:
        """Read on from byte `position`. Raises IndexError if it is not within the bytes, or at their end."""
        if not 0 <= position <= self.length:
            raise IndexError(f"byte {position} is not within the {self.length} bytes of the segments")
        self._stand_in(*divmod(position, self._segment_bytes))

    def _stand_in(self, index: int, offset: int) -> None:
        self._start = index * self._segment_bytes
        self._index = index
        self._size_bytes = min(self._segment_bytes, self.length - self._start)
        self._window = self.segments[index].view(0, self._size_bytes) if self._size_bytes else _NO_WINDOW
        self._offset = offset

    @property
    def position(self) -> int:  # type: ignore[override]
        """Bytes from the front of the first segment."""
        return self._start + self._offset

    @property
    def remaining(self) -> int:
        return self.length - self._start - self._offset

    def read(self, length: int) -> bytes:
        start = self._offset
        end = start + length
        if end <= self._size_bytes:
            self._offset = end
            return self._window[start:end].tobytes()
        return self._read_across(length)

    def read_byte(self) -> int:
        offset = self._offset
        if offset == self._size_bytes:
            return self._read_across(1)[0]
        self._offset = offset + 1
        return self._window[offset]

    def read_packed(self, packed: Struct) -> tuple[Any, ...]:
        start = self._offset
        end = start + packed.size
        if end <= self._size_bytes:
            self._offset = end
            return packed.unpack_from(self._window, start)
        return packed.unpack(self._read_across(packed.size))

    def _read_across(self, length: int) -> bytes:
        self._check_left(length)
        out = bytearray()
        while length:
            if self._offset == self._size_bytes:
                self._stand_in(self._index + 1, 0)
            part = self._window[self._offset : self._offset + length]
            out += part
            self._offset += len(part)
            length -= len(part)
        return bytes(out)

    def skip(self, length: int) -> None:
        end = self._offset + length
        if end <= self._size_bytes:
            self._offset = end
        else:
            self._check_left(length)
            self.seek(self.position + length)

    def _check_left(self, length: int) -> None:
        if length > self.remaining:
            raise CorruptRecordError(f"{length} bytes wanted at byte {self.position}, {self.remaining} are left")

    def fork(self) -> SegmentInput:
        return SegmentInput(self.segments, self.length, self.position)


__all__ = ["SegmentInput", "SegmentOutput"]
