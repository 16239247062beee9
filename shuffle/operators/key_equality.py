"""Whether Python knows the same keys as equal as their order does, so that a dictionary may take two as one."""

from typing import Any

from serializers.types.enums import EnumInfo
from serializers.types.identifiers import UuidInfo
from serializers.types.integers import BigIntegerInfo, IntegerInfo
from serializers.types.numbers import BoolInfo, NoneInfo
from serializers.types.numpy_scalars import NumpyScalarInfo
from serializers.types.optional import OptionalInfo
from serializers.types.temporal import DateInfo, DatetimeInfo, TimedeltaInfo, TimeInfo
from serializers.types.text import BytesInfo, TextInfo
from serializers.types.tuples import TupleInfo
from serializers.types.type_information import TypeInformation
from serializers.types.unions import UnionInfo

_WHOLE_NUMBERS = (BigIntegerInfo, BoolInfo, IntegerInfo)
_SCALARS = (
    *(*_WHOLE_NUMBERS, NoneInfo, DateInfo, DatetimeInfo, TimeInfo, TimedeltaInfo),
    *(BytesInfo, EnumInfo, TextInfo, UuidInfo),
)
"""Not floats and Decimals: a NaN is equal to none in Python, and to every other in order. Not aware datetimes: where
clocks show an hour twice, Python takes both for the same time."""


def is_equal_as_bytes(info: TypeInformation[Any]) -> bool:
    """Whether keys of type `info` are equal in Python just where their order keys are.

    Not so where the order tells types apart that Python does not; nor, for all that is known, where a class has its own
    idea of equality. Where only some equal keys were taken as one, values would change places.
    """
    if isinstance(info, UnionInfo):
        return all(isinstance(member, _WHOLE_NUMBERS) for member in info.members)
    if isinstance(info, TupleInfo | OptionalInfo):
        return all(is_equal_as_bytes(part.type_info) for part in info.parts())
    if isinstance(info, NumpyScalarInfo):
        return info.dtype_name.startswith(("bool", "int", "uint"))
    return isinstance(info, _SCALARS)


__all__ = ["is_equal_as_bytes"]
