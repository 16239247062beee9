"""Type hints for what Python has one class for, and bytes have several.

    @dataclass
    class Reading:
        sensor: UInt16
        at: AwareDatetime
        value: Float32

A type checker sees an int, a datetime and a float.
"""

from datetime import datetime
from typing import Annotated

from serializers.types.numbers import FLOAT32, FLOAT64, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64
from serializers.types.zoned import AWARE_DATETIME

Int8 = Annotated[int, INT8]
Int16 = Annotated[int, INT16]
Int32 = Annotated[int, INT32]
Int64 = Annotated[int, INT64]
UInt8 = Annotated[int, UINT8]
UInt16 = Annotated[int, UINT16]
UInt32 = Annotated[int, UINT32]
UInt64 = Annotated[int, UINT64]
Float32 = Annotated[float, FLOAT32]
Float64 = Annotated[float, FLOAT64]
AwareDatetime = Annotated[datetime, AWARE_DATETIME]
