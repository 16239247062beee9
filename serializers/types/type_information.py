"""What is known of a type before the first value arrives: the description from which all else is made.

    TypeInformation ─┬─ create_serializer()   values <-> bytes, one at a time
                     ├─ create_comparator()   values -> order keys, and how they compare
                     └─ snapshot()            what a later version must know to read the bytes

Type information is immutable, compares by value, can be pickled, and prints as one would write the type.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from serializers.errors import IncompatibleTypeError, NotOrderableError
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_serializer import TypeSerializer

T = TypeVar("T")

Snapshot = dict[str, Any]
"""What JSON can say of a type: "type" and "version" always, and whatever decides how its bytes read."""


@dataclass(frozen=True)
class Field:
    """One part of a composite type."""

    name: str
    type_info: TypeInformation[Any]


class TypeInformation(ABC, Generic[T]):
    """A type. Subclasses are frozen dataclasses; their fields are all that makes two of them differ."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The type as one would write it: "int32", "tuple[int32, str]"."""

    @property
    @abstractmethod
    def python_type(self) -> type:
        """The class of its values."""

    @abstractmethod
    def create_serializer(self) -> TypeSerializer[T]:
        """What turns values into bytes and back."""

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> TypeComparator[T]:
        """What puts values in order. Raises NotOrderableError for a type whose values have none."""
        raise NotOrderableError(
            f"values of {self.name} have no order. Sort by a field that has one, or give key= a function"
        )

    @property
    def fields(self) -> tuple[Field, ...]:
        """The parts of a composite type, in order; nothing for the others."""
        return ()

    @property
    def is_key_type(self) -> bool:
        """Whether values have an order."""
        try:
            self.create_comparator()
        except NotOrderableError:
            return False
        return True

    @property
    def may_pickle(self) -> bool:
        """Whether reading values may unpickle something: only of bytes that are known to be this program's own."""
        return False

    @property
    def arity(self) -> int:
        """How many fields; 1 for what has no parts."""
        return len(self.fields) or 1

    @property
    def total_fields(self) -> int:
        """How many fields, those of composite fields counted instead of them."""
        return sum(field.type_info.total_fields for field in self.fields) or 1

    @property
    def allows_null(self) -> bool:
        """Whether None is a value of the type."""
        return False

    # --- reading what an older version wrote

    @property
    def version(self) -> int:
        """Counts the changes of the bytes of this type."""
        return 1

    def snapshot(self) -> Snapshot:
        """All that decides how the bytes of this type read."""
        return {"type": self.name, "version": self.version}

    def check_can_read(self, written: Snapshot) -> None:
        """Raise IncompatibleTypeError, with the reason, unless bytes written under `written` read as this type."""
        if written != self.snapshot():
            raise IncompatibleTypeError(f"written as {written}, which {self.snapshot()} cannot read")

    def __str__(self) -> str:
        return self.name


__all__ = ["Field", "Snapshot", "TypeInformation"]
