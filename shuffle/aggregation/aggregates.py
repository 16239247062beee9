"""What can be asked of the records of a group: descriptions, which say nothing of how it is computed.

    sum("amount")        mean("amount")       first("name")        top(3, "amount")
    count()              variance("amount")   last("name")         collect("name")
    count("name")        stddev("amount")     min("name")          count_distinct("name")

    "sum:amount, count, top3:amount"          the same as text, for `parse_aggregates`

Nulls are passed over, as SQL does: a sum of nothing is null, a count of nothing 0. Variance and standard deviation are
those of a sample (n - 1), and null of a single value. `count()` counts records, `count(field)` values that are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from shuffle.aggregation.errors import AggregateError

Field = str | int
KINDS = (
    "count",
    "sum",
    "min",
    "max",
    "mean",
    "variance",
    "stddev",
    "first",
    "last",
    "count_distinct",
    "top",
    "collect",
)
_TEXT = re.compile(r"(?P<kind>[a-z_]+?)(?P<limit>\d+)?(?::(?P<field>.+))?")
_ASCENDING = ":ascending"


@dataclass(frozen=True)
class Aggregate:
    """One thing to be known of every group. Raises AggregateError for what cannot be meant.

    kind        one of `KINDS`
    field       the field it is about: a name, a path such as "address.city", or a place; None only for `count`
    limit       how many, for `top`
    descending  whether `top` begins with the greatest
    """

    kind: str
    field: Field | None = None
    limit: int | None = None
    descending: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            near = get_close_matches(self.kind, KINDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise AggregateError(f"there is no aggregate {self.kind!r}: there are {', '.join(KINDS)}.{hint}")
        if self.field is None and self.kind != "count":
            raise AggregateError(f"{self.kind} of what? Name a field: {self.kind}:amount")
        if self.kind == "top" and (self.limit is None or self.limit < 1):
            raise AggregateError(f"top {self.limit} of {self.field}: say how many, at least 1: top3:{self.field}")
        if self.kind != "top" and self.limit is not None:
            raise AggregateError(f"{self.kind}{self.limit}: only top has a number, as in top3:amount")

    @property
    def label(self) -> str:
        """What its results are called where no other name is given."""
        number = "" if self.limit is None else str(self.limit)
        return f"{self.kind}{number}" if self.field is None else f"{self.kind}{number}_{self.field}"

    def __str__(self) -> str:
        number = "" if self.limit is None else str(self.limit)
        field = "" if self.field is None else f":{self.field}"
        return f"{self.kind}{number}{field}{'' if self.descending else _ASCENDING}"


def count(field: Field | None = None) -> Aggregate:
    """How many records, or how many values of a field that are not null."""
    return Aggregate("count", field)


def sum(field: Field) -> Aggregate:
    """The sum: exact of integers; of floats the same in any order (`shuffle.kernels.states`)."""
    return Aggregate("sum", field)


def min(field: Field) -> Aggregate:
    """The least value, in the order of its type."""
    return Aggregate("min", field)


def max(field: Field) -> Aggregate:
    """The greatest value, in the order of its type: NaN if there is one."""
    return Aggregate("max", field)


def mean(field: Field) -> Aggregate:
    """The sum as a float64, divided by the count."""
    return Aggregate("mean", field)


def variance(field: Field) -> Aggregate:
    """The variance of a sample."""
    return Aggregate("variance", field)


def stddev(field: Field) -> Aggregate:
    """The standard deviation of a sample."""
    return Aggregate("stddev", field)


def first(field: Field) -> Aggregate:
    """The first value that is not null, in the order of the input."""
    return Aggregate("first", field)


def last(field: Field) -> Aggregate:
    """The last value that is not null, in the order of the input."""
    return Aggregate("last", field)


def count_distinct(field: Field) -> Aggregate:
    """How many different values that are not null."""
    return Aggregate("count_distinct", field)


def top(limit: int, field: Field, *, descending: bool = True) -> Aggregate:
    """The `limit` greatest values, the greatest first; the least, the least first, if not `descending`."""
    return Aggregate("top", field, limit, descending)


def collect(field: Field) -> Aggregate:
    """All values that are not null, in the order of the input."""
    return Aggregate("collect", field)


Aggregates = str | Aggregate | Iterable[str | Aggregate] | Mapping[str, str | Aggregate]
"""How users say what they want to know: text, descriptions, several of either, or with a name for each."""


def parse_aggregates(aggregates: Aggregates) -> dict[str, Aggregate]:
    """What is asked, by the names of the results. Raises AggregateError, with the cure, for what cannot be meant."""
    named: list[tuple[str | None, str | Aggregate]] = []
    if isinstance(aggregates, Mapping):
        named += aggregates.items()
    elif isinstance(aggregates, Aggregate):
        named.append((None, aggregates))
    else:
        parts = aggregates.split(",") if isinstance(aggregates, str) else aggregates
        named += [(None, part) for part in parts]
    found: dict[str, Aggregate] = {}
    for name, asked in named:
        aggregate = asked if isinstance(asked, Aggregate) else _parse_text(asked)
        label = aggregate.label if name is None else name
        if label in found:
            raise AggregateError(f"{label} is asked for twice: leave one out, or give names: {{'name': '{aggregate}'}}")
        found[label] = aggregate
    if not found:
        raise AggregateError("no aggregate is named. Ask for one, such as 'count' or 'sum:amount'")
    return found


def _parse_text(text: object) -> Aggregate:
    if not isinstance(text, str):
        raise AggregateError(f"{text!r} is no aggregate: give text such as 'sum:amount', or an Aggregate")
    stripped = text.strip()
    is_ascending = stripped.startswith("top") and stripped.endswith(_ASCENDING)
    match = _TEXT.fullmatch(stripped.removesuffix(_ASCENDING) if is_ascending else stripped)
    if match is None:
        raise AggregateError(f"{text!r} is no aggregate: write kind:field, such as 'sum:amount', or 'count'")
    limit = None if match["limit"] is None else int(match["limit"])
    return Aggregate(match["kind"], match["field"], limit, not is_ascending)
