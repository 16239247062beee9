"""Dates, times, datetimes and spans: the whole suite, both ends of the calendar, and clocks that are set back."""

import io
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import strategies as st

from serializers.errors import CorruptRecordError, NullFieldError, ValueMismatchError
from serializers.types.temporal import AWARE_DATETIME, DATE, DATETIME, TIME, TIMEDELTA
from serializers.types.type_information import TypeInformation
from tests.test_serializers.conformance import check_type, conforms, same, survives_garbage

NEW_YORK, BERLIN = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")
CLOCK_SET_BACK = datetime(2023, 11, 5, 1, 30)
"""New York had this half hour twice: in summer time, and with fold=1 in winter time."""
CLOCK_SET_FORWARD = datetime(2023, 3, 12, 2, 30)
"""New York did not have this half hour."""

WRONG = ("2020-01-01", 1, 1.0, (2020, 1, 1), object())
DATES = [date.min, date.max, date(1969, 12, 31), date(1970, 1, 1), date(2000, 2, 29), date(1, 12, 31), date(1970, 1, 1)]
TIMES = [time.min, time.max, time(2, 30), time(2, 30, fold=1), time(0, 0, 0, 1), time(23, 59, 59), time(12, fold=1)]
DATETIMES = [
    *(datetime.min, datetime.max, datetime.max.replace(fold=1), datetime.min.replace(fold=1)),
    *(datetime(1969, 12, 31, 23, 59, 59, 999_999), datetime(1970, 1, 1), datetime(1970, 1, 1, 0, 0, 0, 1)),
    *(CLOCK_SET_BACK, CLOCK_SET_BACK.replace(fold=1), datetime(1582, 10, 4), datetime(2024, 2, 29, 12)),
]
SPANS = [
    *(timedelta.min, timedelta.max, timedelta(0), timedelta(microseconds=-1), timedelta(microseconds=1)),
    *(timedelta(days=-1), timedelta(days=1), timedelta(seconds=-1), timedelta(hours=25), timedelta(0)),
]


class Elsewhere(tzinfo):
    """A zone that nobody can write."""

    def __repr__(self) -> str:
        return "Elsewhere()"

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1)

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, moment: datetime | None) -> str:
        return "Elsewhere"


def test_date() -> None:
    check_type(DATE, DATES, wrong=(*WRONG, datetime(2020, 1, 1), time(1)), damage=True)


def test_time() -> None:
    wrong = (*WRONG, datetime(2020, 1, 1), date(2020, 1, 1), time(1, tzinfo=UTC), timedelta(1))
    check_type(TIME, TIMES, wrong=wrong, damage=True)


def test_datetime() -> None:
    check_type(DATETIME, DATETIMES, wrong=(*WRONG, date(2020, 1, 1), datetime(2020, 1, 1, tzinfo=UTC)), damage=True)


def test_timedelta() -> None:
    check_type(TIMEDELTA, SPANS, wrong=(*WRONG, time(1)), damage=True)


test_date_by_chance = conforms(DATE, st.dates())
test_time_by_chance = conforms(TIME, st.times())
test_datetime_by_chance = conforms(DATETIME, st.datetimes(allow_imaginary=True))
test_timedelta_by_chance = conforms(TIMEDELTA, st.timedeltas())
test_date_survives_garbage = survives_garbage(DATE)
test_time_survives_garbage = survives_garbage(TIME)
test_datetime_survives_garbage = survives_garbage(DATETIME)
test_timedelta_survives_garbage = survives_garbage(TIMEDELTA)


@pytest.mark.parametrize(
    ("info", "value", "data", "key"),
    [
        (DATE, date.min, "01 00 00 00", "00 00 00 01"),
        (DATE, date(1970, 1, 1), "3b f9 0a 00", "00 0a f9 3b"),
        (TIME, time(0, 0, 0, 1), "02 00 00 00 00 00 00 00", "00 00 00 00 00 00 00 01"),
        (TIME, time(0, 0, 0, 1, fold=1), "03 00 00 00 00 00 00 00", "00 00 00 00 00 00 00 01"),
        (DATETIME, datetime(1, 1, 1, 0, 0, 1), "80 84 1e 00 00 00 00 00", "00 00 00 00 00 0f 42 40"),
        (
            AWARE_DATETIME,
            datetime(1, 1, 1, 0, 0, 1, tzinfo=UTC),
            "80 84 1e 00 00 00 00 00 00",
            "00 00 00 00 00 0f 42 40",
        ),
        (
            AWARE_DATETIME,
            datetime(1, 1, 1, 1, tzinfo=timezone(timedelta(hours=1), "X")),
            "00 00 00 00 00 00 00 00 01 00 a4 93 d6 00 00 00 00 01 58",
            "00 00 00 00 00 00 00 00",
        ),
        (
            TIMEDELTA,
            timedelta(microseconds=-1),
            "ff ff ff ff ff 5f d7 1d 14 00 00 00",
            "7f ff ff ff 00 00 00 14 1d d7 5f ff",
        ),
    ],
    ids=str,
)
def test_the_bytes_are_these(info: TypeInformation[Any], value: object, data: str, key: str) -> None:
    assert info.create_serializer().to_bytes(value).hex(" ") == data
    assert info.create_comparator().order_key(value).hex(" ") == key


