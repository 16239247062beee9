"""Numbers of several types in one order: exactly that of Python, NaN last."""

import math
from decimal import Decimal, FloatOperation, localcontext
from enum import IntEnum
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serializers.errors import CorruptRecordError
from serializers.types.containers import UnionInfo
from serializers.types.decimals import DECIMAL
from serializers.types.mixed_numbers import is_number_type
from serializers.types.numbers import BOOL, FLOAT64, INT, FloatInfo
from serializers.types.numpy_scalars import NumpyScalarInfo
from serializers.views import BytesInput
from tests.test_serializers.conformance import check_type, conforms

INT_OR_FLOAT = UnionInfo((INT, FLOAT64))
WITH_DECIMAL = UnionInfo((INT, FLOAT64, DECIMAL))
ANY_NUMBER = UnionInfo((BOOL, INT, FLOAT64))

EDGES = [
    0, 0.0, -0.0, 1, 1.0, -1, -1.0, 2, 2.5, 3, 0.5, 0.1,
    2**53, 2.0**53, 2**53 + 1, 2**53 - 1, -(2**53) - 1, -(2.0**53),
    2**63, 2.0**63, 2**63 - 1, 2**64, 2**64 - 1, 255, 256, 257, 65535, 65536,
    5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308,
    2**1024, 10**400, -(10**400), 2**70000, -(2**70000), 2**64461, 2**64460, 2**64462,
    math.inf, -math.inf, math.nan, -math.nan,
]  # fmt: skip


def in_python(value: Any) -> Any:
    """NaN behind all others, as no `sorted` has it."""
    is_nan = value.is_nan() if isinstance(value, Decimal) else value != value
    return (is_nan, 0 if is_nan else value)


def test_ints_and_floats() -> None:
    halves = EDGES[:30], EDGES[20:]
    for values in halves:
        check_type(INT_OR_FLOAT, values, wrong=("1", True, Decimal(1), None, 1j), python_key=in_python)


def test_bools_too() -> None:
    check_type(ANY_NUMBER, [True, 1, 1.0, False, 0, -0.0, 0.5, 2, -1], wrong=("1",), python_key=in_python)


def test_decimals_too() -> None:
    values = [
        Decimal("0.1"),
        0.1,
        Decimal("0.10"),
        Decimal("1E+400"),
        10**400,
        Decimal("NaN"),
        Decimal("sNaN"),
        math.nan,
    ]
    values += [Decimal("Infinity"), math.inf, Decimal("-0"), 0, -0.0, Decimal("2.5"), 2.5, 2**70, -(10**400)]
    check_type(WITH_DECIMAL, values, wrong=("1", True, 1j), python_key=in_python)


def test_numpy_scalars_too() -> None:
    info = UnionInfo((NumpyScalarInfo("int64"), NumpyScalarInfo("float32"), FLOAT64))
    values = [np.int64(2**53 + 1), 2.0**53, np.float32(0.1), 0.1, np.int64(-3), np.float32("nan"), np.float32(1e30)]
    check_type(
        info,
        values,
        wrong=("1", np.int32(1), 1),
        python_key=lambda value: in_python(value.item() if value.__class__ is not float else value),
    )


def test_enumerations_too() -> None:
    assert is_number_type(IntEnum("Level", "LOW HIGH"))
    assert [is_number_type(each) for each in (int, bool, float, Decimal, np.bool_, np.uint8, np.float16)] == [True] * 7
    assert [is_number_type(each) for each in (str, complex, np.complex64, np.str_, np.ndarray, np.longdouble)] == [
        False
    ] * 6


NUMBERS = st.integers() | st.floats() | st.integers(-4, 4) | st.integers(-4, 4).map(lambda each: each / 2)
NEAR = st.integers(50, 70).flatmap(lambda bits: st.integers(-2, 2).map(lambda off: (1 << bits) + off))
NEAR_FLOATS = NEAR.map(float)

test_by_chance = conforms(INT_OR_FLOAT, NUMBERS | NEAR | NEAR_FLOATS, python_key=in_python)
test_decimals_by_chance = conforms(WITH_DECIMAL, NUMBERS | st.decimals(allow_nan=False), python_key=in_python)


@settings(max_examples=200, deadline=None)
@given(st.lists(NUMBERS | NEAR | NEAR_FLOATS | st.fractions().map(float), max_size=12))
@example([1, 2.5, 3])
@example([2**53 + 1, 2.0**53, 2**53])
def test_the_order_is_that_of_sorted(values: list[Any]) -> None:
    for info in (INT_OR_FLOAT, WITH_DECIMAL):
        comparator = info.create_comparator()
        found = sorted(values, key=comparator.order_key)
        assert list(map(repr, found)) == list(map(repr, sorted(values, key=in_python)))
        hashes = {value: comparator.hash(value) for value in values}
        assert all(comparator.hash(value) == hashes[value] for value in values)


def test_equal_numbers_have_equal_keys() -> None:
    for equal in ((0, 0.0, -0.0, False), (1, 1.0, True), (2**70, 2.0**70), (-(2**53), -(2.0**53))):
        assert len({ANY_NUMBER.create_comparator().order_key(value) for value in equal}) == 1


@pytest.mark.parametrize(
    ("value", "key", "closed"),
    [
        (0, "02", "02"),
        (3, "03 04 33 80", "03 04 33 80 00 00"),
        (1.0, "03 04 32", "03 04 32 00 00"),
        (-3, "01 fb cc 7f ff ff", "01 fb cc 7f ff ff"),
        (5e-324, "03 00 00", "03 00 00 00 00"),
        (257, "03 04 3a 01", "03 04 3a 01 00 00"),
        (math.inf, "04", "04"),
        (-math.inf, "00", "00"),
        (math.nan, "05", "05"),
    ],
)  # fmt: skip
def test_keys(value: float, key: str, closed: str) -> None:
    comparator = INT_OR_FLOAT.create_comparator()
    out = bytearray()
    comparator.write_key(value, out, is_last=False)
    assert (comparator.order_key(value).hex(" "), out.hex(" ")) == (key, closed)


def test_a_key_of_an_enormous_int_is_short_if_it_is_round() -> None:
    assert len(INT_OR_FLOAT.create_comparator().order_key(2**1_000_000)) == 11


def test_no_such_kind() -> None:
    for comparator in (INT_OR_FLOAT.create_comparator(), WITH_DECIMAL.create_comparator()):
        with pytest.raises(CorruptRecordError):
            comparator.skip_key(BytesInput(b"\x06"))


def test_the_context_of_decimals_does_not_matter() -> None:
    comparator = WITH_DECIMAL.create_comparator()
    with localcontext(prec=1) as context:
        context.traps[FloatOperation] = True
        assert comparator.compare(0.5, Decimal("0.51")) < 0
        assert comparator.order_key(0.5) < comparator.order_key(Decimal("0.51"))


def test_small_floats_with_ints() -> None:
    info = UnionInfo((INT, FloatInfo(32)))
    assert sorted([1, 0.5, 2**60, -2], key=info.create_comparator().order_key) == [-2, 0.5, 1, 2**60]
