"""numpy arrays: every dtype and shape, foreign byte order, what comes back, what is refused."""

import sys
from contextlib import suppress
from subprocess import run
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serializers.errors import CorruptRecordError, NotOrderableError, NullFieldError, ValueMismatchError
from serializers.types.arrays import NumpyArrayInfo
from serializers.types.numpy_arrays import dtype_text, parsed_dtype
from serializers.types.type_information import TypeInformation
from tests.test_serializers.conformance import check_serializer, check_type, check_values, survives_garbage

ANY = NumpyArrayInfo()
RECORD = np.dtype([("a", "<i4"), ("b", ">f8", (2, 3)), ("c", [("x", "U3"), ("y", "M8[us]")])], align=True)
SCATTERED = np.dtype({"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [6, 0], "itemsize": 12})


RECORDS = np.zeros(2, [("a", "i4")]).view(np.recarray)


def passed(info: TypeInformation[Any], value: Any) -> Any:
    serializer = info.create_serializer()
    return serializer.from_bytes(serializer.to_bytes(value))


def check_passed(info: TypeInformation[Any], value: Any) -> None:
    found = passed(info, value)
    assert found.dtype == value.dtype and found.shape == value.shape and found.tobytes() == value.tobytes()
    assert found.flags.c_contiguous and found.flags.owndata and found.flags.writeable and type(found) is np.ndarray


def test_the_suite() -> None:
    values = [np.arange(3.0), np.zeros((2, 0), "i2"), np.array(5), np.array(["a", "bcd"]), np.zeros(2, RECORD)]
    wrong = ([1.0], 1.0, np.float64(1), np.array([None]), np.ma.masked_array([1]), RECORDS, "a")
    check_type(ANY, values, wrong=wrong, damage=True)
    check_type(NumpyArrayInfo("float32"), [np.ones((2, 3), "f4")], wrong=(np.ones(2), [1.0]), damage=True)
    check_type(NumpyArrayInfo("str"), [np.array(["a"]), np.array(["bcd", ""])], wrong=(np.array([b"a"]), np.ones(1)))


@pytest.mark.parametrize(
    "value",
    [
        np.arange(12).reshape(3, 4)[::2, ::-1],
        np.arange(12).reshape(3, 4).T,
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.broadcast_to(np.int8(3), (2, 5)),
        np.array(7.5),
        np.array([], "c16"),
        np.zeros((0, 3, 2)),
        np.array([True, False]),
        np.array([1.5, np.nan, -0.0], ">f4"),
        np.array(["2020-01-01", "NaT"], "M8[D]"),
        np.array([1, 2], ">m8[25us]"),
        np.array([b"a", b"bc"], "S5"),
        np.array(["ü", ""], ">U2"),
        np.ndarray((3,), "U0"),
        np.ndarray((2, 2), "V0"),
        np.array([b"ab"], "V2"),
        np.array([1], np.longdouble),
        np.zeros(3, RECORD),
        np.zeros(3, RECORD)["c"],
        np.zeros((2, 2), SCATTERED),
        np.array([(1,)], np.dtype((np.record, [("ü", "i1")]))),
        np.zeros(2, [(("title", "a"), "i4"), ("b", "i2")]),
        np.zeros((1,) * 64, "i1"),
    ],
    ids=lambda value: f"{value.dtype.str}{value.shape if value.ndim < 9 else value.ndim}",
)
def test_dtypes_and_shapes(value: Any) -> None:
    check_passed(ANY, value)
    check_passed(NumpyArrayInfo.of(value.dtype), value)


@settings(max_examples=15, deadline=None)
@given(
    hnp.arrays(hnp.scalar_dtypes() | hnp.array_dtypes(max_size=3), hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
)
def test_by_chance(value: Any) -> None:
    check_values(ANY, [value])


test_garbage = survives_garbage(ANY)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["<f8", "<U2", "|O", "O", '{"names":["a"],"formats":["O"]}', "i4,", "[", "{}", "M8"]),
    st.binary(max_size=20),
)
def test_garbage_behind_a_dtype(text: str, rest: bytes) -> None:
    data = bytes((len(text),)) + text.encode() + rest
    with suppress(CorruptRecordError):
        passed(ANY, ANY.create_serializer().from_bytes(data))


def test_a_declared_dtype_takes_either_byte_order_and_gives_its_own() -> None:
    found = passed(NumpyArrayInfo("float64"), np.array([1.5, 2.5], ">f8"))
    assert found.dtype == np.dtype("<f8") and found.tolist() == [1.5, 2.5]
    assert passed(NumpyArrayInfo(">i2"), np.array([1], "i2")).dtype == np.dtype(">i2")
    with pytest.raises(ValueMismatchError, match=r"an array of int64 is not ndarray\[float64\]"):
        passed(NumpyArrayInfo("float64"), np.array([1]))
    with pytest.raises(CorruptRecordError, match="array of dtype int64, where"):
        NumpyArrayInfo("float64").create_serializer().from_bytes(ANY.create_serializer().to_bytes(np.array([1])))


def test_what_is_no_plain_memory_is_refused() -> None:
    for value in (
        np.array(["a", "b"], np.dtypes.StringDType()),
        np.array([(1, "a")], [("x", "i4"), ("y", "O")]),
        np.array([object()]),
        np.zeros(1, [(((1, 2), "name"), "i4")]),
    ):
        with pytest.raises(ValueMismatchError, match="ObjectArrayInfo, or declare it generic"):
            ANY.create_serializer().to_bytes(value)
    with pytest.raises(ValueMismatchError, match="subok=False"):
        ANY.create_serializer().to_bytes(np.ma.masked_array([1, 2], mask=[True, False]))
    with pytest.raises(NullFieldError):
        ANY.create_serializer().to_bytes(None)


def test_bytes() -> None:
    serializer = ANY.create_serializer()
    assert serializer.to_bytes(np.array([[1], [2]], "i2")).hex(" ") == "03 3c 69 32 02 02 01 01 00 02 00"
    assert serializer.to_bytes(np.array(1, "u1")) == b"\x03|u1\x00\x01"


def test_sizes_that_cannot_be_are_corrupt_at_once() -> None:
    serializer = ANY.create_serializer()
    huge = b"\xff" * 8 + b"\x7f"
    for shape in (b"\x01" + huge, b"\x02" + huge + huge, b"\x41" + b"\x01" * 65, b"\x02\x00" + huge):
        with pytest.raises(CorruptRecordError):
            serializer.from_bytes(b"\x03<f8" + shape)


def test_dtypes_as_text() -> None:
    assert dtype_text(np.dtype("f8")) == "<f8" and parsed_dtype("<f8") == np.dtype("f8")
    text = '{"names":["x","y"],"formats":["<f8",["<i4",[2,3]]],"offsets":[0,8],"itemsize":32}'
    dtype = np.dtype([("x", "f8"), ("y", "i4", (2, 3))])
    assert dtype_text(dtype) == text and parsed_dtype(text) == dtype
    assert parsed_dtype(dtype_text(RECORD)) == RECORD and parsed_dtype(dtype_text(SCATTERED)) == SCATTERED
    with pytest.raises(ValueError, match="numpy knows no dtype 'float99'"):
        NumpyArrayInfo("float99").create_serializer()


def test_names_and_order() -> None:
    assert (ANY.name, NumpyArrayInfo("float64").name) == ("ndarray", "ndarray[float64]")
    with pytest.raises(NotOrderableError):
        ANY.create_comparator()


def test_numpy_is_not_imported_to_describe_arrays() -> None:
    lines = (
        "import sys",
        "import serializers",
        "had = 'numpy' in sys.modules",
        "from serializers.types.numpy_arrays import NumpyArrayInfo",
        "NumpyArrayInfo('float64').name",
        "assert had or 'numpy' not in sys.modules",
    )
    run([sys.executable, "-c", "\n".join(lines)], check=True)


def test_large_arrays_across_segments() -> None:
    check_serializer(ANY, [np.arange(5000, dtype="i4")], wrong=())
