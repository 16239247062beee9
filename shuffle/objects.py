"""Sort and merge Python values: the library calls."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, Unpack

from shuffle.sorter import RecordChoices, SortedResult, Sorter

T = TypeVar("T")


def sort(values: Iterable[T], **choices: Unpack[RecordChoices]) -> SortedResult[T]:
    """`values` in order, as `sorted` would give them, in the memory you allow; see `RecordChoices`.

    Nothing happens before the first value is wanted. The result can be iterated again and again; close it, or use it in
    a `with`, to free its memory and files early. Raises SerializationError kinds for a value that does not fit, with
    the number of its record, and OSError or MemoryError kinds where the job fails.
    """
    return SortedResult(Sorter(**choices), values)


def merge(*sorted_values: Iterable[T], key: Callable[[T], Any] | None = None, reverse: bool = False) -> Iterator[T]:
    """Merge iterables that are in order already, lazily: `heapq.merge`, under the name it has here.

    It holds one value of each. To merge files, use `merge_files`.
    """
    by_key: Any = key
    return heapq.merge(*sorted_values, key=by_key, reverse=reverse)
