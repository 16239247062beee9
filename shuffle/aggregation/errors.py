"""What can go wrong with aggregates; each text says what to do."""

from shuffle.errors import SortError


class AggregateError(SortError):
    """An aggregate that cannot be meant, or that the values of its field do not have."""


class AggregateOverflowError(OverflowError):
    """A result that does not fit its column."""
