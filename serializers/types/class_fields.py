"""What classes say of themselves: of which kind they are, and their fields with the hints of each.

Hints come with string annotations resolved, and with the arguments of a generic class put in: `item: T` of `Box[int]`
is an int.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from serializers.errors import UnknownTypeError

_HEAP_TYPE = 1 << 9
"""Py_TPFLAGS_HEAPTYPE: a class that Python code has made."""

_PICKLE_METHODS = {
    "__getnewargs__",
    "__getnewargs_ex__",
    "__getstate__",
    "__reduce__",
    "__reduce_ex__",
    "__setstate__",
}

# --- kinds of classes


def is_named_tuple(cls: type) -> bool:
    """Whether `cls` is a NamedTuple or a `collections.namedtuple`, or derives from one without having more fields."""
    if not issubclass(cls, tuple) or not isinstance(getattr(cls, "_fields", None), tuple):
        return False
    return all(set(inspect.get_annotations(base)) <= set(cls._fields) for base in cls.__mro__)  # type: ignore[attr-defined]


def is_attrs_class(cls: type) -> bool:
    """Whether `attrs` made `cls`; the package itself is not needed to tell."""
    return "__attrs_attrs__" in vars(cls)


def is_record_class(cls: type) -> bool:
    """Whether `dataclass` or `attrs` made `cls` itself."""
    return "__dataclass_fields__" in vars(cls) or is_attrs_class(cls)


def why_not_fields(cls: type) -> str:
    """Why values of `cls` are not just their fields; nothing if they are. It completes "for it ..."."""
    if inspect.isabstract(cls) or _is_protocol(cls):
        return "is an interface"
    if typing.is_typeddict(cls) or is_named_tuple(cls):
        return ""
    bases = cls.__mro__[:-1]
    foreign = [base.__name__ for base in bases if not base.__flags__ & _HEAP_TYPE]
    if foreign:
        return "is written in C" if foreign[0] == cls.__name__ else f"is more than its fields, being a {foreign[0]}"
    if is_record_class(cls):
        return ""
    if any(_PICKLE_METHODS & vars(base).keys() for base in bases):
        return "is pickled in a way of its own"
    return "" if any(map(inspect.get_annotations, bases)) else "has no annotated fields"


def _is_protocol(cls: type) -> bool:
    """Whether `cls` is a Protocol, and not a class that implements one."""
    return bool(vars(cls).get("_is_protocol", False))


def checkable(cls: type) -> type:
    """`cls`, unless it is a Protocol that cannot tell its values from others: then object."""
    return object if _is_protocol(cls) and not getattr(cls, "_is_runtime_protocol", False) else cls


# --- fields


def field_hints(hint: Any) -> dict[str, Any]:
    """The fields of a class, or of one with arguments, in order of declaration; `Any` for those without a hint.

    Raises UnknownTypeError, with the field, for an annotation that cannot be resolved.
    """
    cls = typing.get_origin(hint) or hint
    hints = hints_of(cls)
    meanings = type_variables(hint)
    return {name: _closed(hints.get(name, known), meanings) for name, known in _declared(cls, hints).items()}


def _declared(cls: Any, hints: Mapping[str, Any]) -> dict[str, Any]:
    """The names of the fields, with what is known of their type without annotations."""
    if typing.is_typeddict(cls):
        return dict(hints)
    if is_attrs_class(cls):
        return {each.name: each.type or Any for each in cls.__attrs_attrs__}
    if is_record_class(cls):
        return {each.name: Any for each in dataclasses.fields(cls)}
    if issubclass(cls, tuple):
        return dict.fromkeys(cls._fields, Any)
    return {name: hint for name, hint in hints.items() if not _is_pseudo_field(hint)}


def _is_pseudo_field(hint: Any) -> bool:
    is_class_variable = hint is ClassVar or typing.get_origin(hint) is ClassVar
    return is_class_variable or isinstance(hint, dataclasses.InitVar) or hint is dataclasses.KW_ONLY


def is_required(name: str, hint: Any, cls: type) -> bool:
    """Whether a key of a TypedDict must be there. Its own lists do not know of markers in string annotations."""
    marker = typing.get_origin(hint)
    if marker in (typing.Required, typing.NotRequired):
        return marker is typing.Required
    return name in getattr(cls, "__required_keys__", ())


# --- annotations


def hints_of(owner: Any) -> dict[str, Any]:
    """The hints of a class or a function. Raises UnknownTypeError, with the field, for a name that cannot be found."""
    try:
        return _resolved(owner, {})
    except NameError:  # of a class within a function, perhaps: then it is not known to its module
        names = _own_names(owner) if isinstance(owner, type) else {}
    try:
        return _resolved(owner, {**names, "typing": typing})  # make_dataclass says "typing.Any" in any module
    except NameError as error:
        raise _unresolved(owner, str(error.name)) from error


def _own_names(cls: type) -> dict[str, Any]:
    """The classes within a class, and itself and its bases."""
    within = {name: value for name, value in vars(cls).items() if isinstance(value, type)}
    return {**within, **{base.__name__: base for base in reversed(cls.__mro__)}}


def _resolved(owner: Any, names: dict[str, Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(owner, localns=names or None, include_extras=True)
    except (AttributeError, SyntaxError, TypeError) as error:
        raise UnknownTypeError(f"an annotation of {owner.__qualname__} cannot be read: {error}") from error


def _unresolved(owner: Any, missing: str) -> UnknownTypeError:
    error = UnknownTypeError(
        f"an annotation of {owner.__qualname__} names {missing}, which its module {owner.__module__} does not have. "
        f"Define or import {missing} there, outside of functions and `if TYPE_CHECKING`, or give type_info="
    )
    for base in getattr(owner, "__mro__", (owner,)):
        for name, hint in vars(base).get("__annotations__", {}).items():
            if missing in str(hint):
                return error.at_field(name)
    return error


# --- type variables


def type_variables(hint: Any) -> dict[TypeVar, Any]:
    """What each type variable stands for in `hint` and the bases of its class: `Box[int]` says that T is int.

    A variable that has two meanings, because unrelated classes share it, means `Any`.
    """
    origin = typing.get_origin(hint) or hint
    found = dict(zip(getattr(origin, "__parameters__", ()), typing.get_args(hint), strict=False))
    for base in getattr(origin, "__orig_bases__", ()):
        if typing.get_origin(base) in (None, Generic, Protocol):
            continue
        for variable, meaning in type_variables(_closed(base, found)).items():
            if variable is not meaning:
                found[variable] = meaning if found.get(variable, meaning) == meaning else Any
    return found


def _closed(hint: Any, meanings: Mapping[TypeVar, Any]) -> Any:
    """`hint` with type variables replaced by what they mean."""
    if isinstance(hint, TypeVar):
        return meanings.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    if not parameters or not meanings or isinstance(hint, type):
        return hint
    return hint[tuple(meanings.get(parameter, parameter) for parameter in parameters)]


__all__ = [
    "checkable",
    "field_hints",
    "hints_of",
    "is_attrs_class",
    "is_named_tuple",
    "is_record_class",
    "is_required",
    "type_variables",
    "why_not_fields",
]
