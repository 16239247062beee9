"""array.array and numpy arrays of objects: the whole suite, their bytes, what is refused."""

import array
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from serializers.errors import CorruptRecordError, NotOrderableError, NullFieldError, ValueMismatchError
from serializers.types.arrays import ObjectArrayInfo, PythonArrayInfo
from serializers.types.composite import TupleInfo
from serializers.types.containers import ListInfo, OptionalInfo
from serializers.types.numbers import INT, INT32
from serializers.types.text import STR
from tests.test_serializers.conformance import check_serializer, check_type, conforms, survives_garbage

DOUBLES = PythonArrayInfo("d")

# --- array.array


@pytest.mark.parametrize("typecode", [code for code in array.typecodes if code not in "ufd"])
def test_integers(typecode: str) -> None:
    empty = array.array(typecode)
    bits = 8 * empty.itemsize
    low, high = (-1 << bits - 1, (1 << bits - 1) - 1) if typecode.islower() else (0, (1 << bits) - 1)
    lists = [[], [0], [low], [high], [0, low], [0, high], [high, high, low]]
    other = array.array("d" if typecode == "b" else "b")
    values = [array.array(typecode, each) for each in lists]
    check_type(PythonArrayInfo(typecode), values, wrong=(other, [0], b"", None), python_key=list)


def test_floats() -> None:
    lists = [[], [0.0], [-0.0], [1.5, float("inf")], [1.5], [1.5, -1.0]]
    for typecode in "fd":
        values = [array.array(typecode, each) for each in lists]
        check_type(PythonArrayInfo(typecode), values, wrong=(array.array("q"), [0.5]), python_key=list)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_characters() -> None:
    values = [array.array("u", each) for each in ("", "a", "ab", "b", "\0", "ü\U0001f600")]
    check_type(PythonArrayInfo("u"), values, wrong=(array.array("i"), "a"), python_key=lambda value: value.tounicode())
    with pytest.raises(CorruptRecordError, match="characters, one of which is none"):
        PythonArrayInfo().create_serializer().from_bytes(b"u\x01\xff\xff\xff\xff")


def test_any_typecode() -> None:
    values = [array.array("b", [1]), array.array("d", [0.5]), array.array("Q", [2**64 - 1])]
    check_serializer(PythonArrayInfo(), values, wrong=([1], b"a", np.ones(1)))
    with pytest.raises(NotOrderableError, match="Declare the typecode"):
        PythonArrayInfo().create_comparator()


test_doubles_by_chance = conforms(
    DOUBLES, st.lists(st.floats(allow_nan=False), max_size=4).map(lambda each: array.array("d", each)), python_key=list
)
test_arrays_survive_garbage = survives_garbage(PythonArrayInfo("h"))


def test_bytes() -> None:
    value = array.array("h", [1, -2])
    assert PythonArrayInfo("h").create_serializer().to_bytes(value).hex(" ") == "68 02 01 00 fe ff"
    assert PythonArrayInfo("h").create_comparator().order_key(value).hex(" ") == "01 80 01 01 7f fe 00"


def test_big_endian_machines_write_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = array.array("h", [1, -2])
    swapped.byteswap()
    monkeypatch.setattr(sys, "byteorder", "big")
    serializer = PythonArrayInfo("h").create_serializer()
    data = serializer.to_bytes(swapped)
    assert data.hex(" ") == "68 02 01 00 fe ff" and serializer.from_bytes(data) == swapped


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="no typecode 'x'"):
        PythonArrayInfo("x")
    with pytest.raises(
        ValueMismatchError, match=r"of typecode 'i' is not array\[d\]. Convert it with array.array\('d'"
    ):
        DOUBLES.create_serializer().to_bytes(array.array("i"))
    for data in (b"x\x00", b"i\x00", b"\x00\x00", b"d\x02" + bytes(8), b"d\xff\xff\xff\xff\x0f"):
        with pytest.raises(CorruptRecordError):
            DOUBLES.create_serializer().from_bytes(data)
    assert (DOUBLES.name, PythonArrayInfo().name) == ("array[d]", "array")


# --- object arrays


def objects(*values: Any) -> Any:
    made = np.empty(len(values), object)
    for index, value in enumerate(values):
        made[index] = value
    return made


def test_object_arrays() -> None:
    grid = np.array([[1, None], [2**70, 3]], object)
    values = [grid, objects(), grid.T, np.array(None, object), np.empty((0, 2), object)]
    wrong = ([1], np.array([1]), objects("a"), np.ma.masked_array([None]))
    check_type(ObjectArrayInfo(OptionalInfo(INT)), values, wrong=wrong, damage=True)
    texts = ObjectArrayInfo(STR)
    check_type(texts, [objects("a", ""), np.array("x", object)], wrong=(objects("a", 1), objects(None)))


def test_elements_that_numpy_would_open_up() -> None:
    info = ObjectArrayInfo(ListInfo(INT))
    value = objects([1, 2], [3, 4])
    check_type(info, [value, objects([]), objects([1])], wrong=(objects(1),))
    tuples = ObjectArrayInfo(TupleInfo((INT, INT)))
    found = tuples.create_serializer().from_bytes(tuples.create_serializer().to_bytes(objects((1, 2), (3, 4))))
    assert found.shape == (2,) and found[1] == (3, 4)
    assert found.flags.c_contiguous and found.flags.owndata and found.flags.writeable


test_object_arrays_survive_garbage = survives_garbage(ObjectArrayInfo(STR))


def test_bytes_of_object_arrays() -> None:
    serializer = ObjectArrayInfo(STR).create_serializer()
    assert serializer.to_bytes(objects("a", "b")).hex(" ") == "01 02 01 61 01 62"


def test_errors_name_the_element() -> None:
    serializer = ObjectArrayInfo(STR).create_serializer()
    with pytest.raises(NullFieldError, match=r"^field 1: None"):
        serializer.to_bytes(objects("a", None))
    with pytest.raises(CorruptRecordError, match=r"^field 1: "):
        serializer.from_bytes(b"\x01\x02\x01a")
    with pytest.raises(CorruptRecordError, match="said to follow"):
        ObjectArrayInfo(INT32).create_serializer().from_bytes(b"\x02\xff\xff\x7f\xff\xff\x7f")
    with pytest.raises(NotOrderableError):
        ObjectArrayInfo(STR).create_comparator()
    assert ObjectArrayInfo(STR).name == "ndarray[object, str]"
