"""Where merged records go: to their place in the output, or into another run."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from io_manager import ALIGNMENT, HEADER_BYTES, KEY_BYTES_MAX, BlockFlags, OutputFile, RunWriter, StreamOutput
from memory import Buffer
from serializers import SLACK_BYTES, RecordLayout
from shuffle.runs import block_capacity, last_key_in


class Sink(Protocol):
    """Takes filled buffers, in order."""

    def window(self, position: int, buffer_bytes: int) -> tuple[int, int]:
        """Where records stand in a buffer that begins after `position` bytes of them: first byte, and end."""

    async def put(self, buffer: Buffer, length: int, records: int, flags: int) -> None:
        """Take over a buffer with `length` bytes: whole records, or one block of a span if `flags` says so."""

    async def drained(self) -> None:
        """Return when every buffer has gone home."""


class RangeSink(Sink, Protocol):
    """The sink of one range of the output."""

    def expect_long(self, position: int, record_bytes: int) -> None:
        """The next blocks are one record, longer than a block, that begins after `position` bytes of the range."""


class Target(Protocol):
    """What a job writes: whole or not at all. Left without `publish`, it takes back what was written."""

    @property
    def seekable(self) -> bool:
        """Whether several ranges can be written side by side."""

    async def open(self, expected_bytes: int | None) -> None:
        """Find out whether it can be written."""

    def sink(self, offset: int, total_bytes: int, on_written: Callable[[int], None]) -> RangeSink:
        """Takes the range that begins `offset` bytes into the `total_bytes` of all records."""

    async def publish(self) -> None:
        """Make it durable, and give it its name."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class FileTarget:
    """One file, or a stream."""

    def __init__(self, output: OutputFile | StreamOutput) -> None:
        self._output = output
        self.seekable = output.seekable
        self.open, self.publish = output.open, output.publish

    def sink(self, offset: int, total_bytes: int, on_written: Callable[[int], None]) -> "OutputSink":
        """Writes a range at its offset."""
        return OutputSink(self._output, offset, on_written)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._output.__aexit__(kind, error, trace)


class OutputSink:
    """One range of the output, written from `offset` on.

    Records stand in a buffer as they will stand in a page of the file, so that whole pages may go straight to disk.
    """

    def __init__(self, output: OutputFile | StreamOutput, offset: int, on_written: Callable[[int], None]) -> None:
        self._output = output
        self._start = self._offset = offset
        self._on_written = on_written

    def window(self, position: int, buffer_bytes: int) -> tuple[int, int]:
        return (self._start + position) % ALIGNMENT, buffer_bytes - SLACK_BYTES

    def expect_long(self, position: int, record_bytes: int) -> None:
        """One block of it is as good as any other."""

    async def put(self, buffer: Buffer, length: int, records: int, flags: int) -> None:
        start = self._offset % ALIGNMENT
        with buffer:
            await self._output.write(self._offset, buffer.view[start : start + length])
        self._offset += length
        self._on_written(length)

    async def drained(self) -> None:
        """Every `put` gave its buffer back."""


class RunSink:
    """Another run, block by block."""

    def __init__(self, writer: RunWriter, layout: RecordLayout, on_written: Callable[[int], None]) -> None:
        self._writer = writer
        self._layout = layout
        self._on_written = on_written
        self._span_key = b""

    def window(self, position: int, buffer_bytes: int) -> tuple[int, int]:
        return HEADER_BYTES, HEADER_BYTES + block_capacity(buffer_bytes)

    async def put(self, buffer: Buffer, length: int, records: int, flags: int) -> None:
        payload = buffer.view[HEADER_BYTES : HEADER_BYTES + length]
        first_key = self._first_key(payload, flags)
        await self._writer.write_block(
            buffer,
            raw_length=length,
            record_count=int(flags == BlockFlags.SPAN_FIRST) if flags else records,
            first_key=first_key,
            last_key=first_key if flags else last_key_in(self._layout, payload),
            flags=flags,
        )
        self._on_written(length)

    def _first_key(self, payload: memoryview, flags: int) -> bytes:
        """In the middle of a record no key begins: there it is that of the record, as in every run."""
        if flags in (0, BlockFlags.SPAN_FIRST):
            self._span_key = self._layout.leading_key(payload, KEY_BYTES_MAX)
        return self._span_key

    async def drained(self) -> None:
        """The writer takes buffers over, and waits for them when it finishes."""
