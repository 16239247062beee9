"""One run as a merge sees it: blocks on their way, the block under the cursor, and what comes next."""

from ctypes import string_at
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from io_manager import HEADER_BYTES, KEY_BYTES_MAX, BlockFlags
from memory import Buffer
from serializers import SLACK_BYTES, RecordLayout
from serializers.layouts import WORD_BYTES
from shuffle.cuts import RunSlice
from shuffle.kernels import merge
from shuffle.runs import MemoryRun, not_in_order, payload_address, span_flags
from shuffle.whole_records import check_records

_ALL_ONES = 0xFFFF_FFFF_FFFF_FFFF


@dataclass
class RunInput:
    """Feeds column `column` of the merge kernel's `runs` with the blocks of `part`, in order."""

    part: RunSlice
    column: int
    layout: RecordLayout
    descending: bool
    skip: int
    asked: set[int] = field(default_factory=set)
    coming: dict[int, Buffer] = field(default_factory=dict)
    ready: dict[int, Buffer] = field(default_factory=dict)
    current: Buffer | None = None
    spare: Buffer | None = None
    """For the next block, while nobody has asked for it."""
    _last_key: bytes | None = None

    def __post_init__(self) -> None:
        self._blocks = self.part.blocks()
        self._next = self._blocks.start

    @property
    def next_block(self) -> int | None:
        """The block that the kernel will want next; None after the last."""
        return self._next if self._next < self._blocks.stop else None

    @property
    def run_is_in_memory(self) -> bool:
        """Whether blocks are copied out of a sort buffer rather than read."""
        return isinstance(self.part.run, MemoryRun)

    def supply(self, runs: NDArray[np.uint64]) -> bool:
        """Put the next block, or the end, under the cursor. False if that block has not arrived."""
        block = self.next_block
        if block is None:
            runs[merge.CURSOR, self.column] = 0
            return True
        if isinstance(self.part.run, MemoryRun):
            assert self.current is not None, "a run in memory keeps one buffer"
            self.part.run.copy(block, self.current.view)
        elif block in self.ready:
            assert self.current is None, "retire() comes first"
            self.current = self.ready.pop(block)
        else:
            return False
        self._place(block, self.current, runs)
        self._next += 1
        return True

    def retire(self, runs: NDArray[np.uint64]) -> Buffer | None:
        """The block under the cursor is used up: its buffer, if it is free now. Remembers the last key."""
        last, end = int(runs[merge.LAST, self.column]), int(runs[merge.CURSOR, self.column])
        if not self.span_flags():
            self._last_key = self.layout.key(string_at(last, end - last)) if last else None
        if self.run_is_in_memory:
            return None
        buffer, self.current = self.current, None
        return buffer

    @property
    def current_block(self) -> int:
        """The block under the cursor."""
        return self._next - 1

    def span_flags(self) -> int:
        """The flags of the block under the cursor: not 0 if it is part of a spanning record."""
        return span_flags(self.part.run, self.current_block)

    def release(self) -> None:
        """Give back every buffer. Nobody may be reading into one any more."""
        for buffer in (self.current, self.spare, *self.coming.values(), *self.ready.values()):
            if buffer is not None:
                buffer.release()
        self.current = self.spare = None
        self.coming.clear()
        self.ready.clear()

    def _place(self, block: int, buffer: Buffer, runs: NDArray[np.uint64]) -> None:
        start, stop = self.part.start, self.part.stop
        length = stop.offset if block == stop.block else int(self.part.run.index.raw_lengths[block])
        offset = start.offset if block == start.block else 0
        check_records(self.part.run, block, buffer.view, self.layout, start=offset, stop=length)
        payload = buffer.view[HEADER_BYTES + offset : HEADER_BYTES + length]
        self._check_order(block, payload)
        address = payload_address(buffer.view)
        column = runs[:, self.column]
        column[merge.CURSOR] = address + offset
        column[merge.BLOCK_END] = address + length
        column[merge.BOUND] = self._bound(block)
        column[merge.SPAN_RANK] = 0
        column[merge.LAST] = 0

    def _check_order(self, block: int, payload: memoryview) -> None:
        """Within a block the kernel looks; from block to block it is done here.

        The key of a spanning record is its first block here: enough beside any record that is no longer than a block.
        """
        run, flags = self.part.run, span_flags(self.part.run, block)
        if flags not in (0, BlockFlags.SPAN_FIRST):
            return
        if self._last_key is not None:
            key = self.layout.leading_key(payload, len(payload))
            if key != self._last_key and (key < self._last_key) != self.descending:
                raise not_in_order(run)
        if flags:
            self._last_key = None if run.is_trusted else bytes(payload)

    def _bound(self, block: int) -> int:
        """A word that no record of the block exceeds; all ones where that is not known."""
        run = self.part.run
        if not run.is_trusted or span_flags(run, block):
            return _ALL_ONES
        key = run.index.first_key(block + 1) if block + 1 < len(run.index) else run.last_key
        if len(key) == KEY_BYTES_MAX and self.skip + 8 > KEY_BYTES_MAX:
            return _ALL_ONES
        word = int.from_bytes(key[self.skip : self.skip + 8].ljust(8, b"\0"), "big")
        return word ^ _ALL_ONES if self.descending else word


def shared_key_bytes(parts: list[RunSlice], layout: RecordLayout) -> int:
    """Leading key bytes that all records share: those that the least and the greatest keys of the runs share.

    At most as many as leave a word within `SLACK_BYTES`: an index that lies of its keys makes no kernel read beyond.
    """
    keys = [key for part in parts for key in (part.run.index.first_key(0), part.run.last_key)]
    least, greatest = min(keys), max(keys)
    shared = next((i for i, (a, b) in enumerate(zip(least, greatest, strict=False)) if a != b), len(least))
    return min(shared, SLACK_BYTES - WORD_BYTES, shared if layout.is_indexed else layout.key_bytes)
