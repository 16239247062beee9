"""What a record is, and what it is ordered by: chosen once, before the first record is written.

type_info=   a TypeInformation, or any type hint; else found from the first values
by=          fields, ordered in binary                        no Python for each record
key=         a function, called once for each record          its results are ordered in binary
neither      the records' own order
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from memory import collector_at_rest
from serializers.errors import SerializationError
from serializers.row_codec import EncodedRows, RowCodec
from serializers.types import type_info_of, type_info_of_function, type_info_of_values
from serializers.types.composite import TupleInfo
from serializers.types.ordering import By, OrderingComparator, OrderKey, parse_by
from serializers.types.type_information import TypeInformation

Info = TypeInformation[Any]
Key = Callable[[Any], Any]


class RecordForm:
    """Records of one type in one order, as rows and back. Made by `choose_form`."""

    def __init__(self, codec: RowCodec, key: Key | None) -> None:
        self.key_bytes = codec.key_bytes
        self.plan = codec.plan
        self.key = key
        self._codec = codec

    def encode(self, values: Sequence[Any], first_record: int) -> EncodedRows:
        """Rows of `values`, in memory of their own. Errors name the record: the first is `first_record`."""
        keys = None if self.key is None else _keys(self.key, values, first_record)
        return self._codec.encode(values, first_record, keys=keys)

    def decode(self, rows: memoryview, first_record: int) -> list[Any]:
        """The records of whole rows. Errors name the record, in order: the first is `first_record`."""
        with collector_at_rest():
            return self._codec.decode(rows, first_record)

    def decode_parts(self, rows: memoryview, first_record: int) -> Iterator[list[Any]]:
        """The same, some thousand at a time: who drops them before he takes more gets the same memory again."""
        parts = self._codec.decode_parts(rows, first_record)
        while True:
            with collector_at_rest():
                part = next(parts, None)
            if part is None:
                return
            yield part


def choose_form(
    sample: Sequence[Any],
    *,
    type_info: Any = None,
    by: By | None = None,
    key: Key | None = None,
    nulls_last: bool = False,
    allow_generic: bool = True,
) -> RecordForm:
    """Raises SerializationError kinds: an unknown field, a type without an order, one that is not to be guessed."""
    if by is not None and key is not None:
        raise SerializationError("by= and key= both say what to order by. Give one of them")
    info = _record_info(sample, type_info, allow_generic)
    if by is not None and not info.fields:
        return _form_by_getters(sample, info, parse_by(by), nulls_last, allow_generic)
    if by is not None:
        return RecordForm(RowCodec(info, OrderingComparator(info, _placed(parse_by(by), nulls_last))), None)
    if key is not None:
        key_info = _key_info(sample, key, allow_generic)
        return RecordForm(RowCodec(info, key_info.create_comparator(nulls_last=nulls_last), key_info=key_info), key)
    return RecordForm(RowCodec(info, info.create_comparator(nulls_last=nulls_last)), None)


def _record_info(sample: Sequence[Any], type_info: Any, allow_generic: bool) -> Info:
    if type_info is not None:
        return type_info_of(type_info, allow_generic=allow_generic)
    return type_info_of_values(sample, allow_generic=allow_generic)


def _placed(keys: tuple[OrderKey, ...], nulls_last: bool) -> tuple[OrderKey, ...]:
    return tuple(OrderKey(key.path, key.descending, key.nulls_last or nulls_last) for key in keys)


def _key_info(sample: Sequence[Any], key: Key, allow_generic: bool) -> Info:
    """Of what `key` returns: as it is annotated, or as it does for the first values."""
    try:
        declared = type_info_of_function(key, allow_generic=allow_generic)
    except (TypeError, NameError):  # annotations that cannot be read say nothing
        declared = None
    return declared or type_info_of_values(_keys(key, sample, 0), allow_generic=allow_generic)


def _keys(key: Key, values: Sequence[Any], first_record: int) -> list[Any]:
    keys: list[Any] = []
    try:
        keys.extend(map(key, values))
    except Exception as error:
        error.add_note(f"key= was called for record {first_record + len(keys)}")
        raise
    return keys


# --- records whose type has no fields: dictionaries, and objects that are pickled


def _form_by_getters(
    sample: Sequence[Any], info: Info, keys: tuple[OrderKey, ...], nulls_last: bool, allow_generic: bool
) -> RecordForm:
    getters = [_getter(key.path) for key in keys]

    def function(value: Any) -> tuple[Any, ...]:
        return tuple(getter(value) for getter in getters)

    key_info = type_info_of_values(_keys(function, sample, 0), allow_generic=allow_generic)
    assert isinstance(key_info, TupleInfo)
    placed = [OrderKey((place,), key.descending, key.nulls_last) for place, key in enumerate(keys)]
    comparator = OrderingComparator(key_info, _placed(tuple(placed), nulls_last))
    return RecordForm(RowCodec(info, comparator, key_info=key_info), function)


def _getter(path: tuple[str | int, ...]) -> Key:
    """Follows a path through dictionaries and objects."""

    def get(value: Any) -> Any:
        for step in path:
            value = value[step] if isinstance(value, Mapping) else getattr(value, str(step))
        return value

    return get
