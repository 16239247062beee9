"""Fields of Python values: which have words for values, and a batch of them as a column.

    int, bool, integers of a fixed width ──> SIGNED, or UNSIGNED      within 64 bits
    float, float32, int | float          ──> FLOAT

Other types have no states of a fixed length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from serializers.errors import SerializationError, ValueMismatchError
from serializers.types import TypeInformation, type_info_of_values
from serializers.types.field_paths import FieldPath
from serializers.types.floats import FloatInfo
from serializers.types.numbers import BOOL, INT, NONE, IntegerInfo
from serializers.types.optional import without_optional
from serializers.types.ordering import OrderKey, parse_by
from serializers.types.unions import UnionInfo
from shuffle.aggregation.aggregates import Aggregate, Field
from shuffle.aggregation.errors import AggregateError
from shuffle.aggregation.state_plan import ValueColumn
from shuffle.kernels.states import FLOAT, SIGNED, UNSIGNED

Info = TypeInformation[Any]

_KINDS_OF_ARRAYS = {SIGNED: "bi", UNSIGNED: "biu", FLOAT: "fiub"}
_CLASSES: dict[int, tuple[type, ...]] = {
    SIGNED: (int, np.integer, np.bool_),
    UNSIGNED: (int, np.integer, np.bool_),
    FLOAT: (int, float, np.number, np.bool_),
}
_DTYPES: dict[int, Any] = {SIGNED: np.int64, UNSIGNED: np.uint64, FLOAT: np.float64}


class ValueField:
    """A field of records of one type. `kind` is what its words are; None if it has none; `info` its type."""

    def __init__(self, field: Field | OrderKey, record_info: Info, sample: Sequence[Any]) -> None:
        (key,) = parse_by(field)
        self.name = ".".join(map(str, key.path))
        if record_info.fields:
            path = FieldPath(record_info, key.path)
            self.get: Callable[[Any], Any] = path.get
            self.info = path.field_info
        else:
            self.get = _getter(key.path)
            self.info = type_info_of_values([self.get(value) for value in sample])
        self.kind = kind_of(self.info)
        self.is_bool = without_optional(self.info) == BOOL
        self.is_mixed = isinstance(without_optional(self.info), UnionInfo)

    def values(self, records: Sequence[Any], first_record: int) -> list[Any]:
        """The field of every record. Raises what getting it raises, with the number of the record."""
        values: list[Any] = []
        try:
            values.extend(map(self.get, records))
        except SerializationError as error:
            error.at_record(first_record + len(values))
            raise
        except Exception as error:
            error.add_note(f"field {self.name} of record {first_record + len(values)}")
            raise
        return values

    def column(self, values: list[Any], first_record: int) -> ValueColumn:
        """Values as words. Raises ValueMismatchError, with record and field, for one that has none."""
        if self.kind is None:  # only nulls are asked for
            return ValueColumn(np.zeros(len(values), np.uint64), _nulls(values))
        words, nulls = _array(values), None
        if words.dtype.kind == "O":
            nulls = _nulls(values)
            words = _array([0 if value is None else value for value in values])
        is_negative = self.kind == UNSIGNED and words.dtype.kind == "i" and (words < 0).any()
        if (words.dtype.kind not in _KINDS_OF_ARRAYS[self.kind] or is_negative) and len(values):
            words = self._looked_at(values, first_record)
        return ValueColumn(words.astype(_DTYPES[self.kind], copy=False), nulls)

    def _looked_at(self, values: list[Any], first_record: int) -> np.ndarray[Any, np.dtype[Any]]:
        """Values of which numpy makes nothing that is wanted, one by one."""
        assert self.kind is not None
        words = np.zeros(len(values), _DTYPES[self.kind])
        for place, value in enumerate(values):
            if value is None:
                continue
            try:
                if not isinstance(value, _CLASSES[self.kind]):
                    raise TypeError
                words[place] = value
            except (TypeError, OverflowError):
                problem = f"{value!r} is no {without_optional(self.info).name} that 64 bits can hold"
                cure = "Declare the type it has with type_info=, or make it a float"
                error = ValueMismatchError(f"{problem}. {cure}").at_field(self.name)
                raise error.at_record(first_record + place) from None
        return words


def kind_of(info: Info) -> int | None:
    """What the words of values of a type are."""
    info = without_optional(info)
    if isinstance(info, IntegerInfo):
        return SIGNED if info.signed else UNSIGNED
    if info in (INT, BOOL, NONE):
        return SIGNED
    if isinstance(info, FloatInfo):
        return FLOAT
    if isinstance(info, UnionInfo):
        kinds = {kind_of(part.type_info) for part in info.parts()}
        return FLOAT if kinds <= {SIGNED, UNSIGNED, FLOAT} else None
    return None


def check_kind(aggregate: Aggregate, field: ValueField) -> None:
    """Raise AggregateError, with the cure, if values of the field do not have the aggregate."""
    if aggregate.kind in ("sum", "mean", "variance", "stddev") and field.kind is None:
        raise AggregateError(
            f"{aggregate}: values of type {field.info.name} have no {aggregate.kind}. Make them int or float first"
        )


def _array(values: list[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """An array of whatever numpy finds; of objects, if it finds nothing."""
    try:
        found = np.array(values)
    except (ValueError, OverflowError):
        return np.array([None] * len(values), object)
    return found if found.ndim == 1 else np.array([None] * len(values), object)


def _nulls(values: list[Any]) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    nulls = np.fromiter((value is None for value in values), np.uint8, len(values))
    return nulls if nulls.any() else None


def _getter(path: tuple[str | int, ...]) -> Callable[[Any], Any]:
    """Follows a path through dictionaries and objects."""

    def get(value: Any) -> Any:
        for step in path:
            value = value[step] if isinstance(value, Mapping) else getattr(value, str(step))
        return value

    return get
