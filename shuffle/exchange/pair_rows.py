"""Pairs of a job as the rows that are exchanged: made by map tasks, read by reduce tasks.

pairs ──codec──> group rows ──partition number before the key, sort key behind it──> rows of `shape`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from serializers.row_codec import EncodedRows
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.keyed_rows import group_key, group_starts, join_keys, split_keys
from shuffle.exchange.pair_type import PairType
from shuffle.exchange.partitioners import Partitioner
from shuffle.kernels.locate import find_last

Pair = tuple[Any, Any]


@dataclass(frozen=True)
class PairPlan:
    """What pairs become. Picklable; `PairRows` does it."""

    type: PairType
    partitioner: Partitioner
    partitions: int


class PairRows:
    """For one task."""

    def __init__(self, plan: PairPlan) -> None:
        self._plan = plan
        self._codec = plan.type.codec(sorts_by_key=plan.partitioner.sorts_by_key)
        self._sort_codec = None if plan.type.sort_key is None else plan.type.sort_key.codec()
        self.shape = KeyShape(
            plan.partitioner.partition_bytes(plan.partitions),
            self._codec.key_bytes,
            0 if self._sort_codec is None else self._sort_codec.key_bytes,
        )
        if not self.shape.has_sort_key:  # a key of no bytes orders nothing
            self._sort_codec = None

    def encode(self, pairs: Sequence[Pair], map_number: int, first_pair: int) -> EncodedRows:
        """Rows of pairs of a map task. Errors name the pair: the first is `first_pair`.

        Raises SerializationError kinds, PartitionerError, and what functions of the user raise.
        """
        rows = self._codec.encode(pairs, first_pair)
        return self.place(rows, map_number, first_pair, pairs=pairs)

    def place(
        self, rows: EncodedRows, map_number: int, first_pair: int, *, pairs: Sequence[Pair] | None = None
    ) -> EncodedRows:
        """Rows to be exchanged of rows with the group key only. Without `pairs`, none may be asked for more.

        Raises what `encode` does.
        """
        plan = self._plan
        assert pairs is not None or not (plan.partitioner.takes_keys or self._sort_codec), "these need the pairs"
        numbers = plan.partitioner.assign(
            rows,
            self.shape,
            plan.partitions,
            map_number=map_number,
            first_record=first_pair,
            keys=list(map(itemgetter(0), pairs or ())) if plan.partitioner.takes_keys else None,
        )
        if numbers is None and self._sort_codec is None:
            return rows
        return join_keys(rows, self.shape, sort_rows=self._sort_rows(pairs or (), first_pair), partitions=numbers)

    def decode(self, view: memoryview, first_pair: int) -> list[Pair]:
        """The pairs of merged rows."""
        return self.decode_group_rows(self._group_rows(view), first_pair)

    def decode_group_rows(self, rows: memoryview, first_pair: int) -> list[Pair]:
        """The pairs of rows that have the group key only, as `split_keys` gives them."""
        return self._codec.decode(rows, first_pair)

    def starts(self, view: memoryview) -> list[int]:
        """Which rows of a view begin groups; the first always does."""
        starts: list[int] = group_starts(view, self.shape).tolist()
        return starts

    def end_keys(self, view: memoryview) -> tuple[bytes, bytes]:
        """Partition number and group key of the first row of a view, and of the last."""
        layout = self.shape.layout
        start = int(np.frombuffer(view, np.uint8).ctypes.data)
        last = find_last(start, start + len(view), layout.record_bytes, layout.key_bytes, layout.delimiter)
        return group_key(view, self.shape), group_key(view[int(last) - start :], self.shape)

    def _sort_rows(self, pairs: Sequence[Pair], first_pair: int) -> EncodedRows | None:
        if self._sort_codec is None:
            return None
        assert self._plan.type.sort_key is not None
        values = list(map(itemgetter(1), pairs))
        return self._sort_codec.encode(self._plan.type.sort_key.made_of(values), first_pair)

    def _group_rows(self, view: memoryview) -> memoryview:
        if not self.shape.partition_bytes and not self.shape.has_sort_key:
            return view
        rows = split_keys(view, self.shape)
        return memoryview(rows.data)[: rows.size]  # type: ignore[arg-type]
