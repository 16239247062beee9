"""The type information of a table in Arrow's terms.

pyarrow is not imported: a schema brings all that is asked of it. Fields become those of a Row, by name, and optional
where they are nullable. Values are taken as `to_pylist` gives them, save that structs are Rows, and maps are dicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from serializers.errors import UnknownTypeError
from serializers.types.composite import RowInfo
from serializers.types.containers import DictInfo, ListInfo, OptionalInfo
from serializers.types.decimals import DECIMAL
from serializers.types.floats import FloatInfo
from serializers.types.numbers import BOOL, FLOAT32, FLOAT64, NONE, IntegerInfo
from serializers.types.temporal import AWARE_DATETIME, DATE, DATETIME, TIME, TIMEDELTA
from serializers.types.text import BYTES, STR
from serializers.types.type_information import Field, TypeInformation

Info = TypeInformation[Any]

_PLAIN: dict[str, Info] = {
    "null": NONE,
    "bool": BOOL,
    **{info.name: info for bits in (8, 16, 32, 64) for info in (IntegerInfo(bits), IntegerInfo(bits, signed=False))},
    "halffloat": FloatInfo(16),
    "float": FLOAT32,
    "double": FLOAT64,
    **dict.fromkeys(("string", "large_string", "string_view"), STR),
    **dict.fromkeys(("binary", "large_binary", "binary_view", "fixed_size_binary"), BYTES),
    **dict.fromkeys(("date32", "date64"), DATE),
    **dict.fromkeys(("time32", "time64"), TIME),
    "duration": TIMEDELTA,
    **dict.fromkeys(("decimal32", "decimal64", "decimal128", "decimal256"), DECIMAL),
}
"""By the name of the type, without its parameters: they say how many of the values there may be."""


def type_info_of_arrow(schema: Any) -> RowInfo:
    """The type information of the rows of a table with this `pyarrow.Schema`.

    Raises UnknownTypeError, with the column, for a type that has none.
    """
    return _row_of(schema)


def _row_of(fields: Iterable[Any]) -> RowInfo:
    return RowInfo(tuple(Field(each.name, _of_field(each.name, each)) for each in fields))


def _of_field(name: str, field: Any) -> Info:
    try:
        info = _of_type(field.type)
    except UnknownTypeError as error:
        error.at_field(name)
        raise
    return OptionalInfo(info) if field.nullable and not info.allows_null else info


def _of_type(arrow_type: Any) -> Info:
    name = str(arrow_type).partition("[")[0].partition("<")[0].partition("(")[0]
    info = _PLAIN.get(name)
    if info is not None:
        return info
    if name not in _PARAMETRIC:
        raise UnknownTypeError(f"{arrow_type} has no type information. Cast the column, or leave it out")
    return _PARAMETRIC[name](arrow_type)


def _of_list(arrow_type: Any) -> Info:
    return ListInfo(_of_field("element", arrow_type.value_field))


def _of_map(arrow_type: Any) -> Info:
    return DictInfo(_of_field("key", arrow_type.key_field), _of_field("value", arrow_type.item_field))


_PARAMETRIC: dict[str, Callable[[Any], Info]] = {
    **dict.fromkeys(("list", "large_list", "fixed_size_list", "list_view", "large_list_view"), _of_list),
    "map": _of_map,
    "struct": lambda arrow_type: _row_of(arrow_type.fields),
    "timestamp": lambda arrow_type: AWARE_DATETIME if arrow_type.tz else DATETIME,
    "dictionary": lambda arrow_type: _of_type(arrow_type.value_type),
    "run_end_encoded": lambda arrow_type: _of_type(arrow_type.value_type),
}

__all__ = ["type_info_of_arrow"]