def test_fold_comes_back_but_makes_no_difference() -> None:
    for info, value in ((TIME, time(1, 30)), (DATETIME, CLOCK_SET_BACK)):
        later, comparator = value.replace(fold=1), info.create_comparator()
        assert comparator.compare(value, later) == 0 and comparator.hash(value) == comparator.hash(later)
        assert info.create_serializer().from_bytes(info.create_serializer().to_bytes(later)).fold == 1


# --- with a time zone


def at(clock: datetime, zone: tzinfo, fold: int = 0) -> datetime:
    return clock.replace(tzinfo=zone, fold=fold)


INSTANTS = [
    at(datetime(2020, 1, 1, 12), UTC),
    at(datetime(2020, 1, 1, 7), NEW_YORK),
    at(datetime(2020, 1, 1, 13), BERLIN),
    at(datetime(2020, 1, 1, 13), timezone(timedelta(hours=1))),
    at(datetime(2020, 1, 1, 13), timezone(timedelta(hours=1), "CET")),
    at(datetime(2020, 1, 1, 12), timezone(timedelta(0), "Zulu \ud800")),
    at(datetime(2020, 1, 1, 12), ZoneInfo("UTC")),
    at(datetime(2020, 1, 1, 12), UTC, fold=1),
    at(datetime(1969, 12, 31, 23, 59, 59, 999_999), timezone(timedelta(hours=-12))),
    at(datetime(1900, 1, 1), timezone(timedelta(seconds=-12345, microseconds=1))),
    at(datetime(1850, 1, 1), NEW_YORK),  # local mean time, with seconds
    at(CLOCK_SET_BACK, NEW_YORK),
    at(CLOCK_SET_BACK, NEW_YORK, fold=1),
    at(CLOCK_SET_FORWARD, NEW_YORK),
    at(CLOCK_SET_FORWARD, NEW_YORK, fold=1),
    at(datetime(2023, 7, 1), NEW_YORK, fold=1),
    at(datetime.min, UTC),
    at(datetime.max, UTC),
    at(datetime.min, timezone(timedelta(hours=-23, minutes=-59))),
    at(datetime.max, timezone(timedelta(hours=23, minutes=59))),
    at(datetime.min, NEW_YORK),
    at(datetime.max, BERLIN),
]


def in_utc(value: datetime) -> datetime:
    """What Python orders by instant: within one zone it would go by the clock."""
    return value.astimezone(UTC)


def test_aware_datetime() -> None:
    wrong = (*WRONG, date(2020, 1, 1), datetime(2020, 1, 1), at(datetime(2020, 1, 1), Elsewhere()))
    check_type(AWARE_DATETIME, INSTANTS, wrong=wrong, python_key=in_utc, damage=True)


def moments(zones: st.SearchStrategy[Any]) -> st.SearchStrategy[datetime]:
    """Datetimes in any zone, imaginary ones too, a day from the ends of the calendar."""
    day = timedelta(days=1)
    clocks = st.datetimes(datetime.min + day, datetime.max - day, allow_imaginary=True)
    changes = st.timedeltas(timedelta(hours=-3), timedelta(hours=3))
    near_changes = st.builds(
        lambda clock, change: clock + change, st.sampled_from([CLOCK_SET_BACK, CLOCK_SET_FORWARD]), changes
    )
    return st.builds(at, clocks | near_changes, zones, st.integers(0, 1))


OFFSETS = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
NAMED = st.sampled_from(
    ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Monrovia"]
)

test_aware_by_chance = conforms(AWARE_DATETIME, moments(OFFSETS | st.just(UTC)), python_key=in_utc)
test_zones_by_chance = conforms(AWARE_DATETIME, moments(NAMED.map(ZoneInfo)), python_key=in_utc, examples=80)
test_aware_survives_garbage = survives_garbage(AWARE_DATETIME)


