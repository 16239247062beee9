"""Which partition a record goes to: descriptions, picklable and without state, so that a task may be run again.

hash          the high half of XXH64(group key) * partitions: the same on every machine, for ever
round robin   (map number + place in the map's output) modulo partitions; order of arrival stays inside a partition
broadcast     every partition gets all records, which are kept once
custom        a function of key and number of partitions, called once for each record
range         no number: map outputs are cut afterwards, exactly, at places chosen from their block indexes
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shuffle.exchange.key_shape import PARTITIONS_MAX, KeyShape, partition_bytes_of
from shuffle.exchange.keyed_rows import hash_keys
from shuffle.kernels.partition import spread
from shuffle.row_feed import Rows

PartitionFunction = Callable[[Any, int], int]
PartitionerName = Literal["hash", "range", "round-robin", "broadcast"]


class PartitionerError(ValueError):
    """A partitioner, or what it said, cannot be; the text names the record and what would be right."""


class Batch(NamedTuple):
    """What `Partitioner.assign` is given."""

    rows: Rows
    shape: KeyShape
    partitions: int
    map_number: int
    first_record: int
    keys: Sequence[Any] | None


@dataclass(frozen=True)
class Partitioner:
    """What all partitioners have in common. As it stands here, rows carry no partition number."""

    @property
    def takes_keys(self) -> bool:
        """Whether `assign` wants the keys as Python values."""
        return False

    @property
    def sorts_by_key(self) -> bool:
        """Whether rows are in key order within a partition; else they have no key, and stay as they came."""
        return True

    def partition_bytes(self, partitions: int) -> int:
        """For `KeyShape`: bytes of the partition number before each key. Raises PartitionerError."""
        check_partitions(partitions)
        return 0

    def assign(
        self,
        group_rows: Rows,
        shape: KeyShape,
        partitions: int,
        *,
        map_number: int = 0,
        first_record: int = 0,
        keys: Sequence[Any] | None = None,
    ) -> NDArray[np.uint32] | None:
        """Partition numbers for `join_keys`; None where `shape` has none.

        `first_record` is the place of the first row in the output of map task `map_number`; `keys` are the keys as
        Python values, where `takes_keys`. Raises PartitionerError, and what a partition function raises.
        """
        return None


@dataclass(frozen=True)
class NumberingPartitioner(Partitioner, ABC):
    """Rows carry the number of their partition before their key."""

    def partition_bytes(self, partitions: int) -> int:
        check_partitions(partitions)
        return partition_bytes_of(partitions)

    def assign(
        self,
        group_rows: Rows,
        shape: KeyShape,
        partitions: int,
        *,
        map_number: int = 0,
        first_record: int = 0,
        keys: Sequence[Any] | None = None,
    ) -> NDArray[np.uint32] | None:
        if not (shape.partition_bytes or self.takes_keys):
            return None
        numbers = self.number(Batch(group_rows, shape, partitions, map_number, first_record, keys))
        return numbers if shape.partition_bytes else None

    @abstractmethod
    def number(self, batch: Batch) -> NDArray[np.uint32]:
        """The partition of each row. Raises what `assign` does."""


@dataclass(frozen=True)
class HashPartitioner(NumberingPartitioner):
    """Equal keys go to one partition, and keys are spread evenly."""

    def number(self, batch: Batch) -> NDArray[np.uint32]:
        return partitions_of_hashes(hash_keys(batch.rows, batch.shape), batch.partitions)


@dataclass(frozen=True)
class RoundRobinPartitioner(NumberingPartitioner):
    """Records are dealt out one by one; the first of map task m goes to partition m, so that short outputs differ."""

    @property
    def sorts_by_key(self) -> bool:
        return False

    def number(self, batch: Batch) -> NDArray[np.uint32]:
        first = np.uint64((batch.map_number + batch.first_record) % batch.partitions)
        places = np.arange(len(batch.rows.ends), dtype=np.uint64) + first
        return (places % np.uint64(batch.partitions)).astype(np.uint32)


@dataclass(frozen=True)
class BroadcastPartitioner(Partitioner):
    """Every partition gets all records, in the order of (map task, position)."""

    @property
    def sorts_by_key(self) -> bool:
        return False


@dataclass(frozen=True)
class RangePartitioner(Partitioner):
    """Partition p holds only keys that are not greater than those of partition p + 1.

    weigh        what is balanced: records, or bytes
    whole_keys   all records of a key stay in one partition; else a key that is in many records may span several
    """

    weigh: Literal["records", "bytes"] = "records"
    whole_keys: bool = False


@dataclass(frozen=True)
class CustomPartitioner(NumberingPartitioner):
    """`function(key, partitions)` says the partition: an int, 0 to partitions - 1. Called once for each record.

    What it says is checked even where there is one partition only.
    """

    function: PartitionFunction

    @property
    def takes_keys(self) -> bool:
        return True

    def number(self, batch: Batch) -> NDArray[np.uint32]:
        assert batch.keys is not None and len(batch.keys) == len(batch.rows.ends), "one key for each row"
        return np.array(self._ask(batch.keys, batch.partitions, batch.first_record), np.uint32)

    def _ask(self, keys: Sequence[Any], partitions: int, first_record: int) -> list[int]:
        numbers: list[int] = []
        for key in keys:
            record = first_record + len(numbers)
            try:
                answer = self.function(key, partitions)
            except Exception as error:
                error.add_note(f"partitioner was called for record {record}")
                raise
            numbers.append(_checked(answer, partitions, record))
        return numbers


def _checked(answer: Any, partitions: int, record: int) -> int:
    try:
        number = index(answer)
    except TypeError:
        number = -1
    if isinstance(answer, bool) or not 0 <= number < partitions:
        raise PartitionerError(
            f"record {record}: the partitioner returned {answer!r}, which is no partition. "
            f"It must return an int, 0 to {partitions - 1}"
        )
    return number


def partitions_of_hashes(hashes: NDArray[np.uint64], partitions: int) -> NDArray[np.uint32]:
    """The high half of each hash * partitions."""
    numbers = np.empty(len(hashes), np.uint32)
    spread(hashes, partitions, numbers)
    return numbers


def check_partitions(partitions: int) -> None:
    """Raises PartitionerError unless there can be so many."""
    if not 1 <= partitions < PARTITIONS_MAX:
        raise PartitionerError(f"{partitions} partitions: must be 1 to {PARTITIONS_MAX - 1}")


_BY_NAME: dict[str, Callable[[], Partitioner]] = {
    "hash": HashPartitioner,
    "range": RangePartitioner,
    "round-robin": RoundRobinPartitioner,
    "broadcast": BroadcastPartitioner,
}


def partitioner_of(spec: PartitionerName | PartitionFunction | Partitioner) -> Partitioner:
    """The partitioner called by a name, made of a function (key, partitions) -> int, or given. Raises
    PartitionerError.
    """
    if isinstance(spec, Partitioner):
        return spec
    if isinstance(spec, str) and spec in _BY_NAME:
        return _BY_NAME[spec]()
    if callable(spec):
        return CustomPartitioner(spec)
    names = ", ".join(map(repr, _BY_NAME))
    raise PartitionerError(f"{spec!r} is no partitioner: give {names}, or a function of key and number of partitions")
