"""Every scalar against struct, and against a field it must not damage."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory import scalars

INTEGERS = {
    scalars.INT8: "b",
    scalars.INT16: "h",
    scalars.INT32: "i",
    scalars.INT64: "q",
    scalars.UINT8: "B",
    scalars.UINT16: "H",
    scalars.UINT32: "I",
    scalars.UINT64: "Q",
}


@pytest.mark.parametrize("scalar", INTEGERS, ids=lambda scalar: scalar.name)
@given(data=st.data(), order=st.sampled_from(["little", "big"]))
def test_integers_are_those_of_struct(scalar, data, order):
    signed = scalar.name.startswith("int")
    bits = 8 * scalar.size_bytes
    low = -(1 << bits - 1) if signed else 0
    value = data.draw(st.integers(low, low + (1 << bits) - 1))
    memory = memoryview(bytearray(24))
    scalar.write(memory, 3, value, order)
    assert memory[3 : 3 + scalar.size_bytes] == value.to_bytes(scalar.size_bytes, order, signed=signed)
    assert scalar.read(memory, 3, order) == value
    with pytest.raises(ValueError, match=scalar.name):
        scalar.write(memory, 3, low - 1, order)
    with pytest.raises(ValueError, match=scalar.name):
        scalar.write(memory, 3, low + (1 << bits), order)
    assert scalar.read(memory, 3, order) == value  # a refused write writes nothing, not even zeros


@given(st.floats(allow_nan=False), st.sampled_from(["little", "big"]))
def test_doubles_are_those_of_struct(value, order):
    memory = memoryview(bytearray(8))
    scalars.FLOAT64.write(memory, 0, value, order)
    assert memory == struct.pack("<d" if order == "little" else ">d", value)
    assert scalars.FLOAT64.read(memory, 0, order) == value


@pytest.mark.parametrize("wrong", ["7", None, 1.5])
def test_a_wrong_type_is_refused(wrong):
    with pytest.raises(ValueError, match="int64"):
        scalars.INT64.write(memoryview(bytearray(8)), 0, wrong, "little")


def test_a_float_too_large_for_four_bytes_is_refused():
    with pytest.raises(ValueError, match="float32"):
        scalars.FLOAT32.write(memoryview(bytearray(4)), 0, 1e300, "little")


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match="'little' or 'big', not 'middle'"):
        scalars.INT32.read(memoryview(bytearray(4)), 0, "middle")
