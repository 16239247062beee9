"""A range of records that has too many groups for its memory, thrown into narrower ranges, on disk again."""

from __future__ import annotations

from shuffle.aggregation.range_records import Columns, RecordForm
from shuffle.aggregation.range_rooms import Rooms, find
from shuffle.aggregation.range_spill import OpenRanges, Ranges, RangeSpill, open_pool
from shuffle.aggregation.state_plan import Words
from shuffle.means import Means


async def split_range(
    source: OpenRanges,
    number: int,
    form: RecordForm,
    splitters: Words,
    means: Means,
    block_bytes: int,
    buffers: int,
) -> Ranges:
    """The records of range `number` of `source` in ranges cut by `splitters`, with at most so many `buffers`."""
    ranges = len(splitters) + 1
    with open_pool(means, block_bytes, ranges, buffers - 1, beside=1) as pool:
        spill, rooms = RangeSpill(means, pool), Rooms(form, ranges)
        try:
            with await pool.acquire() as window:
                for block in source.ranges.blocks(number):
                    await source.read(block, window)
                    await _put(form.in_block(window.view, block.kind, block.record_count), splitters, rooms, spill)
            await spill.write_all(rooms.take_all())
            return await spill.finish()
        finally:
            rooms.release()
            await spill.close()


async def _put(columns: Columns, splitters: Words, rooms: Rooms, spill: RangeSpill) -> None:
    await spill.write_all(rooms.change_kind(columns.kind))
    numbers, first = find(columns, splitters), 0
    while (first := rooms.scatter(columns, numbers, first)) < columns.count:
        number = int(numbers[first])
        (buffer,) = await spill.swap(rooms.take(number), 1)
        rooms.give(number, buffer)
