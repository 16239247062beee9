"""A value of one of several types: which, and the value.

    value     varint: place among the members | value
    key       byte: place among the members | key             or, if all members are numbers, the key of the number

Values order by the place of their type, and then as that type orders them. Numbers are the exception, as in Python:
ints, floats, bools and Decimals have one order, by their exact value, and stand at the place of the first of them.

The type of a value is found by its class, then by the nearest base of its class that is a member's. Where that leaves
several (`list[int] | list[str]`), it is the first that takes the value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from serializers.errors import CorruptRecordError, ValueMismatchError
from serializers.types.mismatch import mismatch
from serializers.types.mixed_numbers import is_number_type, mixed_comparator
from serializers.types.numbers import NONE, NoneInfo
from serializers.types.optional import OptionalComparator, OptionalInfo, without_optional
from serializers.types.parts import PartedInfo, PartsComparator, PartsSerializer
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import Field, TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView, OutputView

_MEMBERS_MAX = 255


@dataclass(frozen=True)
class UnionInfo(PartedInfo[Any]):
    """A value of one of `members`, of which there are 1 to 255. `union_of` makes the simplest type for some members."""

    members: tuple[TypeInformation[Any], ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.members) <= _MEMBERS_MAX:
            raise ValueError(f"a union has 1 to {_MEMBERS_MAX} members, not {len(self.members)}")

    @property
    def name(self) -> str:
        return f"union[{', '.join([member.name for member in self.members])}]"

    @property
    def python_type(self) -> type:
        return object

    @property
    def allows_null(self) -> bool:
        return any(member.allows_null for member in self.members)

    def parts(self) -> tuple[Field, ...]:
        return tuple(Field(str(place), member) for place, member in enumerate(self.members))

    def create_serializer(self) -> UnionSerializer:
        return UnionSerializer(self)

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> TypeComparator[Any]:
        """None, if it is a member, stands where nulls do: the union orders as an optional of the others."""
        if self.allows_null:
            rest = _single_or_union([each for each in map(without_optional, self.members) if not each.allows_null])
            inner = rest.create_comparator(descending=descending, nulls_last=nulls_last)
            return OptionalComparator(self, inner, descending=descending, nulls_last=nulls_last)
        numbers = [member for member in self.members if is_number_type(member.python_type)]
        if len(numbers) == len(self.members) > 1:
            return mixed_comparator(self, numbers, descending=descending, nulls_last=nulls_last)
        comparators: list[TypeComparator[Any]] = []
        for member in self.members:
            if len(numbers) > 1 and member in numbers:
                numeric = mixed_comparator(self, numbers, descending=descending, nulls_last=nulls_last)
                comparators.append(numeric)
            else:
                comparators.append(member.create_comparator(descending=descending, nulls_last=nulls_last))
        first_number = self.members.index(numbers[0]) if numbers else 0
        places = [first_number if member in numbers else place for place, member in enumerate(self.members)]
        return UnionComparator(self, places, comparators, descending=descending, nulls_last=nulls_last)


def union_of(infos: Iterable[TypeInformation[Any]]) -> TypeInformation[Any]:
    """The simplest type for values of any of `infos`: unions within are opened, what is there twice is there once.

    If None is among them, it is an optional of the rest.
    """
    members: dict[TypeInformation[Any], None] = {}
    is_optional = _collect(infos, members)
    if not members:
        return NONE
    single = _single_or_union(list(members))
    return OptionalInfo(single) if is_optional else single


def _collect(infos: Iterable[TypeInformation[Any]], members: dict[TypeInformation[Any], None]) -> bool:
    """Add what is no union and no optional to `members`. Whether None was found."""
    has_null = False
    for info in infos:
        if isinstance(info, UnionInfo):
            has_null |= _collect(info.members, members)
        elif isinstance(info, OptionalInfo):
            has_null = True
            _collect((info.inner,), members)
        elif isinstance(info, NoneInfo):
            has_null = True
        else:
            members[info] = None
    return has_null


def _single_or_union(members: list[TypeInformation[Any]]) -> TypeInformation[Any]:
    if not members:
        return NONE
    return members[0] if len(members) == 1 else UnionInfo(tuple(members))


class UnionSerializer(PartsSerializer[Any]):
    """The place of the value's type, and the value."""

    def __init__(self, type_info: UnionInfo) -> None:
        super().__init__(type_info)
        members: list[TypeSerializer[Any]] = []
        for member in type_info.members:
            members.append(member.create_serializer())
        self._members = tuple(members)
        self._classes = [member.python_type for member in type_info.members]
        self._places: dict[type, tuple[int, ...]] = {}
        for place, cls in enumerate(self._classes):
            self._places[cls] = (*self._places.get(cls, ()), place)
        nullable = tuple(place for place, member in enumerate(type_info.members) if member.allows_null)
        if nullable:
            self._places[type(None)] = nullable

    def place_of(self, value: Any) -> int:
        """The place of the type that takes `value`. Raises ValueMismatchError if none does."""
        places = self._places_for(value)
        return places[0] if len(places) == 1 else self._trial(value, places)[0]

    def _places_for(self, value: Any) -> tuple[int, ...]:
        return self._places.get(type(value)) or self._inherited(value)

    def _inherited(self, value: Any) -> tuple[int, ...]:
        """Places of the types whose class `value` is of, the nearest base first."""
        near = [place for base in type(value).__mro__ for place in self._places.get(base, ())]
        virtual = [place for place, cls in enumerate(self._classes) if place not in near and isinstance(value, cls)]
        if value is None or not near + virtual:
            raise mismatch(value, self.type_info.name, "Declare its type as one more member")
        return tuple(near + virtual)

    def _trial(self, value: Any, places: tuple[int, ...]) -> tuple[int, bytes]:
        """The first of `places` that takes `value`, and its bytes there."""
        refusals = []
        for place in places:
            try:
                return place, self._members[place].to_bytes(value)
            except ValueMismatchError as error:
                refusals.append(str(error))
        raise mismatch(value, self.type_info.name, "; ".join(refusals))

    def serialize(self, value: Any, out: OutputView) -> None:
        places = self._places.get(type(value)) or self._inherited(value)
        if len(places) == 1:
            place = places[0]
            out.write_varint(place)
            self._members[place].serialize(value, out)
        else:
            place, data = self._trial(value, places)
            out.write_varint(place)
            out.write(data)

    def _read_member(self, source: InputView) -> TypeSerializer[Any]:
        place = source.read_varint()
        if place >= len(self._members):
            raise CorruptRecordError(f"{self.type_info.name} has no member {place}")
        return self._members[place]

    def deserialize(self, source: InputView) -> Any:
        return self._read_member(source).deserialize(source)

    def skip(self, source: InputView) -> None:
        self._read_member(source).skip(source)


