"""What dates, times and spans have in common: each is a number, whose order is theirs."""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta
from typing import TypeVar

from serializers.errors import CorruptRecordError, ValueMismatchError
from serializers.types.fixed_length import FixedKeyComparator
from serializers.types.mismatch import shown
from serializers.types.type_information import TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput

T = TypeVar("T")

MICROSECOND = timedelta(microseconds=1)
SECOND_MICROSECONDS = 1_000_000
DAY_MICROSECONDS = 24 * 60 * 60 * SECOND_MICROSECONDS


class MomentSerializer(TypeSerializer[T]):
    """Knows the number that is the order key, `key_bytes` long; `is_its_number` if the value comes back from it."""

    key_bytes = 8
    is_its_number = False

    @abstractmethod
    def checked(self, value: T) -> T:
        """`value` as it will come back. Raises ValueMismatchError if it is not of the type."""

    @abstractmethod
    def number(self, value: T) -> int:
        """The unsigned number that orders `value`, which has been checked."""

    def of_number(self, number: int) -> T:
        """The value of `number`. Raises CorruptRecordError if there is none."""
        raise NotImplementedError(f"{type(self).__name__} needs more than the number")


class MomentComparator(FixedKeyComparator[T]):
    """The earlier, or the shorter, first."""

    serializer: MomentSerializer[T]

    def __init__(self, serializer: MomentSerializer[T], *, descending: bool = False, nulls_last: bool = False) -> None:
        super().__init__(serializer, descending=descending, nulls_last=nulls_last)
        self.key_bytes = serializer.key_bytes
        self.is_invertible = serializer.is_its_number

    def compare(self, left: T, right: T) -> int:
        earlier, later = self.serializer.checked(left), self.serializer.checked(right)
        return self.directed((earlier > later) - (earlier < later))  # type: ignore[operator]

    def write_ascending(self, value: T, out: bytearray, *, is_last: bool) -> None:
        out += self.serializer.number(self.serializer.checked(value)).to_bytes(self.key_bytes, "big")

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> T:
        return self.serializer.of_number(int.from_bytes(source.read(self.key_bytes), "big"))


class MomentInfo(TypeInformation[T]):
    """A type whose values are ordered by time."""

    @abstractmethod
    def create_serializer(self) -> MomentSerializer[T]:
        """What turns values into bytes and back."""

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> MomentComparator[T]:
        return MomentComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


def without_subclass(value: T, plain: T, type_name: str) -> T:
    """`plain`, made of the parts of `value`, which is of a subclass. Raises ValueMismatchError if something is lost."""
    if plain == value:
        return plain
    raise ValueMismatchError(
        f"{shown(value)} ({type(value).__qualname__}) holds more than a {type_name}: {plain} would come back. "
        f"Convert it to {type_name}, or declare a type of its own for it"
    )


def split_fold(number: int, count: int) -> tuple[int, int]:
    """Microseconds below `count`, and the fold, of a stored number. Raises CorruptRecordError if there are more."""
    microseconds = number >> 1
    if 0 <= microseconds < count:
        return microseconds, number & 1
    raise CorruptRecordError(f"{microseconds} microseconds are not within 0 to {count - 1}")
