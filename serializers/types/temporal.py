"""date, time, datetime without and with a time zone, and timedelta.

Every value comes back as it was, fold and time zone included. Python compares without them, and so do we: 02:30 equals
02:30 with fold=1, and two aware datetimes are equal if they are the same instant.

A datetime is no date, and one with a time zone is not one without. A value of a subclass is taken if it equals a plain
one made of its parts: a pandas.Timestamp is, unless it has nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from struct import Struct
from typing import cast

from serializers.errors import CorruptRecordError
from serializers.types.fixed_length import PackedSerializer
from serializers.types.mismatch import mismatch
from serializers.types.moments import (
    DAY_MICROSECONDS,
    MICROSECOND,
    SECOND_MICROSECONDS,
    MomentInfo,
    MomentSerializer,
    split_fold,
    without_subclass,
)
from serializers.types.zoned import AWARE_DATETIME, AwareDatetimeInfo
from serializers.views import InputView, OutputView

_INT32 = Struct("<i")
_INT64 = Struct("<q")
_INT32_INT64 = Struct("<iq")

_DATETIME_MICROSECONDS = (datetime.max - datetime.min) // MICROSECOND + 1

# --- date


@dataclass(frozen=True)
class DateInfo(MomentInfo[date]):
    """A day, from year 1 to year 9999."""

    @property
    def name(self) -> str:
        return "date"

    @property
    def python_type(self) -> type:
        return date

    def create_serializer(self) -> DateSerializer:
        return DateSerializer(self, _INT32)


class DateSerializer(PackedSerializer[date], MomentSerializer[date]):
    """The day's number, 1 for the first of year 1."""

    key_bytes = 4
    is_its_number = True

    def checked(self, value: date) -> date:
        if type(value) is date:
            return value
        if isinstance(value, date) and not isinstance(value, datetime):
            return without_subclass(value, date(value.year, value.month, value.day), "date")
        raise mismatch(value, "date", "Convert it with value.date() if it is a datetime, or declare datetime")

    def number(self, value: date) -> int:
        return value.toordinal()

    def of_number(self, number: int) -> date:
        if 1 <= number <= date.max.toordinal():
            return date.fromordinal(number)
        raise CorruptRecordError(f"there is no day {number}: they go from 1 to {date.max.toordinal()}")

    def serialize(self, value: date, out: OutputView) -> None:
        out.write_packed(_INT32, self.checked(value).toordinal())

    def deserialize(self, source: InputView) -> date:
        return self.of_number(source.read_packed(_INT32)[0])


# --- time of day


@dataclass(frozen=True)
class TimeInfo(MomentInfo[time]):
    """A time of day without a time zone."""

    @property
    def name(self) -> str:
        return "time"

    @property
    def python_type(self) -> type:
        return time

    def create_serializer(self) -> TimeSerializer:
        return TimeSerializer(self, _INT64)


