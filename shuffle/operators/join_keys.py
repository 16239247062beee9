"""The keys of two sides of a join: one type for both, so that equal keys have equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from serializers.row_codec import RowCodec
from serializers.types import By, OrderingComparator, parse_by
from serializers.types.numbers import NoneInfo
from serializers.types.optional import OptionalInfo, without_optional
from serializers.types.tuples import TupleInfo
from serializers.types.type_information import TypeInformation
from serializers.types.unions import union_of
from shuffle.errors import JoinKeyError
from shuffle.operators.key_form import KeyForm, group_key_of
from shuffle.record_form import Key, RecordForm, choose_form

Info = TypeInformation[Any]


@dataclass(frozen=True)
class SideChoices:
    """What is said of one side: its name for errors, the type of its records, its key by fields or by a function."""

    name: str
    by: By | None
    key: Key | None
    type_info: Any

    def __post_init__(self) -> None:
        if (self.by is None) == (self.key is None):
            raise JoinKeyError(
                f"what is the {self.name} side joined by? Give on= for both sides, or one of "
                f"{self.name}_by= and {self.name}_key="
            )
        keys = parse_by(self.by) if self.by is not None else ()
        if any(key.descending or key.nulls_last for key in keys):
            raise JoinKeyError(
                f"{self.by!r}: both sides of a join are in one order, which is ascending. Leave the minus out, and "
                "give nulls_last=True for None at the end"
            )


@dataclass(frozen=True)
class SideKey:
    """The key of one side, and its type, as they are found from the first values; and rows with such keys."""

    own_form: RecordForm
    key_of: Key
    key_info: Info

    @property
    def record_info(self) -> Info:
        """The type of the side's records."""
        return self.own_form.plan.type_info

    def form(self, key_info: Info, *, nulls_last: bool) -> KeyForm:
        """Rows of the side's records, by keys of type `key_info`."""
        if key_info == self.key_info:  # a key of fields has the bytes of a tuple of them
            return KeyForm(self.own_form, None, self.key_of)
        comparator = key_info.create_comparator(nulls_last=nulls_last)
        codec = RowCodec(self.record_info, comparator, key_info=key_info)
        return KeyForm(RecordForm(codec, self.key_of), None, self.key_of)


def side_key(sample: Sequence[Any], side: SideChoices, *, nulls_last: bool, allow_generic: bool) -> SideKey:
    """Raises SerializationError kinds: an unknown field, a type without an order, one that is not to be guessed."""
    choices: Any = {"nulls_last": nulls_last, "allow_generic": allow_generic}
    form = choose_form(sample, type_info=side.type_info, by=side.by, key=side.key, **choices)
    if side.key is not None:
        return SideKey(form, side.key, form.plan.key_info)
    comparator = form.plan.comparator
    assert isinstance(comparator, OrderingComparator)
    infos = tuple(path.field_info for path in comparator.paths)
    key_info = infos[0] if len(infos) == 1 else TupleInfo(infos)
    return SideKey(form, group_key_of(form, side.by), key_info)


def shared_key_info(left: Info, right: Info) -> Info:
    """The type for keys of both sides: their own, with None where one of them has it. Raises JoinKeyError."""
    found = _shared(left, right)
    if found is None:
        raise JoinKeyError(
            f"the left side is joined by keys of type {left}, the right side by {right}, and values of different types "
            "are never equal here. Make one of them into the other with left_key= or right_key=, or declare the type "
            "of a side with left_type_info= or right_type_info="
        )
    return found


def _shared(left: Info, right: Info) -> Info | None:
    if left == right:
        return left
    if isinstance(left, NoneInfo) or isinstance(right, NoneInfo):
        return union_of([left, right])
    inner = _shared_inner(without_optional(left), without_optional(right))
    is_optional = isinstance(left, OptionalInfo) or isinstance(right, OptionalInfo)
    return OptionalInfo(inner) if inner is not None and is_optional else inner


def _shared_inner(left: Info, right: Info) -> Info | None:
    if left == right:
        return left
    if not isinstance(left, TupleInfo) or not isinstance(right, TupleInfo) or len(left.fields) != len(right.fields):
        return None
    elements = [_shared(one, other) for one, other in zip(left.elements, right.elements, strict=True)]
    shared = tuple(each for each in elements if each is not None)
    return TupleInfo(shared) if len(shared) == len(elements) else None


__all__ = ["SideChoices", "SideKey", "shared_key_info", "side_key"]
