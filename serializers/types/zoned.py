"""Datetimes that know their time zone: an instant, and where it was read off a clock.

    int64 UTC microseconds since 0001-01-01 · 2 + fold | zone
    zone: 0                             timezone.utc
          1, int64 offset, sized name   timezone(offset, name); microseconds; no name is empty
          2, sized key                  ZoneInfo(key)
          3, int64 offset, sized key    ZoneInfo(key), at a time of day that its clocks skip

Order is that of the instants. (Python compares two datetimes of one ZoneInfo by their clocks, also where the clocks
were set back between them; for those hours its order is another.) The instant must lie in the years 1 to 9999 of UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from struct import Struct
from zoneinfo import ZoneInfo

from serializers.errors import CorruptRecordError, ValueMismatchError
from serializers.types.mismatch import mismatch
from serializers.types.moments import (
    MICROSECOND,
    MomentComparator,
    MomentInfo,
    MomentSerializer,
    split_fold,
    without_subclass,
)
from serializers.views import InputView, OutputView

_INT64 = Struct("<q")
_UTC, _OFFSET, _ZONE, _SKIPPED = range(4)
_INSTANT_COUNT = (datetime.max - datetime.min) // MICROSECOND + 1


@dataclass(frozen=True)
class AwareDatetimeInfo(MomentInfo[datetime]):
    """A date and a time of day in a time zone."""

    @property
    def name(self) -> str:
        return "aware_datetime"

    @property
    def python_type(self) -> type:
        return datetime

    def create_serializer(self) -> AwareDatetimeSerializer:
        return AwareDatetimeSerializer()

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> InstantComparator:
        return InstantComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


class AwareDatetimeSerializer(MomentSerializer[datetime]):
    """The instant, and the zone. That the instant has a year in UTC is checked where its number is made."""

    def checked(self, value: datetime) -> datetime:
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise mismatch(value, "aware_datetime", "Give it a time zone with value.replace(tzinfo=timezone.utc)")
        if type(value) is not datetime:
            plain = datetime.combine(value.date(), value.time(), value.tzinfo)
            value = without_subclass(value, plain, "datetime")
        if _is_known(value.tzinfo):
            return value
        raise mismatch(
            value, "aware_datetime of a zone that can be written", "Use timezone.utc, timezone(offset) or ZoneInfo(key)"
        )

    def number(self, value: datetime) -> int:
        return (utc_clock(value) - datetime.min) // MICROSECOND

    def serialize(self, value: datetime, out: OutputView) -> None:
        value = self.checked(value)
        out.write_packed(_INT64, self.number(value) << 1 | value.fold)
        _write_zone(value, out)

    def deserialize(self, source: InputView) -> datetime:
        microseconds, fold = split_fold(source.read_packed(_INT64)[0], _INSTANT_COUNT)
        utc = datetime.min + timedelta(microseconds=microseconds)
        value = _read_clock(source, utc)
        return value if value.fold == fold else value.replace(fold=fold)

    def skip(self, source: InputView) -> None:
        source.skip(8)
        kind = source.read_byte()
        if kind > _SKIPPED:
            raise CorruptRecordError(f"there is no kind {kind} of time zone")
        if kind in (_OFFSET, _SKIPPED):
            source.skip(8)
        if kind != _UTC:
            source.skip_sized()


class InstantComparator(MomentComparator[datetime]):
    """The earlier instant first, whatever the clocks say."""

    def compare(self, left: datetime, right: datetime) -> int:
        earlier, later = utc_clock(self.serializer.checked(left)), utc_clock(self.serializer.checked(right))
        return self.directed((earlier > later) - (earlier < later))


def utc_clock(value: datetime) -> datetime:
    """What a clock in UTC shows at `value`, without a zone. Raises ValueMismatchError if it has no year for it."""
    offset = value.utcoffset()
    assert offset is not None, value
    try:
        return value.replace(tzinfo=None, fold=0) - offset
    except OverflowError:
        raise ValueMismatchError(
            f"{value} lies outside the years 1 to 9999 in UTC. Use datetime.min or datetime.max in UTC as an extreme"
        ) from None


def _is_known(zone: tzinfo | None) -> bool:
    """Whether a zone can be written: a ZoneInfo by its key, a timezone by its offset and a name that is not empty."""
    if zone is UTC:
        return True
    if type(zone) is ZoneInfo:
        return bool(zone.key)
    return type(zone) is timezone and zone.__getinitargs__()[1:] != ("",)  # type: ignore[attr-defined]


def _write_zone(value: datetime, out: OutputView) -> None:
    zone = value.tzinfo
    if zone is UTC:
        out.write_byte(_UTC)
    elif isinstance(zone, ZoneInfo):
        _write_zone_info(value, zone, out)
    else:
        offset, *names = zone.__getinitargs__()  # type: ignore[union-attr]
        out.write_byte(_OFFSET)
        out.write_packed(_INT64, offset // MICROSECOND)
        out.write_sized("".join(names).encode("utf-8", "surrogatepass"))


def _write_zone_info(value: datetime, zone: ZoneInfo, out: OutputView) -> None:
    clock, utc = value.replace(tzinfo=None, fold=0), utc_clock(value)
    if utc.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None, fold=0) == clock:
        out.write_byte(_ZONE)
    else:
        out.write_byte(_SKIPPED)
        out.write_packed(_INT64, (clock - utc) // MICROSECOND)
    out.write_sized(zone.key.encode())


def _read_clock(source: InputView, utc: datetime) -> datetime:
    """The datetime of the instant `utc` in the zone that stands in `source`."""
    kind = source.read_byte()
    try:
        if kind == _UTC:
            return utc.replace(tzinfo=UTC)
        if kind == _OFFSET:
            offset = _read_offset(source)
            name = source.read_sized().decode("utf-8", "surrogatepass")
            return utc.replace(tzinfo=UTC).astimezone(timezone(offset, name) if name else timezone(offset))
        if kind == _ZONE:
            return utc.replace(tzinfo=UTC).astimezone(ZoneInfo(source.read_sized().decode()))
        if kind == _SKIPPED:
            return (utc + _read_offset(source)).replace(tzinfo=ZoneInfo(source.read_sized().decode()))
    except CorruptRecordError:
        raise
    except (ValueError, OverflowError, KeyError, OSError) as error:
        raise CorruptRecordError(
            f"no time zone of this machine fits the bytes: {error}. If the bytes are right, install tzdata"
        ) from error
    raise CorruptRecordError(f"there is no kind {kind} of time zone")


def _read_offset(source: InputView) -> timedelta:
    return timedelta(microseconds=source.read_packed(_INT64)[0])


AWARE_DATETIME = AwareDatetimeInfo()
