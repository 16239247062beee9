"""Sets and dicts; and, from one place, all types that hold others without naming them.

    set       varint count | the elements, in any order
    dict      varint count | key and value of each entry, in the order of the dict

Neither has an order. A value of a subclass is taken as the set or dict it is, and comes back as a plain one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from serializers.errors import CorruptRecordError, SerializationError
from serializers.types.mismatch import mismatch, shown
from serializers.types.optional import OptionalInfo
from serializers.types.parts import PartedInfo, PartsSerializer, too_deep
from serializers.types.sequences import ListInfo, VariadicTupleInfo, check_count, skip_elements
from serializers.types.type_information import Field, TypeInformation
from serializers.types.unions import UnionInfo, union_of
from serializers.views import InputView, OutputView


@dataclass(frozen=True)
class SetInfo(PartedInfo[Any]):
    """A set; a frozenset if `frozen`."""

    element: TypeInformation[Any]
    frozen: bool = False

    @property
    def name(self) -> str:
        return f"{self.python_type.__name__}[{self.element.name}]"

    @property
    def python_type(self) -> type:
        return frozenset if self.frozen else set

    def parts(self) -> tuple[Field, ...]:
        return (Field("element", self.element),)

    def create_serializer(self) -> SetSerializer:
        return SetSerializer(self)


class SetSerializer(PartsSerializer[Any]):
    """The count, and the elements."""

    def __init__(self, type_info: SetInfo) -> None:
        super().__init__(type_info)
        self._class: Any = type_info.python_type
        self._element = type_info.element.create_serializer()

    def serialize(self, value: Any, out: OutputView) -> None:
        if not isinstance(value, self._class):
            raise mismatch(value, self.type_info.name, f"Convert it with {self._class.__name__}(value)")
        out.write_varint(len(value))
        write = self._element.serialize
        try:
            for element in value:
                write(element, out)
        except SerializationError as error:
            error.at_field("element")
            raise
        except RecursionError as error:
            raise too_deep("element") from error

    def deserialize(self, source: InputView) -> Any:
        count = source.read_varint()
        check_count(count, self._element, source)
        read = self._element.deserialize
        try:
            elements = [read(source) for _ in range(count)]
            value = self._class(elements)
        except SerializationError as error:
            error.at_field("element")
            raise
        except TypeError as error:
            raise CorruptRecordError(f"no {self.type_info.name} has such an element: {error}") from error
        if len(value) != count:
            raise CorruptRecordError(f"a {self.type_info.name} of {count} elements, of which only {len(value)} differ")
        return value

    def skip(self, source: InputView) -> None:
        skip_elements(source.read_varint(), self._element, source)


@dataclass(frozen=True)
class DictInfo(PartedInfo[Any]):
    """A dict with keys of one type and values of one type."""

    key: TypeInformation[Any]
    value: TypeInformation[Any]

    @property
    def name(self) -> str:
        return f"dict[{self.key.name}, {self.value.name}]"

    @property
    def python_type(self) -> type:
        return dict

    def parts(self) -> tuple[Field, ...]:
        return (Field("key", self.key), Field("value", self.value))

    def create_serializer(self) -> DictSerializer:
        return DictSerializer(self)


class DictSerializer(PartsSerializer[Any]):
    """The count, and the entries."""

    def __init__(self, type_info: DictInfo) -> None:
        super().__init__(type_info)
        self._key = type_info.key.create_serializer()
        self._value = type_info.value.create_serializer()

    def serialize(self, value: Any, out: OutputView) -> None:
        if not isinstance(value, dict):
            raise mismatch(value, self.type_info.name, "Convert it with dict(value)")
        out.write_varint(len(value))
        write_key, write_value = self._key.serialize, self._value.serialize
        place: Any = None
        try:
            for key, entry in value.items():
                place = None
                write_key(key, out)
                place = key
                write_value(entry, out)
        except SerializationError as error:
            error.at_field("key" if place is None else shown(place))
            raise
        except RecursionError as error:
            raise too_deep("key" if place is None else shown(place)) from error

    def deserialize(self, source: InputView) -> Any:
        count = source.read_varint()
        read_key, read_value = self._key.deserialize, self._value.deserialize
        value: dict[Any, Any] = {}
        try:
            for _ in range(count):
                key = read_key(source)
                value[key] = read_value(source)
        except SerializationError as error:
            error.at_field(f"entry {len(value)}")
            raise
        except TypeError as error:
            raise CorruptRecordError(f"no {self.type_info.name} has such a key: {error}") from error
        if len(value) != count:
            raise CorruptRecordError(
                f"a {self.type_info.name} of {count} entries, of which only {len(value)} keys differ"
            )
        return value

    def skip(self, source: InputView) -> None:
        skip_key, skip_value = self._key.skip, self._value.skip
        for _ in range(source.read_varint()):
            skip_key(source)
            skip_value(source)


__all__ = [
    "DictInfo",
    "DictSerializer",
    "ListInfo",
    "OptionalInfo",
    "SetInfo",
    "SetSerializer",
    "UnionInfo",
    "VariadicTupleInfo",
    "union_of",
]
