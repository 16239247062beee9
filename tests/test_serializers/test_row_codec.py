"""Batches of values to rows and back, against one value at a time; what goes wrong in them, and how much they take."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any, NotRequired, TypedDict

import numpy as np
import pytest

from serializers import SLACK_BYTES
from serializers.columns import pieces
from serializers.columns.slow_rows import SlowRows
from serializers.errors import (
    CorruptRecordError,
    NotOrderableError,
    NullFieldError,
    SerializationError,
    ValueMismatchError,
)
from serializers.row_codec import RowCodec
from serializers.types.composite import ClassInfo, Row, RowInfo, TupleInfo, TypedDictInfo
from serializers.types.containers import ListInfo, OptionalInfo, UnionInfo, VariadicTupleInfo
from serializers.types.decimals import DECIMAL
from serializers.types.numbers import FLOAT64, INT, INT32, INT64
from serializers.types.ordering import OrderingComparator, OrderKey, parse_by
from serializers.types.temporal import DATETIME
from serializers.types.text import BYTES, STR, TextComparator
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import Field, TypeInformation
from serializers.views import BytesInput
from tests.test_serializers.guarded import GuardedBytes
from tests.test_serializers.random_schemas import random_record, random_schema, random_value
from tests.test_serializers.same_value import same

SEED = int(os.environ["SPILLWAY_SEED"])
SCHEMAS = 150
RECORDS = 60
DAMAGES = 12

Info = TypeInformation[Any]

PAIR = TupleInfo((INT32, STR))
PERSON = RowInfo((Field("id", INT), Field("name", STR), Field("score", FLOAT64)))


@dataclass
class User:
    id: int
    name: str
    score: float


@dataclass
class Admin(User):
    level: int


class Keys(TypedDict):
    a: int
    b: NotRequired[str]
    c: float


USER = ClassInfo(User, (Field("id", INT), Field("name", STR), Field("score", FLOAT64)))
KEYS = TypedDictInfo(Keys, (Field("a", INT), Field("b", STR), Field("c", FLOAT64)))


def rows_of(codec: RowCodec, values: list[Any], keys: list[Any] | None = None) -> list[bytes]:
    """The rows of a batch, one by one."""
    encoded = codec.encode(values, keys=keys)
    assert encoded.count == len(values)
    assert len(encoded.data) >= encoded.size + SLACK_BYTES and encoded.data.flags.c_contiguous
    ends = [0, *encoded.ends.tolist()]
    assert ends[-1] == encoded.size == len(encoded.rows)
    return [bytes(encoded.rows[start:end]) for start, end in pairwise(ends)]


def slow_rows(codec: RowCodec, values: list[Any], keys: list[Any] | None = None) -> list[bytes]:
    slow = SlowRows(codec.plan)
    return [slow.encode(value, key) for value, key in zip(values, keys or values, strict=True)]


def check_round_trip(codec: RowCodec, values: list[Any], keys: list[Any] | None = None) -> None:
    rows = rows_of(codec, values, keys)
    assert rows == slow_rows(codec, values, keys)
    assert same(codec.decode(GuardedBytes(b"".join(rows)).array), values)
    slow = SlowRows(codec.plan)
    assert same([slow.decode(BytesInput(row)) for row in rows], values)


def by(info: Info, *keys: str | int) -> OrderingComparator:
    return OrderingComparator(info, parse_by(keys))


# --- what a row looks like


def test_a_row_is_its_length_its_key_and_the_rest() -> None:
    codec = RowCodec(PAIR, by(PAIR, 0))
    assert codec.key_bytes == 4
    assert rows_of(codec, [(-500, "x0"), (419, "")]) == [b"\x07\x7f\xff\xfe\x0c\x02x0", b"\x05\x80\x00\x01\xa3\x00"]
    assert codec.slow_batches == 0


def test_keys_that_differ_in_length_say_how_long_they_are() -> None:
    codec = RowCodec(PAIR, by(PAIR, 1))
    assert codec.key_bytes is None
    assert rows_of(codec, [(1, "ab"), (2, "")]) == [b"\x07\x02ab\x01\0\0\0", b"\x05\x00\x02\0\0\0"]


def test_a_value_that_is_its_key_stands_there_once() -> None:
    codec = RowCodec(PAIR, PAIR.create_comparator())
    assert rows_of(codec, [(1, "ab")]) == [b"\x07\x06\x80\0\0\x01ab"]
    assert RowCodec(PAIR, by(PAIR, 1, 0)).plan.is_only_key


def test_the_natural_order_leaves_out_what_its_key_gives_back() -> None:
    info = TupleInfo((FLOAT64, INT32))
    codec = RowCodec(info, info.create_comparator())
    assert rows_of(codec, [(0.0, 1)]) == [b"\x14" + b"\x80" + bytes(7) + b"\x80\0\0\x01" + bytes(8)]


def test_no_order_is_a_key_of_no_bytes() -> None:
    codec = RowCodec(PAIR, None)
    assert codec.key_bytes == 0
    assert rows_of(codec, [(1, "a")]) == [b"\x06\x01\0\0\0\x01a"]
    check_round_trip(codec, [(1, "a"), (2, "b")])


def test_a_key_function_leaves_the_value_whole() -> None:
    codec = RowCodec(PAIR, INT32.create_comparator(descending=True), key_info=INT32)
    assert rows_of(codec, [(1, "a")], [5]) == [b"\x0a\x7f\xff\xff\xfa\x01\0\0\0\x01a"]
    check_round_trip(codec, [(1, "a"), (2, "bb")], [7, -7])


def test_a_key_may_itself_be_ordered_by_its_fields() -> None:
    codec = RowCodec(STR, by(PAIR, "-1", 0), key_info=PAIR)
    check_round_trip(codec, ["a", "b\0"], [(1, "x"), (2, "y\0")])


# --- every order of a record


RECORD_ORDERS: list[tuple[Info, TypeComparator[Any] | None]] = [
    (info, ordering)
    for info in (PERSON, USER, KEYS, TupleInfo((INT, STR, FLOAT64)))
    for ordering in (
        None,
        info.create_comparator(),
        info.create_comparator(descending=True, nulls_last=True),
        *(by(info, *keys) for keys in ((0,), ("-0",), (2, 0), (1, "-2", 0), ("-1:nulls-last", 0), (2,), (0, 0))),
        OrderingComparator(info, (OrderKey((2,)), OrderKey(()))),
    )
]


def records_of(info: Info, *, count: int = 200) -> list[Any]:
    random = Random(count)
    records: list[Any] = []
    for _ in range(count):
        number, name = random.randrange(-300, 300), random.choice(("", "a", "b" * 140, "\ud800"))
        score = random.choice((0.0, -0.0, 1.5, float("nan")))
        if info is PERSON:
            parts = [None if random.random() < 0.2 else part for part in (number, name, score)]
            records.append(Row(id=parts[0], name=parts[1], score=parts[2]))
        elif info is KEYS:
            records.append({"a": number, "c": score} if random.random() < 0.3 else {"a": number, "b": name, "c": score})
        else:
            records.append(User(number, name, score) if info is USER else (number, name, score))
    return records


@pytest.mark.parametrize(("info", "ordering"), RECORD_ORDERS)
def test_records_in_every_order(info: Info, ordering: TypeComparator[Any] | None) -> None:
    codec = RowCodec(info, ordering)
    check_round_trip(codec, records_of(info))
    assert codec.slow_batches == 0


@pytest.mark.parametrize(("info", "ordering"), RECORD_ORDERS)
def test_the_key_of_a_row_is_that_of_its_comparator(info: Info, ordering: TypeComparator[Any] | None) -> None:
    if ordering is None:
        return
    codec = RowCodec(info, ordering)
    rows = rows_of(codec, records_of(info))
    for row, record in zip(rows, records_of(info), strict=True):
        source = BytesInput(row)
        assert source.read_varint() == source.remaining
        key_bytes = source.read_varint() if codec.key_bytes is None else codec.key_bytes
        assert source.read(key_bytes) == ordering.order_key(record)


def test_optional_fields_come_back_from_keys() -> None:
    keys = TypedDictInfo(Keys, (Field("a", OptionalInfo(INT)), Field("b", OptionalInfo(STR)), Field("c", FLOAT64)))
    dicts: list[Any] = [{"a": 1, "c": 0.5}, {"a": None, "b": None, "c": 1.5}, {"a": 2, "b": "x", "c": 2.5}]
    pairs = TupleInfo((OptionalInfo(OptionalInfo(INT)), OptionalInfo(STR)))
    rows = RowInfo((Field("a", OptionalInfo(UnionInfo((INT, STR)))), Field("b", STR)))
    for info, values in (
        (keys, dicts),
        (pairs, [(1, None), (None, "x"), (None, None)]),
        (rows, [Row(a=None, b="x"), Row(a=1, b=None), Row(a="y", b="z")]),
    ):
        for ordering in (
            by(info, "a" if info is not pairs else 0),
            by(info, 1, "-0:nulls-last"),
            info.create_comparator(),
        ):
            codec = RowCodec(info, ordering)
            check_round_trip(codec, values)
            assert codec.slow_batches == 0


def test_the_examples_of_the_format_are_true() -> None:
    """docs/ROW_FORMAT.md."""
    row = RowInfo((Field("a", INT32), Field("b", STR)))
    assert rows_of(RowCodec(row, by(row, "-a:nulls-last")), [Row(a=None, b="x")]) == [
        bytes.fromhex("05 01 02 00 01 78")
    ]


def test_a_value_of_a_subclass_is_written_whole() -> None:
    users = [User(1, "a", 0.5), Admin(2, "b", 1.5, 7), User(3, "c", 2.5)]
    for info in (USER, USER.with_subclasses(ClassInfo(Admin, (*USER.fields, Field("level", INT))))):
        for ordering in (None, by(info, "name"), info.create_comparator()):
            codec = RowCodec(info, ordering)
            check_round_trip(codec, users)
            check_round_trip(codec, users[:1])


def test_fields_of_fields_can_be_keys() -> None:
    info = RowInfo((Field("at", OptionalInfo(PERSON)), Field("n", INT)))
    codec = RowCodec(info, OrderingComparator(info, parse_by(["at.name", "-at.score", "n"])))
    check_round_trip(codec, [Row(at=None, n=1), Row(at=Row(id=1, name="x", score=None), n=None), Row(at=None, n=3)])
    assert codec.slow_batches == 0


def test_keys_that_no_kernel_reads_come_back_too() -> None:
    info = TupleInfo((UnionInfo((INT, STR)), STR, DECIMAL, INT))
    for keys in ((0, 1), ("-0", 3), (2, 3), (1, 0, 3), ("-2", "-0", 1)):
        codec = RowCodec(info, by(info, *keys))
        check_round_trip(
            codec, [(1, "a", Decimal("1.50"), 2**80), ("b\0", "", Decimal(0), -1), (2**70, "c", Decimal(7), 0)]
        )
        assert codec.slow_batches == 0


def test_a_comparator_of_the_users_own_is_the_one_that_is_asked() -> None:
    class Folded(TextComparator[str]):
        is_invertible = False

        def write_ascending(self, value: str, out: bytearray, *, is_last: bool) -> None:
            super().write_ascending(value.casefold(), out, is_last=is_last)

    codec = RowCodec(STR, Folded(STR.create_serializer()))
    assert rows_of(codec, ["B", "a"]) == [b"\x04\x01b\x01B", b"\x04\x01a\x01a"]
    check_round_trip(codec, ["B", "a", ""])


# --- types of any shape


class Sample:
    """A codec of a random type in a random order, and some values."""

    def __init__(self, number: int) -> None:
        self.rng = rng = Random(f"{SEED}-rows-{number}")
        is_orderable = rng.random() < 0.7
        make = random_record if rng.random() < 0.7 else random_schema
        self.info: Info = make(rng, 3, orderable=is_orderable)
        self.key_info: Info | None = None
        try:
            ordering = rng.choice((self._none, self._natural, self._fields, self._key))()
        except NotOrderableError:
            self.key_info, ordering = None, None
        self.codec = RowCodec(self.info, ordering, key_info=self.key_info)
        self.values = [random_value(rng, self.info) for _ in range(rng.choice((1, 2, RECORDS)))]
        self.keys = self.key_info and [random_value(rng, self.key_info) for _ in self.values]

    def _flags(self) -> tuple[bool, bool]:
        return self.rng.random() < 0.5, self.rng.random() < 0.5

    def _none(self) -> None:
        return None

    def _natural(self) -> TypeComparator[Any]:
        descending, nulls_last = self._flags()
        return self.info.create_comparator(descending=descending, nulls_last=nulls_last)

    def _fields(self) -> TypeComparator[Any]:
        if not self.info.fields:
            return self._natural()
        places = [self.rng.randrange(len(self.info.fields)) for _ in range(self.rng.randint(1, 3))]
        return OrderingComparator(self.info, tuple(OrderKey((place,), *self._flags()) for place in places))

    def _key(self) -> TypeComparator[Any]:
        self.key_info = random_schema(self.rng, 2, orderable=True)
        descending, nulls_last = self._flags()
        return self.key_info.create_comparator(descending=descending, nulls_last=nulls_last)


@pytest.fixture(params=range(SCHEMAS), ids=lambda number: f"{SEED}-{number}", scope="module")
def sample(request: pytest.FixtureRequest) -> Iterator[Sample]:
    logging.disable(logging.WARNING)  # generic types are many here
    yield Sample(request.param)
    logging.disable(logging.NOTSET)


def test_any_type_in_any_order(sample: Sample) -> None:
    check_round_trip(sample.codec, sample.values, sample.keys)


def wants_all_of_its_key(codec: RowCodec) -> bool:
    """Whether every byte of a row but its value is read: there is no key, or it is all of the row, each field once."""
    comparator = codec.plan.comparator
    if comparator is None or not codec.plan.is_only_key:
        return comparator is None
    paths = [key.path for key in comparator.keys] if isinstance(comparator, OrderingComparator) else []
    return len(set(paths)) == len(paths)


def test_damaged_rows_are_read_as_the_serializers_read_them(sample: Sample) -> None:
    """Or refused by them and not by the batch path, where the damage is in a key that nobody wants back."""
    data = bytes(sample.codec.encode(sample.values, keys=sample.keys).rows)
    for _ in range(DAMAGES if data else 0):
        damaged = damage(sample.rng, data)
        wanted = outcome(slow_decode, sample.codec, damaged)
        found = outcome(sample.codec.decode, GuardedBytes(damaged).array)
        if isinstance(wanted, CorruptRecordError) and isinstance(found, list):
            assert not wants_all_of_its_key(sample.codec)
        else:
            assert type(wanted) is type(found) and (not isinstance(wanted, list) or same(wanted, found)), sample.info


def damage(rng: Random, data: bytes) -> bytes:
    damaged, place = bytearray(data), rng.randrange(len(data))
    some = bytes(rng.choices((0, 1, 2, 127, 128, 254, 255, rng.randrange(256)), k=rng.randint(1, 3)))
    kind = rng.randrange(3)
    if kind == 0:
        damaged[place : place + len(some)] = some[: len(data) - place]
    elif kind == 1:
        del damaged[place : place + len(some)]
    else:
        damaged[place:place] = some
    return bytes(damaged)


def slow_decode(codec: RowCodec, data: bytes) -> list[Any]:
    source, slow, values = BytesInput(data), SlowRows(codec.plan), []
    while source.remaining:
        values.append(slow.decode(source))
    return values


def outcome(run: Any, *arguments: Any) -> Any:
    """What came of it: values, or an error."""
    try:
        return run(*arguments)
    except Exception as error:
        return error


# --- batches of any size


@pytest.mark.parametrize("texts", [["a", "b" * 70], ["", "\0", "\0\0"], ["é", "\ud800", "\U0001f600"]])
@pytest.mark.parametrize("order", [1, "-1"])
def test_equal_texts_of_a_key_come_back_as_one_string(texts: list[str], order: int | str) -> None:
    info = TupleInfo((INT32, STR))
    codec = RowCodec(info, by(info, order))
    values = [(number, text) for text in texts for number in range(300)]
    encoded = codec.encode(values)
    read = codec.decode(encoded.data[: encoded.size])
    assert read == values
    assert all(read[start + 1][1] is read[start + 2][1] for start in (0, 300, 600)[: len(texts)])


@pytest.mark.parametrize("count", [0, 1, 2, 127, 128, 129, 5000])
def test_batches_of_any_size(count: int) -> None:
    values = [(number * 7919 % 1000 - 500, "x" * (number % 150)) for number in range(count)]
    for keys in ((0,), (1,), ("-1", 0)):
        check_round_trip(RowCodec(PAIR, by(PAIR, *keys)), values)
    assert RowCodec(PAIR, None).decode(memoryview(b"")) == []


def test_a_hundred_thousand_rows() -> None:
    values = [(number * 7919 % 100_003 - 50_000, f"name {number}") for number in range(100_000)]
    codec = RowCodec(PAIR, by(PAIR, 0))
    encoded = codec.encode(values)
    assert codec.decode(encoded.rows) == values and codec.slow_batches == 0
    assert bytes(encoded.rows[-40:]) == b"".join(slow_rows(codec, values[-5:]))[-40:]


def test_any_sequence_of_values_will_do() -> None:
    codec = RowCodec(INT, INT.create_comparator())
    wanted = rows_of(codec, [1, 2, 3])
    for values in ((1, 2, 3), range(1, 4)):
        encoded = codec.encode(values)
        assert bytes(encoded.rows) == b"".join(wanted)


def test_the_values_given_are_left_as_they_are() -> None:
    values = [(1, "a"), (2, None), (3, "c")]
    info = TupleInfo((INT, OptionalInfo(STR)))
    RowCodec(info, by(info, 1)).encode(values)
    assert values == [(1, "a"), (2, None), (3, "c")]


def test_what_was_encoded_stays_when_more_is_encoded() -> None:
    codec = RowCodec(PAIR, by(PAIR, 0))
    first = codec.encode([(1, "a")] * 300)
    kept = bytes(first.rows)
    codec.encode([(2, "b")] * 300)
    codec.decode(first.rows)
    assert bytes(first.rows) == kept


def test_rows_of_very_different_sizes_share_a_batch() -> None:
    texts = ["", "a" * 2_000_000, "b", "c" * 127, "d" * 16_384, "e" * 300_000, *["f" * 40] * 3000]
    codec = RowCodec(TupleInfo((STR, INT)), None)
    check_round_trip(codec, [(text, number) for number, text in enumerate(texts)])


def test_a_batch_ends_where_its_rows_would_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "ROWS_BYTES_MAX", 1000)
    codec = RowCodec(BYTES, None)
    encoded = codec.encode_some([b"x" * 100] * 30)
    assert encoded.count == 9 and encoded.size == 9 * 102
    assert codec.decode(encoded.rows) == [b"x" * 100] * 9
    with pytest.raises(SerializationError, match=r"only 9 fit\. Encode fewer"):
        codec.encode([b"x" * 100] * 30)
    assert codec.encode([b"x" * 100] * 9).count == 9
    with pytest.raises(SerializationError, match=r"record 7: the row takes 2 GiB"):
        codec.encode_some([b"x" * 1000, b""], first_record=7)


def test_slow_rows_that_would_be_too_large_end_a_batch_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "ROWS_BYTES_MAX", 100)
    codec = RowCodec(USER, None)
    users = [User(1, "x" * 20, 0.5), Admin(2, "y", 0.5, 3), *[User(1, "x" * 20, 0.5)] * 3]
    encoded = codec.encode_some(users)
    assert 1 <= encoded.count < 5
    assert codec.decode(encoded.rows) == users[: encoded.count]


def test_a_large_bound_is_cut_before_memory_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_KERNEL_BYTES_MAX", 5000)
    codec = RowCodec(BYTES, by_bytes())
    encoded = codec.encode_some([b"x" * 100] * 64)
    assert 0 < encoded.count < 64
    assert codec.decode(encoded.rows) == [b"x" * 100] * encoded.count


def by_bytes() -> TypeComparator[bytes]:
    return BYTES.create_comparator(descending=True)


# --- what is wrong, and where


def test_a_wrong_value_is_named_by_record_and_field() -> None:
    good = Row(id=1, name="a", score=0.5)
    codec = RowCodec(PERSON, by(PERSON, "id"))
    with pytest.raises(ValueMismatchError, match=r"^record 1003, field name: 7 \(int\) is not str"):
        codec.encode([good, good, good, Row(id=1, name=7, score=0.5)], first_record=1003 - 3)
    with pytest.raises(ValueMismatchError, match=r"^record 5000, field id: 'x'"):
        codec.encode([good] * 5000 + [Row(id="x", name="a", score=0.5)])
    with pytest.raises(NullFieldError, match=r"^record 1, field 1: None"):
        RowCodec(PAIR, by(PAIR, 0)).encode([(1, "a"), (2, None)])
    with pytest.raises(ValueMismatchError, match=r"^record 2, field 0: 2147483648 does not fit int32"):
        RowCodec(PAIR, by(PAIR, 1)).encode([(1, "a"), (2, "b"), (1 << 31, "c")])


def test_a_wrong_value_deep_within_is_named_too() -> None:
    info = TupleInfo((ListInfo(RowInfo((Field("x", OptionalInfo(INT)), Field("y", STR)))), INT))
    good = ([Row(x=1, y="a")], 1)
    with pytest.raises(ValueMismatchError, match=r"^record 1, field 0\.1\.y: 5"):
        RowCodec(info, by(info, 1)).encode([good, ([Row(x=1, y="a"), Row(x=None, y=5)], 1)])


def test_a_wrong_key_is_named_by_its_record() -> None:
    codec = RowCodec(PAIR, INT.create_comparator(), key_info=INT)
    with pytest.raises(ValueMismatchError, match=r"^record 11: '1' \(str\) is not int"):
        codec.encode([(1, "a"), (2, "b")], 10, keys=[1, "1"])
    with pytest.raises(AssertionError):
        codec.encode([(1, "a")])
    with pytest.raises(AssertionError):
        codec.encode([(1, "a")], keys=[1, 2])


@pytest.mark.parametrize(
    "rows", ["0502", "80", "0100", "08800000010161", "0780000001016100", "07800000010261", "0580000001ff"]
)
def test_corrupt_rows_are_named_by_their_number(rows: str) -> None:
    codec = RowCodec(PAIR, by(PAIR, 0))
    good = bytes(codec.encode([(1, "a"), (2, "b")]).rows)
    with pytest.raises(CorruptRecordError, match=r"^record 12"):
        codec.decode(memoryview(good + bytes.fromhex(rows)), 10)


def test_text_that_is_no_text_is_corrupt() -> None:
    codec = RowCodec(STR, None)
    with pytest.raises(CorruptRecordError, match=r"^record 1: a text of 2 bytes is not UTF-8"):
        codec.decode(memoryview(b"\2\1a\3\2\xc3("))


# --- what is looked at slowly


def test_batches_out_of_the_ordinary_are_counted_and_right() -> None:
    codec = RowCodec(USER, by(USER, "id"))
    ordinary = [User(number, "x", 0.5) for number in range(100)]
    check_round_trip(codec, ordinary)
    assert codec.slow_batches == 0
    check_round_trip(codec, [*ordinary, Admin(1, "y", 0.5, 3)])
    assert codec.slow_batches == 1  # to read; writing falls back for that column alone
    check_round_trip(codec, ordinary)
    assert codec.slow_batches == 1


def test_wide_integers_and_zero_bytes_are_no_reason_to_be_slow() -> None:
    info = TupleInfo((INT, STR, VariadicTupleInfo(INT)))
    values = [(2**70, "a\0b", (1, -(2**90))), (1, "c", ()), (-(2**64), "", (2**64,))] * 20
    for ordering in (None, by(info, 0), by(info, "-0", "-1"), info.create_comparator(descending=True)):
        codec = RowCodec(info, ordering)
        check_round_trip(codec, values)
        assert codec.slow_batches == 0


def test_moments_come_back_with_their_fold() -> None:
    values = [datetime(2024, 10, 27, 2, 30), datetime(2024, 10, 27, 2, 30, fold=1)]
    codec = RowCodec(DATETIME, DATETIME.create_comparator())
    assert same(codec.decode(codec.encode(values).rows), values) and not codec.plan.is_only_key


def test_values_nested_deeper_than_the_stack_are_refused_in_words() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    info: Info = INT
    for _ in range(300):
        info = ListInfo(info)
    with pytest.raises(SerializationError, match=r"^record 0, field 0\.0"):
        RowCodec(info, None).encode([value])


def test_numpy_arrays_of_rows_and_plain_bytes_are_read_alike() -> None:
    codec = RowCodec(INT64, INT64.create_comparator())
    encoded = codec.encode([1, 2, 3])
    data = bytes(encoded.rows)
    for rows in (encoded.rows, memoryview(data), np.frombuffer(data, np.uint8), encoded.data[: encoded.size]):
        assert codec.decode(rows) == [1, 2, 3]
