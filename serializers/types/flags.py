"""Flag: any combination of its members is a number, written and ordered as an int of any size."""

from __future__ import annotations

from enum import Flag
from typing import Any

from serializers.errors import CorruptRecordError
from serializers.types.mismatch import mismatch
from serializers.types.order_bytes import big_integer_bytes, read_big_integer, skip_big_integer
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView, OutputView


def flag_values(cls: type[Flag]) -> dict[str, int]:
    """The number of each member by name, aliases included."""
    return {name: member._value_ for name, member in cls.__members__.items()}


class FlagSerializer(TypeSerializer[Any]):
    """The number's bytes."""

    def __init__(self, cls: type[Flag]) -> None:
        self.cls = cls

    def number(self, value: Any) -> int:
        """The number of a combination. Raises ValueMismatchError if it is of another class."""
        if type(value) is self.cls:
            return value._value_
        raise mismatch(value, self.cls.__name__, f"Convert it with {self.cls.__name__}(value)")

    def of_number(self, number: int) -> Any:
        """The combination. Raises CorruptRecordError if the class has none of this number."""
        try:
            value = self.cls(number)
        except Exception as error:  # a ValueError, or what a _missing_ of the class's own raises
            raise CorruptRecordError(f"{number} is no combination of {self.cls.__name__}") from error
        if type(value) is self.cls and value._value_ == number:
            return value
        raise CorruptRecordError(f"{number} is no combination of {self.cls.__name__}, it makes {value!r}")

    def serialize(self, value: Any, out: OutputView) -> None:
        out.write(big_integer_bytes(self.number(value)))

    def deserialize(self, source: InputView) -> Any:
        return self.of_number(read_big_integer(source))

    def skip(self, source: InputView) -> None:
        skip_big_integer(source)


class FlagComparator(TypeComparator[Any]):
    """The order of the numbers."""

    serializer: FlagSerializer
    is_invertible = True

    def compare(self, left: Any, right: Any) -> int:
        lower, higher = self.serializer.number(left), self.serializer.number(right)
        return self.directed((lower > higher) - (lower < higher))

    def write_ascending(self, value: Any, out: bytearray, *, is_last: bool) -> None:
        out += big_integer_bytes(self.serializer.number(value))

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> Any:
        return self.serializer.of_number(read_big_integer(source))

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        skip_big_integer(source)
