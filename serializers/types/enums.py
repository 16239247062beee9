"""Enum: a member is its place in the order of declaration; an alias is the member that it stands for.

    class Size(Enum):                value bytes   order key
        SMALL = "s"                  00            00 00
        LARGE = "l"                  01            00 01
        BIG = "l"   (is LARGE)       01            00 01

Order is that of declaration, unless Python can order the members (an IntEnum, a StrEnum, a class with __lt__): then it
is Python's, and the key is the member's place in that. Members may be added behind the others, in either order: bytes
of an older version are read as long as the older members keep their places. A combination of Flags has no place but a
number: `serializers.types.flags`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag
from itertools import pairwise
from typing import Any

from serializers.errors import CorruptRecordError, IncompatibleTypeError, UnknownTypeError
from serializers.types.fixed_length import FixedKeyComparator
from serializers.types.flags import FlagComparator, FlagSerializer, flag_values
from serializers.types.mismatch import mismatch
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import Snapshot, TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView, OutputView

_MEMBERS_MAX = 1 << 16
_ONE_BYTE_MAX = 1 << 7


@dataclass(frozen=True)
class EnumInfo(TypeInformation[Any]):
    """The members of an Enum, or the combinations of a Flag. Raises UnknownTypeError beyond 65,536 members."""

    cls: type[Enum]

    def __post_init__(self) -> None:
        if len(self.cls) > _MEMBERS_MAX:
            raise UnknownTypeError(
                f"{self.name} has {len(self.cls)} members, more than {_MEMBERS_MAX}. Declare str or int"
            )

    @property
    def name(self) -> str:
        return self.cls.__name__

    @property
    def python_type(self) -> type:
        return self.cls

    def create_serializer(self) -> TypeSerializer[Any]:
        return FlagSerializer(self.cls) if issubclass(self.cls, Flag) else EnumSerializer(self.cls)

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> TypeComparator[Any]:
        if issubclass(self.cls, Flag):
            return FlagComparator(FlagSerializer(self.cls), descending=descending, nulls_last=nulls_last)
        return EnumComparator(EnumSerializer(self.cls), descending=descending, nulls_last=nulls_last)

    def snapshot(self) -> Snapshot:
        if issubclass(self.cls, Flag):
            return {**super().snapshot(), "flags": flag_values(self.cls)}
        members = list(self.cls)
        return {**super().snapshot(), "members": [member.name for member in members], "ranks": ranks_of(members)[0]}

    def check_can_read(self, written: Snapshot) -> None:
        ours = self.snapshot()
        if written.keys() == ours.keys() and all(_goes_on(written[key], ours[key]) for key in ours):
            return
        raise IncompatibleTypeError(
            f"written as {written}, which {ours} cannot read. Leave members where they are, add new ones behind"
        )


def _goes_on(written: Any, ours: Any) -> bool:
    """Whether what was written is the beginning of a list of ours, a part of a dict, or the same."""
    if isinstance(written, list) and isinstance(ours, list):
        return written == ours[: len(written)]
    if isinstance(written, dict) and isinstance(ours, dict):
        return written.items() <= ours.items()
    return bool(written == ours)


def ranks_of(members: list[Any]) -> tuple[list[int], bool]:
    """Where each member stands among `members`, equal ones side by side, and whether Python can order them."""
    try:
        ordered = sorted(range(len(members)), key=members.__getitem__)
        steps = [bool(members[low] < members[high]) for low, high in pairwise(ordered)]
    except Exception:  # of a plain Enum a TypeError; an __lt__ of the user's own may fail as it likes
        steps = []
    if not steps:  # none that failed, or fewer than two members, which says nothing
        return list(range(len(members))), False
    ranks, rank = [0] * len(members), 0
    for place, is_next in zip(ordered, [False, *steps], strict=True):
        rank += is_next
        ranks[place] = rank
    return ranks, True


class EnumSerializer(TypeSerializer[Any]):
    """The place as a varint."""

    def __init__(self, cls: type[Enum]) -> None:
        self.cls = cls
        self.members = list(cls)
        self.places = {member._name_: place for place, member in enumerate(self.members)}
        self.length = 1 if len(self.members) <= _ONE_BYTE_MAX else None

    def place(self, value: Any) -> int:
        """Where `value` was declared. Raises ValueMismatchError if it is no member."""
        if type(value) is self.cls:
            return self.places[value._name_]
        raise mismatch(value, self.cls.__name__, f"Convert it with {self.cls.__name__}(value)")

    def serialize(self, value: Any, out: OutputView) -> None:
        out.write_varint(self.place(value))

    def deserialize(self, source: InputView) -> Any:
        place = source.read_varint()
        if place < len(self.members):
            return self.members[place]
        raise CorruptRecordError(f"{self.cls.__name__} has {len(self.members)} members, none at place {place}")

    def skip(self, source: InputView) -> None:
        source.read_varint()


class EnumComparator(FixedKeyComparator[Any]):
    """Python's order of the members, or that of declaration."""

    serializer: EnumSerializer
    key_bytes = 2

    def __init__(self, serializer: EnumSerializer, *, descending: bool = False, nulls_last: bool = False) -> None:
        super().__init__(serializer, descending=descending, nulls_last=nulls_last)
        self._ranks, self._python_orders = ranks_of(serializer.members)
        self._members = dict(zip(self._ranks, serializer.members, strict=True))
        self.is_invertible = len(self._members) == len(self._ranks)

    def compare(self, left: Any, right: Any) -> int:
        left_place, right_place = self.serializer.place(left), self.serializer.place(right)
        if self._python_orders:
            return self.directed(bool(right < left) - bool(left < right))
        return self.directed(left_place - right_place)

    def write_ascending(self, value: Any, out: bytearray, *, is_last: bool) -> None:
        out += self._ranks[self.serializer.place(value)].to_bytes(2, "big")

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> Any:
        rank = int.from_bytes(source.read(2), "big")
        if rank in self._members:
            return self._members[rank]
        raise CorruptRecordError(f"{self.serializer.cls.__name__} has {len(self._members)} places, not {rank}")
