"""Records longer than a block: the kernel sees only their first; which goes before which is found out here.

Whenever a spanning record becomes the head of a run it is put in its place among those that are heads already, and all
of them are numbered, so that the kernel has only to compare numbers. Two that agree in their first blocks are read side
by side until they differ. A line of ordinary length always differs within the first; a row may have the very key of a
longer one, and then they go by run.
"""

from collections.abc import Sequence

from io_manager import HEADER_BYTES
from memory import Buffer, BufferPool
from serializers import RecordLayout
from shuffle.kernels import merge
from shuffle.kernels.locate import compare
from shuffle.merge_heads import MergeHeads, MergeOrder
from shuffle.run_input import RunInput
from shuffle.runs import Run, has_spans, not_in_order, payload_address, span_bytes
from shuffle.whole_records import check_records

Span = tuple[Run, int]
"""A spanning record: its run, and the block that it begins in."""


class SpanHeads:
    """The runs of one merge whose heads are spanning records, in order."""

    def __init__(self, inputs: Sequence[RunInput], heads: MergeHeads, order: MergeOrder) -> None:
        self._inputs = inputs
        self._heads = heads
        self._order = order
        self._columns: list[int] = []
        self._buffers: list[Buffer] = []
        self._last: Span | None = None

    async def prepare(self, pool: BufferPool) -> None:
        """Take the buffers to compare with, if there is anything to compare."""
        if any(has_spans(each.part.run) for each in self._inputs):
            self._buffers = [await pool.acquire() for _ in range(2)]

    def release(self) -> None:
        """Give them back."""
        for buffer in self._buffers:
            buffer.release()

    def is_head(self, column: int) -> bool:
        """Whether the record at the head of a run spans blocks."""
        return not self._heads.has_ended(column) and self._inputs[column].span_flags() != 0

    def at(self, column: int) -> Span:
        """The spanning record at the head of a run."""
        return self._inputs[column].part.run, self._inputs[column].current_block

    async def rank(self, column: int) -> None:
        """A run has a new head: if it spans blocks, find its place among the others."""
        if not self.is_head(column):
            return
        place = 0
        while place < len(self._columns) and await self._goes_before(self._columns[place], column):
            place += 1
        self._columns.insert(place, column)
        for rank, each in enumerate(self._columns, 1):
            self._heads.runs[merge.SPAN_RANK, each] = rank

    async def leave(self, column: int, span: Span) -> None:
        """`span` was the head of a run and went out; rank what follows it, and see that it does follow."""
        self._last = span if self._order.unique else None
        self._columns.remove(column)
        await self.rank(column)
        if span[0].is_trusted or not self.is_head(column):
            return
        order = await self._compare(span, self.at(column))
        if order and (order > 0) != self._order.descending:
            raise not_in_order(span[0])

    async def repeats_last(self, span: Span) -> bool:
        """Whether the last spanning record that went out had the same key, and keys are wanted once."""
        return self._last is not None and await self._compare(self._last, span) == 0

    def still_needs(self, run: Run) -> bool:
        """Whether a run that has ended may have to be read once more."""
        return self._last is not None and self._last[0] is run

    def forget_last(self) -> None:
        """Nothing will be compared any more."""
        self._last = None

    async def _goes_before(self, left: int, right: int) -> bool:
        order = await self._compare(self.at(left), self.at(right))
        if order == 0:
            return left < right
        return (order < 0) != self._order.descending

    async def _compare(self, left: Span, right: Span) -> int:
        """-1, 0 or 1 for the keys of two spanning records."""
        left_key = _SpanKey(left, self._buffers[0], self._order.layout)
        right_key = _SpanKey(right, self._buffers[1], self._order.layout)
        while True:
            await left_key.load()
            await right_key.load()
            length = min(left_key.length, right_key.length)
            order = int(compare(left_key.address, length, right_key.address, length))
            left_key.pass_over(length)
            right_key.pass_over(length)
            if order or left_key.is_over or right_key.is_over:
                return order or right_key.is_over - left_key.is_over


class _SpanKey:
    """The key of a spanning record, piece by piece: `length` bytes of it stand at `address`."""

    def __init__(self, span: Span, buffer: Buffer, layout: RecordLayout) -> None:
        self.address = self.length = 0
        self._run, self._block = span
        self._buffer = buffer
        self._layout = layout
        self._left: int | None = None
        """Bytes of the key that are still to come; None before the first block."""

    @property
    def is_over(self) -> bool:
        """Whether all of the key has been passed over."""
        return self._left == self.length == 0

    async def load(self) -> None:
        """Bring the next piece, if the last is used up."""
        if self.length or self._left == 0:
            return
        await self._run.load(self._block, self._buffer)
        check_records(self._run, self._block, self._buffer.view, self._layout)
        self.address = payload_address(self._buffer.view)
        held = int(self._run.index.raw_lengths[self._block])
        if self._left is None:
            start, self._left = self._measure()
            self.address += start
            held -= start
        self.length = min(held, self._left)
        self._left -= self.length
        self._block += 1

    def pass_over(self, length: int) -> None:
        """So many bytes of the piece have been compared."""
        self.address += length
        self.length -= length

    def _measure(self) -> tuple[int, int]:
        """Where in the first block the key begins, and how long it is."""
        if self._layout.is_rows:
            return self._layout.row_key(self._buffer.view[HEADER_BYTES:])
        return 0, span_bytes(self._run, self._block) - 1  # the delimiter of a line is no key
