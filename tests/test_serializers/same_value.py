"""Whether a value came back as it was: stricter than ==, for which 1 is True and -0.0 is 0.0."""

import array
import struct
from collections.abc import Callable
from datetime import datetime, time, tzinfo
from decimal import Decimal
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np


def same(left: Any, right: Any) -> bool:
    """Whether two values have the same type, the same parts, and every bit alike."""
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    for kinds, rule in _RULES:
        if isinstance(left, kinds):
            return rule(left, right)
    return _same_state(left, right)


def _same_elements(left: Any, right: Any) -> bool:
    return len(left) == len(right) and all(map(same, left, right))


def _same_entries(left: Any, right: Any) -> bool:
    return _same_elements(list(left.items()), list(right.items()))


def _same_members(left: Any, right: Any) -> bool:
    """Sets have no order of their own, so each member looks for its like."""
    rest = list(right)
    for member in left:
        found = next((index for index, other in enumerate(rest) if same(member, other)), None)
        if found is None:
            return False
        del rest[found]
    return not rest


def _same_moment(left: Any, right: Any) -> bool:
    walls = left.replace(tzinfo=None) == right.replace(tzinfo=None) and left.fold == right.fold
    return walls and same(left.tzinfo, right.tzinfo)


def _same_array(left: Any, right: Any) -> bool:
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    if left.dtype.hasobject:
        return _same_elements(list(left.flat), list(right.flat))
    return bool(left.tobytes() == right.tobytes())


def _same_state(left: Any, right: Any) -> bool:
    """For an object of some class: what pickle would keep of it."""
    return _same_elements(*[[_listed(part) for part in each.__reduce_ex__(4)] for each in (left, right)])


def _listed(part: Any) -> Any:
    return list(part) if hasattr(part, "__next__") else part


_PLAIN = (int, str, bytes, bytearray, type, FunctionType, BuiltinFunctionType)

_RULES: list[tuple[Any, Callable[[Any, Any], bool]]] = [
    ((np.generic, np.ndarray), _same_array),
    (float, lambda left, right: struct.pack("<d", left) == struct.pack("<d", right)),
    (complex, lambda left, right: same(left.real, right.real) and same(left.imag, right.imag)),
    (_PLAIN, lambda left, right: bool(left == right)),
    ((datetime, time), _same_moment),
    (tzinfo, lambda left, right: bool(left.__reduce__() == right.__reduce__())),
    (Decimal, lambda left, right: bool(left.as_tuple() == right.as_tuple())),
    (array.array, lambda left, right: left.typecode == right.typecode and left.tobytes() == right.tobytes()),
    ((list, tuple), _same_elements),
    (dict, _same_entries),
    ((set, frozenset), _same_members),
]
