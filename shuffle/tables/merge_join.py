"""Two tables joined by their keys: both sorted, then read side by side.

    left  ──sort──> blocks of groups ─┐
                                      ├─ kernel: pairs of rows ──> columns taken at these rows ──> batches
    right ──sort──> blocks of groups ─┘

Rows come out in the order of keys; of equal keys in the order of the left rows, and for each of them of the right ones.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa

from memory import MemoryConfigurationError
from shuffle.kernels import join as kernel
from shuffle.options import SortOptions
from shuffle.report import SortReport
from shuffle.tables.group_store import GroupStore
from shuffle.tables.join_output import JoinOutput
from shuffle.tables.join_plan import JoinPlan, prepare_side, side_keys
from shuffle.tables.join_sides import Block, Span, one_batch, read_side
from shuffle.tables.table_result import TableResult
from shuffle.tables.table_session import TableSession
from shuffle.tables.table_sorter import SortedTable
from shuffle.tables.table_source import TableSource

Item = Block | Span

_PAIRS_MAX = 1 << 14
_BATCH_BYTES = 1 << 20
_NO_GROUPS = np.zeros((1, 3), np.uint64)
_ON_MATCH = {"semi": kernel.LEFT_ONCE, "anti": kernel.NOTHING}


class JoinedTable(TableResult):
    """The rows of both sides that belong together. Both are sorted when the first are wanted."""

    def __init__(self, left: TableSource, right: TableSource, plan: JoinPlan, options: SortOptions) -> None:
        super().__init__(plan.schema)
        self._plan = plan
        self._options = options
        sides = []
        for source, names, is_left in ((left, plan.left_keys, True), (right, plan.right_keys, False)):
            keys = side_keys(names, source.schema, plan)
            sides.append(SortedTable(prepare_side(source, names, plan, is_left=is_left), keys, options))
        self._left, self._right = sides

    def batches(self) -> Generator[Any, None, None]:
        left, right = self._sorted_sides()
        output = JoinOutput(self._plan, left.codec, right.codec)
        with closing(read_side(left)) as lefts, closing(read_side(right)) as rights:
            yield from _Join(self._plan, lefts, rights, output, self._options).batches()

    def _sorted_sides(self) -> tuple[TableSession, TableSession]:
        try:
            return self._left.sorted(), self._right.sorted()
        except MemoryConfigurationError as error:
            problem = f"a join is two sorts, and each gets half of the memory that is left beside its readers: {error}"
            raise MemoryConfigurationError(problem) from error

    @property
    def reports(self) -> tuple[SortReport, SortReport]:
        """What sorting both sides took, left before right."""
        return self._left.report, self._right.report

    def close(self) -> None:
        try:
            self._left.close()
        finally:
            self._right.close()


class _Join:
    """One reading of both sides."""

    def __init__(
        self,
        plan: JoinPlan,
        lefts: Iterator[Item],
        rights: Iterator[Item],
        output: JoinOutput,
        options: SortOptions,
    ) -> None:
        self._plan = plan
        self._lefts = lefts
        self._rights = rights
        self._output = output
        self._options = options
        self._left: Item | None = None
        self._right: Item | None = None
        self._state = np.zeros(kernel.STATE_WORDS, np.uint64)
        self._state[kernel.KEEP_LEFT] = plan.keeps_left
        self._state[kernel.KEEP_RIGHT] = plan.keeps_right
        self._state[kernel.ON_MATCH] = _ON_MATCH.get(plan.how, kernel.PAIRS)
        self._left_rows = np.empty(_PAIRS_MAX, np.int64)
        self._right_rows = np.empty(_PAIRS_MAX, np.int64)

    def batches(self) -> Iterator[Any]:
        """All rows of the result."""
        self._next_left()
        self._next_right()
        while not self._is_over():
            stop, count = kernel.pair_groups(
                _NO_GROUPS if self._left is None else self._left.groups,
                _NO_GROUPS if self._right is None else self._right.groups,
                self._state,
                self._left_rows,
                self._right_rows,
                self._room(),
            )
            if count:
                rows = self._left_rows[: int(count)].copy(), self._right_rows[: int(count)].copy()
                yield self._output.pairs(_batch(self._left), _batch(self._right), *rows)
            yield from self._go_on(stop)

    def _is_over(self) -> bool:
        """Whether nothing can come out any more."""
        if self._left is None:
            return self._right is None or not self._plan.keeps_right
        return self._right is None and not self._plan.keeps_left

    def _go_on(self, stop: int) -> Iterator[Any]:
        if stop == kernel.LEFT_ALONE:
            yield from self._alone(self._left, is_left=True)
        elif stop == kernel.RIGHT_ALONE:
            yield from self._alone(self._right, is_left=False)
        elif stop == kernel.MATCH:
            yield from self._matched()
        if stop in (kernel.LEFT_DRY, kernel.LEFT_ALONE):
            self._next_left()
        elif stop in (kernel.RIGHT_DRY, kernel.RIGHT_ALONE):
            self._next_right()

    # --- where each side stands

    def _next_left(self) -> None:
        self._left = next(self._lefts, None)
        self._start(self._left, kernel.LEFT, kernel.LEFT_SPANS, kernel.LEFT_OVER)

    def _next_right(self) -> None:
        self._right = next(self._rights, None)
        self._start(self._right, kernel.RIGHT, kernel.RIGHT_SPANS, kernel.RIGHT_OVER)

    def _start(self, item: Item | None, word: int, spans: int, over: int) -> None:
        """The state of a side that begins with `item`: its words stand one behind another, from `word` on."""
        first, end = (item.first, item.end) if item is not None else (0, 0)
        groups = _NO_GROUPS if item is None else item.groups
        self._state[word : word + 3] = first, end, groups[first, kernel.FIRST_ROW]
        self._state[spans], self._state[over] = item is not None and item.spans, item is None

    def _skip_group(self, item: Item, word: int) -> None:
        self._state[word] += np.uint64(1)
        self._state[word + 2] = item.groups[int(self._state[word]), kernel.FIRST_ROW]

    def _room(self) -> int:
        """Pairs of a batch: so many that it is of a good size."""
        row_bytes = sum(_row_bytes(batch) for batch in (_batch(self._left), _batch(self._right)) if batch is not None)
        return max(1, min(_PAIRS_MAX, _BATCH_BYTES // max(1, row_bytes)))

    # --- groups that are in no block

    def _alone(self, item: Item | None, *, is_left: bool) -> Iterator[Any]:
        assert isinstance(item, Span)
        if self._plan.keeps_left if is_left else self._plan.keeps_right:
            for batch in item.rows_of(0):
                yield self._one_sided(batch, is_left=is_left)

    def _one_sided(self, batch: Any, *, is_left: bool) -> Any:
        rows, none = np.arange(batch.num_rows), np.full(batch.num_rows, kernel.NONE)
        if is_left:
            return self._output.pairs(batch, None, rows, none)
        return self._output.pairs(None, batch, none, rows)

    def _matched(self) -> Iterator[Any]:
        """A group on both sides, one of which at least is a span."""
        left, right = self._left, self._right
        assert left is not None and right is not None
        left_rows = left.rows_of(int(self._state[kernel.LEFT]))
        right_rows = right.rows_of(int(self._state[kernel.RIGHT]))
        on_match = self._state[kernel.ON_MATCH]
        if on_match == kernel.LEFT_ONCE:
            for batch in left_rows:
                yield self._one_sided(batch, is_left=True)
        elif on_match == kernel.PAIRS:
            with GroupStore(right_rows, self._options) as store:
                for batch in left_rows:
                    yield from self._product(batch, store)
        self._pass_group(left, kernel.LEFT, self._next_left)
        self._pass_group(right, kernel.RIGHT, self._next_right)

    def _pass_group(self, item: Item, word: int, go_on: Any) -> None:
        if item.spans:
            go_on()
        else:
            self._skip_group(item, word)

    def _product(self, left: Any, store: GroupStore) -> Iterator[Any]:
        """Each row of a left batch with each of the store, in this order, however the store is kept."""
        if not store.has_spilled:
            yield from self._all_pairs(left, _joined(list(store.batches())))
            return
        for row in range(left.num_rows):
            for batch in store.batches():
                yield from self._all_pairs(left.slice(row, 1), batch)

    def _all_pairs(self, left: Any, right: Any) -> Iterator[Any]:
        room = max(1, min(_PAIRS_MAX, _BATCH_BYTES // max(1, _row_bytes(left) + _row_bytes(right))))
        total = left.num_rows * right.num_rows
        for start in range(0, total, room):
            left_rows, right_rows = np.divmod(np.arange(start, min(start + room, total)), right.num_rows)
            yield self._output.pairs(left, right, left_rows, right_rows)


def _batch(item: Item | None) -> Any:
    return item.part.batch if isinstance(item, Block) else None


def _row_bytes(batch: Any) -> int:
    return int(batch.nbytes) // max(1, int(batch.num_rows))


def _joined(batches: list[Any]) -> Any:
    return batches[0] if len(batches) == 1 else one_batch(pa.Table.from_batches(batches))


__all__ = ["JoinedTable"]
