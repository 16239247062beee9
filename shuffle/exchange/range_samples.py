"""Where sorted runs could be cut, how much lies before each of these places, and which of them are the best.

    run 0   |a . . . .|c . . . .|k . . . .|         | a place whose key is known: each block of a run begins at one,
    run 1   |b . . . . . . .|h . . . . . . .|         and where blocks are too few, more are looked up within them

Before `h` lie in its own run exactly the pieces that end there. Of every other run lie there all pieces but the last
that begins before `h`, and of that one its first record and about half of the rest. So the places are put in the order
of their keys, and how much lies before each is known to within half a piece of each run, up or down alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from io_manager import HEADER_BYTES, KEY_BYTES_MAX
from memory import BufferPool
from serializers import RecordLayout
from shuffle.kernels.partition import find_every
from shuffle.runs import SPAN, Run, payload_address
from shuffle.whole_records import check_records

Places = list[tuple[int, int, int]]
"""(run, block, offset in its payload), in order of their keys."""

_PIECES = 4
"""That a block which weighs just too much is cut into."""


@dataclass(frozen=True)
class Samples:
    """Pieces of runs: entry i begins at `offsets[i]` of block `blocks[i]` of run `run_places[i]`, with a known key.

    It weighs `weights[i]`. Where `starts[i]` is false no record begins, and nothing can be cut. A run's pieces stand
    in order, one behind another.
    """

    run_places: NDArray[np.int64]
    blocks: NDArray[np.int64]
    offsets: NDArray[np.int64]
    weights: NDArray[np.int64]
    starts: NDArray[np.bool_]
    keys: NDArray[np.uint8]
    key_lengths: NDArray[np.int64]

    def part(self, first: int, stop: int) -> "Samples":
        """Entries `first` to `stop - 1`."""
        return Samples(**{name: getattr(self, name)[first:stop] for name in self.__dataclass_fields__})

    def choose(self, partitions: int) -> Places:
        """The places that begin the second and later partitions, as evenly as the samples tell; all differ."""
        order = self._order()
        before = self._before(order)
        eligible = np.flatnonzero(self.starts[order])
        if not len(eligible):
            return []
        known = np.maximum.accumulate(before[eligible])
        wanted = self.weights.sum() * np.arange(1, partitions) / partitions
        after = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        earlier = np.maximum(after - 1, 0)
        nearest = np.where(wanted - known[earlier] < known[after] - wanted, earlier, after)
        chosen = order[eligible[np.unique(nearest[nearest > 0])]]
        columns = (self.run_places[chosen], self.blocks[chosen], self.offsets[chosen])
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def _order(self) -> NDArray[np.int64]:
        """By key, as far as 64 bytes of it tell, then by run and place."""
        words = np.ascontiguousarray(self.keys).view(">u8").astype(np.uint64)
        return np.lexsort((np.arange(len(self.blocks)), self.key_lengths, *words.T[::-1]))

    def _before(self, order: NDArray[np.int64]) -> NDArray[np.float64]:
        """What lies before each piece, in this order, about."""
        weights = self.weights[order]
        last = self._weights_before()[order]  # of the piece before in the same run, which has ended
        rest, last_rest = np.maximum(weights - 1, 0), np.maximum(last - 1, 0)
        unfinished = np.cumsum(rest - last_rest) - rest  # of the other runs, one piece each
        before: NDArray[np.float64] = np.cumsum(weights) - weights - unfinished / 2
        return before

    def _weights_before(self) -> NDArray[np.int64]:
        """The weight of the piece before each, in its run; 0 for the first."""
        before = np.concatenate([np.zeros(1, np.int64), self.weights[:-1]])
        before[np.flatnonzero(np.diff(self.run_places, prepend=-1))] = 0
        return before


def samples_of_blocks(place: int, run: Run, *, by_records: bool) -> Samples:
    """Each block of a run is a piece, which weighs its records or its bytes; one more, of nothing, ends the last."""
    index, ends = run.index, len(run.index)
    weights = index.record_counts if by_records else index.raw_lengths
    return Samples(
        run_places=np.full(ends + 1, place, np.int64),
        blocks=np.arange(ends + 1),
        offsets=np.zeros(ends + 1, np.int64),
        weights=np.append(weights, 0).astype(np.int64),
        starts=np.append(index.record_counts > 0, False),
        keys=np.concatenate([index.first_keys, _padded([run.last_key])]),
        key_lengths=np.append(index.key_lengths, len(run.last_key)).astype(np.int64),
    )


async def finer(
    samples: Samples, run: Run, pool: BufferPool, layout: RecordLayout, *, enough: float, by_records: bool
) -> Samples:
    """The samples of one run, with the blocks that weigh more than `enough` in pieces of a quarter of that.

    Reads those blocks; records that span blocks stay as they are.
    """
    parts: list[Samples] = []
    done = 0
    for block in np.flatnonzero((samples.weights > enough)[:-1] & ((run.index.flags & SPAN) == 0)).tolist():
        buffer = await pool.acquire()
        with buffer:
            await run.load(block, buffer)
            check_records(run, block, buffer.view, layout)
            payload = buffer.view[HEADER_BYTES : HEADER_BYTES + int(run.index.raw_lengths[block])]
            records = int(run.index.record_counts[block])
            step = max(1, int(records * enough / int(samples.weights[block]) / _PIECES))
            parts += [
                samples.part(done, block),
                _pieces(samples.part(block, block + 1), payload, step, layout, by_records),
            ]
        done = block + 1
    return joined([*parts, samples.part(done, len(samples.blocks))])


def _pieces(sample: Samples, payload: memoryview, step: int, layout: RecordLayout, by_records: bool) -> Samples:
    """Every `step` records of a block of whole records are a piece."""
    start = payload_address(payload) - HEADER_BYTES
    offsets = np.empty(len(payload) // step + 1, np.uint64)
    geometry = (layout.record_bytes, layout.key_bytes, layout.delimiter)
    count = int(find_every(start, start + len(payload), *geometry, step, offsets))
    starts = offsets[:count].astype(np.int64)
    keys = [layout.leading_key(payload[offset:], KEY_BYTES_MAX) for offset in starts.tolist()]
    records = int(sample.weights[0])  # if it is they that are weighed
    ends = np.append(np.arange(0, records, step), records) if by_records else np.append(starts, len(payload))
    return Samples(
        run_places=np.full(count, sample.run_places[0]),
        blocks=np.full(count, sample.blocks[0]),
        offsets=starts,
        weights=np.diff(ends),
        starts=np.ones(count, np.bool_),
        keys=_padded(keys),
        key_lengths=np.array([len(key) for key in keys], np.int64),
    )


def joined(parts: Sequence[Samples]) -> Samples:
    """The samples of all runs, from those of each, in the order of the runs; one run at least."""
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in Samples.__dataclass_fields__}
    return Samples(**columns)


def _padded(keys: Sequence[bytes]) -> NDArray[np.uint8]:
    """Keys as a matrix: shape (keys, 64)."""
    return np.frombuffer(b"".join(key.ljust(KEY_BYTES_MAX, b"\0") for key in keys), np.uint8).reshape(-1, KEY_BYTES_MAX)