def test_one_instant_in_many_zones_is_one_key() -> None:
    comparator = AWARE_DATETIME.create_comparator()
    assert len({comparator.order_key(value) for value in INSTANTS[:8]}) == 1
    assert len({comparator.hash(value) for value in INSTANTS[:8]}) == 1
    assert {comparator.compare(INSTANTS[0], value) for value in INSTANTS[:8]} == {0}


def test_order_is_that_of_instants_where_clocks_are_set_back() -> None:
    comparator = AWARE_DATETIME.create_comparator()
    before, after = at(CLOCK_SET_BACK, NEW_YORK), at(CLOCK_SET_BACK - timedelta(minutes=20), NEW_YORK, fold=1)
    assert comparator.compare(before, after) < 0 and comparator.order_key(before) < comparator.order_key(after)
    assert before > after  # as Python goes, by the clock


def test_a_time_that_the_clocks_skip_comes_back() -> None:
    serializer = AWARE_DATETIME.create_serializer()
    for fold in (0, 1):
        value = at(CLOCK_SET_FORWARD, NEW_YORK, fold)
        data = serializer.to_bytes(value)
        assert data[8] == 3 and serializer.to_bytes(at(CLOCK_SET_BACK, NEW_YORK, fold))[8] == 2
        assert same(serializer.from_bytes(data), value)


def test_zones_come_back_as_the_objects_they_were() -> None:
    serializer = AWARE_DATETIME.create_serializer()
    for zone in (UTC, NEW_YORK, BERLIN):
        assert serializer.from_bytes(serializer.to_bytes(at(datetime(2020, 1, 1), zone))).tzinfo is zone
    for zone in (timezone(timedelta(0), "Zulu"), timezone(timedelta(microseconds=-1)), timezone(timedelta(1) / 7)):
        found = serializer.from_bytes(serializer.to_bytes(at(datetime(2020, 1, 1), zone))).tzinfo
        assert found == zone and str(found) == str(zone)


@pytest.mark.parametrize(
    "value",
    [
        at(datetime.min, timezone(timedelta(microseconds=1))),
        at(datetime.max, timezone(timedelta(microseconds=-1))),
        at(datetime.min, BERLIN),
        at(datetime.max, NEW_YORK),
    ],
    ids=str,
)
def test_an_instant_that_utc_has_no_year_for_is_refused(value: datetime) -> None:
    for attempt in (AWARE_DATETIME.create_serializer().to_bytes, AWARE_DATETIME.create_comparator().order_key):
        with pytest.raises(ValueMismatchError, match="outside the years 1 to 9999 in UTC"):
            attempt(value)
    with pytest.raises(ValueMismatchError):
        AWARE_DATETIME.create_comparator().compare(value, INSTANTS[0])


@pytest.mark.parametrize("zone", [Elsewhere(), timezone(timedelta(hours=1), "")], ids=repr)
def test_a_zone_that_cannot_be_written_says_which_can(zone: tzinfo) -> None:
    with pytest.raises(ValueMismatchError, match=r"Use timezone\.utc, timezone\(offset\) or ZoneInfo\(key\)"):
        AWARE_DATETIME.create_serializer().to_bytes(at(datetime(2020, 1, 1), zone))


def test_a_zone_without_a_key_is_refused() -> None:
    one_kind_of_time = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + bytes(6) + b"UTC\0"
    nameless = ZoneInfo.from_file(io.BytesIO(one_kind_of_time))
    with pytest.raises(ValueMismatchError, match="of a zone that can be written"):
        AWARE_DATETIME.create_serializer().to_bytes(at(datetime(2020, 1, 1), nameless))


@pytest.mark.parametrize(
    "zone",
    [
        b"\x04",
        b"\xff",
        b"\x01" + (86_400_000_000).to_bytes(8, "little") + b"\0",
        b"\x01" + (2**63 - 1).to_bytes(8, "little") + b"\0",
        b"\x01" + bytes(8) + b"\x01\xff",
        b"\x01" + (1).to_bytes(8, "little") + b"\0",  # and the clock would show year 10000
        b"\x02\x00",
        b"\x02\x07Nowhere",
        b"\x02\x07America",
        b"\x02\x0e../etc/passwd\0",
        b"\x02\x04/etc",
        b"\x02\x02\xff\xff",
        b"\x02\x03a\0b",
        b"\x03" + (1).to_bytes(8, "little") + b"\x0dEurope/Berlin",
    ],
    ids=repr,
)
def test_zones_that_do_not_exist_are_corrupt(zone: bytes) -> None:
    front = AWARE_DATETIME.create_serializer().to_bytes(at(datetime.max, UTC))[:8]
    with pytest.raises(CorruptRecordError):
        AWARE_DATETIME.create_serializer().from_bytes(front + zone)


