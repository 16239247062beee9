"""numpy scalars: the whole suite for each dtype; the type and every bit come back."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from serializers.errors import CorruptRecordError, NotOrderableError, UnknownTypeError, ValueMismatchError
from serializers.types.numbers import FLOAT32, INT64, FloatInfo
from serializers.types.numpy_scalars import NumpyScalarInfo
from tests.test_serializers.conformance import check_serializer, check_type, conforms, survives_garbage

INTEGERS = [f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")]
FLOATS = ["float16", "float32", "float64"]
COMPLEX = ["complex64", "complex128"]
WRONG = (1, 1.0, True, 1j, "1", np.datetime64("2020-01-01"), np.array([1, 2]), np.array(1), object())


def scalars(name: str, numbers: list[Any]) -> list[Any]:
    return [np.dtype(name).type(number) for number in numbers]


@pytest.mark.parametrize("name", INTEGERS)
def test_integers(name: str) -> None:
    limits = np.iinfo(name)
    other = np.int16(1) if name != "int16" else np.int32(1)
    values = scalars(name, [limits.min, limits.max, 0, 1, limits.max - 1, limits.min + 1, 1])
    check_type(NumpyScalarInfo(name), values, wrong=(*WRONG, other, np.float64(1), np.bool_(1)), damage=True)


@pytest.mark.parametrize("name", FLOATS)
def test_floats(name: str) -> None:
    limits = np.finfo(name)
    numbers = [limits.min, limits.max, limits.tiny, limits.smallest_subnormal, 0.0, -0.0, 1.5, -1.5, np.inf, -np.inf]
    check_type(
        NumpyScalarInfo(name), scalars(name, numbers), wrong=(*WRONG, np.int64(1), np.longdouble(1)), damage=True
    )


@pytest.mark.parametrize("name", FLOATS)
def test_nans_keep_every_bit(name: str) -> None:
    dtype = np.dtype(name)
    words = {"float16": [0x7E00, 0xFE00, 0x7C01, 0xFDFF], "float32": [0x7FC00000, 0xFFC00001, 0x7F800001, 0xFFBFFFFF]}
    doubles = [0x7FF8_0000_0000_0000, 0xFFF8_0000_0000_0001, 0x7FF0_0000_0000_0001, 0xFFF7_FFFF_FFFF_FFFF]
    nans = np.array(words.get(name, doubles), f"u{dtype.itemsize}").view(dtype)
    assert np.isnan(nans).all()
    check_type(NumpyScalarInfo(name), [*nans, *scalars(name, [0, -0.0, 1, np.inf, -np.inf])], python_key=None)


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_numbers_have_no_order(name: str) -> None:
    values = scalars(name, [0, -0.0, 1 + 2j, complex(np.nan, -np.inf), complex(-0.0, -0.0), 1e-40j])
    check_type(NumpyScalarInfo(name), values, wrong=(*WRONG, np.float64(1)), damage=True)
    with pytest.raises(NotOrderableError, match=r"value\.real"):
        NumpyScalarInfo(name).create_comparator()


def test_bool() -> None:
    wrong = (*WRONG, np.int8(1))
    check_type(NumpyScalarInfo("bool"), [np.True_, np.False_, np.True_], wrong=wrong, damage=True)
    with pytest.raises(CorruptRecordError):
        NumpyScalarInfo("bool").create_serializer().from_bytes(b"\2")


def by_chance(name: str, strategy: st.SearchStrategy[Any], **more: Any) -> Any:
    return conforms(NumpyScalarInfo(name), strategy.map(np.dtype(name).type), examples=25, **more)


test_int16_by_chance = by_chance("int16", npst.from_dtype(np.dtype("int16")))
test_uint64_by_chance = by_chance("uint64", npst.from_dtype(np.dtype("uint64")))
test_float32_by_chance = by_chance("float32", npst.from_dtype(np.dtype("float32")), python_key=None)
test_float64_by_chance = by_chance("float64", npst.from_dtype(np.dtype("float64")), python_key=None)
test_bool_survives_garbage = survives_garbage(NumpyScalarInfo("bool"))
test_float32_survives_garbage = survives_garbage(NumpyScalarInfo("float32"))


@pytest.mark.parametrize("name", [*INTEGERS, *FLOATS, *COMPLEX, "bool"])
def test_bytes_and_names_are_those_of_numpy(name: str) -> None:
    info, value = NumpyScalarInfo(name), np.dtype(name).type(1)
    assert str(info) == f"numpy.{name}" and info.python_type is type(value)
    assert info.create_serializer().to_bytes(value) == value.tobytes()
    assert info.create_serializer().length == value.itemsize
    assert type(info.create_serializer().from_bytes(value.tobytes())) is type(value)


@pytest.mark.parametrize("name", FLOATS)
def test_numpy_sorts_as_the_keys_do(name: str) -> None:
    random = np.random.default_rng(5)
    dtype = np.dtype(name)
    numbers = random.integers(0, 2 ** (8 * dtype.itemsize), 500, dtype=f"u{dtype.itemsize}").view(dtype)
    found = sorted(numbers, key=NumpyScalarInfo(name).create_comparator().order_key)
    assert np.array_equal(np.array(found), np.sort(numbers), equal_nan=True)


def test_keys_are_those_of_the_python_numbers() -> None:
    for name, info, number in (("int64", INT64, -5), ("float32", FLOAT32, 1.5), ("float16", FloatInfo(16), -0.5)):
        key = NumpyScalarInfo(name).create_comparator().order_key(np.dtype(name).type(number))
        assert key == info.create_comparator().order_key(number)  # type: ignore[attr-defined]
    assert NumpyScalarInfo("int8").create_comparator().is_invertible
    assert not NumpyScalarInfo("float64").create_comparator().is_invertible


def test_both_names_that_c_has_for_one_type_are_taken() -> None:
    for scalar in (np.longlong(-7), np.ulonglong(7), np.intc(7), np.long(-7)):
        serializer = NumpyScalarInfo(scalar.dtype.name).create_serializer()
        found = serializer.from_bytes(serializer.to_bytes(scalar))
        assert found == scalar and type(found) is np.dtype(scalar.dtype.name).type


@pytest.mark.parametrize("name", ["datetime64[ns]", "str", "bytes", "object", "longdouble", "void", "bool_", "i4", ""])
def test_other_dtypes_are_of_no_type(name: str) -> None:
    with pytest.raises(UnknownTypeError, match="Known are: bool, int8"):
        NumpyScalarInfo(name)


def test_errors_name_the_cure() -> None:
    with pytest.raises(
        ValueMismatchError, match=r"^1 \(int\) is not numpy\.int8\. Convert it with numpy\.int8\(value\)$"
    ):
        NumpyScalarInfo("int8").create_serializer().to_bytes(1)


def test_serializers_alone_conform() -> None:
    check_serializer(NumpyScalarInfo("int8"), scalars("int8", [1, 2]))


def test_numpy_is_loaded_when_it_is_needed() -> None:
    code = (
        "import sys, serializers.types.numpy_scalars as n; i = n.NumpyScalarInfo('int8'); i.name, i.snapshot()\n"
        "assert 'numpy' not in sys.modules\ni.create_serializer()\nassert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
