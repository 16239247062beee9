"""A sorted input file as a run: cut into blocks without reading it, but for a look at each cut.

    file   |---- block 0 ----|---- block 1 ----|-- 2 --|      a cut is moved back to where a record begins;
                            ^                 ^               what lies before it is read when the merge wants it

So files that are sorted already merge like runs of our own: in parallel ranges, read ahead in the order of keys. Nobody
vouches for their order, so the merge looks at every pair of neighbours.
"""

import numpy as np

from io_manager import (
    HEADER_BYTES,
    KEY_BYTES_MAX,
    BlockHeader,
    BlockIndex,
    InputFile,
    PooledBuffer,
)
from serializers import RecordLayout
from shuffle.errors import RecordFormatError, SortError
from shuffle.runs import block_capacity, span_flag

_LOOK_BYTES = 4096


class SortedFileRun:
    """`record_counts` of its index only tell whether records begin in a block: to count them would be to read them."""

    is_trusted = False

    def __init__(self, number: int, source: InputFile, layout: RecordLayout, *, block_bytes: int) -> None:
        if source.size is None:
            raise SortError(f"{source.path}: merge reads files, not pipes. Save it to a file first, or sort it.")
        self.number = number
        self.name = str(source.path)
        self.index = BlockIndex()
        self.last_key = b""
        self._source = source
        self._size = source.size
        self._layout = layout
        self._capacity = block_capacity(block_bytes)
        self._scratch = memoryview(bytearray(max(_LOOK_BYTES, KEY_BYTES_MAX + layout.key_offset + 1)))

    async def open(self) -> None:
        """Find the blocks. Raises RecordFormatError where fixed-length records do not fill the file."""
        if self._layout.is_lines:
            await self._close_last_line()
        elif self._size % self._layout.record_bytes:
            raise RecordFormatError(
                f"{self.name}: {self._size} bytes are no whole number of records of {self._layout.record_bytes} "
                f"bytes ({self._size % self._layout.record_bytes} are left over). Check --record-bytes."
            )
        start = 0
        while start < self._size:
            start = await self._add_block(start)
        if self._size:
            self.last_key = await self._key_at(await self._last_start(0, self._size))

    @property
    def record_count(self) -> int:
        """Blocks in which records begin: see above."""
        return int(self.index.record_counts.sum(dtype=np.uint64))

    @property
    def raw_bytes(self) -> int:
        return self._size

    async def load(self, block: int, buffer: PooledBuffer) -> None:
        offset = int(self.index.offsets[block])
        length = int(self.index.raw_lengths[block])
        await self._read(buffer.view[HEADER_BYTES : HEADER_BYTES + length], offset)

    async def _close_last_line(self) -> None:
        """A last line without a delimiter is as good as one with it: pretend that it stands there."""
        if self._size:
            await self._source.read_into(self._scratch[:1], self._size - 1)
            self._size += self._scratch[0] != self._layout.delimiter

    async def _read(self, view: memoryview, offset: int) -> None:
        count = await self._source.read_into(view, offset)
        if count < len(view):
            assert count == len(view) - 1 and self._layout.is_lines, (count, len(view))
            view[count] = self._layout.delimiter

    async def _add_block(self, start: int) -> int:
        end = min(start + self._capacity, self._size)
        if not self._layout.is_lines:
            end = start + max(1, (end - start) // self._layout.record_bytes) * self._layout.record_bytes
        elif end < self._size:
            end = await self._last_end(start, end)
        if end == start:
            return await self._add_span(start)
        await self._append(start, end - start, 1, 0)
        return end

    async def _add_span(self, start: int) -> int:
        end = await self._next_end(start + self._capacity)
        for offset in range(0, end - start, self._capacity):
            length = min(self._capacity, end - start - offset)
            await self._append(start + offset, length, int(offset == 0), span_flag(offset, length, end - start), start)
        return end

    async def _append(self, offset: int, length: int, records: int, flags: int, key_at: int | None = None) -> None:
        key = await self._key_at(offset if key_at is None else key_at)
        self.index.append(offset, BlockHeader(flags, length, length, records, len(self.index), 0, key))

    async def _key_at(self, offset: int) -> bytes:
        view = self._scratch[: min(len(self._scratch), self._size - offset)]
        await self._read(view, offset)
        return self._layout.leading_key(view, KEY_BYTES_MAX)

    async def _last_end(self, start: int, end: int) -> int:
        """Where the last line that ends before `end` does; `start` if none does."""
        while end > start:
            look = max(start, end - len(self._scratch))
            view = self._scratch[: end - look]
            await self._read(view, look)
            found = bytes(view).rfind(bytes([self._layout.delimiter]))
            if found >= 0:
                return look + found + 1
            end = look
        return start

    async def _next_end(self, start: int) -> int:
        """Where the line that goes through `start` ends."""
        while True:
            view = self._scratch[: min(len(self._scratch), self._size - start)]
            await self._read(view, start)
            found = bytes(view).find(bytes([self._layout.delimiter]))
            if found >= 0:
                return start + found + 1
            start += len(view)

    async def _last_start(self, start: int, end: int) -> int:
        """Where the last record begins."""
        if not self._layout.is_lines:
            return end - self._layout.record_bytes
        return await self._last_end(start, end - 1)
