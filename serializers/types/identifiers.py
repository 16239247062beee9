"""What stands for something else: UUIDs and the members of an Enum (of which more in `serializers.types.enums`)."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from serializers.types.enums import EnumInfo
from serializers.types.fixed_length import FixedKeyComparator
from serializers.types.mismatch import mismatch
from serializers.types.type_information import TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView, OutputView

_UUID_BYTES = 16


@dataclass(frozen=True)
class UuidInfo(TypeInformation[UUID]):
    """A UUID of any variant and version. Its `is_safe`, which no comparison sees, is not kept."""

    @property
    def name(self) -> str:
        return "UUID"

    @property
    def python_type(self) -> type:
        return UUID

    def create_serializer(self) -> UuidSerializer:
        return UuidSerializer()

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> UuidComparator:
        return UuidComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


def _checked_uuid(value: UUID) -> UUID:
    if isinstance(value, UUID):  # those of a subclass are taken, and come back as plain ones
        return value
    raise mismatch(value, "UUID", "Convert it with UUID(value), or UUID(bytes=value)")


class UuidSerializer(TypeSerializer[UUID]):
    """Its 16 bytes, big-endian."""

    length = _UUID_BYTES

    def serialize(self, value: UUID, out: OutputView) -> None:
        out.write(_checked_uuid(value).bytes)

    def deserialize(self, source: InputView) -> UUID:
        return UUID(bytes=source.read(_UUID_BYTES))

    def skip(self, source: InputView) -> None:
        source.skip(_UUID_BYTES)


class UuidComparator(FixedKeyComparator[UUID]):
    """The order of the 128-bit numbers, which is that of the texts."""

    key_bytes = _UUID_BYTES
    is_invertible = True

    def compare(self, left: UUID, right: UUID) -> int:
        lower, higher = _checked_uuid(left).int, _checked_uuid(right).int
        return self.directed((lower > higher) - (lower < higher))

    def write_ascending(self, value: UUID, out: bytearray, *, is_last: bool) -> None:
        out += _checked_uuid(value).bytes

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> UUID:
        return UUID(bytes=source.read(_UUID_BYTES))


UUID_INFO = UuidInfo()

__all__ = ["UUID_INFO", "EnumInfo", "UuidInfo"]
