"""The door of the merge kernel: the arrays it works on, by their names."""

from ctypes import string_at
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serializers import SLACK_BYTES, RecordLayout
from shuffle.kernels import merge

_ALL_ONES = 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True)
class MergeOrder:
    """How records are ordered, and which of them are wanted."""

    layout: RecordLayout
    descending: bool
    unique: bool = False
    limit: int | None = None


class MergeHeads:
    """The heads of `run_count` runs and their loser tree. `skip` leading key bytes are known to be the same in all."""

    def __init__(self, run_count: int, order: MergeOrder, skip: int) -> None:
        layout = order.layout
        self.runs = np.zeros((merge.RUN_ROWS, run_count), np.uint64)
        """Rows as `kernels.merge` names them, a column for each run."""
        self._tree = np.zeros((merge.TREE_ROWS, run_count), np.uint64)
        self._layout = np.zeros(merge.LAYOUT_ENTRIES, np.uint64)
        self._layout[merge.RECORD_BYTES] = layout.record_bytes
        self._layout[merge.KEY_OFFSET] = layout.key_offset
        self._layout[merge.KEY_BYTES] = layout.key_bytes
        self._layout[merge.SKIP] = skip
        self._layout[merge.INVERTED] = _ALL_ONES if order.descending else 0
        self._layout[merge.DELIMITER] = layout.delimiter
        self._layout[merge.UNIQUE] = order.unique
        self._state = np.zeros(merge.STATE_ENTRIES, np.uint64)
        self._state[merge.WINNER] = self._state[merge.REFILLED] = merge.NO_RUN
        self._state[merge.LIMIT] = _ALL_ONES if order.limit is None else order.limit
        self._kept: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.keeps_last = order.unique
        """Whether the last record that went out is compared with the next."""

    def advance(self, position: int, end: int) -> tuple[int, int, int]:
        """Merge into memory from `position` to `end`: (why it stopped, the run concerned, where the output ends)."""
        return merge.merge_until(self.runs, self._tree, self._layout, self._state, position, end)  # type: ignore[no-any-return]

    def note_refilled(self, column: int) -> None:
        """The run has another block under its cursor, or has ended."""
        self._state[merge.REFILLED] = column

    def has_ended(self, column: int) -> bool:
        """Whether nothing is left of a run."""
        return not self.runs[merge.CURSOR, column]

    @property
    def records_written(self) -> int:
        """Records that went out."""
        return int(self._state[merge.RECORDS])

    @property
    def records_dropped(self) -> int:
        """Records left out because their key had been written already."""
        return int(self._state[merge.DROPPED])

    def note_span(self, *, is_wanted: bool) -> None:
        """A record that spans blocks was the next, and goes out, or does not, without the kernel."""
        self._state[merge.RECORDS if is_wanted else merge.DROPPED] += 1
        self._state[merge.KEPT] = 0

    @property
    def last_bytes(self) -> int:
        """How long the last record is that went out; 0 where there is none to compare with."""
        return int(self._state[merge.KEPT_END] - self._state[merge.KEPT]) if self._state[merge.KEPT] else 0

    def remember(self, record: bytes) -> None:
        """`record` went out before this merge began: if keys are wanted once, its key is not wanted any more."""
        self._kept = np.frombuffer(record + bytes(SLACK_BYTES), np.uint8)
        self._state[merge.KEPT] = self._kept.ctypes.data
        self._state[merge.KEPT_END] = self._kept.ctypes.data + len(record)

    def leave_output(self) -> None:
        """The output will be gone: take the last record along, if the next ones are to be compared with it."""
        start, end = int(self._state[merge.KEPT]), int(self._state[merge.KEPT_END])
        if not self.keeps_last or not start or start == self._kept.ctypes.data:
            return
        self._kept = np.frombuffer(string_at(start, end - start) + bytes(SLACK_BYTES), np.uint8)
        self._state[merge.KEPT] = self._kept.ctypes.data
        self._state[merge.KEPT_END] = self._kept.ctypes.data + end - start
