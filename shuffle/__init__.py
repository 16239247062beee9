"""Sort and shuffle data larger than memory: the whole job.

import shuffle
report = shuffle.sort_file("in.txt", "out.txt", memory="256MiB")
"""

from shuffle.errors import NotSortedError, RecordFormatError, SortError
from shuffle.files import Choices, merge_files, sort_file
from shuffle.options import SortOptions
from shuffle.report import SortReport

__all__ = [
    "Choices",
    "NotSortedError",
    "RecordFormatError",
    "SortError",
    "SortOptions",
    "SortReport",
    "merge_files",
    "sort_file",
]
