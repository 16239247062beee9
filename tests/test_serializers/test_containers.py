"""Sets and dicts: the suite, their bytes, what is refused."""

from collections import Counter, OrderedDict, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serializers.errors import CorruptRecordError, NotOrderableError, NullFieldError, ValueMismatchError
from serializers.types.composite import TupleInfo
from serializers.types.containers import DictInfo, ListInfo, OptionalInfo, SetInfo, UnionInfo
from serializers.types.numbers import FLOAT64, INT, INT32, NONE
from serializers.types.text import STR
from tests.test_serializers.conformance import check_type, check_values, survives_garbage

TEXTS = SetInfo(STR)
PRICES = DictInfo(STR, INT)


def test_sets() -> None:
    check_type(TEXTS, [set(), {"a"}, {"a", "b", ""}], wrong=(["a"], frozenset("a"), {1}, {None}, "a"), damage=True)
    check_type(
        SetInfo(INT32, frozen=True), [frozenset(), frozenset({1, 2})], wrong=({1}, frozenset({"a"})), damage=True
    )
    mixed = SetInfo(OptionalInfo(UnionInfo((INT, STR, TupleInfo((INT, STR))))))
    check_type(mixed, [{None, 1, "a", (1, "a")}], wrong=({1.5},), damage=True)


def test_dicts() -> None:
    values = [{}, {"a": 1}, {"b": 2, "a": 1}, {"a": 1, "b": 2}]
    check_type(PRICES, values, wrong=({1: 1}, {"a": "b"}, {"a": None}, [("a", 1)], {"a"}), damage=True)
    nested = DictInfo(TupleInfo((INT, STR)), DictInfo(STR, ListInfo(OptionalInfo(FLOAT64))))
    check_type(nested, [{(1, "a"): {"x": [None, 0.5]}}, {(1, "a"): {}}], wrong=({(1, "a"): []},), damage=True)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=5), st.sets(st.text(max_size=3), max_size=5))
def test_by_chance(entries: dict[str, int], texts: set[str]) -> None:
    check_values(PRICES, [entries])
    check_values(TEXTS, [texts])


test_sets_survive_garbage = survives_garbage(SetInfo(OptionalInfo(STR)))
test_dicts_survive_garbage = survives_garbage(DictInfo(STR, UnionInfo((INT, STR))))


def test_bytes() -> None:
    assert PRICES.create_serializer().to_bytes({"b": 0, "a": 1}).hex(" ") == "02 01 62 80 01 61 81 01"
    assert TEXTS.create_serializer().to_bytes({"a"}).hex(" ") == "01 01 61"


def test_several_nans_are_several_elements() -> None:
    nans = {float("nan"), float("nan")}
    serializer = SetInfo(FLOAT64).create_serializer()
    assert len(serializer.from_bytes(serializer.to_bytes(nans))) == 2


def test_subclasses_are_taken_as_plain_dicts() -> None:
    serializer = PRICES.create_serializer()
    counts: defaultdict[str, int] = defaultdict(int, {"a": 1})
    for value in (Counter("aab"), OrderedDict(b=1, a=2), counts):
        found = serializer.from_bytes(serializer.to_bytes(value))
        assert type(found) is dict and found == dict(value) and list(found) == list(value)


def test_they_have_no_order() -> None:
    for info in (TEXTS, PRICES):
        with pytest.raises(NotOrderableError, match="have no order"):
            info.create_comparator()


def test_what_cannot_have_been_written() -> None:
    with pytest.raises(CorruptRecordError, match=r"a set\[str\] of 2 elements, of which only 1 differ"):
        TEXTS.create_serializer().from_bytes(b"\x02\x01a\x01a")
    with pytest.raises(CorruptRecordError, match="of 2 entries, of which only 1 keys differ"):
        PRICES.create_serializer().from_bytes(b"\x02\x01a\x80\x01a\x80")
    with pytest.raises(CorruptRecordError, match="has such an element: unhashable"):
        SetInfo(ListInfo(NONE)).create_serializer().from_bytes(b"\x01\x00")
    with pytest.raises(CorruptRecordError, match="has such a key: unhashable"):
        DictInfo(ListInfo(NONE), NONE).create_serializer().from_bytes(b"\x01\x00")
    with pytest.raises(CorruptRecordError, match=r"elements of 4 bytes are said to follow"):
        SetInfo(INT32).create_serializer().from_bytes(b"\xff\xff\x03")
    with pytest.raises(CorruptRecordError, match=r"^field entry 1: "):
        PRICES.create_serializer().from_bytes(b"\x02\x01a\x80\x01b")


def test_errors_name_the_entry() -> None:
    info = DictInfo(STR, DictInfo(STR, INT))
    with pytest.raises(ValueMismatchError, match=r"^field 'eu'\.'de': 1\.5 \(float\) is not int"):
        info.create_serializer().to_bytes({"eu": {"fr": 1, "de": 1.5}})
    with pytest.raises(ValueMismatchError, match=r"^field 'eu'\.key: 5 \(int\) is not str"):
        info.create_serializer().to_bytes({"eu": {5: 1}})
    with pytest.raises(NullFieldError, match=r"^field element: None"):
        TEXTS.create_serializer().to_bytes({None})


def test_names() -> None:
    assert (TEXTS.name, SetInfo(INT, frozen=True).name, PRICES.name) == ("set[str]", "frozenset[int]", "dict[str, int]")
