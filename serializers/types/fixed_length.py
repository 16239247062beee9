"""What types have in common whose values, or whose order keys, all take the same number of bytes."""

from __future__ import annotations

from abc import abstractmethod
from struct import Struct
from typing import Any, TypeVar

from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView

T = TypeVar("T")


class PackedSerializer(TypeSerializer[T]):
    """Values in the form of one Struct. It is bound once; since a Struct cannot be pickled, the type is pickled."""

    length: int

    def __init__(self, type_info: TypeInformation[T], packed: Struct) -> None:
        self.type_info = type_info
        self.packed = packed
        self.length = packed.size

    def __reduce__(self) -> tuple[Any, ...]:
        return _serializer_of, (self.type_info,)

    @abstractmethod
    def checked(self, value: T) -> T:
        """`value` as it will come back. Raises ValueMismatchError if it is not of the type."""

    def skip(self, source: InputView) -> None:
        source.skip(self.length)


class FixedKeyComparator(TypeComparator[T]):
    """An order whose keys are all `key_bytes` long, so that they need no end."""

    key_bytes: int

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        source.skip(self.key_bytes)


def _serializer_of(type_info: TypeInformation[Any]) -> TypeSerializer[Any]:
    return type_info.create_serializer()


__all__ = ["FixedKeyComparator", "PackedSerializer"]
