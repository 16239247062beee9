"""How fields of one value are found: those of fixed length in one step."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serializers.errors import CorruptRecordError
from serializers.types.composite import Row, RowInfo, TupleInfo
from serializers.types.field_serializers import FieldPlaces
from serializers.types.numbers import BOOL, INT, INT32, NONE
from serializers.types.text import STR
from serializers.types.type_information import Field, TypeInformation
from serializers.views import BytesInput

VALUES: dict[TypeInformation[Any], Any] = {INT32: 7, BOOL: True, NONE: None, STR: "abc", INT: 2**70}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=9))
def test_every_field_of_any_record_is_found(infos: list[TypeInformation[Any]]) -> None:
    values = [VALUES[info] for info in infos]
    tuples = TupleInfo(tuple(infos)).create_serializer()
    rows = RowInfo(tuple(Field(str(place), info) for place, info in enumerate(infos)), named=False).create_serializer()
    for serializer, value in ((tuples, tuple(values)), (rows, Row(*values))):
        data = serializer.to_bytes(value)
        assert serializer.field_count() == len(infos)
        for place, wanted in enumerate(values):
            assert serializer.deserialize_field(BytesInput(b"?" + data + b"?", 1), place) == wanted
        source = BytesInput(data)
        serializer.skip(source)
        assert source.remaining == 0


def test_fields_of_fixed_length_are_passed_in_one_step() -> None:
    serializers = [info.create_serializer() for info in (INT32, BOOL, STR, INT32, INT32, NONE, BOOL)]
    places = FieldPlaces(serializers)
    assert places.length is None and len(places.skips) == 3
    assert FieldPlaces(serializers[3:]).length == 9 and len(FieldPlaces(serializers[3:]).skips) == 1
    assert FieldPlaces([]).length == 0 and FieldPlaces([]).skips == ()


def test_what_ends_too_soon() -> None:
    serializer = TupleInfo((INT32, STR)).create_serializer()
    for data in (b"\0\0\0", b"\0\0\0\0\x02a"):
        with pytest.raises(CorruptRecordError):
            serializer.skip(BytesInput(data))
        with pytest.raises(CorruptRecordError):
            serializer.deserialize_field(BytesInput(data), 1)
