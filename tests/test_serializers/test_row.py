"""Row, as users handle it; and its type: the whole suite, its bytes, what it refuses."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serializers.errors import CorruptRecordError, NullFieldError, ValueMismatchError
from serializers.types.composite import Row, RowInfo
from serializers.types.containers import ListInfo, OptionalInfo
from serializers.types.numbers import FLOAT64, INT, INT8, INT32
from serializers.types.text import STR
from serializers.types.type_information import Field
from serializers.views import BytesInput
from tests.test_serializers.conformance import check_type, conforms, survives_garbage

# --- the value class


def test_values_by_place_and_name() -> None:
    row = Row(id=7, name="x", tags=[1])
    assert (row[0], row[-1], row["name"], row.name, row[:2]) == (7, [1], "x", "x", (7, "x"))
    assert (len(row), list(row), row._asdict()) == (3, [7, "x", [1]], {"id": 7, "name": "x", "tags": [1]})
    assert (len(Row()), list(Row(1, "a")), Row(1, "a")._asdict()) == (0, [1, "a"], {"0": 1, "1": "a"})
    assert Row(self=1, values=2, named=3).self == 1


def test_what_is_not_there() -> None:
    row = Row(id=7)
    with pytest.raises(KeyError, match="nam: the fields are id"):
        row["nam"]
    with pytest.raises(KeyError, match="without names"):
        Row(1)["id"]
    with pytest.raises(AttributeError, match="no field 'nam'"):
        row.nam  # noqa: B018
    with pytest.raises(IndexError):
        row[1]
    with pytest.raises(TypeError, match="not both"):
        Row(1, a=2)


def test_a_row_cannot_be_changed() -> None:
    row = Row(id=7)
    for change in (
        lambda: setattr(row, "id", 8),
        lambda: setattr(row, "_values", ()),
        lambda: delattr(row, "id"),
        lambda: setattr(row, "other", 1),
    ):
        with pytest.raises(AttributeError, match="cannot be changed"):
            change()
    assert row == Row(id=7) and not hasattr(row, "__dict__")


def test_equality_and_hash() -> None:
    assert Row(a=1, b=None) == Row(a=1, b=None) != Row(a=1, b=2)
    assert Row(a=1) != Row(b=1) and Row(a=1) != Row(1) and Row(1) != (1,)
    assert len({Row(a=1), Row(a=1), Row(1), Row(b=1)}) == 3


def test_order_is_that_of_tuples_with_none_first() -> None:
    rows = [Row(2, "a"), Row(None, "z"), Row(1), Row(1, None), Row(1, "a"), Row()]
    assert sorted(rows) == [Row(), Row(None, "z"), Row(1), Row(1, None), Row(1, "a"), Row(2, "a")]
    assert max(rows) == Row(2, "a") and Row(1, None) <= Row(1, None) >= Row(1, None)
    assert not Row(1) < Row(1) and not Row(1) > Row(1) and Row(1, None) > Row(1)
    with pytest.raises(TypeError):
        Row(1) < (1,)  # type: ignore[operator]  # noqa: B015
    with pytest.raises(TypeError):
        Row(1) < Row("a")  # noqa: B015


@given(st.lists(st.lists(st.integers(0, 2), max_size=3), min_size=2, max_size=2))
def test_order_agrees_with_tuples(pair: list[list[int]]) -> None:
    left, right = pair
    for operator in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__"):
        assert getattr(Row(*left), operator)(Row(*right)) == getattr(tuple(left), operator)(tuple(right))


@pytest.mark.parametrize("row", [Row(), Row(1, [2]), Row(a=1, b=Row(c=2)), Row(**{"not a name": 1})])
def test_copies_and_text(row: Row) -> None:
    for clone in (pickle.loads(pickle.dumps(row)), copy.copy(row), copy.deepcopy(row)):
        assert clone == row and clone._fields == row._fields and repr(clone) == repr(row)


def test_text() -> None:
    assert (repr(Row()), repr(Row(1, "a")), repr(Row(id=1, name=None))) == (
        "Row()",
        "Row(1, 'a')",
        "Row(id=1, name=None)",
    )


# --- the type

NAMED = RowInfo((Field("id", INT32), Field("name", STR), Field("score", OptionalInfo(FLOAT64))))
PLAIN = RowInfo((Field("0", INT8), Field("1", STR)), named=False)


def test_named_rows() -> None:
    values = [
        Row(id=1, name="a", score=0.5),
        Row(id=None, name="a", score=0.5),
        Row(id=1, name=None, score=None),
        Row(id=None, name=None, score=None),
        Row(id=1, name="a\0", score=-0.0),
        Row(id=1, name="a\0", score=0.0),
    ]
    wrong = (
        Row(1, "a", 0.5),
        Row(id=1, name="a"),
        Row(name="a", id=1, score=0.5),
        Row(id="1", name="a", score=0.5),
        (1, "a", 0.5),
        {"id": 1, "name": "a", "score": 0.5},
    )
    check_type(NAMED, values, wrong=wrong, python_key=None, damage=True)
    assert sorted(values, key=NAMED.create_comparator().order_key) == sorted(values)


def test_rows_without_names() -> None:
    values = [Row(1, "a"), Row(None, "a"), Row(1, None), Row(-1, ""), Row(1, "")]
    check_type(PLAIN, values, wrong=(Row(a=1, b="a"), Row(1), (1, "a"), Row("a", 1)), python_key=None, damage=True)
    assert sorted(values, key=PLAIN.create_comparator().order_key) == sorted(values)


def test_a_row_of_no_fields() -> None:
    check_type(RowInfo(()), [Row(), Row()], wrong=(Row(1),))


test_rows_by_chance = conforms(
    RowInfo((Field("0", STR), Field("1", ListInfo(OptionalInfo(INT))), Field("2", INT)), named=False),
    st.builds(
        Row,
        st.none() | st.text(max_size=2),
        st.none() | st.lists(st.none() | st.integers(-1, 1), max_size=3),
        st.none() | st.integers(),
    ),
    python_key=None,
)
test_rows_survive_garbage = survives_garbage(NAMED)


def test_bytes() -> None:
    nine = RowInfo(tuple(Field(str(place), INT8) for place in range(9)), named=False)
    value = Row(1, None, 3, 4, 5, 6, 7, 8, None)
    assert nine.create_serializer().to_bytes(value).hex(" ") == "02 01 01 03 04 05 06 07 08"
    assert PLAIN.create_comparator().order_key(Row(1, "a")).hex(" ") == "01 81 01 61"
    assert PLAIN.create_comparator(nulls_last=True).order_key(Row(None, "a")).hex(" ") == "02 01 61"


def test_a_field_declared_optional_has_no_second_mark() -> None:
    plain, optional = RowInfo((Field("a", STR),)), RowInfo((Field("a", OptionalInfo(STR)),))
    for row in (Row(a="x"), Row(a=None)):
        assert plain.create_serializer().to_bytes(row) == optional.create_serializer().to_bytes(row)
        assert plain.create_comparator().order_key(row) == optional.create_comparator().order_key(row)


def test_one_field_is_read_without_the_others() -> None:
    serializer = NAMED.create_serializer()
    for value in (
        Row(id=1, name="abc", score=0.5),
        Row(id=None, name="abc", score=None),
        Row(id=1, name=None, score=2.5),
    ):
        data = serializer.to_bytes(value)
        assert [serializer.deserialize_field(BytesInput(data), place) for place in range(3)] == list(value)


def test_corrupt_masks() -> None:
    with pytest.raises(CorruptRecordError, match="mask"):
        PLAIN.create_serializer().from_bytes(b"\x04\x01\x01a")


def test_errors_name_the_field() -> None:
    info = RowInfo((Field("address", RowInfo((Field("city", STR),))),))
    with pytest.raises(ValueMismatchError, match=r"^field address\.city: 1 \(int\) is not str"):
        info.create_serializer().to_bytes(Row(address=Row(city=1)))
    with pytest.raises(CorruptRecordError, match=r"^field address\.city: "):
        info.create_serializer().from_bytes(b"\x00\x00\x05a")
    with pytest.raises(ValueMismatchError, match=r"has the names x, where row\[city: str\] has city"):
        info.create_comparator().order_key(Row(address=Row(x="a")))
    with pytest.raises(NullFieldError):
        info.create_serializer().to_bytes(None)


def test_names() -> None:
    assert NAMED.name == "row[id: int32, name: str, score: optional[float64]]"
    assert PLAIN.name == "row[int8, str]" and RowInfo(()).name == "row[]"
    assert NAMED.arity == 3 and pickle.loads(pickle.dumps(NAMED)) == NAMED
    with pytest.raises(ValueError, match="more than one field called 'a'"):
        RowInfo((Field("a", INT), Field("a", STR)))
