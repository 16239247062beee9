"""TypedDicts: the whole suite, absent keys, what is refused."""

from itertools import product
from typing import Any, NotRequired, Required, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serializers.errors import CorruptRecordError, IncompatibleTypeError, NotOrderableError, ValueMismatchError
from serializers.types.composite import TypedDictInfo
from serializers.types.containers import OptionalInfo, SetInfo
from serializers.types.numbers import FLOAT64, INT, INT8
from serializers.types.text import STR
from serializers.types.type_information import Field
from serializers.views import BytesInput
from tests.test_serializers.comparator_checks import LAWS, Ordered, check_mirrored, comparators_of
from tests.test_serializers.conformance import Case, check_serializer, check_type, survives_garbage
from tests.test_serializers.serializer_checks import EVERY_VALUE, check_damage


class Order(TypedDict):
    id: int
    name: str


class Partial(TypedDict, total=False):
    id: Required[int]
    name: str
    score: float | None


class Quoted(TypedDict):
    id: int
    name: "NotRequired[str]"


ORDER = TypedDictInfo(Order, (Field("id", INT), Field("name", STR)))
PARTIAL = TypedDictInfo(Partial, (Field("id", INT8), Field("name", STR), Field("score", OptionalInfo(FLOAT64))))


def test_total() -> None:
    values = [{"id": 1, "name": "a"}, {"id": 1, "name": ""}, {"id": -1, "name": "z"}]
    wrong = (
        {},
        {"id": 1},
        {"id": 1, "name": "a", "x": 1},
        {"id": "a", "name": "a"},
        {"id": None, "name": "a"},
        [],
        "a",
    )
    check_type(ORDER, values, wrong=wrong, python_key=lambda value: (value["id"], value["name"]), damage=True)


def test_absent_keys() -> None:
    values = [
        {"id": 1},
        {"id": 1, "name": "a"},
        {"id": 1, "score": None},
        {"id": 1, "score": 0.5},
        {"id": 1, "name": "a", "score": 0.5},
        {"id": 1, "name": "", "score": None},
    ]
    check_partial(values)
    check_serializer(PARTIAL, values, wrong=({}, {"name": "a"}, {"id": 1, "name": None}))
    check_damage(Case(PARTIAL, values))


def check_partial(values: list[dict[str, Any]]) -> None:
    """All laws of order but one: the inverse of an order leaves absent keys where they were."""
    case = Case(PARTIAL, values, python_key=None)
    for check in EVERY_VALUE:
        check(case)
    for comparator, law in product(comparators_of(case), LAWS):
        if law is not check_mirrored:
            law(Ordered(case, comparator))


def in_order(value: dict[str, Any]) -> dict[str, Any]:
    return {name: value[name] for name in ("id", "name", "score") if name in value}


PARTIAL_VALUES = st.fixed_dictionaries(
    {"id": st.integers(-3, 3)}, optional={"name": st.text(max_size=2), "score": st.none() | st.floats(0, 1)}
)


@settings(max_examples=25, deadline=None)
@given(st.lists(PARTIAL_VALUES.map(in_order), min_size=1, max_size=5))
def test_partial_by_chance(values: list[dict[str, Any]]) -> None:
    check_partial(values)


test_partial_survives_garbage = survives_garbage(PARTIAL)


def test_which_keys_must_be_there() -> None:
    assert ORDER.required == {"id", "name"} and PARTIAL.required == {"id"}
    assert TypedDictInfo(Quoted, (Field("id", INT), Field("name", STR))).required == {"id"}
    assert TypedDictInfo(Order, ORDER.fields, frozenset({"id"})).may_miss() == [False, True]


def test_bytes() -> None:
    assert PARTIAL.create_serializer().to_bytes({"id": 1, "score": None}).hex(" ") == "02 01 00"
    assert PARTIAL.create_comparator().order_key({"id": 1, "score": None}).hex(" ") == "81 00 01 00"


def test_the_order_of_keys_is_that_of_declaration() -> None:
    serializer = ORDER.create_serializer()
    found = serializer.from_bytes(serializer.to_bytes({"name": "a", "id": 1}))
    assert list(found) == ["id", "name"]


def test_absent_goes_where_nulls_go_and_none_next_to_it() -> None:
    values = [{"id": 1, "score": 0.5}, {"id": 1, "score": None}, {"id": 1}]
    assert sorted(values, key=PARTIAL.create_comparator().order_key) == values[::-1]
    assert sorted(values, key=PARTIAL.create_comparator(nulls_last=True).order_key) == values
    assert sorted(values, key=PARTIAL.create_comparator(descending=True).order_key) == values[::-1]


def test_what_is_refused_is_named() -> None:
    serializer = PARTIAL.create_serializer()
    with pytest.raises(ValueMismatchError, match="the key 'id' of Partial is absent"):
        serializer.to_bytes({"name": "a"})
    with pytest.raises(ValueMismatchError, match="Partial has no key 'nam', only id, name, score"):
        serializer.to_bytes({"id": 1, "nam": "a"})
    with pytest.raises(ValueMismatchError, match=r"^field name: 1 \(int\) is not str"):
        serializer.to_bytes({"id": 1, "name": 1})
    with pytest.raises(CorruptRecordError, match="mask 1 leaves out"):
        serializer.from_bytes(b"\x01a")
    with pytest.raises(NotOrderableError, match=r"^field name: "):
        TypedDictInfo(Order, (Field("id", INT), Field("name", SetInfo(INT)))).create_comparator()


def test_one_field_is_read_without_the_others() -> None:
    serializer = PARTIAL.create_serializer()
    data = serializer.to_bytes({"id": 1, "score": 0.5})
    assert [serializer.deserialize_field(BytesInput(data), place) for place in range(3)] == [1, None, 0.5]


def test_what_older_versions_wrote() -> None:
    now_required = TypedDictInfo(Partial, PARTIAL.fields, frozenset({"id", "name"}))
    PARTIAL.check_can_read(now_required.snapshot())
    with pytest.raises(IncompatibleTypeError, match="when name could be absent"):
        now_required.check_can_read(PARTIAL.snapshot())
    with pytest.raises(IncompatibleTypeError, match="was written with the parts id, name, score"):
        TypedDictInfo(Partial, PARTIAL.fields[:2]).check_can_read(PARTIAL.snapshot())
