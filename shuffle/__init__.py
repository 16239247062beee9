"""Sort and shuffle data larger than memory: the whole job.

import shuffle
report = shuffle.sort_file("in.txt", "out.txt", memory="256MiB")
for record in shuffle.sort(records, by=["country", "-amount"], memory="256MiB"): ...
for row in shuffle.aggregate("flights.parquet", by="carrier", aggregates="count,mean:distance"): ...
counts = shuffle.Shuffle(map=words, reduce=operator.add, partitions=16).run("book.txt")
"""

from shuffle.aggregation.aggregates import Aggregate
from shuffle.aggregation.errors import AggregateError, AggregateOverflowError
from shuffle.aggregation.operator import aggregate
from shuffle.async_sorter import AsyncSortedResult, AsyncSorter
from shuffle.errors import JoinKeyError, NotSortedError, RecordFormatError, SortError
from shuffle.exchange.shuffle_job import Shuffle
from shuffle.exchange.shuffle_options import ShuffleOptions
from shuffle.exchange.task_errors import TaskFailedError, WorkerDiedError
from shuffle.files import Choices, merge_files, shuffle_file, sort_file
from shuffle.objects import merge, sort
from shuffle.operators import (
    JobChoices,
    OperatorChoices,
    OperatorReport,
    OperatorResult,
    distinct,
    group_reduce,
    merge_join,
    reduce_by_key,
    top_k,
)
from shuffle.options import SortOptions
from shuffle.report import SortReport
from shuffle.sorter import RecordChoices, SortedResult, Sorter
from shuffle.tables import TableError, partition_table, sort_table

__all__ = [
    "Aggregate",
    "AggregateError",
    "AggregateOverflowError",
    "AsyncSortedResult",
    "AsyncSorter",
    "Choices",
    "JobChoices",
    "JoinKeyError",
    "NotSortedError",
    "OperatorChoices",
    "OperatorReport",
    "OperatorResult",
    "RecordChoices",
    "RecordFormatError",
    "Shuffle",
    "ShuffleOptions",
    "SortError",
    "SortOptions",
    "SortReport",
    "SortedResult",
    "Sorter",
    "TableError",
    "TaskFailedError",
    "WorkerDiedError",
    "aggregate",
    "distinct",
    "group_reduce",
    "merge",
    "merge_files",
    "merge_join",
    "partition_table",
    "reduce_by_key",
    "shuffle_file",
    "sort",
    "sort_file",
    "sort_table",
    "top_k",
]
