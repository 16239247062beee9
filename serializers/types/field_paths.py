"""Where a field of a record is, through records within records: "address.city".

A step is the name of a field, or its place. A step out of an optional record that is None leads to None: the field at
the end is optional then, whatever it was declared as.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from operator import attrgetter
from typing import Any

from serializers.errors import NullFieldError, SerializationError
from serializers.types.fields import FieldsInfo
from serializers.types.mismatch import mismatch
from serializers.types.optional import OptionalInfo, without_optional
from serializers.types.type_information import TypeInformation

Step = str | int


class FieldPath:
    """A field of the records of type `record_info`; the record itself if `path` is empty.

    `field_info` is the type of what `get` gives; `top_index` the place of the field of the record in which it lies.
    Raises SerializationError, with the fields that there are, for a step that leads nowhere.
    """

    def __init__(self, record_info: TypeInformation[Any], path: tuple[Step, ...]) -> None:
        self.name = ".".join(map(str, path))
        self.top_index: int | None = None
        self.depth = len(path)
        self._record_class = record_info.python_type
        self._record_name = record_info.name
        self._steps: list[tuple[Callable[[Any], Any], bool]] = []
        info, passes_null = record_info, False
        for step in path:
            passes_null |= isinstance(info, OptionalInfo)
            info = without_optional(info)
            index = field_index(info, step)
            self.top_index = index if self.top_index is None else self.top_index
            self._steps.append((_getter(info, index), passes_null))
            info = info.key_info(index) if isinstance(info, FieldsInfo) else info.fields[index].type_info
        self.field_info = OptionalInfo(without_optional(info)) if passes_null else info
        self.is_optional_record = isinstance(record_info, OptionalInfo)

    def place(self, error: SerializationError) -> None:
        """Let `error` say that it is about this field."""
        if self.depth:
            error.at_field(self.name)

    def get(self, record: Any) -> Any:
        """The value of the field. Raises ValueMismatchError if `record` is not of its type."""
        if not isinstance(record, self._record_class) and not (record is None and self.is_optional_record):
            raise mismatch(record, self._record_name, "Declare the type it has")
        return self._follow(record, self._steps)

    def get_within(self, top_value: Any) -> Any:
        """The same from the value of the record's field in which it lies."""
        return self._follow(top_value, self._steps[1:])

    def _follow(self, value: Any, steps: list[tuple[Callable[[Any], Any], bool]]) -> Any:
        for step, passes_null in steps:
            if value is None:
                if passes_null:
                    return None
                raise NullFieldError("None on the way to the field, where nothing is optional").at_field(self.name)
            try:
                value = step(value)
            except (AttributeError, LookupError, TypeError) as error:
                raise mismatch(value, "a record with this field", "Declare the type it has").at_field(
                    self.name
                ) from error
        return value


def _getter(info: TypeInformation[Any], index: int) -> Callable[[Any], Any]:
    return info.getter(index) if isinstance(info, FieldsInfo) else attrgetter(info.fields[index].name)


def field_index(info: TypeInformation[Any], step: Step) -> int:
    """The place of a field by its name or its place. Raises SerializationError if there is none."""
    names = [field.name for field in info.fields]
    if step in names:
        return names.index(str(step))
    if isinstance(step, int) or step.isdecimal():
        if 0 <= int(step) < len(names):
            return int(step)
        raise SerializationError(f"there is no field {step} in {info.name}: {_known(names)}")
    near = get_close_matches(step, names, n=1)
    hint = f". Did you mean {near[0]}?" if near else ""
    raise SerializationError(f"there is no field {step!r} in {info.name}: {_known(names)}{hint}")


def _known(names: list[str]) -> str:
    return f"its fields are {', '.join(names)}" if names else "it has no fields"


__all__ = ["FieldPath", "Step", "field_index"]
