"""Operators on iterables of Python values, in the caller's process and within one budget of memory.

    reduce_by_key   the values of each key reduced to one
    group_reduce    the values of each group handed to a function
    distinct        one of each
    top_k           the first few
    merge_join      two sides joined by their keys

Each gives back an `OperatorResult`: nothing happens before the first result is wanted.
"""

from shuffle.operators.choices import JobChoices, OperatorChoices
from shuffle.operators.distinct import distinct
from shuffle.operators.group_reduce import group_reduce
from shuffle.operators.merge_join import merge_join
from shuffle.operators.reduce_by_key import reduce_by_key
from shuffle.operators.result import OperatorReport, OperatorResult
from shuffle.operators.top_k import top_k

__all__ = [
    "JobChoices",
    "OperatorChoices",
    "OperatorReport",
    "OperatorResult",
    "distinct",
    "group_reduce",
    "merge_join",
    "reduce_by_key",
    "top_k",
]
