"""Values of equal keys folded to one by a function of two, as `functools.reduce` does: before the sort, and behind it.

    pairs ──fold_into──> dictionary of a window          in a map task
    views of sorted rows ──folded──> pairs, one a key    in a reduce task

The values of a key are folded in the order (map task, place), whichever of both folds them.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from types import FunctionType
from typing import Any

from shuffle.exchange.pair_rows import Pair, PairRows
from shuffle.exchange.task_errors import KeyFailedError

Fold = Callable[[Any, Any], Any]

_KIND_FLAGS = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ITERABLE_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)
"""Of the flags of a code object those that say what calling it does; others tell where it was written, and how."""


def fold_into(table: dict[Any, Any], pairs: Iterable[Pair], fold: Fold) -> None:
    """Fold `pairs` into what `table` holds for their keys. They are used up one by one: none is kept.

    Raises ValueError, TypeError for what is no pair, or no key of a dictionary, and what `fold` raises.
    """
    if is_addition(fold):
        for key, value in pairs:
            table[key] = table[key] + value if key in table else value
    else:
        for key, value in pairs:
            table[key] = fold(table[key], value) if key in table else value


def is_addition(fold: Fold) -> bool:
    """Whether `fold` is `a + b`, and nothing else: the operator, or a function of the same code. To call it for each
    pair would take a third of the time that combining takes.
    """
    if fold is operator.add:
        return True
    if not isinstance(fold, FunctionType):
        return False
    code, model = fold.__code__, _sum_of.__code__
    return (
        code.co_code == model.co_code
        and (code.co_argcount, code.co_nlocals) == (model.co_argcount, model.co_nlocals)
        and code.co_flags & _KIND_FLAGS == model.co_flags & _KIND_FLAGS
        and not (code.co_freevars or code.co_cellvars)
    )


def _sum_of(a: Any, b: Any) -> Any:
    return a + b


def folded(views: Iterable[memoryview], rows: PairRows, fold: Fold) -> Iterator[list[Pair]]:
    """The pairs of sorted rows, one for each key, in order. Raises KeyFailedError from what `fold` raised."""
    last: list[Pair] = []
    last_key: bytes | None = None
    pair_count = 0
    for view in views:
        pairs, starts = rows.decode(view, pair_count), rows.starts(view)
        first_key, next_key = rows.end_keys(view)
        if first_key == last_key:  # the last group goes on
            starts = starts[1:]
            more = pairs[: starts[0]] if starts else pairs
            last = [_fold_group([*last, *more], fold)]
        if starts:
            done = _fold_groups(pairs, starts, fold)
            yield [*last, *done[:-1]]
            last = done[-1:]
        last_key = next_key
        pair_count += len(pairs)
    if last:
        yield last


def _fold_groups(pairs: list[Pair], starts: list[int], fold: Fold) -> list[Pair]:
    """One pair for each group; most may be of one pair already."""
    ends = [*starts[1:], len(pairs)]
    if len(pairs) - starts[0] == len(starts):
        return pairs[starts[0] :]
    return [
        pairs[start] if end - start == 1 else _fold_group(pairs[start:end], fold)
        for start, end in zip(starts, ends, strict=True)
    ]


def _fold_group(pairs: list[Pair], fold: Fold) -> Pair:
    key, first = pairs[0]
    try:
        return key, reduce(fold, [value for _, value in pairs[1:]], first)
    except Exception as error:
        raise KeyFailedError(key) from error


__all__ = ["Fold", "fold_into", "folded", "is_addition"]
