"""Input files, one after another, into sort buffers.

Bytes go straight from the file into the buffer that will sort them. What a buffer cannot hold any more, the beginning
of a record, is carried to the next. A last line without a delimiter is given one, in every file.
"""

from collections.abc import Callable, Sequence

from io_manager import InputFile, IOManager, IOThreads, RunFile
from memory import BufferPool
from serializers import RecordLayout
from shuffle.errors import RecordFormatError
from shuffle.long_records import LongLine
from shuffle.report import Stage
from shuffle.sort_buffer import SortBuffer


class Feed:
    """Reads `inputs`, open already, in their order. `bytes_read` counts what came from them.

    With a `stretch` only those bytes of all inputs together: it begins and ends between records.
    """

    def __init__(
        self,
        inputs: Sequence[InputFile],
        layout: RecordLayout,
        workers: IOThreads,
        *,
        on_read: Callable[[int], None],
        stretch: range | None = None,
    ) -> None:
        self._inputs = list(inputs)
        self._layout = layout
        self._workers = workers
        self._on_read = on_read
        self._offset = 0
        self._bytes_left: int | None = None
        self._position = 0
        self.bytes_read = 0
        self.reading = Stage()
        if stretch is not None:
            self._go_to(stretch)

    @property
    def ended(self) -> bool:
        """Whether all bytes of all inputs have been read. A pipe may end without being known to."""
        return not self._inputs

    async def fill(self, buffer: SortBuffer) -> None:
        """Read until `buffer` is full or the input has ended, and find the records."""
        await self._workers.run(buffer.scan)  # of what was carried over
        while not self.ended and len(window := buffer.free_view()):
            if await self.read(window, buffer):
                await self._workers.run(buffer.scan)

    def is_stuck(self, buffer: SortBuffer) -> bool:
        """Whether one unfinished line fills the whole buffer."""
        return buffer.is_stuck

    async def spill_long(self, buffer: SortBuffer, io: IOManager, pool: BufferPool, *, block_bytes: int) -> RunFile:
        """Make a run of that line; afterwards `buffer` holds what follows it."""
        return await LongLine(buffer, self.read, pool, block_bytes=block_bytes).spill(io, block_bytes=block_bytes)

    def place_behind(self, buffer: SortBuffer) -> int:
        """Where in all inputs together the records of `buffer`, the last that was filled, end."""
        return self._position - len(buffer.tail)

    async def read(self, window: memoryview, buffer: SortBuffer) -> int:
        """Read once, at most to the end of the current input: bytes added to `buffer`, a missing delimiter included."""
        source = self._inputs[0]
        window = window[: self._bytes_left]
        if source.seekable:
            buffer.note_place(source, self._offset)
        with self.reading.timed():
            length = await source.read_into(window, self._offset)
        self.reading.bytes += length
        self._offset += length
        self._position += length
        self.bytes_read += length
        self._on_read(length)
        buffer.note_read(length)
        if length < len(window) or self._offset == source.size:
            self._end_input(buffer)
        if self._bytes_left is not None:
            self._bytes_left -= length
            if not self._bytes_left:
                self._inputs.clear()
        return length

    def _go_to(self, stretch: range) -> None:
        self._position = self._offset = stretch.start
        self._bytes_left = len(stretch)
        while self._inputs and self._offset >= (self._inputs[0].size or 0):
            self._offset -= self._inputs.pop(0).size or 0
        if not stretch:
            self._inputs.clear()

    def _end_input(self, buffer: SortBuffer) -> None:
        source = self._inputs.pop(0)
        record_bytes = self._layout.record_bytes
        if record_bytes and self._offset % record_bytes:
            raise RecordFormatError(
                f"{source.path}: {self._offset} bytes are no whole number of records of {record_bytes} bytes "
                f"({self._offset % record_bytes} are left over). Check --record-bytes."
            )
        if self._offset:
            buffer.end_line()
        self._offset = 0
