"""Cut the map outputs of a range-partitioned job, once all of them are there: a task of its own, in a slot's memory."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from io_manager import JobKey
from shuffle.exchange.map_output import MapOutput
from shuffle.exchange.pair_rows import PairPlan, PairRows
from shuffle.exchange.partition_reader import PartitionSession
from shuffle.exchange.partitioners import RangePartitioner
from shuffle.exchange.slots import Slot
from shuffle.exchange.task_options import task_options
from shuffle.stored_slice import StoredSlice

Slices = tuple[tuple[StoredSlice, ...], ...]
"""Of each partition, the parts of map outputs that are not empty."""


@dataclass(frozen=True)
class RangeWork:
    """What is to be cut, and into how many partitions; `spill_key` is what outputs are sealed with, if they are."""

    outputs: tuple[MapOutput, ...]
    plan: PairPlan
    spill_key: JobKey | None


def range_task(slot: Slot, work: RangeWork) -> Slices:
    """Run it: a task. Raises SpillError kinds."""
    shape, partitioner = PairRows(work.plan).shape, work.plan.partitioner
    assert isinstance(partitioner, RangePartitioner), partitioner
    with slot.reserved("range cuts") as memory_bytes:
        options = task_options(slot, shape.layout, memory_bytes, work.spill_key)
        with closing(PartitionSession(options)) as session:
            cuts = session.cut(work.outputs, work.plan.partitions, partitioner, shape)
            return tuple(tuple(cuts.slices(number)) for number in range(work.plan.partitions))
