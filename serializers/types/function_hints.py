"""The type information of what a function returns or yields, from its annotation."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

from serializers.errors import UnknownTypeError
from serializers.types.class_fields import hints_of
from serializers.types.hints import type_info_of
from serializers.types.type_information import TypeInformation

_ITERATORS = (
    collections.abc.Iterator,
    collections.abc.Iterable,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)

_SILENT = (None, Any, object)
"""Hints that say nothing."""


def type_info_of_function(
    function: Callable[..., Any], *, yields: bool = False, allow_generic: bool = True
) -> TypeInformation[Any] | None:
    """The type information of the values that `function` returns; with `yields`, of those that it yields.

    None if the function does not say; `Any` and `object` say nothing. A class returns its values. Raises
    UnknownTypeError as `type_info_of` does, and with `yields` if the annotation is none of an iterator.
    """
    hint = return_hint(function)
    if yields and hint not in _SILENT:
        hint = _element_hint(hint, function)
    return None if hint in _SILENT else type_info_of(hint, allow_generic=allow_generic)


def return_hint(function: Callable[..., Any]) -> Any:
    """What `function` is annotated to return, None if it is not. Its parameters may have annotations of any kind."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type) or typing.get_origin(function):
        return function
    if not hasattr(function, "__annotations__"):  # an object with a __call__
        function = type(function).__call__
    annotations = getattr(function, "__annotations__", {})
    if "return" not in annotations:
        return None
    shown = types.SimpleNamespace(
        __annotations__={"return": annotations["return"]},
        __globals__=getattr(inspect.unwrap(function), "__globals__", {}),
        __module__=function.__module__,
        __qualname__=function.__qualname__,
    )
    return hints_of(shown)["return"]


def _element_hint(hint: Any, function: Callable[..., Any]) -> Any:
    origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin not in _ITERATORS:
        raise UnknownTypeError(
            f"{getattr(function, '__qualname__', function)} is to yield values, and is annotated to return {hint}. "
            "Annotate it with Iterator[...] of their type, or give type_info="
        )
    return arguments[0] if arguments else None


__all__ = ["return_hint", "type_info_of_function"]
