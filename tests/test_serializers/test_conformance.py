"""The suite itself: types that break one promise each are caught by the check that is about it."""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timezone
from decimal import Decimal
from typing import Any, Self

import numpy as np
import pytest

from serializers.errors import ValueMismatchError
from serializers.types.text import TextComparator, TextSerializer
from serializers.types.type_information import Snapshot, TypeInformation
from serializers.views import BytesInput, InputView, OutputView
from tests.test_serializers import comparator_checks as laws
from tests.test_serializers import serializer_checks as checks
from tests.test_serializers.comparator_checks import Ordered
from tests.test_serializers.conformance import check_type, check_values, same
from tests.test_serializers.serializer_checks import Case

TEXTS = ["", "a", "ab", "b", "é", "long enough to be cut", "a\0", "a"]
CAUGHT = (Exception, pytest.fail.Exception)


@dataclass(frozen=True)
class TextLike(TypeInformation[str]):
    """str, by parts that may be broken."""

    serializer: Any = TextSerializer
    comparator: Any = TextComparator
    name: str = "text"
    python_type: type = str

    def create_serializer(self) -> TextSerializer:
        return self.serializer()  # type: ignore[no-any-return]

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> TextComparator[str]:
        return self.comparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)  # type: ignore


def test_what_is_not_broken_passes() -> None:
    check_type(TextLike(), TEXTS, wrong=(1, b"a"), damage=True)
    check_values(TextLike(), TEXTS)


# --- broken types


class NeverEqual(TextLike):
    __hash__ = TextLike.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class ReadsAnything(TextLike):
    def check_can_read(self, written: Snapshot) -> None:
        pass


@dataclass(frozen=True)
class SaysWhatJsonCannot(TextLike):
    numbers: tuple[int, ...] = field(default=(1, 2))

    def snapshot(self) -> Snapshot:
        return {**super().snapshot(), "numbers": self.numbers}


