"""Decimal: the whole suite, numbers that are equal but not the same, and the ends of the exponents."""

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serializers.errors import CorruptRecordError, NullFieldError, ValueMismatchError
from serializers.types.decimals import DECIMAL
from serializers.views import BytesInput
from tests.test_serializers.comparator_checks import order
from tests.test_serializers.conformance import check_type, conforms, same, survives_garbage

FINITE = [
    *("0", "-0", "0E+10", "0E-10", "-0E+999999999999999999", "0E-1999999999999999997", "1", "-1", "1.0", "1.00"),
    *("10", "1E+1", "100", "1E+2", "0.1", "-0.1", "0.10", "9", "99", "0.9", "9.9", "0.99", "-9", "-99", "12", "120"),
    *("1E999999999999999999", "-1E999999999999999999", "1E-1999999999999999997", "-1E-1999999999999999997"),
    *("9.99E999999999999999999", "123456789012345678901234567890.123456789", "1E+255", "255", "256", "-256", "1E-20"),
]
SPECIAL = ["Infinity", "-Infinity", "NaN", "-NaN", "sNaN", "-sNaN", "NaN123", "-sNaN10", "NaN256"]
NUMBERS = [Decimal(text) for text in FINITE]
WRONG = (1, 1.0, "1", True, Fraction(1), object())


def test_finite() -> None:
    check_type(DECIMAL, [*NUMBERS, Decimal("Infinity"), Decimal("-Infinity")], wrong=WRONG, damage=True)


def test_all_kinds_of_nan() -> None:
    check_type(DECIMAL, [Decimal(text) for text in (*SPECIAL, *FINITE)], wrong=WRONG, python_key=None, damage=True)


def test_many_digits() -> None:
    digits = "7" * 10_000
    texts = [digits, digits + "0", f"-{digits}E-9999", f"{digits[:-1]}8", "1" + "0" * 6000, "1E+6000"]
    check_type(DECIMAL, [Decimal(text) for text in texts])


finite = st.decimals(allow_nan=False)
small = st.builds(lambda number, places: Decimal(number).scaleb(-places), st.integers(-200, 200), st.integers(-3, 3))
test_by_chance = conforms(DECIMAL, finite | small)
test_with_nan_by_chance = conforms(DECIMAL, st.decimals() | small, python_key=None)
test_survives_garbage = survives_garbage(DECIMAL)


@given(st.lists(small, min_size=2, max_size=10))
def test_numbers_that_are_equal_have_one_key_and_keep_their_places(values: list[Decimal]) -> None:
    order_key = DECIMAL.create_comparator().order_key
    for left in values:
        for right in values:
            assert (order_key(left) == order_key(right)) == (left == right)
            assert (order_key(left) < order_key(right)) == (left < right)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12), st.integers())
def test_order_is_that_of_exact_fractions(left: Decimal, number: int) -> None:
    order_key, right = DECIMAL.create_comparator().order_key, Decimal(number)
    assert order(order_key(left), order_key(right)) == order(Fraction(left), Fraction(right))


@pytest.mark.parametrize(
    ("text", "data", "key"),
    [
        ("0", "00 00 00", "02"),
        ("-0", "01 00 00", "02"),
        ("0E+10", "00 14 00", "02"),
        ("1", "00 00 01 01", "03 80 00 00 00 00 00 00 00 02 00"),
        ("1.00", "00 03 01 64", "03 80 00 00 00 00 00 00 00 02 00"),
        ("-12.5", "01 01 01 7d", "01 7f ff ff ff ff ff ff fe fd fc f9 ff"),
        ("0.05", "00 03 01 05", "03 7f ff ff ff ff ff ff fe 06 00"),
        ("300E+2", "00 04 02 2c 01", "03 80 00 00 00 00 00 00 04 04 00"),
        ("Infinity", "02", "04"),
        ("-Infinity", "03", "00"),
        ("NaN", "04 00", "05"),
        ("-NaN7", "05 01 07", "05"),
        ("sNaN", "06 00", "05"),
        ("-sNaN258", "07 02 02 01", "05"),
    ],
)
def test_the_bytes_are_these(text: str, data: str, key: str) -> None:
    assert DECIMAL.create_serializer().to_bytes(Decimal(text)).hex(" ") == data
    assert DECIMAL.create_comparator().order_key(Decimal(text)).hex(" ") == key


