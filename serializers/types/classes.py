"""Classes with declared fields: dataclasses, attrs classes, and any class whose annotations name its attributes.

    00 | the fields                 of the class itself
    n  | the fields                 of its n-th registered subclass, which may have more of them
    FF | generic value              of any other subclass

Values are made as pickle makes them: attributes are set on a new object, past `__init__`, `__post_init__` and a frozen
class's `__setattr__`. So nothing is computed or checked a second time, and attributes that are not fields are lost.

They order as `dataclass(order=True)` says: by the fields in order of declaration, without those that `compare=False` or
attrs' `order=False` leaves out. Values of subclasses order by the fields of the declared class.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from serializers.errors import IncompatibleTypeError, NotOrderableError, UnknownTypeError
from serializers.types.class_serializer import CLASSES_MAX, ClassSerializer
from serializers.types.field_serializers import FieldsSerializer
from serializers.types.fields import FieldsInfo, Shape, check_names
from serializers.types.mismatch import mismatch
from serializers.types.type_information import Field, Snapshot
from serializers.types.type_serializer import TypeSerializer

_HEAP_TYPE = 1 << 9
"""Py_TPFLAGS_HEAPTYPE: a class that Python code has made."""

_ATTRS_HASH = "_attrs_cached_hash"


@dataclass(frozen=True, slots=True)
class ClassInfo(FieldsInfo):
    """The class `cls` with `fields`, which are attributes of its values.

    Values of a subclass are taken too: of `subclasses` with their own fields; of others, unless `allows_generic` is
    False, as pickles, which is logged. Raises UnknownTypeError for a class whose values are more than their attributes.
    """

    cls: type
    fields: tuple[Field, ...] = field()  # slots, and a default of its own: else the property of the base is in the way
    subclasses: tuple[ClassInfo, ...] = ()
    allows_generic: bool = True

    def __post_init__(self) -> None:
        check_names(self.name, [each.name for each in self.fields])
        _check_makeable(self.cls, self.fields)
        for number, each in enumerate(self.subclasses):
            _check_subclass(self, each, self.subclasses[:number])

    def with_subclasses(self, *infos: ClassInfo) -> ClassInfo:
        """The same type, which knows some more subclasses, and theirs.

        Their order decides how bytes read: add new ones at the end. Raises ValueError for what is no subclass, does not
        have the fields of this class, or is registered already.
        """
        added: list[ClassInfo] = []
        for info in infos:
            added += (dataclasses.replace(info, subclasses=()), *info.subclasses)
        return dataclasses.replace(self, subclasses=(*self.subclasses, *added))

    @property
    def name(self) -> str:
        return self.cls.__name__

    @property
    def python_type(self) -> type:
        return self.cls

    @property
    def shape(self) -> ClassShape:
        return ClassShape(self.cls, self.fields)

    @property
    def may_pickle(self) -> bool:
        """Values of subclasses that nobody registered are pickled."""
        infos = (self, *self.subclasses)
        return self.allows_generic or any(each.type_info.may_pickle for info in infos for each in info.fields)

    def getter(self, index: int) -> Callable[[Any], Any]:
        return attrgetter(self.fields[index].name)

    def create_serializer(self) -> ClassSerializer:
        contents = [_content_serializer(self)]
        for each in self.subclasses:
            contents.append(_content_serializer(each))
        classes = [self, *self.subclasses]
        places = [_places_of(self.fields, each.fields) for each in classes]
        return ClassSerializer(
            self, [each.cls for each in classes], contents, places, allows_generic=self.allows_generic
        )

    # --- order

    def key_fields(self) -> tuple[Field, ...]:
        names = _compared_names(self.cls)
        return tuple(each for each in self.fields if names is None or each.name in names)

    @property
    def key_shape(self) -> ClassShape:
        return ClassShape(self.cls, self.key_fields())

    @property
    def is_exact(self) -> bool:
        """Not if a value may be of a subclass, for the fields do not say of which."""
        is_final = not self.allows_generic or getattr(self.cls, "__final__", False)
        return bool(is_final) and not self.subclasses

    # --- reading what an older version wrote

    def snapshot(self) -> Snapshot:
        subclasses = [each.snapshot() for each in self.subclasses]
        return {**FieldsInfo.snapshot(self), "subclasses": subclasses, "allows_generic": self.allows_generic}

    def check_can_read(self, written: Snapshot) -> None:
        """Subclasses may have been added since, behind those that were there."""
        FieldsInfo.check_can_read(self, written)
        if written.get("allows_generic") and not self.allows_generic:
            raise IncompatibleTypeError(f"{self.name} was written when subclasses of it could be generic")
        subclasses = written.get("subclasses", [])
        if len(subclasses) > len(self.subclasses):
            raise IncompatibleTypeError(
                f"{self.name} was written with {len(subclasses)} subclasses, of which {len(self.subclasses)} are "
                "registered. Register them all, in the order they had"
            )
        for known, described in zip(self.subclasses, subclasses, strict=False):
            known.check_can_read(described)


def _content_serializer(info: ClassInfo) -> FieldsSerializer:
    parts: list[TypeSerializer[Any]] = []
    for each in info.fields:
        parts.append(each.type_info.create_serializer())
    return FieldsSerializer(info, info.shape, info.fields, parts)


def _places_of(fields: Sequence[Field], among: Sequence[Field]) -> list[int]:
    names = [each.name for each in among]
    return [names.index(each.name) for each in fields]


# --- what a class must be


def _check_makeable(cls: type, fields: Sequence[Field]) -> None:
    foreign = [base.__name__ for base in cls.__mro__[:-1] if not base.__flags__ & _HEAP_TYPE]
    if foreign:
        raise UnknownTypeError(
            f"{cls.__module__}.{cls.__qualname__} is more than its fields: it derives from {foreign[0]}. "
            "Declare it generic, or register type information for it"
        )
    for each in fields:
        found = inspect.getattr_static(cls, each.name, None)
        if isinstance(found, property) and found.fset is None:
            raise UnknownTypeError(
                f"{cls.__module__}.{cls.__qualname__}.{each.name} is computed and cannot be set. Leave it out"
            )


def _check_subclass(base: ClassInfo, info: ClassInfo, before: Sequence[ClassInfo]) -> None:
    if not issubclass(info.cls, base.cls) or info.cls in (base.cls, *(each.cls for each in before)):
        raise ValueError(f"{info.name} is no subclass of {base.name}, or is registered already")
    absent = {each.name for each in base.fields} - {each.name for each in info.fields}
    if absent or info.subclasses:
        what = f"lacks the fields {', '.join(sorted(absent))} of" if absent else "has subclasses of its own within"
        raise ValueError(f"{info.name} {what} {base.name}. Use ClassInfo.with_subclasses")
    if len(before) + 1 >= CLASSES_MAX:
        raise ValueError(f"{base.name} has more than {CLASSES_MAX - 1} registered subclasses. Leave some to be generic")


def _compared_names(cls: type) -> set[str] | None:
    """The fields that values compare by; None is all. Raises NotOrderableError for an `__lt__` of the class's own."""
    owner = next(base for base in cls.__mro__ if "__lt__" in vars(base))
    by = cls if owner is object else owner
    attributes = getattr(by, "__attrs_attrs__", None)
    if attributes is not None and (owner is object or "attrs" in (vars(owner)["__lt__"].__doc__ or "")):
        _check_no_order_key(cls, attributes)
        return {each.name for each in attributes if each.order is not False}
    if owner is object or getattr(vars(owner).get("__dataclass_params__"), "order", False):
        return {each.name for each in dataclasses.fields(by) if each.compare} if dataclasses.is_dataclass(by) else None
    raise NotOrderableError(
        f"{cls.__name__} compares in a way of its own ({owner.__name__}.__lt__), which bytes do not follow. "
        "Sort by a field, or give key= a function"
    )


