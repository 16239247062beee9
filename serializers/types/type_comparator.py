"""The contract of everything that puts values in order.

A comparator turns a value into ONE order key: bytes whose unsigned lexicographic order, the shorter first, is the order
wanted. Direction and the place of nulls are in the bytes already, so whoever compares keys knows nothing of types:

    sign(compare(a, b)) == sign(compare_serialized(bytes of a, bytes of b)) == sign(memcmp(key of a, key of b))

and values that compare equal have equal keys and equal hashes. A key that is not the last of several must say where it
ends (no key is the beginning of another); the last may leave that out where it is ascending.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Self, TypeVar

import xxhash

from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView

T = TypeVar("T")

_INVERT = bytes(255 - byte for byte in range(256))


class TypeComparator(ABC, Generic[T]):
    """The order of values of one type.

    `key_bytes` is the length of every order key, None if that varies. `is_invertible` says that `read_key` gives back
    the very value, so that it need not be stored beside its key. Subclasses are immutable, and are made by
    `TypeInformation.create_comparator`.
    """

    key_bytes: int | None = None
    is_invertible: bool = False

    def __init__(self, serializer: TypeSerializer[T], *, descending: bool = False, nulls_last: bool = False) -> None:
        self.serializer = serializer
        self.descending = descending
        self.nulls_last = nulls_last

    # --- what a type defines

    @abstractmethod
    def compare(self, left: T, right: T) -> int:
        """Negative, 0 or positive: `left` goes before, with, or after `right`, direction included."""

    @abstractmethod
    def write_ascending(self, value: T, out: bytearray, *, is_last: bool) -> None:
        """Append the order key of `value` in ascending order. It says where it ends unless `is_last`."""

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> T:
        """The value of the ascending key at the front of `source`; all of it if `is_last`. Only if `is_invertible`."""
        raise NotImplementedError(f"{type(self).__name__} does not invert its keys")

    @abstractmethod
    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        """Pass over the ascending key at the front of `source`; all of it if `is_last`."""

    # --- what follows from it

    def invert(self) -> Self:
        """The same comparator in the other direction; nulls stay where they are."""
        return type(self)(self.serializer, descending=not self.descending, nulls_last=self.nulls_last)

    def write_key(self, value: T, out: bytearray, *, is_last: bool = True) -> None:
        """Append the order key of `value`, direction included. A descending key always says where it ends."""
        start = len(out)
        self.write_ascending(value, out, is_last=is_last and not self.descending)
        if self.descending:
            out[start:] = out[start:].translate(_INVERT)

    def order_key(self, value: T) -> bytes:
        """The whole order key of `value`."""
        out = bytearray()
        self.write_key(value, out)
        return bytes(out)

    def read_key(self, source: BytesInput, *, is_last: bool = True) -> T:
        """The value whose order key stands at the front of `source`."""
        if not self.descending:
            return self.read_ascending(source, is_last=is_last)
        ahead = BytesInput(bytes(source.data[source.position : source.end]).translate(_INVERT))
        value = self.read_ascending(ahead, is_last=False)
        source.skip(ahead.position)
        return value

    def skip_key(self, source: BytesInput, *, is_last: bool = True) -> None:
        """Pass over one order key."""
        if not self.descending:
            self.skip_ascending(source, is_last=is_last)
            return
        ahead = BytesInput(bytes(source.data[source.position : source.end]).translate(_INVERT))
        self.skip_ascending(ahead, is_last=False)
        source.skip(ahead.position)

    def hash(self, value: T) -> int:
        """An unsigned 64-bit number, the same in every process; equal values have equal ones (XXH3 of the key)."""
        out = bytearray()
        self.write_ascending(value, out, is_last=True)
        return xxhash.xxh3_64_intdigest(bytes(out))

    def compare_serialized(self, left: InputView, right: InputView) -> int:
        """`compare` of the values that stand at the front of two views."""
        return self.compare(self.serializer.deserialize(left), self.serializer.deserialize(right))

    @property
    def normalized_key_length(self) -> int | None:
        """Bytes that hold the whole order key of any value; None if no number does."""
        return self.key_bytes

    def is_prefix_only(self, key_bytes: int) -> bool:
        """Whether equal normalized keys of `key_bytes` bytes may belong to different values."""
        return self.key_bytes is None or key_bytes < self.key_bytes

    def put_normalized_key(self, value: T, target: bytearray | memoryview, offset: int, length: int) -> None:
        """Write exactly `length` bytes: the beginning of the order key, zeros behind its end."""
        target[offset : offset + length] = self.order_key(value)[:length].ljust(length, b"\0")

    def directed(self, order: int) -> int:
        """An ascending order in this comparator's direction."""
        return -order if self.descending else order


__all__ = ["TypeComparator"]