def test_a_signalling_nan_signals_nothing() -> None:
    comparator, signalling = DECIMAL.create_comparator(), Decimal("sNaN")
    with decimal.localcontext() as context:
        for signal in context.traps:
            context.traps[signal] = True
        for other in (Decimal(1), Decimal("NaN"), Decimal("-Infinity"), signalling):
            assert comparator.compare(signalling, other) == -comparator.compare(other, signalling)
        assert comparator.compare(signalling, Decimal("NaN")) == 0 < comparator.compare(signalling, Decimal("Infinity"))
        data = DECIMAL.create_serializer().to_bytes(signalling)
        assert DECIMAL.create_serializer().from_bytes(data).is_snan()


def test_the_context_of_the_thread_makes_no_difference() -> None:
    values = [Decimal(text) for text in (*FINITE, *SPECIAL)]
    serializer, comparator = DECIMAL.create_serializer(), DECIMAL.create_comparator()
    expected = [(serializer.to_bytes(value), comparator.order_key(value)) for value in values]
    with decimal.localcontext(decimal.Context(prec=1, Emax=1, Emin=-1, traps=list(decimal.getcontext().traps))):
        for value, (data, key) in zip(values, expected, strict=True):
            assert serializer.to_bytes(value) == data and comparator.order_key(value) == key
            assert same(serializer.from_bytes(data), value)
        assert comparator.compare(Decimal("1.23456"), Decimal("1.23457")) < 0
    with decimal.localcontext(decimal.Context(traps=[])), pytest.raises(CorruptRecordError):
        serializer.from_bytes(bytes.fromhex("00 ff ff ff ff ff ff ff ff 7f 01 01"))


@pytest.mark.parametrize(
    "data",
    [
        "08",
        "ff",
        "00 00 01 00",  # a coefficient with a zero in front
        "00 00 02 01 00",
        "04 01 00",
        "00 ff ff ff ff ff ff ff ff 7f 01 01",  # an exponent that no Decimal has
        "00 fe ff ff ff ff ff ff ff ff 01 01 01",
        "00 ff ff ff ff ff ff ff ff ff ff 01 01 01",
    ],
)
def test_what_no_decimal_leaves_is_corrupt(data: str) -> None:
    with pytest.raises(CorruptRecordError):
        DECIMAL.create_serializer().from_bytes(bytes.fromhex(data))


@pytest.mark.parametrize("key", ["06", "ff", "03", "03 80 00 00 00 00 00 00", "03 80 00 00 00 00 00 00 00 02", "01 7f"])
def test_what_no_key_begins_with_is_not_passed_over(key: str) -> None:
    with pytest.raises(CorruptRecordError):
        DECIMAL.create_comparator().skip_key(BytesInput(bytes.fromhex(key)))


def test_a_subclass_comes_back_plain() -> None:
    class Money(Decimal):
        pass

    serializer = DECIMAL.create_serializer()
    for text in (*FINITE, *SPECIAL):
        assert same(serializer.from_bytes(serializer.to_bytes(Money(text))), Decimal(text))
    assert DECIMAL.create_comparator().compare(Money("1.0"), Decimal(1)) == 0


def test_errors_name_the_cure() -> None:
    with pytest.raises(ValueMismatchError, match=r"^1\.5 \(float\) is not Decimal\. Convert it with Decimal\(value\)$"):
        DECIMAL.create_serializer().to_bytes(1.5)  # type: ignore[arg-type]
    with pytest.raises(NullFieldError):
        DECIMAL.create_comparator().compare(None, Decimal(1))  # type: ignore[arg-type]
