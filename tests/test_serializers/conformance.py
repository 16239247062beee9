"""The suite that every type runs: all that serializers and comparators promise, on values that the type's test names.

    from tests.test_serializers.conformance import check_type, conforms

    def test_int32() -> None:
        check_type(INT32, [0, -1, 2**31 - 1], wrong=(True, "1", 2**31))

    test_int32_by_chance = conforms(INT32, st.integers(-(2**31), 2**31 - 1))

Give equal values that are not the same (0.0 and -0.0), and the extreme ones. `python_key=None` says that Python cannot
order the values as the type does; a function turns each into one that it can. `damage=True` also reads the bytes with
single bytes changed: whatever comes of that must be a value or a CorruptRecordError.
"""

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serializers.types.type_information import TypeInformation
from tests.test_serializers.comparator_checks import LAWS, Ordered, check_no_order, comparators_of, holds_null, sign
from tests.test_serializers.same_value import same
from tests.test_serializers.serializer_checks import (
    EVERY_VALUE,
    ONCE,
    Case,
    check_damage,
    check_garbage,
    noisy_segment,
)


def check_type(info: TypeInformation[Any], values: Sequence[Any], *, damage: bool = False, **more: Any) -> None:
    """Every check there is. `more` are the fields of a Case: wrong, python_key, same."""
    case = Case(info, list(values), **more)
    for check in (*ONCE, *EVERY_VALUE):
        check(case)
    if damage:
        check_damage(case)
    check_laws(case)


def check_serializer(info: TypeInformation[Any], values: Sequence[Any], **more: Any) -> None:
    """The checks that concern bytes alone; of comparators, only that there is none if the type says so."""
    case = Case(info, list(values), **more)
    for check in (*ONCE, *EVERY_VALUE):
        check(case)


def check_values(info: TypeInformation[Any], values: Sequence[Any], **more: Any) -> None:
    """The checks that are about values, not about the type: quick enough for many examples."""
    case = Case(info, list(values), **more)
    for check in EVERY_VALUE:
        check(case)
    check_laws(case)


def check_laws(case: Case) -> None:
    """The laws of order, for each direction and each place of nulls."""
    if not case.type_info.is_key_type:
        check_no_order(case)
        return
    for comparator in comparators_of(case):
        ordered = Ordered(case, comparator)
        for law in LAWS:
            law(ordered)


def conforms(
    info: TypeInformation[Any], strategy: st.SearchStrategy[Any], *, examples: int = 40, size: int = 5, **more: Any
) -> Callable[[], None]:
    """A test of lists of up to `size` values from `strategy`, some of them doubled."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(strategy, min_size=1, max_size=size), st.integers(0, 2))
    def test(values: list[Any], doubled: int) -> None:
        check_values(info, values + values[:doubled], **more)

    return test


def survives_garbage(info: TypeInformation[Any], *, examples: int = 200) -> Callable[[], None]:
    """A test that any bytes at all are read as a value or a CorruptRecordError."""

    @settings(max_examples=examples, deadline=None)
    @given(st.binary(max_size=40))
    def test(data: bytes) -> None:
        check_garbage(info.create_serializer(), data)

    return test


__all__ = [
    "Case",
    "check_laws",
    "check_serializer",
    "check_type",
    "check_values",
    "conforms",
    "holds_null",
    "noisy_segment",
    "same",
    "sign",
    "survives_garbage",
]
