"""bool, int, float and None: the whole suite, their bytes, and what they refuse."""

import math
import struct
from enum import IntEnum
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import strategies as st

from serializers.errors import NullFieldError, ValueMismatchError
from serializers.types.numbers import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT,
    INT8,
    INT16,
    INT32,
    INT64,
    NONE,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    BigIntegerInfo,
    FloatInfo,
    IntegerInfo,
)
from serializers.types.type_information import TypeInformation
from tests.test_serializers.conformance import check_type, conforms, survives_garbage

INTEGERS = [INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64]
FLOATS = [FloatInfo(16), FLOAT32, FLOAT64]


class Level(IntEnum):
    LOW = -1
    HIGH = 7


def float_of(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])


QUIET_NANS = [float("nan"), -float("nan"), float_of(0x7FFC_0000_0000_0000), float_of(0xFFF8_0000_2000_0000)]
SIGNALLING_NANS = [float_of(0x7FF0_0000_0000_0001), float_of(0xFFF7_FFFF_FFFF_FFFF), float_of(0x7FF8_0000_0000_0001)]
WRONG_NUMBERS = ("1", b"1", 1j, [1], Fraction(1), object())


# --- integers


@pytest.mark.parametrize("info", INTEGERS, ids=str)
def test_integers_of_a_width(info: IntegerInfo) -> None:
    low, high = info.low, info.high
    values = [low, low + 1, high, high - 1, 0, 1, 0, 127, 100, (low + high) // 2]
    wrong = (*WRONG_NUMBERS, True, 1.0, low - 1, high + 1, 10**30, -(10**30), np.int32(1))
    check_type(info, [*values, -1] if info.signed else values, wrong=wrong, damage=True)


test_int8_by_chance = conforms(INT8, st.integers(-128, 127))
test_uint16_by_chance = conforms(UINT16, st.integers(0, 2**16 - 1))
test_int32_by_chance = conforms(INT32, st.integers(-(2**31), 2**31 - 1))
test_uint64_by_chance = conforms(UINT64, st.integers(0, 2**64 - 1))

test_int64_survives_garbage = survives_garbage(INT64)


def test_the_ranges_are_those_of_the_machine() -> None:
    for info in INTEGERS:
        limits = np.iinfo(info.name)
        assert (info.low, info.high) == (limits.min, limits.max)
        assert info.create_serializer().length == info.create_comparator().key_bytes == limits.bits // 8


@pytest.mark.parametrize(
    ("info", "value", "data", "key"),
    [
        (INT8, -1, "ff", "7f"),
        (INT16, 1, "01 00", "80 01"),
        (INT32, -2, "fe ff ff ff", "7f ff ff fe"),
        (UINT32, 258, "02 01 00 00", "00 00 01 02"),
        (INT64, -(2**63), "00 00 00 00 00 00 00 80", "00 00 00 00 00 00 00 00"),
        (INT, 256, "82 01 00", "82 01 00"),
        (BOOL, True, "01", "01"),
        (NONE, None, "", ""),
        (FLOAT64, 1.0, "00 00 00 00 00 00 f0 3f", "bf f0 00 00 00 00 00 00"),
        (FLOAT64, -1.0, "00 00 00 00 00 00 f0 bf", "40 0f ff ff ff ff ff ff"),
        (FLOAT64, -0.0, "00 00 00 00 00 00 00 80", "80 00 00 00 00 00 00 00"),
        (FLOAT64, -math.inf, "00 00 00 00 00 00 f0 ff", "00 0f ff ff ff ff ff ff"),
        (FLOAT64, -math.nan, "00 00 00 00 00 00 f8 ff", "ff f8 00 00 00 00 00 00"),
        (FLOAT32, 1.5, "00 00 c0 3f", "bf c0 00 00"),
        (FLOAT32, math.nan, "00 00 c0 7f", "ff c0 00 00"),
        (FloatInfo(16), math.nan, "00 7e", "fe 00"),
    ],
    ids=str,
)
def test_the_bytes_are_these(info: TypeInformation[object], value: object, data: str, key: str) -> None:
    assert info.create_serializer().to_bytes(value).hex(" ") == data
    assert info.create_comparator().order_key(value).hex(" ") == key
    inverted = bytes(255 - byte for byte in bytes.fromhex(key))
    assert info.create_comparator(descending=True).order_key(value) == inverted


def test_integers_of_any_size() -> None:
    steps = [2**bits + step for bits in (7, 8, 16, 56, 63, 64, 72, 2040) for step in (-1, 0, 1)]
    values = [0, 1, -1, 0, *steps[::2], *(-step for step in steps[1::2]), 2**64, 10**5000, -(10**5000)]
    check_type(INT, values, wrong=(*WRONG_NUMBERS, True, 1.0, np.int64(1)), damage=True)


test_int_by_chance = conforms(INT, st.integers() | st.integers(-300, 300))
test_int_survives_garbage = survives_garbage(INT)


def test_an_int_of_a_subclass_comes_back_plain() -> None:
    for info in (INT, INT8, INT64, FLOAT32, FLOAT64):
        serializer, comparator = info.create_serializer(), info.create_comparator()
        assert type(serializer.from_bytes(serializer.to_bytes(Level.HIGH))) is info.python_type
        assert serializer.from_bytes(serializer.to_bytes(Level.HIGH)) == 7
        assert comparator.compare(Level.LOW, Level.HIGH) < 0 == comparator.compare(Level.HIGH, 7)
        assert comparator.order_key(Level.HIGH) == comparator.order_key(7)


def test_a_bool_is_no_number() -> None:
    for info in (*INTEGERS, INT, *FLOATS):
        for value in (True, np.True_):
            with pytest.raises(ValueMismatchError):
                info.create_serializer().to_bytes(value)
            with pytest.raises(ValueMismatchError):
                info.create_comparator().compare(value, 1)


def test_errors_name_the_value_and_the_cure() -> None:
    with pytest.raises(ValueMismatchError, match=r"^300 does not fit int8 \(-128 to 127\)\. Declare a wider type$"):
        INT8.create_serializer().to_bytes(300)
    with pytest.raises(ValueMismatchError, match=r"^'7' \(str\) is not int32\. Convert it with int\(value\)"):
        INT32.create_serializer().to_bytes("7")  # type: ignore[arg-type]
    with pytest.raises(NullFieldError, match=r"^None, where int has no room for it\. Declare optional\[int\]$"):
        INT.create_serializer().to_bytes(None)  # type: ignore[arg-type]
    with pytest.raises(ValueMismatchError, match=r"\(numpy\.int64\) is not int32"):
        INT32.create_serializer().to_bytes(np.int64(7))
    with pytest.raises(ValueMismatchError, match=r"^a value of int does not fit int64"):
        INT64.create_serializer().to_bytes(10**10_000)  # too many digits to print


def test_a_value_that_cannot_be_shown_is_refused_all_the_same() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(ValueMismatchError, match="Shy"):
        INT.create_serializer().to_bytes(Shy())  # type: ignore[arg-type]


def test_types_are_equal_by_what_they_are() -> None:
    assert IntegerInfo(32) == INT32 != IntegerInfo(32, signed=False) and BigIntegerInfo() == INT != INT64
    assert FloatInfo(32) == FLOAT32 != FLOAT64
    assert len({*INTEGERS, INT, BOOL, NONE, *FLOATS}) == 14
    assert [info.name for info in INTEGERS[:4]] == ["int8", "int16", "int32", "int64"]


# --- floats


def test_float64() -> None:
    finite = [0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, 1e16]
    check_type(FLOAT64, [*finite, math.inf, -math.inf, 0.0], wrong=(*WRONG_NUMBERS, True, 2**53 + 1, 10**400))
    nans = [*QUIET_NANS, *SIGNALLING_NANS]
    check_type(FLOAT64, [*nans, *finite, math.inf, -math.inf], python_key=None, damage=True)


@pytest.mark.parametrize("info", [FloatInfo(16), FLOAT32], ids=str)
def test_floats_of_less_width(info: FloatInfo) -> None:
    limits = np.finfo(info.name)
    edges = [limits.max, limits.min, limits.tiny, limits.smallest_subnormal, -limits.smallest_subnormal, limits.eps]
    values = [0.0, -0.0, 1.5, -1.5, math.inf, -math.inf, *map(float, edges)]
    wrong = (*WRONG_NUMBERS, 0.1, 1e300, -1e300, float(limits.smallest_subnormal) / 2, 2**24 + 1, 10**400)
    check_type(info, values, wrong=wrong, damage=True)
    check_type(info, [math.nan, -math.nan, *values, math.nan], python_key=None)


test_float64_by_chance = conforms(FLOAT64, st.floats(allow_nan=False))
test_float64_with_nan_by_chance = conforms(FLOAT64, st.floats(), python_key=None)
test_float32_by_chance = conforms(FLOAT32, st.floats(width=32, allow_nan=False))
test_float16_by_chance = conforms(FloatInfo(16), st.floats(width=16, allow_nan=False))


def test_a_nan_keeps_the_bits_that_have_room() -> None:
    serializer = FLOAT32.create_serializer()
    for nan in (*QUIET_NANS, *SIGNALLING_NANS):
        assert math.isnan(serializer.from_bytes(serializer.to_bytes(nan)))
    for nan in QUIET_NANS:
        data = serializer.to_bytes(nan)
        assert serializer.to_bytes(serializer.from_bytes(data)) == data
        assert math.copysign(1, serializer.from_bytes(data)) == math.copysign(1, nan)


def test_every_float16_keeps_its_bits_and_its_place() -> None:
    comparator = FloatInfo(16).create_comparator()
    numbers = np.arange(2**16, dtype=np.uint16).view(np.float16)
    ordered = sorted(numbers.tolist(), key=comparator.order_key)
    assert np.array_equal(np.array(ordered), np.sort(numbers).astype(float), equal_nan=True)
    serializer = FloatInfo(16).create_serializer()
    for number in numbers[~np.isnan(numbers)]:
        assert serializer.to_bytes(float(number)) == number.tobytes()


def test_an_int_is_a_float_if_it_is_exact() -> None:
    serializer = FLOAT64.create_serializer()
    for value in (0, -1, 2**53, 2**1000):
        found = serializer.from_bytes(serializer.to_bytes(value))
        assert found == value and type(found) is float
    assert FLOAT64.create_comparator().order_key(3) == FLOAT64.create_comparator().order_key(3.0)
    assert FLOAT32.create_serializer().from_bytes(FLOAT32.create_serializer().to_bytes(2**24)) == 2**24
    for value in (2**53 + 1, 10**400):
        with pytest.raises(ValueMismatchError, match="is not a float64 exactly"):
            serializer.to_bytes(value)


def test_a_numpy_float_is_a_float_if_python_says_so() -> None:
    serializer = FLOAT64.create_serializer()
    found = serializer.from_bytes(serializer.to_bytes(np.float64(0.1)))
    assert found == 0.1 and type(found) is float
    with pytest.raises(ValueMismatchError, match=r"Convert it with float\(value\)"):
        serializer.to_bytes(np.float32(0.5))  # type: ignore[arg-type]


def test_a_float32_that_is_none_says_how_to_make_it_one() -> None:
    with pytest.raises(
        ValueMismatchError, match=r"^0\.1 is not a float32 exactly\..*numpy\.float32\(value\)\.item\(\)"
    ):
        FLOAT32.create_serializer().to_bytes(0.1)
    assert FLOAT32.create_serializer().to_bytes(np.float32(0.1).item()) == np.float32(0.1).tobytes()
    with pytest.raises(ValueMismatchError, match="declare float64"):
        FLOAT32.create_comparator().order_key(1e39)


# --- bool and None


def test_bool() -> None:
    check_type(BOOL, [True, False, True], wrong=(1, 0, "True", np.True_, 1.0, object()), damage=True)


def test_none() -> None:
    check_type(NONE, [None, None], wrong=(0, "", False, object()), python_key=str)


test_bool_by_chance = conforms(BOOL, st.booleans())
test_bool_survives_garbage = survives_garbage(BOOL)
