"""Sort and shuffle data larger than memory: the whole job.

import shuffle
report = shuffle.sort_file("in.txt", "out.txt", memory="256MiB")
for record in shuffle.sort(records, by=["country", "-amount"], memory="256MiB"): ...
"""

from shuffle.async_sorter import AsyncSortedResult, AsyncSorter
from shuffle.errors import NotSortedError, RecordFormatError, SortError
from shuffle.files import Choices, merge_files, sort_file
from shuffle.objects import merge, sort
from shuffle.options import SortOptions
from shuffle.report import SortReport
from shuffle.sorter import RecordChoices, SortedResult, Sorter

__all__ = [
    "AsyncSortedResult",
    "AsyncSorter",
    "Choices",
    "NotSortedError",
    "RecordChoices",
    "RecordFormatError",
    "SortError",
    "SortOptions",
    "SortReport",
    "SortedResult",
    "Sorter",
    "merge",
    "merge_files",
    "sort",
    "sort_file",
]
