"""Records longer than any sort buffer: each becomes a run of its own, a chain of whole blocks."""

from collections.abc import Awaitable, Callable

from io_manager import HEADER_BYTES, KEY_BYTES_MAX, BlockFlags, IOManager, RunFile, RunWriter
from memory import BufferPool
from serializers import RecordLayout
from serializers.kernels import find_byte
from shuffle.runs import block_capacity, payload_address, span_flag
from shuffle.sort_buffer import SortBuffer

ReadMore = Callable[[memoryview, SortBuffer], Awaitable[int]]
"""Reads into a view of the free room of a buffer, and tells the buffer how much."""


class LongLine:
    """A line that fills a whole sort buffer without ending: it becomes a run of one record, written while it is read.

    On return the buffer holds what follows the line, at its front.
    """

    def __init__(self, buffer: SortBuffer, read_more: ReadMore, pool: BufferPool, *, block_bytes: int) -> None:
        self._buffer = buffer
        self._read_more = read_more
        self._pool = pool
        self._capacity = block_capacity(block_bytes)
        self._key = bytes(buffer.tail[:KEY_BYTES_MAX])
        self._written = 0

    async def spill(self, io: IOManager, *, block_bytes: int) -> RunFile:
        """Write the line, up to and with its delimiter. Reads on as long as it takes."""
        async with await io.create_run(block_bytes=block_bytes, expected_bytes=len(self._buffer.tail)) as writer:
            searched = 0
            while (end := self._find_end(searched)) is None:
                searched = await self._make_room(writer)
                await self._read_more(self._buffer.free_view(), self._buffer)
            await self._write(writer, end, to_the_end=True)
            self._keep_from(end)
            return await writer.finish()

    def _find_end(self, searched: int) -> int | None:
        """Where the line ends, delimiter included, if it ends within the buffer."""
        tail = self._buffer.tail
        start = payload_address(tail) - HEADER_BYTES
        found = int(find_byte(start + searched, start + len(tail), self._buffer.layout.delimiter)) - start
        return found + 1 if found < len(tail) else None

    async def _make_room(self, writer: RunWriter) -> int:
        """Write whole blocks, but keep the last bytes: they may be all that is left. Returns how many were kept."""
        blocks = (len(self._buffer.tail) - 1) // self._capacity
        await self._write(writer, blocks * self._capacity, to_the_end=False)
        return self._keep_from(blocks * self._capacity)

    def _keep_from(self, offset: int) -> int:
        kept = self._buffer.tail[offset:]
        self._buffer.start(kept)
        return len(kept)

    async def _write(self, writer: RunWriter, length: int, *, to_the_end: bool) -> None:
        whole = self._written + length if to_the_end else self._written + length + 1
        for offset in range(0, length, self._capacity):
            piece = self._buffer.tail[offset : min(offset + self._capacity, length)]
            await _write_piece(writer, self._pool, piece, self._key, self._written + offset, whole)
        self._written += length


async def spill_long_row(
    row: memoryview, layout: RecordLayout, io: IOManager, pool: BufferPool, *, block_bytes: int
) -> RunFile:
    """Write a row that fits no sort buffer as a run of its own."""
    capacity = block_capacity(block_bytes)
    assert len(row) > capacity, "a sort buffer holds a block at least"
    key = layout.leading_key(row, KEY_BYTES_MAX)
    async with await io.create_run(block_bytes=block_bytes, expected_bytes=len(row)) as writer:
        for offset in range(0, len(row), capacity):
            await _write_piece(writer, pool, row[offset : offset + capacity], key, offset, len(row))
        return await writer.finish()


async def _write_piece(
    writer: RunWriter, pool: BufferPool, piece: memoryview, key: bytes, offset: int, size: int
) -> None:
    """Write one block of a spanning record of `size` bytes."""
    buffer = await pool.acquire()
    buffer.view[HEADER_BYTES : HEADER_BYTES + len(piece)] = piece
    flag = span_flag(offset, len(piece), size)
    await writer.write_block(
        buffer,
        raw_length=len(piece),
        record_count=int(flag == BlockFlags.SPAN_FIRST),
        first_key=key,
        last_key=key,
        flags=flag,
    )
