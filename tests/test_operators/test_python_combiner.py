"""Where a dictionary may stand in for a sort: keys that are equal in Python are equal in order, or it is not used."""

import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from serializers.errors import SerializationError
from serializers.types import TypeInformation, type_info_of
from serializers.types.temporal import AWARE_DATETIME
from shuffle.operators.key_equality import is_equal_as_bytes
from shuffle.operators.python_combiner import UnhashableKeyError, as_pairs, combine
from tests.test_serializers.random_schemas import random_schema, random_value


def values_of(rng: random.Random, info: TypeInformation[Any], count: int) -> Iterator[Any]:
    """Some of which are equal."""
    made = [random_value(rng, info) for _ in range(count)]
    yield from made


@pytest.mark.parametrize("seed", range(150))
def test_equal_keys_have_equal_bytes(seed: int) -> None:
    rng = random.Random(seed)
    print("seed", seed)
    info = random_schema(rng, depth=seed % 3, orderable=True)
    if not is_equal_as_bytes(info):
        return
    comparator = info.create_comparator()
    by_value: dict[Any, bytes] = {}
    by_bytes: dict[bytes, Any] = {}
    for value in values_of(rng, info, 60):
        key = comparator.order_key(value)
        assert by_value.setdefault(value, key) == key
        assert by_bytes.setdefault(key, value) == value


def test_what_python_takes_for_one() -> None:
    assert not is_equal_as_bytes(AWARE_DATETIME)
    zone = ZoneInfo("Europe/Rome")
    twice = [datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=fold) for fold in (0, 1)]
    assert twice[0] == twice[1]
    comparator = AWARE_DATETIME.create_comparator()
    assert comparator.order_key(twice[0]) != comparator.order_key(twice[1])
    assert not is_equal_as_bytes(type_info_of(int | str)) and not is_equal_as_bytes(type_info_of(list[int]))
    assert not is_equal_as_bytes(type_info_of(int | float)) and not is_equal_as_bytes(type_info_of(float))
    assert is_equal_as_bytes(type_info_of(int | bool)) and is_equal_as_bytes(type_info_of(tuple[int, str | None]))


def test_in_the_order_in_which_keys_come() -> None:
    assert list(combine([("b", 1), ("a", 2), ("b", 3)], lambda a, b: a * 10 + b).items()) == [("b", 13), ("a", 2)]


def test_what_is_no_pair_and_what_is_no_key() -> None:
    assert as_pairs([[1, 2], "ab"], 0) == [(1, 2), ("a", "b")]
    with pytest.raises(SerializationError, match=r"record 11.*7 is not a pair"):
        combine([(1, 2), 7], max, 10)  # type: ignore[list-item, arg-type]
    with pytest.raises(UnhashableKeyError, match="list"):
        combine([(1, 2), ([1], 2)], max)
    with pytest.raises(TypeError) as caught:
        combine([(1, 2), (1, "x")], max)
    assert caught.value.__notes__ == ["the function was called for key 1"]