class UnionComparator(PartsComparator[Any]):
    """By the place of the type, then by the value."""

    serializer: UnionSerializer

    def __init__(
        self,
        type_info: UnionInfo,
        places: list[int],
        members: list[TypeComparator[Any]],
        *,
        descending: bool,
        nulls_last: bool,
    ) -> None:
        super().__init__(type_info, descending=descending, nulls_last=nulls_last)
        self._places = places
        self._members = members
        self.is_invertible = all(member.is_invertible for member in members)
        lengths = {member.key_bytes for member in members}
        only = lengths.pop() if len(lengths) == 1 else None
        self.key_bytes = None if only is None else 1 + only

    def compare(self, left: Any, right: Any) -> int:
        left_place, right_place = self.serializer.place_of(left), self.serializer.place_of(right)
        order = self._places[left_place] - self._places[right_place]
        return self.directed(order) if order else self._members[left_place].compare(left, right)

    def write_ascending(self, value: Any, out: bytearray, *, is_last: bool) -> None:
        place = self.serializer.place_of(value)
        out.append(self._places[place])
        self._members[place].write_ascending(value, out, is_last=is_last)

    def _read_member(self, source: BytesInput) -> TypeComparator[Any]:
        place = source.read_byte()
        if place >= len(self._members):
            raise CorruptRecordError(f"{self.type_info.name} has no member {place}")
        return self._members[place]

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> Any:
        return self._read_member(source).read_ascending(source, is_last=is_last)

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        self._read_member(source).skip_ascending(source, is_last=is_last)


__all__ = ["UnionComparator", "UnionInfo", "UnionSerializer", "union_of"]
