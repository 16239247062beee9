"""Types: what is known of them, how their values become bytes and back, and how they order.

    from serializers.types import type_info_of

    info = type_info_of(tuple[int, str])            a TypeInformation
    info.create_serializer()                        a TypeSerializer: one value to bytes, and back
    info.create_comparator(descending=True)         a TypeComparator: order keys, and how they compare

docs/TYPES.md tells how types are found and declared, and how to bring one's own. The batch path, which takes thousands
of values at once, is `serializers.row_codec`.
"""

from serializers.types.annotated import (
    AwareDatetime,
    Float32,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
)
from serializers.types.arrow_types import type_info_of_arrow
from serializers.types.function_hints import type_info_of_function
from serializers.types.hints import type_info_of
from serializers.types.ordering import By, OrderingComparator, OrderKey, parse_by
from serializers.types.registry import register_type, unregister_type
from serializers.types.row import Row
from serializers.types.samples import type_info_of_values
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import Field, Snapshot, TypeInformation
from serializers.types.type_serializer import TypeSerializer

__all__ = [
    "AwareDatetime",
    "By",
    "Field",
    "Float32",
    "Float64",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "OrderKey",
    "OrderingComparator",
    "Row",
    "Snapshot",
    "TypeComparator",
    "TypeInformation",
    "TypeSerializer",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "parse_by",
    "register_type",
    "type_info_of",
    "type_info_of_arrow",
    "type_info_of_function",
    "type_info_of_values",
    "unregister_type",
]
