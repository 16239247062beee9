"""Aggregates in plain Python: slow, and obviously right."""

import math
from collections.abc import Callable, Hashable, Iterable
from fractions import Fraction
from typing import Any

from shuffle.aggregation.aggregates import Aggregate

Value = Any


def groups_of(records: Iterable[tuple[Hashable, Value]]) -> dict[Hashable, list[Value]]:
    """The values of each key, in the order they came."""
    found: dict[Hashable, list[Value]] = {}
    for key, value in records:
        found.setdefault(key, []).append(value)
    return found


def order_key(value: Value) -> Any:
    """Floats in the order of the type system: -0.0 is 0.0, NaN is last."""
    if isinstance(value, float):
        return (1, 0.0) if math.isnan(value) else (0, value)
    return value


def exact_sum(values: list[Value]) -> Value:
    """The sum, rounded once."""
    if all(isinstance(value, int) for value in values):
        return sum(values)
    if any(math.isnan(value) for value in values) or {math.inf, -math.inf} <= set(values):
        return math.nan
    if math.inf in values or -math.inf in values:
        return math.inf if math.inf in values else -math.inf
    total = sum(map(Fraction, values))
    try:
        return float(total)
    except OverflowError:
        return math.inf if total > 0 else -math.inf


def mean(values: list[Value]) -> float:
    """The sum as a float, divided by the count."""
    return float(exact_sum(values)) / len(values)


def variance(values: list[Value]) -> float | None:
    """Of a sample; None of a single value."""
    if len(values) < 2:
        return None
    if not all(map(math.isfinite, values)):
        return math.nan
    exact = list(map(Fraction, values))
    middle = sum(exact) / len(exact)
    try:
        return float(sum((value - middle) ** 2 for value in exact) / (len(exact) - 1))
    except OverflowError:
        return math.inf


def stddev(values: list[Value]) -> float | None:
    """The root of the variance."""
    found = variance(values)
    return found if found is None else math.sqrt(found)


def distinct(values: list[Value]) -> int:
    """How many different."""
    return len({order_key(value) for value in values})


_OF_VALUES: dict[str, Callable[[list[Value]], Value]] = {
    "sum": exact_sum,
    "mean": mean,
    "variance": variance,
    "stddev": stddev,
    "min": lambda values: min(values, key=order_key),
    "max": lambda values: max(values, key=order_key),
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
}


def aggregate(asked: Aggregate, values: list[Value]) -> Value:
    """The result for one group, whose values may be None."""
    there = [value for value in values if value is not None]
    if asked.kind == "count":
        return len(values) if asked.field is None else len(there)
    if asked.kind == "count_distinct":
        return distinct(there)
    if asked.kind == "collect":
        return there
    if asked.kind == "top":
        return sorted(there, key=order_key, reverse=asked.descending)[: asked.limit]
    return _OF_VALUES[asked.kind](there) if there else None


def is_close(found: Value, expected: Value, kind: str) -> bool:
    """Whether a result is the expected one: to the last bit, but for variances, which are rounded three times."""
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if kind in ("variance", "stddev") and expected is not None and math.isfinite(expected):
        return math.isclose(found, expected, rel_tol=1e-14, abs_tol=5e-324)
    return same(found, expected)


def same(found: Value, expected: Value) -> bool:
    """Equal, and NaN is NaN."""
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(found, float) and math.isnan(found)
    return bool(found == expected) and (found is None) == (expected is None)
