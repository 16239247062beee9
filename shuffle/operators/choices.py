"""What may be chosen about an operator on Python values, and the options of the sorts that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from serializers import lines
from shuffle.options import PathLike, ResourceChoices, SortOptions, read_options


class JobChoices(ResourceChoices, total=False):
    """Of a call on Python values, beside its resources; everything has a default.

    nulls_last     None behind everything else, where None is a value at all
    allow_generic  False: an error instead of pickling values of a type that nobody described
    """

    nulls_last: bool
    allow_generic: bool


class OperatorChoices(JobChoices, total=False):
    """Of a call on values of one type.

    type_info      a type hint or a TypeInformation; found from the first 1,000 values if not given
    """

    type_info: Any


FORM_CHOICES = ("type_info", "nulls_last", "allow_generic")
"""Those that say what a record is; the others are about the job."""


def form_choices(choices: Mapping[str, Any]) -> dict[str, Any]:
    """What `choices` say about records."""
    return {name: choices[name] for name in FORM_CHOICES if name in choices}


def job_options(choices: Mapping[str, Any]) -> SortOptions:
    """What `choices` say about the job. Raises ValueError kinds for what makes no sense, TypeError for other names."""
    return read_options(lines(), **{name: value for name, value in choices.items() if name not in FORM_CHOICES})


class ArrowStream(Protocol):
    """Arrow data of any library."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A capsule with the stream."""


Table = ArrowStream | PathLike
"""What is a table rather than an iterable of Python values: Arrow data, or the path of a table file."""


def is_table(values: object) -> bool:
    """Whether `values` is a `Table`."""
    from shuffle.tables import kinds

    return kinds.is_table(values)


__all__ = [
    "FORM_CHOICES",
    "ArrowStream",
    "JobChoices",
    "OperatorChoices",
    "Table",
    "form_choices",
    "is_table",
    "job_options",
]
