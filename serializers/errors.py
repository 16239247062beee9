"""What can go wrong between values and bytes; each text says what to do.

An error that is about one value of many says which: `at_record` and `at_field` put the place in front, from the inside
out, so that the text reads "record 1234, field address.city: ...".
"""

from __future__ import annotations

from typing import Self


class SerializationError(ValueError):
    """A value and the bytes that stand for it do not fit together. Base of what this floor raises."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.record: int | None = None
        self.fields: tuple[str, ...] = ()

    def at_record(self, number: int) -> Self:
        """The same error, in record `number`, counted from 0."""
        if self.record is None:
            self.record = number
        return self

    def at_field(self, name: str) -> Self:
        """The same error, in a field called `name` of what it was raised for."""
        self.fields = (name, *self.fields)
        return self

    def __str__(self) -> str:
        record = "" if self.record is None else f"record {self.record}"
        field = f"field {'.'.join(self.fields)}" if self.fields else ""
        place = ", ".join(part for part in (record, field) if part)
        return f"{place}: {self.problem}" if place else self.problem


class ValueMismatchError(SerializationError, TypeError):
    """A value is not of the type that was declared or found."""


class NullFieldError(ValueMismatchError):
    """None where the type has no room for it."""


class CorruptRecordError(SerializationError):
    """Bytes that no value was written as, or fewer or more of them than the value takes."""


class NotOrderableError(SerializationError, TypeError):
    """Values of a type have no order, so they cannot be a key."""


class UnknownTypeError(SerializationError, TypeError):
    """No type information can be found for a type or a value, or only a generic one where that is forbidden."""


class IncompatibleTypeError(SerializationError):
    """Bytes were written with a type that this one cannot read."""


__all__ = [
    "CorruptRecordError",
    "IncompatibleTypeError",
    "NotOrderableError",
    "NullFieldError",
    "SerializationError",
    "UnknownTypeError",
    "ValueMismatchError",
]
