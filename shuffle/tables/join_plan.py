"""What is joined with what, and what comes out: decided from the two schemas, before a row is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute

from serializers.types.ordering import OrderKey
from shuffle.errors import JoinKeyError
from shuffle.tables.kinds import TableError, check_column
from shuffle.tables.table_source import TableSource

How = Literal["inner", "left", "right", "outer", "semi", "anti"]

On = str | Sequence[str]
"""Names of columns."""

_KEEPS_LEFT, _KEEPS_RIGHT = ("left", "outer", "anti"), ("right", "outer")
_LEFT_ONLY = ("semi", "anti")
_SIDE_FIELD = "side"


@dataclass(frozen=True)
class JoinPlan:
    """`schema` is that of the result: all columns of the left side, then those of the right that are no keys.

    right_places   which columns of the right side come out
    key_places     for each column of the left side the column of the right it is joined with, or None
    splits_nulls   rows with a null key come out of both sides and must not meet: the key has one more column
    """

    how: How
    left_keys: tuple[str, ...]
    right_keys: tuple[str, ...]
    schema: Any
    right_places: tuple[int, ...]
    key_places: tuple[int | None, ...]
    nulls_equal: bool

    @property
    def keeps_left(self) -> bool:
        """Whether left rows without a partner come out."""
        return self.how in _KEEPS_LEFT

    @property
    def keeps_right(self) -> bool:
        """Whether right rows without a partner come out."""
        return self.how in _KEEPS_RIGHT

    @property
    def splits_nulls(self) -> bool:
        """Whether rows with null keys are kept of both sides, and still no partners."""
        return self.how == "outer" and not self.nulls_equal


def plan_join(
    left: TableSource, right: TableSource, how: str, left_on: On, right_on: On, *, suffix: str, nulls_equal: bool
) -> JoinPlan:
    """Raises JoinKeyError for keys of different types, TableError for other columns that cannot be."""
    if how not in get_args(How):
        raise ValueError(f"how={how!r}: give one of {', '.join(get_args(How))}")
    left_keys, right_keys = _names(left_on), _names(right_on)
    if not left_keys or len(left_keys) != len(right_keys):
        raise JoinKeyError(
            f"{len(left_keys)} columns cannot be joined with {len(right_keys)}. Name as many of each, at least one"
        )
    for names, source in ((left_keys, left), (right_keys, right)):
        for name in names:
            check_column(name, source.schema.names, source.name)
    for left_key, right_key in zip(left_keys, right_keys, strict=True):
        _check_types(left.schema.field(left_key), right.schema.field(right_key))
    key_places = tuple(
        right.schema.get_field_index(right_keys[left_keys.index(name)]) if name in left_keys else None
        for name in left.schema.names
    )
    right_places = tuple(
        place for place, name in enumerate(right.schema.names) if name not in right_keys and how not in _LEFT_ONLY
    )
    schema = _joined_schema(left.schema, right.schema, how, key_places, right_places, suffix)
    return JoinPlan(how, left_keys, right_keys, schema, right_places, key_places, nulls_equal)  # type: ignore[arg-type]


def _names(on: On) -> tuple[str, ...]:
    return (on,) if isinstance(on, str) else tuple(on)


def _check_types(left: Any, right: Any) -> None:
    if _comparable(left.type) != _comparable(right.type):
        raise JoinKeyError(
            f"the left column {left.name!r} is {left.type}, and the right column {right.name!r} is {right.type}: only "
            f"keys of one type can be compared. Cast one of the columns, as in column.cast({str(left.type)!r})"
        )


def _comparable(arrow_type: Any) -> Any:
    """The type of the values, however they are kept: equal values of it have equal order keys."""
    kinds = pa.types
    if kinds.is_dictionary(arrow_type) or kinds.is_run_end_encoded(arrow_type):
        return _comparable(arrow_type.value_type)
    if kinds.is_large_string(arrow_type) or kinds.is_string_view(arrow_type):
        return pa.string()
    return pa.binary() if kinds.is_large_binary(arrow_type) or kinds.is_binary_view(arrow_type) else arrow_type


def _joined_schema(
    left: Any, right: Any, how: str, key_places: Sequence[int | None], right_places: Sequence[int], suffix: str
) -> Any:
    fields = []
    for field, place in zip(left, key_places, strict=True):
        from_right = how in _KEEPS_RIGHT and (place is None or right.field(place).nullable)
        fields.append(field.with_nullable(field.nullable or from_right))
    taken = set(left.names) | {right.field(place).name for place in right_places if place is not None} - set(left.names)
    for place in right_places:
        field = right.field(place)
        fields.append(
            _renamed(field, left.names, taken, suffix).with_nullable(field.nullable or how in ("left", "outer"))
        )
    return pa.schema(fields)


def _renamed(field: Any, left_names: list[str], taken: set[str], suffix: str) -> Any:
    if field.name not in left_names:
        return field
    name = field.name + suffix
    if not suffix or name in taken:
        raise TableError(f"both sides have a column {field.name!r}, and {name!r} is taken. Give another suffix=")
    taken.add(name)
    return field.with_name(name)


# --- the sides as they are sorted


def prepare_side(source: TableSource, names: tuple[str, ...], plan: JoinPlan, *, is_left: bool) -> TableSource:
    """The rows of a side that may come out, with keys that count as nullable, so that those of both sides compare."""
    fields = [field.with_nullable(True) if field.name in names else field for field in source.schema]
    if plan.splits_nulls:
        fields.append(pa.field(side_name(source.schema), pa.int8(), nullable=False))
    schema = pa.schema(fields)
    drops_nulls = not plan.nulls_equal and not (plan.keeps_left if is_left else plan.keeps_right)

    def prepare(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            columns = list(batch.columns)
            if plan.splits_nulls:
                columns.append(_sides(batch, names, 1 if is_left else 2))
            prepared = pa.RecordBatch.from_arrays(columns, schema=schema)
            yield prepared.filter(_all_there(prepared, names)) if drops_nulls else prepared

    return source.derived(schema, prepare)


def side_keys(names: tuple[str, ...], schema: Any, plan: JoinPlan) -> tuple[OrderKey, ...]:
    """What a side is sorted by."""
    found = (*names, side_name(schema)) if plan.splits_nulls else names
    return tuple(OrderKey((name,)) for name in found)


def side_name(schema: Any) -> str:
    """A column name that `schema` has not."""
    name = _SIDE_FIELD
    while name in schema.names:
        name += "_"
    return name


def _all_there(batch: Any, names: Sequence[str]) -> Any:
    is_there = pyarrow.compute.is_valid(batch.column(names[0]))
    for name in names[1:]:
        is_there = pyarrow.compute.and_(is_there, pyarrow.compute.is_valid(batch.column(name)))
    return is_there


def _sides(batch: Any, names: Sequence[str], number: int) -> Any:
    """0 where a row has all keys, `number` where it has not."""
    zero, side = pa.scalar(0, pa.int8()), pa.scalar(number, pa.int8())
    return pyarrow.compute.if_else(_all_there(batch, names), zero, side)


__all__ = ["How", "JoinPlan", "On", "plan_join", "prepare_side", "side_keys", "side_name"]
