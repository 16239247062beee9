"""Types with fields, all from one place: tuples, rows, classes and TypedDicts."""

from serializers.types.classes import ClassInfo
from serializers.types.row import Row, RowInfo
from serializers.types.tuples import TupleInfo
from serializers.types.typed_dicts import TypedDictInfo

__all__ = ["ClassInfo", "Row", "RowInfo", "TupleInfo", "TypedDictInfo"]
