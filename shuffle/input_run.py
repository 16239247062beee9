"""A run that need not be spilled: a sort buffer whose records came in order from one stretch of an input file.

    input  ───|···········|───       the merge reads its blocks there, as it would from a spill file,
              origin                 and proves that they are what was sorted

So a presorted file is written once and not twice, and a file that is nearly in order spills only what is not.
"""

import numpy as np

from io_manager import HEADER_BYTES, PooledBuffer, checksum
from shuffle.runs import MemoryRun


class InputRun:
    """The blocks of `run`, a run in memory that `stands_in_input`; its buffer is no longer needed."""

    is_trusted = True
    """Every block is compared with its checksum."""

    def __init__(self, run: MemoryRun) -> None:
        place = run.buffer.place
        assert place is not None and run.stands_in_input
        self.number = run.number
        self.name = str(place.source.path)
        self.index = run.index
        self.last_key = run.last_key
        self.record_count = run.record_count
        self.raw_bytes = run.raw_bytes
        self._source = place.source
        ends = np.cumsum(run.index.raw_lengths, dtype=np.int64)
        starts = (ends - run.index.raw_lengths).tolist()
        self._offsets = [place.offset + start for start in starts]
        records = run.buffer.extent.view
        self._checksums = [checksum(records[start:end]) for start, end in zip(starts, ends.tolist(), strict=True)]

    @property
    def block_count(self) -> int:
        """Blocks."""
        return len(self.index)

    async def load(self, block: int, buffer: PooledBuffer) -> None:
        length = int(self.index.raw_lengths[block])
        view = buffer.view[HEADER_BYTES : HEADER_BYTES + length]
        await self._source.read_again(view, self._offsets[block], self._checksums[block])
