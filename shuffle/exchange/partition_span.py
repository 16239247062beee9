"""Several partitions in one merge: they are neighbours in every map output, and the merge keeps them apart.

    map output 0   ...│ 41 │ 42 │ 43 │...  ──┐
    map output 1   ...│ 41 │    │ 43 │...  ──┴─ one merge ──> views ──cut at borders──> 41: views, 43: views

To open a part of a run takes a millisecond, so thousands of small partitions are not merged one by one.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

import numpy as np

from io_manager import checksum
from serializers.errors import CorruptRecordError
from serializers.layouts import ROW_FLAG, ROW_KEYS_VARY
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.map_output import MapOutput
from shuffle.exchange.partition_reader import PartitionSession
from shuffle.kernels import partition as kernels
from shuffle.means import Means
from shuffle.stored_slice import StoredSlice

Views = Iterator[memoryview]


class SpanSession(PartitionSession):
    """Reads neighbouring partitions together, too."""

    def read_span(
        self, outputs: Iterable[MapOutput], partitions: range, shape: KeyShape
    ) -> Iterator[tuple[int, Views]]:
        """(partition, its rows) for each of `partitions` that is not empty, in order, all from one merge.

        Rows must be read before the next partition is asked for, if at all; each view is good until the next.
        """
        assert shape.partition_bytes, "rows without partition numbers cannot be told apart"
        slices = self._call(_span_slices(self._job.means, outputs, partitions))
        if not slices:
            return
        with closing(self.read_part(slices)) as views:
            for partition, pieces in groupby(_pieces(views, shape, partitions.stop), key=itemgetter(0)):
                yield partition, map(itemgetter(1), pieces)

    def read_part(self, slices: Sequence[StoredSlice]) -> Generator[memoryview, None, None]:
        """As `read_slices`, to be closed by whoever may not read all of it: there is memory for one reader."""
        yield from self.read_slices(slices)


async def _span_slices(means: Means, outputs: Iterable[MapOutput], partitions: range) -> list[StoredSlice]:
    """Of each map output that has any, the records of all `partitions`."""
    found = []
    for output in outputs:
        ends = await means.io.threads.run(_ends, output, partitions)
        if ends is not None:
            found.append(await _from_to(means, *ends))
    return found


def _ends(output: MapOutput, partitions: range) -> tuple[StoredSlice, StoredSlice] | None:
    """The first and the last of `partitions` that is not empty. Blocks."""
    first = next(filter(None, map(output.find, partitions)), None)
    if first is None:
        return None
    last = next(filter(None, map(output.find, reversed(partitions))))
    return first, last


async def _from_to(means: Means, first: StoredSlice, last: StoredSlice) -> StoredSlice:
    """All records from the first of one slice to the last of another of the same run."""
    if first == last:
        return first
    reader = await means.io.open_run(first.run)  # and verify the whole index, as no part of it has a checksum for this
    await reader.close()
    index, start, stop = reader.index, first.start, last.stop
    whole_blocks = int(index.raw_lengths[start.block : stop.block].sum(dtype=np.uint64))
    return replace(
        first,
        stop=stop,
        records=None,
        raw_bytes=whole_blocks - start.offset + stop.offset,
        last_key=last.last_key,
        index_checksum=checksum(index.part_bytes(start.block, stop.block + (stop.offset > 0))),
    )


def _pieces(views: Views, shape: KeyShape, partitions: int) -> Iterator[tuple[int, memoryview]]:
    """Views cut where another partition begins."""
    key_bytes = shape.layout.key_bytes
    key_bytes = kernels.VARIES if key_bytes & ROW_KEYS_VARY else key_bytes - ROW_FLAG
    for view in views:
        start = int(np.frombuffer(view, np.uint8).ctypes.data)
        most = min(partitions, len(view) // (1 + shape.partition_bytes) + 1)
        room = np.empty((most, kernels.BORDER_WORDS), np.uint64)
        count, _, _, stop = kernels.find_borders(
            start, start + len(view), key_bytes, shape.partition_bytes, kernels.NO_PARTITION, partitions, room
        )
        if stop != len(view):
            raise CorruptRecordError(f"the row at byte {stop} of {len(view)} is out of order, or of no partition")
        borders = [(int(partition), int(offset)) for partition, offset in room[: int(count), :2]]
        ends = [*(offset for _, offset in borders[1:]), len(view)]
        for (partition, offset), end in zip(borders, ends, strict=True):
            yield partition, view[offset:end]


__all__ = ["SpanSession", "Views"]
