"""The order keys of a batch: which columns they are of, and in which form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from serializers.columns.choice import column_of
from serializers.columns.column import Column, Data, KeyForm, Pending
from serializers.columns.fields import FieldsColumn, Parts
from serializers.columns.masked import MaskedColumn
from serializers.columns.optional import Nullable, gather_nullable
from serializers.columns.read_steps import StepsToRead
from serializers.columns.scratch import Scratch
from serializers.columns.write_steps import StepsToWrite
from serializers.errors import NotOrderableError
from serializers.types.field_paths import FieldPath
from serializers.types.ordering import OrderingComparator
from serializers.types.row import RowInfo
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import TypeInformation

Info = TypeInformation[Any]


@dataclass(frozen=True)
class KeyPart:
    """One of the keys that follow one another: of a field, or of the whole (`path` is None)."""

    path: FieldPath | None
    column: Column
    form: KeyForm

    @property
    def place(self) -> int | None:
        """Which field of a record it is, if it is one of the record's own."""
        return self.path.top_index if self.path is not None and self.path.depth == 1 else None


def key_parts(info: Info, comparator: TypeComparator[Any]) -> list[KeyPart]:
    """The parts of the order keys that `comparator` writes of values of type `info`."""
    if not isinstance(comparator, OrderingComparator):
        return [_part(None, info, comparator, is_last=True)]
    parts = list(zip(comparator.paths, comparator.comparators, strict=True))
    return [
        _part(path, path.field_info, part, is_last=number == len(parts)) for number, (path, part) in enumerate(parts, 1)
    ]


def _part(path: FieldPath | None, info: Info, comparator: TypeComparator[Any], *, is_last: bool) -> KeyPart:
    form = KeyForm(comparator.descending, comparator.nulls_last, is_last)
    if _is_own(info, comparator):
        return KeyPart(path, column_of(info), form)
    column = Column(info)
    column.use_comparator(form, comparator)
    return KeyPart(path, column, form)


def _is_own(info: Info, comparator: TypeComparator[Any]) -> bool:
    """Whether values of the type order so by themselves."""
    try:
        return type(info.create_comparator()) is type(comparator)
    except NotOrderableError:
        return False


def put_keys(
    parts: list[KeyPart], column: Column, data: Data, values: Callable[[], list[Any]], steps: StepsToWrite
) -> None:
    """Write the order keys of what `column` gathered as `data`; `values` gives the values themselves."""
    for part in parts:
        part_data = _data_of(part, column, data)
        if part_data is None:
            get = (lambda value: value) if part.path is None else part.path.get
            part_data = part.column.gather(list(map(get, values())), steps.scratch)
        part.column.put_key(part_data, part.form, steps)


def _data_of(part: KeyPart, column: Column, data: Data) -> Data | None:
    """What was gathered of the field already; None if it must be looked for in the values."""
    if part.path is None:
        return data if type(part.column) is type(column) else None
    if part.place is None or not isinstance(column, FieldsColumn) or not isinstance(data, Parts):
        return None
    found = data.parts[part.place]
    if not isinstance(column, MaskedColumn) or isinstance(column.type_info, RowInfo):
        return found
    return None if column.may_miss[part.place] else found.data


def get_fields(parts: list[KeyPart], places: Sequence[int], steps: StepsToRead) -> tuple[dict[int, Pending], bool]:
    """Read the fields at `places` from the order keys; and whether that was all of the key."""
    wanted = [part.place in places for part in parts]
    last = max((number for number, is_wanted in enumerate(wanted) if is_wanted), default=-1)
    found: dict[int, Pending] = {}
    for part in parts[: last + 1]:
        if part.place is not None and part.place in places:
            found[part.place] = part.column.get_key(part.form, steps)
        else:
            part.column.skip_key(part.form, steps)
    return found, last + 1 == len(parts)


def as_part(column: FieldsColumn, place: int, data: Data, count: int) -> Data:
    """What was read of a field of `count` values from their keys, as the field's own column would have it."""
    if not isinstance(column, MaskedColumn):
        return data
    if not column.may_miss[place]:
        return Nullable(count, None, data)
    if isinstance(data, Nullable):
        return data
    return gather_nullable(Column(column.columns[place].type_info), data.values, Scratch())
