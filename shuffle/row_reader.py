"""Merged rows on their way out: a sink at whose other end somebody reads.

    merge ──put──> a few filled buffers ──next──> whoever decodes them

What `next` gives stays as it is until `next` is called again. A row that spans blocks is put together first.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from io_manager import BlockFlags
from memory import Buffer
from serializers import SLACK_BYTES
from shuffle.sinks import Sink


@dataclass(frozen=True)
class _Filled:
    buffer: Buffer
    length: int
    flags: int


class RowReader:
    """Reads what `merge` puts into the sink that it is given. One reader for one pass."""

    def __init__(self, merge: Callable[[Sink], Awaitable[object]]) -> None:
        self._filled: deque[_Filled] = deque()
        self._shown: Buffer | None = None
        self._is_closed = False
        self._moved = asyncio.Event()
        self._merging = asyncio.ensure_future(merge(self))
        self._merging.add_done_callback(lambda _: self._moved.set())

    # --- the merge's side

    def window(self, position: int, buffer_bytes: int) -> tuple[int, int]:
        return 0, buffer_bytes - SLACK_BYTES

    async def put(self, buffer: Buffer, length: int, records: int, flags: int) -> None:
        if self._is_closed:
            buffer.release()
            return
        self._filled.append(_Filled(buffer, length, flags))
        self._moved.set()

    async def drained(self) -> None:
        while self._filled or self._shown is not None:
            await self._wait()

    # --- the reader's side

    async def next(self) -> memoryview | None:
        """Whole rows, one behind another, with slack behind them; None at the end. Raises what the merge raised."""
        self._release_shown()
        first = await self._next_filled()
        if first is None:
            return None
        if not first.flags:
            self._shown = first.buffer
            return first.buffer.view[: first.length]
        return await self._join(first)

    async def close(self) -> None:
        """End the merge, and give back every buffer. Idempotent."""
        self._is_closed = True
        self._release_shown()
        while self._filled:
            self._filled.popleft().buffer.release()
        self._merging.cancel()
        await asyncio.wait([self._merging])
        _ = self._merging.cancelled() or self._merging.exception()  # who reads was told, and nobody else wants to know

    async def _next_filled(self) -> _Filled | None:
        while not self._filled:
            if self._merging.done():
                self._merging.result()  # or what it raised
                return None
            await self._wait()
        return self._filled.popleft()

    async def _join(self, first: _Filled) -> memoryview:
        """A spanning row from all its blocks."""
        row = bytearray()
        piece: _Filled | None = first
        while piece is not None:
            with piece.buffer:
                row += piece.buffer.view[: piece.length]
            self._moved.set()
            if piece.flags == BlockFlags.SPAN_LAST:
                break
            piece = await self._next_filled()
        length = len(row)
        row += bytes(SLACK_BYTES)
        return memoryview(row)[:length]

    def _release_shown(self) -> None:
        if self._shown is not None:
            self._shown.release()
            self._shown = None
            self._moved.set()

    async def _wait(self) -> None:
        self._moved.clear()
        await self._moved.wait()