@pytest.mark.parametrize(
    ("info", "check"),
    [
        (NeverEqual(), checks.check_information),
        (TextLike(python_type=int), checks.check_information),
        (TextLike(name=""), checks.check_information),
        (ReadsAnything(), checks.check_snapshot),
        (SaysWhatJsonCannot(), checks.check_snapshot),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_broken_type_is_caught(info: TextLike, check: Callable[[Case], None]) -> None:
    with pytest.raises(CAUGHT):
        check(Case(info, TEXTS))


# --- broken serializers


class DeclaresALength(TextSerializer):
    length = 3


class ReadsTooFar(TextSerializer):
    def deserialize(self, source: InputView) -> str:
        value = super().deserialize(source)
        if source.remaining:
            source.skip(1)
        return value


class SkipsTooLittle(TextSerializer):
    def skip(self, source: InputView) -> None:
        source.skip(max(source.read_varint() - 1, 0))


class LosesAccents(TextSerializer):
    def decode(self, data: bytes) -> str:
        return data.decode("ascii", "replace")


class NeverTheSame(TextSerializer):
    counter = itertools.count()

    def serialize(self, value: str, out: OutputView) -> None:
        super().serialize(f"{value}{next(self.counter)}", out)

    def decode(self, data: bytes) -> str:
        return super().decode(data).rstrip("0123456789")


class TakesWhatThereIs(TextSerializer):
    def deserialize(self, source: InputView) -> str:
        return self.decode(source.read(min(source.read_varint() if source.remaining else 0, source.remaining)))


class LooksBehindTheEnd(TextSerializer):
    def deserialize(self, source: InputView) -> str:
        if not isinstance(source, BytesInput):
            return super().deserialize(source)
        everything = BytesInput(source.data, source.position)
        value = super().deserialize(everything)
        source.position = everything.position
        return value


class RaisesItsOwn(TextSerializer):
    def deserialize(self, source: InputView) -> str:
        if not source.remaining:
            raise IndexError
        return super().deserialize(source)


class ForgivesNone(TextSerializer):
    def checked(self, value: Any) -> str:
        return super().checked(value or "")


class ForgivesNumbers(TextSerializer):
    def checked(self, value: Any) -> str:
        return super().checked(str(value) if value is not None else value)


class CopiesAnother(TextSerializer):
    def copy(self, source: InputView, out: OutputView) -> None:
        self.serialize(self.deserialize(source)[::-1], out)


class ShedsSegments(TextSerializer):
    """Works on contiguous memory only."""

    def deserialize(self, source: InputView) -> str:
        length = source.read_varint()
        if not isinstance(source, BytesInput):
            length = len(source.read(min(length, 4096 - source.position % 4096)))
            return self.decode(source.fork().read(0)) * length
        return self.decode(source.read(length))


class HasNoClone(TextSerializer):
    def __init__(self) -> None:
        self.function = lambda: None


class KeepsState(TextSerializer):
    def encode(self, value: str) -> bytes:
        self.kept = value
        for _ in range(50):
            pass
        return super().encode(self.kept)


class BelievesDamage(TextSerializer):
    def decode(self, data: bytes) -> str:
        return data.decode()


@pytest.mark.parametrize(
    ("serializer", "check"),
    [
        (DeclaresALength, checks.check_values),
        (ReadsTooFar, checks.check_values),
        (ReadsTooFar, checks.check_sequence),
        (SkipsTooLittle, checks.check_values),
        (SkipsTooLittle, checks.check_sequence),
        (LosesAccents, checks.check_values),
        (NeverTheSame, checks.check_values),
        (TakesWhatThereIs, checks.check_truncation),
        (LooksBehindTheEnd, checks.check_truncation),
        (RaisesItsOwn, checks.check_truncation),
        (ForgivesNone, checks.check_refusals),
        (ForgivesNumbers, checks.check_refusals),
        (CopiesAnother, checks.check_values),
        (CopiesAnother, checks.check_sequence),
        (ShedsSegments, checks.check_segments),
        (HasNoClone, checks.check_clone),
        (KeepsState, checks.check_threads),
        (BelievesDamage, checks.check_damage),
    ],
)
def test_a_broken_serializer_is_caught(serializer: type, check: Callable[[Case], None]) -> None:
    with pytest.raises(CAUGHT):
        for _ in range(50 if serializer is KeepsState else 1):  # which fails by chance alone
            check(Case(TextLike(serializer=serializer), TEXTS, wrong=(1,)))


# --- broken comparators


class Backwards(TextComparator[str]):
    """Compares in one direction, whatever it was asked for."""

    def directed(self, order: int) -> int:
        return order


class Partial(TextComparator[str]):
    def compare(self, left: str, right: str) -> int:
        return super().compare(left, right) if len(left) != len(right) else 1


class Circular(TextComparator[str]):
    def compare(self, left: str, right: str) -> int:
        return 0 if abs(len(left) - len(right)) < 2 else super().compare(left, right)


class KeyOfTheLength(TextComparator[str]):
    def write_ascending(self, value: str, out: bytearray, *, is_last: bool) -> None:
        out.append(len(value))


class NeverCloses(TextComparator[str]):
    def write_ascending(self, value: str, out: bytearray, *, is_last: bool) -> None:
        super().write_ascending(value, out, is_last=True)


class SpoilsTheFront(TextComparator[str]):
    def write_key(self, value: str, out: bytearray, *, is_last: bool = True) -> None:
        super().write_key(value, out, is_last=is_last)
        if len(out) > 5:
            out[0] ^= 1


class HashesByChance(TextComparator[str]):
    def hash(self, value: str) -> int:
        return random.getrandbits(64)


class ComparesLengths(TextComparator[str]):
    def compare_serialized(self, left: InputView, right: InputView) -> int:
        return self.directed(left.read_varint() - right.read_varint())


class ReadsCapitals(TextComparator[str]):
    def read_ascending(self, source: BytesInput, *, is_last: bool) -> str:
        return super().read_ascending(source, is_last=is_last).upper()


class SkipsEverything(TextComparator[str]):
    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        source.skip(source.remaining)


class ClaimsALength(TextComparator[str]):
    key_bytes = 3


class ClaimsTooMuch(TextComparator[str]):
    def is_prefix_only(self, key_bytes: int) -> bool:
        return key_bytes < 2


class TellsLessWithMore(TextComparator[str]):
    def is_prefix_only(self, key_bytes: int) -> bool:
        return key_bytes > 5


class WritesBeside(TextComparator[str]):
    def put_normalized_key(self, value: str, target: bytearray | memoryview, offset: int, length: int) -> None:
        super().put_normalized_key(value, target, offset, length)
        target[offset + length] = 0


class PadsWithSpaces(TextComparator[str]):
    def put_normalized_key(self, value: str, target: bytearray | memoryview, offset: int, length: int) -> None:
        target[offset : offset + length] = self.order_key(value)[:length].ljust(length)


class GrowsTheTarget(TextComparator[str]):
    def put_normalized_key(self, value: str, target: bytearray | memoryview, offset: int, length: int) -> None:
        target[offset : offset + length] = self.order_key(value)[: length - 1]


class TakesNone(TextComparator[str]):
    def order_key(self, value: Any) -> bytes:
        return super().order_key(value or "")


class RefusesTooMuch(TextComparator[str]):
    def order_key(self, value: Any) -> bytes:
        if value == "é":
            raise ValueMismatchError("no accents")
        return super().order_key(value)


class StaysAsItIs(TextComparator[str]):
    def invert(self) -> Self:
        return self


@pytest.mark.parametrize(
    ("comparator", "law"),
    [
        (Backwards, laws.check_keys_agree),
        (Backwards, laws.check_mirrored),
        (Partial, laws.check_order),
        (Circular, laws.check_order),
        (KeyOfTheLength, laws.check_keys_agree),
        (KeyOfTheLength, laws.check_sorting),
        (NeverCloses, laws.check_closed),
        (NeverCloses, laws.check_concatenation),
        (SpoilsTheFront, laws.check_closed),
        (HashesByChance, laws.check_keys_agree),
        (HashesByChance, laws.check_clone_and_inverse),
        (ComparesLengths, laws.check_compare_serialized),
        (ReadsCapitals, laws.check_reading),
        (SkipsEverything, laws.check_reading),
        (SkipsEverything, laws.check_truncated_keys),
        (ClaimsALength, laws.check_key_lengths),
        (ClaimsTooMuch, laws.check_normalized_keys),
        (TellsLessWithMore, laws.check_key_lengths),
        (WritesBeside, laws.check_normalized_keys),
        (PadsWithSpaces, laws.check_normalized_keys),
        (GrowsTheTarget, laws.check_normalized_keys),
        (TakesNone, laws.check_refused_keys),
        (RefusesTooMuch, laws.check_sorting),
        (StaysAsItIs, laws.check_clone_and_inverse),
    ],
)
def test_a_broken_comparator_is_caught(comparator: type, law: Callable[[Ordered], None]) -> None:
    case = Case(TextLike(comparator=comparator), TEXTS, wrong=(1,))
    with pytest.raises(CAUGHT):
        for each in laws.comparators_of(case):
            law(Ordered(case, each))


def test_a_type_without_order_must_say_so() -> None:
    with pytest.raises(CAUGHT):
        laws.check_no_order(Case(TextLike(), TEXTS))


# --- what is the same


@dataclass
class Point:
    x: Any
    y: Any = None


@pytest.mark.parametrize(
    "make",
    [
        lambda: 1.5,
        lambda: float("nan"),
        lambda: [1, (2.0, {"a": {3, 4}})],
        lambda: Point(1, Point([2])),
        lambda: np.array([1.0, float("nan")]),
        lambda: np.array([1, "a", None], object),
        lambda: Decimal("sNaN7"),
        lambda: datetime(2020, 1, 1, tzinfo=timezone.min, fold=1),
        lambda: complex(float("nan"), -0.0),
        lambda: {1, "a", (2, float("nan"))},
    ],
)
def test_values_are_the_same_if_every_part_is(make: Callable[[], Any]) -> None:
    assert same(make(), make()) and not same(make(), None)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ((1, 2), [1, 2]),
        ([1], [1, 2]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1.0}, {1}),
        ({"a": 0.0}, {"a": -0.0}),
        (Point(0.0), Point(-0.0)),
        (Point([1]), Point([True])),
        (Decimal("1.0"), Decimal("1.00")),
        (np.int32(1), np.int64(1)),
        (np.float32(0.0), np.float32(-0.0)),
        (np.zeros(2), np.zeros((2, 1))),
        (np.array([1, 2], object), np.array([1, 2.0], object)),
        (datetime(2020, 1, 1), datetime(2020, 1, 1, fold=1)),
        (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1)),
        (complex(0.0, 0.0), complex(0.0, -0.0)),
    ],
)
def test_values_that_are_equal_need_not_be_the_same(left: Any, right: Any) -> None:
    assert not same(left, right) and not same(right, left)
