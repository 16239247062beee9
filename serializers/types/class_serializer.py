"""The bytes of values of a class: which class it is, and its fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serializers.errors import CorruptRecordError
from serializers.types.field_serializers import FieldsSerializer
from serializers.types.generic import GenericInfo, log_generic
from serializers.types.mismatch import mismatch
from serializers.types.parts import PartsSerializer
from serializers.types.type_information import TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import InputView, OutputView

GENERIC_FLAG = 255
CLASSES_MAX = 255
"""The class itself and its registered subclasses, which are told by a byte below `GENERIC_FLAG`."""


class ClassSerializer(PartsSerializer[Any]):
    """The place of the value's class among `classes`, of which the first is the declared one; then the fields.

    `places` says for each class where the fields of the declared one stand among its own.
    """

    def __init__(
        self,
        type_info: TypeInformation[Any],
        classes: Sequence[type],
        contents: Sequence[FieldsSerializer],
        places: Sequence[Sequence[int]],
        *,
        allows_generic: bool,
    ) -> None:
        super().__init__(type_info)
        self._class = classes[0]
        self._flags = {cls: flag for flag, cls in enumerate(classes)}
        self._contents: dict[int, TypeSerializer[Any]] = dict(enumerate(contents))
        self._places = places
        self._names = [each.name for each in type_info.fields]
        lengths = {content.length for content in contents}
        only = lengths.pop() if len(lengths) == 1 and not allows_generic else None
        self.length = None if only is None else 1 + only
        if allows_generic:
            self._contents[GENERIC_FLAG] = GenericInfo(self._class).create_serializer()

    def serialize(self, value: Any, out: OutputView) -> None:
        flag = self._flags.get(type(value))
        if flag is None:
            flag = self._other_flag(value)
        out.write_byte(flag)
        self._contents[flag].serialize(value, out)

    def _other_flag(self, value: Any) -> int:
        name = self._class.__name__
        if not isinstance(value, self._class):
            raise mismatch(value, name, "Declare the type it has")
        if GENERIC_FLAG not in self._contents:
            raise mismatch(value, f"{name} or a registered subclass", "Use ClassInfo.with_subclasses")
        log_generic(type(value), cure=f"register it as a subclass of {name}, with ClassInfo.with_subclasses")
        return GENERIC_FLAG

    def _read_content(self, source: InputView) -> tuple[int, TypeSerializer[Any]]:
        flag = source.read_byte()
        content = self._contents.get(flag)
        if content is None:
            raise CorruptRecordError(f"{self._class.__name__} has no subclass {flag}")
        return flag, content

    def deserialize(self, source: InputView) -> Any:
        return self._read_content(source)[1].deserialize(source)

    def skip(self, source: InputView) -> None:
        self._read_content(source)[1].skip(source)

    def field_count(self) -> int:
        return len(self._names)

    def deserialize_field(self, source: InputView, index: int) -> Any:
        flag, content = self._read_content(source)
        if flag == GENERIC_FLAG:
            return getattr(content.deserialize(source), self._names[index])
        return content.deserialize_field(source, self._places[flag][index])


__all__ = ["CLASSES_MAX", "GENERIC_FLAG", "ClassSerializer"]
