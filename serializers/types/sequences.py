"""Lists, and tuples of any length: elements of one type.

    value     varint count | the elements
    key       for each element 01 | its closed key; then 00

They order as Python orders them: by the first element that differs; what begins another comes before it.
A value of a subclass is taken as the list or tuple it is, and comes back as a plain one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from serializers.errors import CorruptRecordError, NotOrderableError, SerializationError
from serializers.types.mismatch import mismatch
from serializers.types.parts import PartedInfo, PartsComparator, PartsSerializer, too_deep
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import Field, TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, InputView, OutputView

_END, _ELEMENT = 0, 1

BARE_ELEMENTS_MAX = 1 << 16
"""Elements that take no bytes, such as None, in one value: a row of ten bytes could claim any number of them."""


@dataclass(frozen=True)
class ElementsInfo(PartedInfo[Any]):
    """Elements of one type, any number of them, in order."""

    element: TypeInformation[Any]

    def parts(self) -> tuple[Field, ...]:
        return (Field("element", self.element),)

    def create_serializer(self) -> SequenceSerializer:
        return SequenceSerializer(self, self.element.create_serializer())

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> SequenceComparator:
        try:
            element = self.element.create_comparator(descending=descending, nulls_last=nulls_last)
        except NotOrderableError as error:
            error.at_field("element")
            raise
        return SequenceComparator(self, element, self.python_type, descending=descending, nulls_last=nulls_last)


@dataclass(frozen=True)
class ListInfo(ElementsInfo):
    """A list."""

    @property
    def name(self) -> str:
        return f"list[{self.element.name}]"

    @property
    def python_type(self) -> type:
        return list


@dataclass(frozen=True)
class VariadicTupleInfo(ElementsInfo):
    """A tuple of any length."""

    @property
    def name(self) -> str:
        return f"tuple[{self.element.name}, ...]"

    @property
    def python_type(self) -> type:
        return tuple


def check_count(count: int, element: TypeSerializer[Any], source: InputView) -> None:
    """Raise CorruptRecordError if it is known before reading them that `source` cannot hold so many elements."""
    if element.length == 0 and count > BARE_ELEMENTS_MAX:
        raise CorruptRecordError(f"{count} elements of no bytes are said to follow, and {BARE_ELEMENTS_MAX} may")
    if element.length and count * element.length > source.remaining:
        raise CorruptRecordError(
            f"{count} elements of {element.length} bytes are said to follow, and {source.remaining} bytes do"
        )


def skip_elements(count: int, element: TypeSerializer[Any], source: InputView) -> None:
    """Pass over `count` elements."""
    check_count(count, element, source)
    if element.length is not None:
        source.skip(count * element.length)
        return
    skip = element.skip
    for _ in range(count):
        skip(source)


class SequenceSerializer(PartsSerializer[Any]):
    """The count, and the elements."""

    def __init__(self, type_info: ElementsInfo, element: TypeSerializer[Any]) -> None:
        super().__init__(type_info)
        self._class: Any = type_info.python_type
        self._element = element

    def serialize(self, value: Any, out: OutputView) -> None:
        if not isinstance(value, self._class):
            raise mismatch(value, self.type_info.name, f"Convert it with {self._class.__name__}(value)")
        if self._element.length == 0 and len(value) > BARE_ELEMENTS_MAX:
            raise SerializationError(
                f"a {self.type_info.name} of {len(value)} elements, which take no bytes: it may have "
                f"{BARE_ELEMENTS_MAX}. Write their number instead"
            )
        out.write_varint(len(value))
        write = self._element.serialize
        index = 0
        try:
            for element in value:
                write(element, out)
                index += 1
        except SerializationError as error:
            error.at_field(str(index))
            raise
        except RecursionError as error:
            raise too_deep(str(index)) from error

    def deserialize(self, source: InputView) -> Any:
        count = source.read_varint()
        check_count(count, self._element, source)
        read = self._element.deserialize
        elements: list[Any] = []
        try:
            for _ in range(count):
                elements.append(read(source))
        except SerializationError as error:
            error.at_field(str(len(elements)))
            raise
        return self._class(elements)

    def skip(self, source: InputView) -> None:
        skip_elements(source.read_varint(), self._element, source)


class SequenceComparator(PartsComparator[Any]):
    """By the first element that differs; the shorter first. `make` makes a value of a list of its elements."""

    def __init__(
        self,
        type_info: TypeInformation[Any],
        element: TypeComparator[Any],
        make: Callable[[list[Any]], Any],
        *,
        descending: bool,
        nulls_last: bool,
    ) -> None:
        super().__init__(type_info, descending=descending, nulls_last=nulls_last)
        self.is_invertible = element.is_invertible
        self._class: Any = type_info.python_type
        self._element = element
        self._make = make

    def check(self, value: Any) -> None:
        """Raise ValueMismatchError unless `value` is of the type."""
        if not isinstance(value, self._class):
            raise mismatch(value, self.type_info.name, f"Convert it with {self._class.__name__}(value)")

    def compare(self, left: Any, right: Any) -> int:
        self.check(left)
        self.check(right)
        compare = self._element.compare
        for one, other in zip(left, right, strict=False):
            order = compare(one, other)
            if order:
                return order
        return self.directed(len(left) - len(right))

    def write_ascending(self, value: Any, out: bytearray, *, is_last: bool) -> None:
        self.check(value)
        write = self._element.write_ascending
        index = 0
        try:
            for element in value:
                out.append(_ELEMENT)
                write(element, out, is_last=False)
                index += 1
        except SerializationError as error:
            error.at_field(str(index))
            raise
        except RecursionError as error:
            raise too_deep(str(index)) from error
        out.append(_END)

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> Any:
        elements: list[Any] = []
        while _has_next(source):
            elements.append(self._element.read_ascending(source, is_last=False))
        return self._make(elements)

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        while _has_next(source):
            self._element.skip_ascending(source, is_last=False)


def _has_next(source: BytesInput) -> bool:
    mark = source.read_byte()
    if mark not in (_END, _ELEMENT):
        raise CorruptRecordError(f"no key has {mark} where it says whether there is one more element")
    return mark == _ELEMENT


__all__ = [
    "ElementsInfo",
    "ListInfo",
    "SequenceComparator",
    "SequenceSerializer",
    "VariadicTupleInfo",
    "check_count",
    "skip_elements",
]
