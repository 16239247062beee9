"""Whether a block from a file is made of whole records: asked once, in front of the kernels that walk through it.

    lines    the last byte is a delimiter
    fixed    no record is cut
    rows     each ends within the block, and its key within the row; as many as the block index says
    spans    the row says how long the chain is, and its key begins in the first block

A checksum proves that a block is what was written; anybody can compute one. Kernels believe what a row says of its
length, so a file that says something else is refused here, and no byte beyond the block is ever read.
"""

from pathlib import Path

from io_manager import HEADER_BYTES, BlockFlags, InputChangedError, RunCorruptError
from serializers import SLACK_BYTES, RecordLayout
from serializers.errors import CorruptRecordError
from serializers.layouts import ROW_FLAG, ROW_KEYS_VARY
from serializers.views import BytesInput
from shuffle.kernels.locate import count_whole_rows
from shuffle.runs import MemoryRun, Run, payload_address, span_bytes, span_flags


def check_records(
    run: Run, block: int, view: memoryview, layout: RecordLayout, *, start: int = 0, stop: int | None = None
) -> None:
    """Raise unless a block, loaded into `view`, holds whole records from byte `start` to `stop` of its payload.

    RunCorruptError for a run of our own; InputChangedError for a file of the caller's, which was whole when the job
    looked at it first.
    """
    if isinstance(run, MemoryRun):
        return  # the sort buffer found these records itself
    length = int(run.index.raw_lengths[block])
    problem = _problem(run, block, view, layout, start, length if stop is None else stop)
    if problem is None:
        return
    if run.is_trusted:
        raise RunCorruptError.at(Path(run.name), int(run.index.offsets[block]), f"block {block} {problem}")
    raise InputChangedError(
        f"{run.name}: changed while being merged: block {block} {problem}. "
        "Run again once nobody writes to it, or on a copy."
    )


def _problem(run: Run, block: int, view: memoryview, layout: RecordLayout, start: int, stop: int) -> str | None:
    """What is wrong, to be said of the block."""
    length = int(run.index.raw_lengths[block])
    if not 0 <= start < stop <= length:
        return f"holds no records from byte {start} to byte {stop}"
    if HEADER_BYTES + length + SLACK_BYTES > len(view):
        return f"holds {length} bytes, more than any block of records"
    payload = view[HEADER_BYTES + start : HEADER_BYTES + stop]
    if flags := span_flags(run, block):
        return _span_problem(run, block, payload, layout, flags)
    if layout.is_rows:
        is_all = stop - start == length
        return _rows_problem(payload, layout, int(run.index.record_counts[block]) if is_all else None)
    return _record_problem(payload, layout)


def _record_problem(payload: memoryview, layout: RecordLayout) -> str | None:
    if layout.is_lines:
        return None if payload[-1] == layout.delimiter else "ends within a line"
    return f"ends within a record of {layout.record_bytes} bytes" if len(payload) % layout.record_bytes else None


def _rows_problem(payload: memoryview, layout: RecordLayout, expected: int | None) -> str | None:
    first = payload_address(payload) - HEADER_BYTES
    found, stop = count_whole_rows(first, first + len(payload), layout.key_bytes)
    if stop != first + len(payload):
        return f"has a row at byte {stop - first} of its records that does not end where it says"
    return None if expected in (None, found) else f"holds {found} rows, and {expected} are expected"


def _span_problem(run: Run, block: int, payload: memoryview, layout: RecordLayout, flags: int) -> str | None:
    if layout.is_lines:
        closes = flags != BlockFlags.SPAN_LAST or payload[-1] == layout.delimiter
        return None if closes else "ends a chain of blocks, but no line"
    if layout.record_bytes:
        return "is part of a chain, and no record of this length needs one"
    if flags != BlockFlags.SPAN_FIRST:
        return None
    try:
        return _span_row_problem(BytesInput(payload), layout, span_bytes(run, block))
    except CorruptRecordError as error:
        return f"begins a chain with no row: {error}"


def _span_row_problem(row: BytesInput, layout: RecordLayout, chain_bytes: int) -> str | None:
    row_end = row.read_varint() + row.position
    if row_end != chain_bytes:
        return f"begins a row of {row_end} bytes in a chain of {chain_bytes}"
    key_bytes = row.read_varint() if layout.key_bytes & ROW_KEYS_VARY else layout.key_bytes ^ ROW_FLAG
    return "begins a row whose key goes on behind it" if key_bytes > row_end - row.position else None
