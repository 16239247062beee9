"""Map outputs made of rows, in a machine so small that they spill, and what a partition of them must be."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers import RecordLayout
from serializers.columns.pieces import EncodedRows
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.map_output import MapOutput, MapTarget, write_map_output
from shuffle.exchange.partition_reader import PartitionSession
from shuffle.options import SortOptions
from shuffle.row_session import RowSession
from shuffle.stored_slice import StoredSlice
from tests import naive, tiny

KIB = 1 << 10


def pack(rows: Sequence[bytes]) -> EncodedRows:
    """Rows as a codec hands them over, with noise behind them."""
    data = np.frombuffer(b"".join(rows) + b"\xa5" * 64, np.uint8)
    return EncodedRows(data, len(data) - 64, np.cumsum([len(row) for row in rows], dtype=np.uint32))


def unpack(rows: EncodedRows) -> list[bytes]:
    """The rows one by one."""
    starts = [0, *rows.ends.tolist()]
    return [bytes(rows.data[start:end]) for start, end in pairwise(starts)]


def numbers(values: Sequence[int]) -> NDArray[np.uint32]:
    """Partition numbers."""
    return np.array(values, np.uint32)


def in_order(outputs: Sequence[Sequence[bytes]], layout: RecordLayout) -> list[bytes]:
    """What a merge of all map outputs gives: ties by map output, then by position."""
    return naive.stable_sort([row for rows in outputs for row in rows], layout.key)


@dataclass
class Exchange:
    """Writes and reads map outputs with the memory of a tiny machine."""

    temp_dir: Path
    directory: Path
    options: dict[str, Any] = field(default_factory=dict)

    def sort_options(self, layout: RecordLayout) -> SortOptions:
        """For map and reduce tasks."""
        return SortOptions(layout=layout, temp_dirs=(str(self.temp_dir),), **self.options)

    def write(
        self,
        rows: Sequence[bytes],
        layout: RecordLayout,
        *,
        partitions: int,
        partition_bytes: int = 0,
        map_number: int = 0,
        is_broadcast: bool = False,
    ) -> MapOutput:
        """The output of one map task."""
        name = f"map-{map_number:05}"
        target = MapTarget(self.directory, name, map_number, partitions, layout, partition_bytes, is_broadcast)
        session = RowSession(self.sort_options(layout))
        try:
            for start in range(0, len(rows), 500):
                session.put(pack(rows[start : start + 500]))
            session.finish()
            return session.write(lambda job: write_map_output(job, target))
        finally:
            session.close()

    def write_all(self, outputs: Sequence[Sequence[bytes]], layout: RecordLayout, **choices: Any) -> list[MapOutput]:
        """The outputs of several."""
        return [self.write(rows, layout, map_number=number, **choices) for number, rows in enumerate(outputs)]

    def read(self, outputs: Sequence[MapOutput], partitions: Sequence[int], layout: RecordLayout) -> list[bytes]:
        """The bytes of these partitions."""
        session = PartitionSession(self.sort_options(layout))
        try:
            return [b"".join(map(bytes, session.read(outputs, partition))) for partition in partitions]
        finally:
            session.close()

    def read_slices(self, slices: Sequence[StoredSlice], layout: RecordLayout) -> bytes:
        """The bytes of these slices."""
        session = PartitionSession(self.sort_options(layout))
        try:
            return b"".join(map(bytes, session.read_slices(slices)))
        finally:
            session.close()


@contextmanager
def exchange(**choices: Any) -> Iterator[Exchange]:
    """Map outputs inside the block are gone after it; all else must be."""
    options = {name: choices.pop(name) for name in ("compress", "threads", "reverse", "job_key") if name in choices}
    with tiny.machine(**choices) as machine:
        directory = machine.directory / "kept"
        directory.mkdir()
        yield Exchange(machine.temp_dir, directory, options)


def make_row(partition: int, key: bytes, value: bytes, shape: KeyShape) -> bytes:
    """A shuffled row without a sort key."""
    number = partition.to_bytes(shape.partition_bytes, "big") if shape.partition_bytes else b""
    return naive.make_row(number + key, value, key_varies=shape.key_bytes is None)


def random_rows(rng: random.Random, count: int, partitions: int, shape: KeyShape) -> list[bytes]:
    """Rows of any partition, with keys that repeat and values that differ."""
    return [
        make_row(rng.randrange(partitions), bytes(rng.choices(b"ab\0", k=rng.randrange(5))), b"%06d" % place, shape)
        for place in range(count)
    ]
