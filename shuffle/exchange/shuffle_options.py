"""What may be chosen about a shuffle job; everything has a default, which stands here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shuffle.options import Codec, PathLike

if TYPE_CHECKING:
    from shuffle.exchange.pair_type import SortBy
    from shuffle.exchange.partitioners import Partitioner, PartitionerName, PartitionFunction

PARTITIONS = 16

Fold = Callable[[Any, Any], Any]
GroupFunction = Callable[[Any, Iterator[Any]], Iterable[Any] | None]
WriteFunction = Callable[[int, Iterator[Any]], Any]


@dataclass(frozen=True, kw_only=True)
class ShuffleOptions:
    """Choices for a job. Functions run in worker processes; they must do the same each time they are called.

    map            record -> iterable of (key, value) pairs, or None for nothing; None: the records are the pairs
    key            record -> its key: the pairs are (key, record), of what `map` makes or of the records themselves
    partition_by   "hash", "range", "round-robin", "broadcast", function(key, partitions) -> int, or a Partitioner
    partitions     how many
    reduce         function(a, b) that folds two values of a key to one, as functools.reduce does, in the order of the
                   input; associative, unless combine is False; results are (key, value)
    group_reduce   function(key, values) -> iterable of results, or None; values is an iterator, to be used once
                   with neither, the results are the pairs, ordered by key
    combine        fold values before they are sorted, too: with `reduce` if True, with a function(a, b) of its own
    sort_by        order of the values of a key: fields such as "time" or "-amount", or a function of a value
    write          function(partition, results) -> anything: takes the results where they are made, in the worker
    type_info      tuple[key type, value type]; found from the first pairs if not given
    allow_generic  False: an error instead of pickling keys or values of a type that nobody described
    split_records  records of an iterable in one map task
    slots          worker processes; default all cores, or as many as there is memory for
    memory         of all of them, and what the job adds to this process; default half of what the process may use
    temp_dirs      where to spill; default the system's temp directory
    compress       spilled blocks: "none", "lz4", "zstd", or "auto" to measure whether it pays
    encrypt_spill  encrypt whatever is written to temp directories, results too, with a key that only this job has
    """

    map: Callable[[Any], Iterable[Any] | None] | None = None
    key: Callable[[Any], Any] | None = None
    partition_by: PartitionerName | PartitionFunction | Partitioner = "hash"
    partitions: int = PARTITIONS
    reduce: Fold | None = None
    group_reduce: GroupFunction | None = None
    combine: bool | Fold = True
    sort_by: SortBy | None = None
    write: WriteFunction | None = None
    type_info: Any = None
    allow_generic: bool = True
    split_records: int = 1 << 17
    slots: int | None = None
    memory: int | str | None = None
    temp_dirs: PathLike | Iterable[PathLike] = ()
    compress: Codec = "none"
    encrypt_spill: bool = False

    def __post_init__(self) -> None:
        if self.reduce is not None and self.group_reduce is not None:
            raise ValueError("reduce= and group_reduce= both say what becomes of a key's values. Give one of them")
        if self.split_records < 1:
            raise ValueError(f"split_records is {self.split_records}: at least 1 is needed")
        if callable(self.combine) and self.reduce is None and self.group_reduce is None:
            raise ValueError("combine= is a function, and there is no reduce= or group_reduce= to go on where it ends")
        for name in ("map", "key", "reduce", "group_reduce", "write"):
            given = getattr(self, name)
            if given is not None and not callable(given):
                raise TypeError(f"{name}= is {given!r}, and must be a function")

    @property
    def fold_before_sort(self) -> Fold | None:
        """What combines pairs in map tasks."""
        if callable(self.combine):
            return self.combine
        return self.reduce if self.combine and self.sort_by is None else None
