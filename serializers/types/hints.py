"""The type information of a type hint.

    a TypeInformation  ->  what users registered  ->  known types  ->  the structure of a class  ->  generic, loudly

A hint is read from the outside in. `HintReader` knows where it is, so that an error or a warning names the field.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, ForwardRef, NewType, TypeVar

from serializers.errors import UnknownTypeError
from serializers.types import class_fields
from serializers.types.arrays import NumpyArrayInfo, ObjectArrayInfo
from serializers.types.composite import ClassInfo, TupleInfo, TypedDictInfo
from serializers.types.containers import DictInfo, ListInfo, SetInfo, VariadicTupleInfo
from serializers.types.generic import GenericInfo, log_generic
from serializers.types.identifiers import EnumInfo
from serializers.types.known_types import array_dtype, array_info, is_dtype, known_info, scalar_info
from serializers.types.mismatch import shown
from serializers.types.numbers import NONE
from serializers.types.registry import own_factory
from serializers.types.text import STR
from serializers.types.type_information import Field, TypeInformation
from serializers.types.unify import ordered_union

Info = TypeInformation[Any]

_TRANSPARENT = (typing.Required, typing.NotRequired, typing.Final, typing.ClassVar)
"""What says something about a field, and nothing about its type."""

_CONTAINERS: dict[type, tuple[tuple[str, ...], Callable[..., Info]]] = {
    list: (("element",), ListInfo),
    set: (("element",), SetInfo),
    frozenset: (("element",), lambda element: SetInfo(element, frozen=True)),
    dict: (("key", "value"), DictInfo),
}
"""What the arguments of a container are called, and what makes its type information of theirs."""


def type_info_of(hint: Any, *, allow_generic: bool = True) -> Info:
    """The type information of a class, or of any other type hint; a TypeInformation passes through.

    Where nothing better is known a part is generic: pickled, and not orderable. That is logged, once for each place.
    With `allow_generic=False` it raises UnknownTypeError instead, which names the type and the field.
    """
    return HintReader(allow_generic=allow_generic).read(hint)


@dataclass(frozen=True)
class HintReader:
    """Reads hints at one place: in a field (`path`) of classes that are being read themselves (`enclosing`)."""

    allow_generic: bool = True
    path: tuple[str, ...] = ()
    enclosing: tuple[Any, ...] = ()

    def read(self, hint: Any) -> Info:
        """The type information of `hint`. Raises UnknownTypeError for what is no hint."""
        if isinstance(hint, TypeInformation):
            return hint
        if hint is None:
            return NONE
        return self._brought(hint) or self._of_special(hint) or self._of_class(hint)

    def part(self, name: str, hint: Any) -> Info:
        """The type information of a part of what is being read."""
        try:
            return replace(self, path=(*self.path, name)).read(hint)
        except UnknownTypeError as error:
            error.at_field(name)
            raise

    def generic(self, cls: type, reason: str) -> Info:
        """A generic type, where that is allowed. `reason` completes "could only be generic, for it ..."."""
        if not self.allow_generic:
            raise UnknownTypeError(
                f"{cls.__module__}.{cls.__qualname__} could only be generic, for it {reason}, and allow_generic=False "
                "forbids that. Declare what it is made of, or register type information for it"
            )
        outermost = [typing.get_origin(each) or each for each in self.enclosing[:1]]
        place = ".".join((*(each.__name__ for each in outermost), *self.path))
        log_generic(cls, place, f"it {reason}. Declare what it is made of, or register type information for it")
        return GenericInfo(cls)

    def _brought(self, hint: Any) -> Info | None:
        """What a user has registered, or written into the class."""
        origin = typing.get_origin(hint) or hint
        factory = own_factory(origin) if isinstance(origin, type | NewType) else None
        if factory is None:
            return None
        return factory(*(self.part(str(place), each) for place, each in enumerate(typing.get_args(hint))))

    # --- what is no class

    def _of_special(self, hint: Any) -> Info | None:
        """One of typing's constructs, or a class of Python's or numpy's own; None for any other class."""
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is typing.Annotated:
            return self._of_annotated(hint)
        if origin is typing.Union or origin is types.UnionType:
            return ordered_union([self.read(each) for each in arguments])
        if origin is typing.Literal:
            return ordered_union([self.read(type(each)) for each in arguments])
        if origin in _TRANSPARENT:
            return self.read(arguments[0])
        if isinstance(origin or hint, type) and hint is not Any:
            return self._of_known(hint, origin or hint, arguments)
        return self._of_name(hint)

    def _of_annotated(self, hint: Any) -> Info:
        """The first type information among the annotations counts; the others say nothing of the bytes."""
        infos = (each for each in hint.__metadata__ if isinstance(each, TypeInformation))
        return next(infos, None) or self.read(hint.__origin__)

    def _of_name(self, hint: Any) -> Info:
        """What stands for a type, and has no arguments."""
        if _is_any_of(hint, (Any, *_TRANSPARENT)):
            return self.generic(object, "may be anything")
        if isinstance(hint, NewType):
            return self.read(hint.__supertype__)
        if isinstance(hint, TypeVar):
            return self._of_variable(hint)
        if hint is typing.LiteralString:
            return STR
        if hint is typing.Self and self.enclosing:
            return self.read(self.enclosing[-1])
        if type(hint).__name__ == "TypeAliasType":  # `type Name = ...`, of Python 3.12
            return self._of_alias(hint)
        if is_dtype(hint):
            return scalar_info(hint) or self.generic(hint.type, "is no number and no text")
        raise _no_hint(hint)

    def _of_variable(self, variable: TypeVar) -> Info:
        if variable.__constraints__:
            return ordered_union([self.read(each) for each in variable.__constraints__])
        return self.read(variable.__bound__ or Any)

    def _of_alias(self, alias: Any) -> Info:
        if alias in self.enclosing:
            return self.generic(object, f"is part of itself, as {alias.__name__}")
        return replace(self, enclosing=(*self.enclosing, alias)).read(alias.__value__)

    # --- classes that are known

    def _of_known(self, hint: Any, cls: type, arguments: tuple[Any, ...]) -> Info | None:
        if cls is object:
            return self.generic(object, "may be anything")
        if cls is tuple:
            return self._of_tuple((Any, ...) if hint in (tuple, typing.Tuple) else arguments)  # noqa: UP006
        if cls in _CONTAINERS:
            names, make = _CONTAINERS[cls]
            hints = arguments or (Any,) * len(names)
            return make(*(self.part(name, each) for name, each in zip(names, hints, strict=True)))
        info = known_info(cls)
        return self._of_array(arguments) if isinstance(info, NumpyArrayInfo) else info

    def _of_tuple(self, arguments: tuple[Any, ...]) -> Info:
        if len(arguments) == 2 and arguments[1] is ...:
            return VariadicTupleInfo(self.part("element", arguments[0]))
        if any(typing.get_origin(each) is typing.Unpack or getattr(each, "__unpacked__", False) for each in arguments):
            return self.generic(tuple, "has a part of any length")
        return TupleInfo(tuple(self.part(str(place), each) for place, each in enumerate(arguments)))

    def _of_array(self, arguments: tuple[Any, ...]) -> Info:
        """A numpy array; of any dtype, unless `numpy.ndarray[shape, numpy.dtype[scalar]]` names one."""
        dtype = array_dtype(arguments)
        if dtype is None:
            return NumpyArrayInfo()
        return ObjectArrayInfo(self.part("element", Any)) if dtype.kind == "O" else array_info(dtype)

    # --- other classes

    def _of_class(self, hint: Any) -> Info:
        """A class that is known by its structure, with or without arguments."""
        cls = typing.get_origin(hint) or hint
        if issubclass(cls, TypeInformation):
            raise UnknownTypeError(f"{cls.__name__} is a class of type information. Did you mean {cls.__name__}()?")
        if issubclass(cls, Enum) and cls.__members__:
            return EnumInfo(cls)
        if cls in [typing.get_origin(each) or each for each in self.enclosing]:
            return self.generic(cls, "is part of itself")
        reason = class_fields.why_not_fields(cls)
        if reason:
            checkable = class_fields.checkable(cls)
            return self.generic(checkable, reason if checkable is cls else f"{reason}, {cls.__qualname__}")
        return replace(self, enclosing=(*self.enclosing, hint))._of_fields(cls, hint)

    def _of_fields(self, cls: type, hint: Any) -> Info:
        hints = class_fields.field_hints(hint)
        fields = tuple(Field(name, self.part(name, each)) for name, each in hints.items())
        if typing.is_typeddict(cls):
            return TypedDictInfo(cls, fields)
        if issubclass(cls, tuple):
            return TupleInfo(tuple(each.type_info for each in fields), cls)
        return ClassInfo(cls, fields, allows_generic=self.allow_generic)


def _is_any_of(hint: Any, others: Iterable[Any]) -> bool:
    """Without `==`: what users take for a hint may be an array."""
    return any(hint is each for each in others)


def _no_hint(hint: Any) -> UnknownTypeError:
    if _is_any_of(hint, (typing.Never, typing.NoReturn)):
        return UnknownTypeError("there are no values of Never")
    if isinstance(hint, str | ForwardRef):
        return UnknownTypeError(f"{hint!r} is text, whose names cannot be looked up here. Give the type itself")
    return UnknownTypeError(f"{shown(hint)} is no type hint. If it is a value, take type_info_of_values([value])")