def _check_no_order_key(cls: type, attributes: Sequence[Any]) -> None:
    for each in attributes:
        if each.order_key is not None:
            raise NotOrderableError(
                f"{cls.__name__}.{each.name} compares by a function, which bytes do not follow. "
                "Sort by other fields, or give key= a function"
            )


# --- values


class ClassShape(Shape):
    """Attributes of an object."""

    def __init__(self, cls: type, fields: Sequence[Field]) -> None:
        self._class = cls
        self._names = [each.name for each in fields]
        self._get = attrgetter(*self._names) if len(self._names) > 1 else self._get_few
        self._nulls = [_ATTRS_HASH] if _caches_hash(cls) else []

    def _get_few(self, value: Any) -> tuple[Any, ...]:
        return tuple(getattr(value, name) for name in self._names)

    def split(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, self._class):
            raise mismatch(value, self._class.__name__, "Declare the type it has")
        try:
            return self._get(value)
        except AttributeError as error:
            raise mismatch(
                value, f"a whole {self._class.__name__}", f"Set its attribute {error.name}, or give it a default"
            ) from error

    def join(self, parts: list[Any]) -> Any:
        value: Any = object.__new__(self._class)
        set_attribute = object.__setattr__
        for name, part in zip(self._names, parts, strict=True):
            set_attribute(value, name, part)
        for name in self._nulls:
            set_attribute(value, name, None)
        return value


def _caches_hash(cls: type) -> bool:
    """Whether attrs keeps the hash in an attribute, which it expects to be there."""
    made = getattr(cls, "__attrs_props__", None)
    return hasattr(cls, _ATTRS_HASH) or getattr(getattr(made, "hashability", None), "name", "") == "HASHABLE_CACHED"


__all__ = ["ClassInfo", "ClassShape"]
