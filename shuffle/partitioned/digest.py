"""What one file of a partitioned output holds, told while it is written: the same figures as `shuffle.verify` finds.

    buffers in order ──> records, bytes, first and last key, fingerprint ──> Content

The fingerprint of a record that is longer than a block is made piece by piece.
"""

import numpy as np
from numpy.typing import NDArray

from io_manager import KEY_BYTES_MAX, BlockFlags
from serializers import SLACK_BYTES, RecordLayout
from serializers.columns.scratch import address_of
from shuffle.kernels import verify as kernel
from shuffle.partitioned.manifest import Content
from shuffle.runs import last_key_in

_STEP_BYTES = 16


class Digest:
    """Takes what is written to one file, from its beginning on. For one thread at a time."""

    def __init__(self, layout: RecordLayout, words: NDArray[np.uint64]) -> None:
        """`words` say the layout and the order once more, to the kernel (`shuffle.verify.layout_words`)."""
        self._layout = layout
        self._words = words
        self.content = Content()
        self._long: LongRecord | None = None

    def add(self, view: memoryview, flags: int) -> None:
        """`view` is whole records, with slack behind them; or, as `flags` says, a piece of one that spans blocks."""
        self.content += self._piece(view, flags) if flags else self._whole(view)

    def _whole(self, view: memoryview) -> Content:
        state = np.zeros(kernel.STATE_WORDS, np.uint64)
        start = address_of(np.frombuffer(view, np.uint8))
        _, end = kernel.verify_records(start, start, start + len(view), self._words, state)
        assert end == start + len(view), "whole records"
        assert not state[kernel.DISORDERS], "the merge gives records in order"
        return Content(
            int(state[kernel.RECORDS]),
            len(view),
            self._layout.leading_key(view, KEY_BYTES_MAX),
            last_key_in(self._layout, view),
            int(state[kernel.SUM_HIGH]) << 64 | int(state[kernel.SUM_LOW]),
        )

    def _piece(self, view: memoryview, flags: int) -> Content:
        if flags & BlockFlags.SPAN_FIRST:
            key = self._layout.leading_key(view, KEY_BYTES_MAX)
            self._long = LongRecord()
            self._long.add(view)
            return Content(1, len(view), key, key)
        assert self._long is not None, "a record begins with its first piece"
        if not flags & BlockFlags.SPAN_LAST:
            self._long.add(view)
            return Content(0, len(view))
        self._long.add(view[: len(view) - self._layout.is_lines])  # the delimiter is not hashed
        return Content(0, len(view), fingerprint=self._long.end())


class LongRecord:
    """The hash of one record that comes in pieces."""

    def __init__(self) -> None:
        self._lanes = np.zeros(3, np.uint64)
        self._rest = b""  # less than a step

    def add(self, view: memoryview) -> None:
        """The next piece."""
        if self._rest:
            taken = _STEP_BYTES - len(self._rest)
            self._rest, view = self._rest + bytes(view[:taken]), view[taken:]
            if len(self._rest) < _STEP_BYTES:
                return
            self._hash(address_of(np.frombuffer(self._rest, np.uint8)), _STEP_BYTES)
        whole = len(view) // _STEP_BYTES * _STEP_BYTES
        self._rest = bytes(view[whole:])
        if whole:
            self._hash(address_of(np.frombuffer(view, np.uint8)), whole)

    def end(self) -> int:
        """The record ends here: its fingerprint."""
        rest = np.frombuffer(self._rest + bytes(SLACK_BYTES), np.uint8)
        self._hash(address_of(rest), len(self._rest), is_last=True)
        return int(self._lanes[1]) << 64 | int(self._lanes[0])

    def _hash(self, address: int, length: int, *, is_last: bool = False) -> None:
        kernel.hash_steps(address, length, int(is_last), self._lanes)