@pytest.mark.parametrize(
    ("info", "data"),
    [
        (DATE, (0).to_bytes(4, "little")),
        (DATE, (3_652_060).to_bytes(4, "little")),
        (DATE, b"\xff" * 4),
        (TIME, (86_400_000_000 * 2).to_bytes(8, "little")),
        (TIME, b"\xff" * 8),
        (DATETIME, b"\xff" * 8),
        (DATETIME, (315_537_897_600_000_000 * 2).to_bytes(8, "little")),
        (AWARE_DATETIME, b"\xff" * 8 + b"\0"),
        (TIMEDELTA, (10**9).to_bytes(4, "little") + bytes(8)),
        (TIMEDELTA, bytes(4) + (86_400_000_000).to_bytes(8, "little")),
        (TIMEDELTA, bytes(4) + b"\xff" * 8),
    ],
    ids=str,
)
def test_numbers_beyond_the_calendar_are_corrupt(info: TypeInformation[Any], data: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        info.create_serializer().from_bytes(data)


# --- subclasses


class Stamp(datetime):
    """As in pandas: a datetime with nanoseconds."""

    nanosecond = 0

    def __eq__(self, other: object) -> bool:
        return self.nanosecond == getattr(other, "nanosecond", 0) and super().__eq__(other)

    __hash__ = datetime.__hash__


class Day(date):
    pass


class Clock(time):
    pass


class Span(timedelta):
    pass


@pytest.mark.parametrize(
    ("info", "value", "plain"),
    [
        (DATE, Day(2020, 2, 29), date(2020, 2, 29)),
        (TIME, Clock(1, 2, 3, 4, fold=1), time(1, 2, 3, 4, fold=1)),
        (DATETIME, Stamp(2020, 1, 2, 3, 4, 5, 6, fold=1), datetime(2020, 1, 2, 3, 4, 5, 6, fold=1)),
        (AWARE_DATETIME, Stamp(2020, 1, 2, tzinfo=BERLIN, fold=1), datetime(2020, 1, 2, tzinfo=BERLIN, fold=1)),
        (TIMEDELTA, Span(-1, 2, 3), timedelta(-1, 2, 3)),
    ],
    ids=str,
)
def test_a_subclass_comes_back_plain(info: TypeInformation[Any], value: object, plain: object) -> None:
    serializer, comparator = info.create_serializer(), info.create_comparator()
    assert same(serializer.from_bytes(serializer.to_bytes(value)), plain)
    assert comparator.order_key(value) == comparator.order_key(plain) and comparator.compare(value, plain) == 0


def test_a_subclass_that_holds_more_is_refused() -> None:
    stamp = Stamp(2020, 1, 1)
    stamp.nanosecond = 7
    for info, value in ((DATETIME, stamp), (AWARE_DATETIME, stamp.replace(tzinfo=UTC))):
        value.nanosecond = 7
        with pytest.raises(ValueMismatchError, match="holds more than a datetime"):
            info.create_serializer().to_bytes(value)


def test_errors_name_the_cure() -> None:
    with pytest.raises(ValueMismatchError, match=r"value\.date\(\)"):
        DATE.create_serializer().to_bytes(datetime(2020, 1, 1))
    with pytest.raises(ValueMismatchError, match="declare AWARE_DATETIME"):
        DATETIME.create_serializer().to_bytes(INSTANTS[0])
    with pytest.raises(ValueMismatchError, match=r"replace\(tzinfo=timezone\.utc\)"):
        AWARE_DATETIME.create_serializer().to_bytes(datetime(2020, 1, 1))
    with pytest.raises(NullFieldError):
        DATE.create_comparator().compare(None, date.min)  # type: ignore[arg-type]


def test_types_are_told_apart() -> None:
    infos = [DATE, TIME, DATETIME, AWARE_DATETIME, TIMEDELTA]
    assert [str(info) for info in infos] == ["date", "time", "datetime", "aware_datetime", "timedelta"]
    assert len(set(infos)) == 5 and len({str(info.snapshot()) for info in infos}) == 5
