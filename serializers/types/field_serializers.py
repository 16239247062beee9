"""The bytes of composite values: the fields one behind another, those that may be missing behind a mask.

Reading one field passes over those before it: those of fixed length that stand side by side, in one step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from serializers.errors import CorruptRecordError, SerializationError
from serializers.types.fields import Shape
from serializers.types.parts import PartsSerializer, too_deep
from serializers.types.type_information import Field, TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import InputView, OutputView

Skip = Callable[[InputView], None]


class FieldPlaces:
    """How to get from the front of some fields to any of them, and to their end."""

    def __init__(self, serializers: Sequence[TypeSerializer[Any]]) -> None:
        self.length: int | None = 0
        self._skips: list[Skip] = []
        self._starts: list[tuple[int, int]] = []
        run_bytes = 0
        for serializer in serializers:
            self._starts.append((len(self._skips), run_bytes))
            if serializer.length is not None:
                run_bytes += serializer.length
                continue
            self.length = None
            if run_bytes:
                self._skips.append(_fixed_skip(run_bytes))
                self._starts[-1] = (len(self._skips), 0)
                run_bytes = 0
            self._skips.append(serializer.skip)
        if run_bytes:
            self._skips.append(_fixed_skip(run_bytes))
        if self.length is not None:
            self.length = run_bytes
        self.skips = tuple(self._skips)

    def seek(self, source: InputView, index: int) -> None:
        """Pass over the fields before `index`."""
        skip_count, rest_bytes = self._starts[index]
        for skip in self.skips[:skip_count]:
            skip(source)
        source.skip(rest_bytes)


def _fixed_skip(length: int) -> Skip:
    return lambda source: source.skip(length)


class FieldsSerializer(PartsSerializer[Any]):
    """The fields, all of them."""

    def __init__(
        self, type_info: TypeInformation[Any], shape: Shape, fields: Sequence[Field], parts: list[TypeSerializer[Any]]
    ) -> None:
        super().__init__(type_info)
        self._split, self._join = shape.split, shape.join
        self._names = [field.name for field in fields]
        self._writers = [part.serialize for part in parts]
        self._readers = [part.deserialize for part in parts]
        self._places = FieldPlaces(parts)
        self.length = self._places.length

    def serialize(self, value: Any, out: OutputView) -> None:
        parts = self._split(value)
        index = 0
        try:
            for write in self._writers:
                write(parts[index], out)
                index += 1
        except SerializationError as error:
            error.at_field(self._names[index])
            raise
        except RecursionError as error:
            raise too_deep(self._names[index]) from error

    def deserialize(self, source: InputView) -> Any:
        parts: list[Any] = []
        try:
            for read in self._readers:
                parts.append(read(source))
        except SerializationError as error:
            error.at_field(self._names[len(parts)])
            raise
        return self._join(parts)

    def skip(self, source: InputView) -> None:
        for skip in self._places.skips:
            skip(source)

    def field_count(self) -> int:
        return len(self._names)

    def deserialize_field(self, source: InputView, index: int) -> Any:
        self._places.seek(source, index)
        try:
            return self._readers[index](source)
        except SerializationError as error:
            error.at_field(self._names[index])
            raise


class MaskedSerializer(PartsSerializer[Any]):
    """A mask, and the fields that are not `missing`. Those that `may_miss` does not name must be there."""

    def __init__(
        self,
        type_info: TypeInformation[Any],
        shape: Shape,
        fields: Sequence[Field],
        parts: list[TypeSerializer[Any]],
        *,
        missing: object,
        may_miss: Sequence[bool],
    ) -> None:
        super().__init__(type_info)
        self._split, self._join = shape.split, shape.join
        self._names = [field.name for field in fields]
        self._writers = [part.serialize for part in parts]
        self._readers = [part.deserialize for part in parts]
        self._skips = [part.skip for part in parts]
        self._missing = missing
        self._mask_bytes = len(parts) + 7 >> 3
        self._mask_allowed = sum(1 << index for index, may in enumerate(may_miss) if may)

    def serialize(self, value: Any, out: OutputView) -> None:
        parts = self._split(value)
        missing = self._missing
        mask, bit = 0, 1
        for part in parts:
            if part is missing:
                mask |= bit
            bit <<= 1
        out.write(mask.to_bytes(self._mask_bytes, "little"))
        index = 0
        try:
            for write in self._writers:
                if parts[index] is not missing:
                    write(parts[index], out)
                index += 1
        except SerializationError as error:
            error.at_field(self._names[index])
            raise
        except RecursionError as error:
            raise too_deep(self._names[index]) from error

    def _read_mask(self, source: InputView) -> int:
        mask = int.from_bytes(source.read(self._mask_bytes), "little")
        if mask & ~self._mask_allowed:
            raise CorruptRecordError(f"the mask {mask:b} leaves out a field that must be there, or one there is not")
        return mask

    def deserialize(self, source: InputView) -> Any:
        mask = self._read_mask(source)
        parts: list[Any] = []
        try:
            for read in self._readers:
                parts.append(self._missing if mask & 1 else read(source))
                mask >>= 1
        except SerializationError as error:
            error.at_field(self._names[len(parts)])
            raise
        return self._join(parts)

    def skip(self, source: InputView) -> None:
        mask = self._read_mask(source)
        for skip in self._skips:
            if not mask & 1:
                skip(source)
            mask >>= 1

    def field_count(self) -> int:
        return len(self._names)

    def deserialize_field(self, source: InputView, index: int) -> Any:
        """The field; None if it is missing."""
        mask = self._read_mask(source)
        if mask >> index & 1:
            return None
        for skip in self._skips[:index]:
            if not mask & 1:
                skip(source)
            mask >>= 1
        try:
            return self._readers[index](source)
        except SerializationError as error:
            error.at_field(self._names[index])
            raise


__all__ = ["FieldPlaces", "FieldsSerializer", "MaskedSerializer", "Skip"]