class TimeSerializer(PackedSerializer[time], MomentSerializer[time]):
    """Microseconds since midnight, doubled, and fold."""

    def checked(self, value: time) -> time:
        if isinstance(value, time) and value.tzinfo is None:
            if type(value) is time:
                return value
            plain = time(value.hour, value.minute, value.second, value.microsecond, fold=value.fold)
            return without_subclass(value, plain, "time")
        raise mismatch(value, "time (without a time zone)", "Drop the zone with value.replace(tzinfo=None)")

    def number(self, value: time) -> int:
        seconds = (value.hour * 60 + value.minute) * 60 + value.second
        return seconds * SECOND_MICROSECONDS + value.microsecond

    def serialize(self, value: time, out: OutputView) -> None:
        value = self.checked(value)
        out.write_packed(_INT64, self.number(value) << 1 | value.fold)

    def deserialize(self, source: InputView) -> time:
        microseconds, fold = split_fold(source.read_packed(_INT64)[0], DAY_MICROSECONDS)
        seconds, microsecond = divmod(microseconds, SECOND_MICROSECONDS)
        return time(seconds // 3600, seconds // 60 % 60, seconds % 60, microsecond, fold=fold)


# --- datetime without a time zone


@dataclass(frozen=True)
class DatetimeInfo(MomentInfo[datetime]):
    """A date and a time of day without a time zone."""

    @property
    def name(self) -> str:
        return "datetime"

    @property
    def python_type(self) -> type:
        return datetime

    def create_serializer(self) -> DatetimeSerializer:
        return DatetimeSerializer(self, _INT64)


class DatetimeSerializer(PackedSerializer[datetime], MomentSerializer[datetime]):
    """Microseconds since the first of year 1, doubled, and fold."""

    def checked(self, value: datetime) -> datetime:
        if isinstance(value, datetime) and value.tzinfo is None:
            if type(value) is datetime:
                return value
            return without_subclass(value, datetime.combine(value.date(), value.time()), "datetime")
        raise mismatch(
            value,
            "datetime (without a time zone)",
            "If it has a zone, declare AWARE_DATETIME, or drop the zone",
        )

    def number(self, value: datetime) -> int:
        return (value - datetime.min) // MICROSECOND

    def serialize(self, value: datetime, out: OutputView) -> None:
        value = self.checked(value)
        out.write_packed(_INT64, self.number(value) << 1 | value.fold)

    def deserialize(self, source: InputView) -> datetime:
        microseconds, fold = split_fold(source.read_packed(_INT64)[0], _DATETIME_MICROSECONDS)
        value = datetime.min + timedelta(microseconds=microseconds)
        return value.replace(fold=1) if fold else value


# --- timedelta


@dataclass(frozen=True)
class TimedeltaInfo(MomentInfo[timedelta]):
    """A span of time."""

    @property
    def name(self) -> str:
        return "timedelta"

    @property
    def python_type(self) -> type:
        return timedelta

    def create_serializer(self) -> TimedeltaSerializer:
        return TimedeltaSerializer(self, _INT32_INT64)


class TimedeltaSerializer(PackedSerializer[timedelta], MomentSerializer[timedelta]):
    """Days, which may be negative, and microseconds of the day, which may not. The order counts days from -2**31."""

    key_bytes = 12
    is_its_number = True

    def checked(self, value: timedelta) -> timedelta:
        if type(value) is timedelta:
            return value
        if isinstance(value, timedelta):
            return without_subclass(value, timedelta(value.days, value.seconds, value.microseconds), "timedelta")
        raise mismatch(value, "timedelta", "Convert it with timedelta(seconds=value) if it is a number")

    def number(self, value: timedelta) -> int:
        return value.days + (1 << 31) << 64 | value.seconds * SECOND_MICROSECONDS + value.microseconds

    def of_number(self, number: int) -> timedelta:
        return self._of_parts((number >> 64) - (1 << 31), number & (1 << 64) - 1)

    def _of_parts(self, days: int, microseconds: int) -> timedelta:
        if timedelta.min.days <= days <= timedelta.max.days and 0 <= microseconds < DAY_MICROSECONDS:
            return timedelta(days, microseconds=microseconds)
        raise CorruptRecordError(f"{days} days and {microseconds} microseconds are no timedelta")

    def serialize(self, value: timedelta, out: OutputView) -> None:
        value = self.checked(value)
        out.write_packed(_INT32_INT64, value.days, value.seconds * SECOND_MICROSECONDS + value.microseconds)

    def deserialize(self, source: InputView) -> timedelta:
        return self._of_parts(*cast("tuple[int, int]", source.read_packed(_INT32_INT64)))


DATE = DateInfo()
TIME = TimeInfo()
DATETIME = DatetimeInfo()
TIMEDELTA = TimedeltaInfo()

__all__ = [
    "AWARE_DATETIME",
    "DATE",
    "DATETIME",
    "TIME",
    "TIMEDELTA",
    "AwareDatetimeInfo",
    "DateInfo",
    "DatetimeInfo",
    "TimeInfo",
    "TimedeltaInfo",
]
