"""Optional values: the whole suite, their bytes, and where nulls go."""

from itertools import product

import pytest
from hypothesis import strategies as st

from serializers.errors import CorruptRecordError, NotOrderableError, ValueMismatchError
from serializers.types.containers import OptionalInfo, SetInfo
from serializers.types.numbers import FLOAT64, INT8, INT32, NONE
from serializers.types.optional import without_optional
from serializers.types.text import STR
from serializers.views import BytesInput
from tests.test_serializers.conformance import check_type, conforms, survives_garbage


def test_optional_values() -> None:
    check_type(OptionalInfo(STR), [None, "", "a", "a\0", None, "\uffff"], wrong=(1, b"a"), python_key=None, damage=True)
    check_type(OptionalInfo(INT32), [None, 0, -1, 2**31 - 1], wrong=(True, 2**31, "a"), python_key=None, damage=True)
    check_type(OptionalInfo(FLOAT64), [None, -0.0, 0.0, float("nan"), float("inf")], wrong=("a",), python_key=None)
    check_type(OptionalInfo(OptionalInfo(INT8)), [None, 1], wrong=("a",), python_key=None)
    check_type(OptionalInfo(NONE), [None, None], wrong=("a",), python_key=None)


test_optional_text_by_chance = conforms(OptionalInfo(STR), st.none() | st.text(max_size=4), python_key=None)
test_optional_text_survives_garbage = survives_garbage(OptionalInfo(STR))


@pytest.mark.parametrize(("descending", "nulls_last"), list(product((False, True), repeat=2)))
def test_nulls_go_where_they_are_asked_to(descending: bool, nulls_last: bool) -> None:
    comparator = OptionalInfo(STR).create_comparator(descending=descending, nulls_last=nulls_last)
    found = sorted(["b", None, "", "a"], key=comparator.order_key)
    texts: list[str | None] = ["b", "a", ""] if descending else ["", "a", "b"]
    assert found == ([*texts, None] if nulls_last else [None, *texts])


def test_bytes() -> None:
    serializer = OptionalInfo(INT8).create_serializer()
    assert (serializer.to_bytes(None), serializer.to_bytes(-1)) == (b"\x00", b"\x01\xff")

    def keys(*, descending: bool, nulls_last: bool) -> tuple[bytes, bytes]:
        comparator = OptionalInfo(INT8).create_comparator(descending=descending, nulls_last=nulls_last)
        return comparator.order_key(None), comparator.order_key(-1)

    assert keys(descending=False, nulls_last=False) == (b"\x00", b"\x01\x7f")
    assert keys(descending=False, nulls_last=True) == (b"\x02", b"\x01\x7f")
    assert keys(descending=True, nulls_last=False) == (b"\x00", b"\x01\x80")
    assert keys(descending=True, nulls_last=True) == (b"\x02", b"\x01\x80")


def test_the_hash_knows_nothing_of_direction() -> None:
    orders = [
        OptionalInfo(STR).create_comparator(descending=d, nulls_last=n) for d, n in product((False, True), repeat=2)
    ]
    for value in (None, "", "a"):
        assert len({order.hash(value) for order in orders}) == 1


def test_a_wrong_flag_is_corrupt() -> None:
    serializer, comparator = OptionalInfo(INT8).create_serializer(), OptionalInfo(INT8).create_comparator()
    for move in (serializer.deserialize, serializer.skip, comparator.read_key, comparator.skip_key):
        with pytest.raises(CorruptRecordError, match=r"not 2|no key has 2"):
            move(BytesInput(b"\x02\x00"))


def test_names_and_what_is_passed_on() -> None:
    assert OptionalInfo(STR).name == "optional[str]" and OptionalInfo(STR).allows_null
    assert without_optional(OptionalInfo(OptionalInfo(STR))) == STR == without_optional(STR)
    with pytest.raises(NotOrderableError):
        OptionalInfo(SetInfo(STR)).create_comparator()
    with pytest.raises(ValueMismatchError, match=r"^300 does not fit int8"):
        OptionalInfo(INT8).create_serializer().to_bytes(300)
