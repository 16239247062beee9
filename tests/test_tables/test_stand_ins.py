"""What stands in for a column comes back as the column, and orders as it."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pa: Any = pytest.importorskip("pyarrow")

import pyarrow.compute  # noqa: E402

from shuffle.tables.stand_ins import stand_in_for  # noqa: E402
from tests.test_tables.random_tables import TYPES, order_key, random_column, values_of  # noqa: E402


class Metres(pa.ExtensionType):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(pa.timestamp("ns"), "metres")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: Any, serialized: bytes) -> Any:
        return cls()


def round_trip(array: Any) -> Any:
    stand_in = stand_in_for(array.type)
    assert stand_in is not None
    wrapped = stand_in.wrap(array)
    assert wrapped.type == stand_in.type and stand_in_for(stand_in.type) is None
    wrapped.validate(full=True)
    back = stand_in.unwrap(wrapped)
    back.validate(full=True)
    assert back.type == array.type
    return back


WITH_STAND_IN = [kind for kind, (arrow_type, _) in TYPES.items() if stand_in_for(arrow_type) is not None]


@settings(max_examples=150)
@given(
    kind=st.sampled_from(WITH_STAND_IN), seed=st.integers(0, 2**32), count=st.integers(0, 40), start=st.integers(0, 9)
)
def test_columns_come_back_and_keep_their_order(kind: str, seed: int, count: int, start: int) -> None:
    rng = Random(seed)
    for chunk in random_column(rng, kind, count, null_share=rng.choice([0, 0.3, 1])).chunks:
        array = chunk.slice(start)
        back = round_trip(array)
        assert values_of(pa.chunked_array([back])) == values_of(pa.chunked_array([array]))
        wrapped = stand_in_for(array.type).wrap(array).to_pylist()  # type: ignore[union-attr]
        key = order_key()
        values = values_of(pa.chunked_array([array]))
        by_value = sorted(range(len(array)), key=lambda place: key(values[place]))
        assert by_value == sorted(range(len(array)), key=lambda place: key(wrapped[place]))


def test_types_within_types() -> None:
    moments = pa.array([3, None, -1], pa.int64()).view(pa.timestamp("ns"))
    assert round_trip(pa.ExtensionArray.from_storage(Metres(), moments)).storage.equals(moments)
    encoded = moments.dictionary_encode()
    assert round_trip(encoded).cast(moments.type).equals(moments)
    ends = pyarrow.compute.run_end_encode(pa.array(["a", "a", None, "b"]))
    assert round_trip(ends).to_pylist() == ["a", "a", None, "b"]
    assert round_trip(pa.array([1, None], pa.decimal128(3, 1)).cast(pa.decimal128(30, 5))).to_pylist()[1] is None


def test_decimals_of_few_digits() -> None:
    if not hasattr(pa, "decimal64"):
        pytest.skip("this pyarrow has no decimal64")
    for kind in (pa.decimal32(5, 2), pa.decimal64(15, 2)):
        array = pa.array([1, None, -7], pa.decimal128(5, 2)).cast(kind)
        assert round_trip(array).equals(array)


def test_types_that_rows_carry_need_none() -> None:
    for kind in (
        pa.int8(),
        pa.string(),
        pa.float64(),
        pa.list_(pa.date32()),
        pa.struct([("x", pa.date32())]),
        pa.null(),
    ):
        assert stand_in_for(kind) is None
