"""Records longer than a block: how two of them compare, read side by side, block by block."""

from io_manager import HEADER_BYTES, BlockFlags
from memory import Buffer
from shuffle.kernels.locate import compare
from shuffle.runs import Run, payload_address


async def compare_spans(
    left: tuple[Run, int], right: tuple[Run, int], left_buffer: Buffer, right_buffer: Buffer
) -> int:
    """-1, 0 or 1 for the keys of the two spanning records that begin at (run, block)."""
    (left_run, left_block), (right_run, right_block) = left, right
    while True:
        left_length, left_ends = await _load_key(left_run, left_block, left_buffer)
        right_length, right_ends = await _load_key(right_run, right_block, right_buffer)
        order = int(
            compare(
                payload_address(left_buffer.view),
                left_length,
                payload_address(right_buffer.view),
                right_length,
            )
        )
        if order or (left_ends and right_ends):
            return order
        if left_ends or right_ends:
            return -1 if left_ends else 1
        left_block, right_block = left_block + 1, right_block + 1


async def _load_key(run: Run, block: int, buffer: Buffer) -> tuple[int, bool]:
    """Key bytes in a block of a span (the delimiter is none), and whether the record ends there."""
    await run.load(block, buffer)
    ends = bool(run.index.flags[block] & BlockFlags.SPAN_LAST)
    assert len(buffer.view) >= HEADER_BYTES
    return int(run.index.raw_lengths[block]) - int(ends), ends
