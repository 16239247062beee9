"""The column of every type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serializers.columns.column import Column
from serializers.columns.fields import ClassColumn, TupleColumn
from serializers.columns.identifiers import EnumColumn, UuidColumn
from serializers.columns.masked import RowColumn, TypedDictColumn
from serializers.columns.numbers import BigIntegerColumn, BoolColumn, FloatColumn, IntegerColumn, NoneColumn
from serializers.columns.numpy_scalars import NumpyScalarColumn
from serializers.columns.optional import OptionalColumn
from serializers.columns.sequences import DictColumn, ListColumn, SequenceColumn, SetColumn
from serializers.columns.temporal import DateColumn, DatetimeColumn, TimeColumn, TimedeltaColumn
from serializers.columns.text import BytearrayColumn, BytesColumn, TextColumn
from serializers.types.classes import ClassInfo
from serializers.types.containers import DictInfo, SetInfo
from serializers.types.enums import EnumInfo, EnumSerializer
from serializers.types.identifiers import UuidInfo
from serializers.types.numbers import BigIntegerInfo, BoolInfo, FloatInfo, IntegerInfo, NoneInfo
from serializers.types.numpy_scalars import NumpyScalarInfo
from serializers.types.optional import OptionalInfo, without_optional
from serializers.types.parts import PartedInfo
from serializers.types.row import RowInfo
from serializers.types.sequences import ListInfo, VariadicTupleInfo
from serializers.types.temporal import DateInfo, DatetimeInfo, TimedeltaInfo, TimeInfo
from serializers.types.text import BytearrayInfo, BytesInfo, TextInfo
from serializers.types.tuples import TupleInfo
from serializers.types.type_information import TypeInformation
from serializers.types.typed_dicts import TypedDictInfo

Info = TypeInformation[Any]

_DEPTH_MAX = 16

_LEAVES: dict[type, Callable[[Any], Column]] = {
    BigIntegerInfo: BigIntegerColumn,
    BoolInfo: BoolColumn,
    BytearrayInfo: BytearrayColumn,
    BytesInfo: BytesColumn,
    DateInfo: DateColumn,
    DatetimeInfo: DatetimeColumn,
    FloatInfo: FloatColumn,
    IntegerInfo: IntegerColumn,
    NoneInfo: NoneColumn,
    NumpyScalarInfo: NumpyScalarColumn,
    TextInfo: TextColumn,
    TimeInfo: TimeColumn,
    TimedeltaInfo: TimedeltaColumn,
    UuidInfo: UuidColumn,
}


def column_of(info: Info, depth: int = 0) -> Column:
    """The column of a type. One that nobody wrote a quicker way for takes its values one at a time.

    So does what lies deeper than `_DEPTH_MAX` levels: a type may nest some hundreds, and Python's stack is short.
    """
    if type(info) in _LEAVES:
        return _LEAVES[type(info)](info)
    if type(info) is EnumInfo and _is_small(info):
        return EnumColumn(info)
    if depth < _DEPTH_MAX and type(info) in _NESTED:
        make, parts = _NESTED[type(info)]
        return make(info, [column_of(part, depth + 1) for part in parts(info)])
    return Column(info)


def _is_small(info: EnumInfo) -> bool:
    """Whether the place of a member takes one byte."""
    serializer = info.create_serializer()
    return isinstance(serializer, EnumSerializer) and serializer.length == 1


def _optional_column(info: OptionalInfo, columns: list[Column]) -> Column:
    return OptionalColumn(info, columns[0])


def _class_column(info: ClassInfo, columns: list[Column]) -> Column:
    """Whoever registered subclasses has values of them, and these do not stand in columns."""
    return Column(info) if info.subclasses else ClassColumn(info, columns)


def _field_infos(info: Info) -> list[Info]:
    return [field.type_info for field in info.fields]


def _part_infos(info: PartedInfo[Any]) -> list[Info]:
    return [part.type_info for part in info.parts()]


_NESTED: dict[type, tuple[Callable[[Any, list[Column]], Column], Callable[[Any], list[Info]]]] = {
    ClassInfo: (_class_column, _field_infos),
    DictInfo: (DictColumn, _part_infos),
    ListInfo: (ListColumn, _part_infos),
    OptionalInfo: (_optional_column, _part_infos),
    RowInfo: (RowColumn, lambda info: list(map(without_optional, _field_infos(info)))),
    SetInfo: (SetColumn, _part_infos),
    TupleInfo: (TupleColumn, _field_infos),
    TypedDictInfo: (TypedDictColumn, _field_infos),
    VariadicTupleInfo: (SequenceColumn, _part_infos),
}
"""What makes the column of a type of those of its parts, and the types of these."""
