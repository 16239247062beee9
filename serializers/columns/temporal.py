"""Columns of dates and times: numpy makes their values three times as fast as datetime's own constructors."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serializers.columns.column import Data, Loose
from serializers.columns.numbers import FixedColumn, are_all, pack
from serializers.columns.scratch import Scratch
from serializers.columns.steps import UnknownBytesError
from serializers.types.moments import DAY_MICROSECONDS, MICROSECOND, SECOND_MICROSECONDS

_INT64 = np.dtype("<i8")
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
EPOCH_MICROSECONDS = (datetime(1970, 1, 1) - datetime.min) // MICROSECOND
"""Where numpy and Arrow begin to count, as our numbers have it."""

DATETIME_MICROSECONDS = (datetime.max - datetime.min) // MICROSECOND + 1
QUICK_DAYS_MAX = 10**8
"""Microseconds of so many days are below 2**63."""


def check_range(data: NDArray[Any], low: int, high: int) -> None:
    """Raise UnknownBytesError unless all items are from `low` to `high`."""
    if len(data) and (data.min() < low or data.max() > high):
        raise UnknownBytesError


class DateColumn(FixedColumn):
    """Days, as their numbers."""

    dtype = np.dtype("<i4")
    key_dtype = np.dtype(">u4")

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        if not are_all(values, date):
            return Loose(values)
        return pack(list(map(date.toordinal, values)), "i", scratch)

    def scatter(self, data: Data) -> list[Any]:
        check_range(data, 1, date.max.toordinal())
        days = data.astype(np.int64) - EPOCH_ORDINAL
        return list(days.view("datetime64[D]").tolist())

    def keys(self, data: NDArray[Any]) -> NDArray[Any]:
        return data.view(np.uint32)

    def from_keys(self, keys: NDArray[Any]) -> NDArray[Any]:
        return keys.view(np.int32)


class MomentColumn(FixedColumn):
    """Microseconds from a beginning, doubled, and fold."""

    dtype = _INT64
    key_dtype = np.dtype(">u8")

    def keys(self, data: NDArray[Any]) -> NDArray[Any]:
        return data >> 1


class DatetimeColumn(MomentColumn):
    """datetime without a time zone."""

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        if not are_all(values, datetime):
            return Loose(values)
        beginning = datetime.min
        try:
            spans = [value - beginning for value in values]
        except TypeError:  # one has a time zone
            return Loose(values)
        array = span_microseconds(spans, scratch)
        return doubled(array, [value.fold for value in values])

    def scatter(self, data: Data) -> list[Any]:
        microseconds = data >> 1
        check_range(microseconds, 0, DATETIME_MICROSECONDS - 1)
        values = (microseconds - EPOCH_MICROSECONDS).view("datetime64[us]").tolist()
        return with_folds(values, data)


class TimeColumn(MomentColumn):
    """time without a time zone."""

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        if not are_all(values, time) or [value.tzinfo for value in values].count(None) < len(values):
            return Loose(values)
        array = _numbers([(value.hour * 60 + value.minute) * 60 + value.second for value in values], scratch)
        array *= SECOND_MICROSECONDS
        array += _numbers([value.microsecond for value in values], scratch)
        return doubled(array, [value.fold for value in values])

    def scatter(self, data: Data) -> list[Any]:
        microseconds = data >> 1
        check_range(microseconds, 0, DAY_MICROSECONDS - 1)
        moments = microseconds.view("datetime64[us]").tolist()
        return with_folds([moment.time() for moment in moments], data)


class TimedeltaColumn(FixedColumn):
    """Days and microseconds of the day."""

    dtype = np.dtype([("days", "<i4"), ("microseconds", "<i8")])
    key_dtype = np.dtype([("days", ">u4"), ("microseconds", ">u8")])

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        if not are_all(values, timedelta):
            return Loose(values)
        data = scratch.empty(len(values), self.dtype)
        data["days"] = [value.days for value in values]
        data["microseconds"] = [value.seconds for value in values]
        data["microseconds"] *= SECOND_MICROSECONDS
        data["microseconds"] += _numbers([value.microseconds for value in values], scratch)
        return data

    def scatter(self, data: Data) -> list[Any]:
        days, microseconds = data["days"].astype(np.int64), data["microseconds"].astype(np.int64)
        check_range(days, timedelta.min.days, timedelta.max.days)
        check_range(microseconds, 0, DAY_MICROSECONDS - 1)
        if len(days) and (days.max() >= QUICK_DAYS_MAX or days.min() <= -QUICK_DAYS_MAX):
            parts = zip(days.tolist(), microseconds.tolist(), strict=True)
            return [timedelta(day, microseconds=rest) for day, rest in parts]
        return list((days * DAY_MICROSECONDS + microseconds).view("timedelta64[us]").tolist())

    def keys(self, data: NDArray[Any]) -> NDArray[Any]:
        keys = np.empty(len(data), self.key_dtype)
        keys["days"] = data["days"].view(np.uint32) ^ np.uint32(1 << 31)
        keys["microseconds"] = data["microseconds"]
        return keys

    def from_keys(self, keys: NDArray[Any]) -> NDArray[Any]:
        data = np.empty(len(keys), self.dtype)
        data["days"] = (keys["days"].astype(np.uint32) ^ np.uint32(1 << 31)).view(np.int32)
        data["microseconds"] = keys["microseconds"]
        return data


def span_microseconds(spans: list[timedelta], scratch: Scratch) -> NDArray[Any]:
    """The microseconds of spans that have fewer than 2**63."""
    array = _numbers([span.days for span in spans], scratch)
    array *= DAY_MICROSECONDS // SECOND_MICROSECONDS
    array += _numbers([span.seconds for span in spans], scratch)
    array *= SECOND_MICROSECONDS
    array += _numbers([span.microseconds for span in spans], scratch)
    return array


def _numbers(values: list[int], scratch: Scratch) -> NDArray[Any]:
    array = pack(values, "q", scratch)
    assert array is not None
    return array


def doubled(microseconds: NDArray[Any], folds: list[int]) -> NDArray[Any]:
    """`microseconds * 2 + folds`, in place."""
    microseconds <<= 1
    if 1 in folds:
        microseconds += np.array(folds, np.int64)
    return microseconds


def with_folds(values: list[Any], data: NDArray[Any]) -> list[Any]:
    """The values, those with the fold that `data` says."""
    for index in np.flatnonzero(data & 1).tolist():
        values[index] = values[index].replace(fold=1)
    return values
