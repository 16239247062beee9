"""What may be chosen about every operator: types, nulls, memory."""

import operator
import re
from pathlib import Path
from typing import Any

import pytest

from serializers.errors import SerializationError, UnknownTypeError
from serializers.types import Int32
from shuffle.operators import distinct, group_reduce, merge_join, reduce_by_key, top_k
from tests import tiny

PAIRS = [(n % 5 or None, n) for n in range(100)]
CALLS: dict[str, Any] = {
    "reduce_by_key": lambda values, **choices: reduce_by_key(values, operator.add, **choices),
    "group_reduce": lambda values, **choices: group_reduce(values, lambda key, group: group, by=0, **choices),
    "distinct": lambda values, **choices: distinct(values, by=0, **choices),
    "top_k": lambda values, **choices: top_k(values, 1000, by=0, **choices),
    "merge_join": lambda values, **choices: merge_join(values, values, on=0, how="semi", **choices),
}


@pytest.fixture(params=list(CALLS))
def call(request: pytest.FixtureRequest) -> Any:
    """Every operator."""
    return CALLS[request.param]


def test_nulls_last(call: Any) -> None:
    with tiny.machine() as machine:
        for nulls_last in (False, True):
            with call(PAIRS, nulls_last=nulls_last, temp_dirs=[str(machine.temp_dir)]) as result:
                keys = [pair[0] for pair in result]
                assert (keys[0], keys[-1]) == ((1, None) if nulls_last else (None, 4))


def test_types_are_declared_or_refused(call: Any) -> None:
    with tiny.machine() as machine:
        choices: dict[str, Any] = {"temp_dirs": [str(machine.temp_dir)]}
        with pytest.raises(UnknownTypeError, match="object"):
            list(call([(1, object())], allow_generic=False, **choices))
        info = tuple[int, Int32]
        is_join = call is CALLS["merge_join"]
        declared = {"left_type_info": info, "right_type_info": info} if is_join else {"type_info": info}
        with pytest.raises(SerializationError, match="record 1, field 1"):
            list(call([(1, 5), (2, 1 << 40)], **declared, **choices))


def test_the_floor_is_one_that_works(call: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the floor is") as caught:
        list(call(PAIRS, memory="5MiB", temp_dirs=[str(tmp_path)]))
    found = re.search(r"the floor is (\d+) MiB", str(caught.value))
    assert found is not None
    floor = int(found[1]) if call is not CALLS["merge_join"] else 64 + 2 * (int(found[1]) - 16)
    with call(PAIRS, memory=f"{floor}MiB", temp_dirs=[str(tmp_path)]) as result:
        assert list(result)
    with pytest.raises(ValueError, match="the floor is"):
        list(call(PAIRS, memory=f"{floor - 3}MiB", temp_dirs=[str(tmp_path)]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "choices", [{"threads": 0}, {"memory": "12 quarts"}, {"compress": "zip"}, {"colour": "red"}, {"max_disk": "x"}]
)
def test_choices_that_make_no_sense(call: Any, choices: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)), tiny.machine() as machine:
        list(call(PAIRS, temp_dirs=[str(machine.temp_dir)], **choices))
