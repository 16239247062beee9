"""Type information that users bring for their own classes.

    register_type(Point, factory)      for classes that one cannot, or would rather not, change
    Point.__type_info__                for one's own: a TypeInformation, or something to call that returns one

What is found here goes before everything that is known of a class otherwise. The registry may be used by many threads.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any

from serializers.errors import UnknownTypeError
from serializers.types.type_information import TypeInformation

Info = TypeInformation[Any]
TypeFactory = Callable[..., Info]
"""Called with the class, and with the type information of each argument: `Box[int]` is `factory(Box, INT)`."""

ATTRIBUTE = "__type_info__"

_lock = Lock()
_factories: dict[Hashable, TypeFactory] = {}


def register_type(cls: Hashable, factory: TypeFactory) -> None:
    """Let `factory` say what the type information of `cls` is, from now on, and not of its subclasses.

    `cls` is a class, or a `NewType`. A second registration of the same class replaces the first.
    """
    if isinstance(factory, TypeInformation) or not callable(factory):
        raise TypeError(
            f"the factory of {_name(cls)} is something to call, such as `lambda cls: PointInfo()`, not {factory!r}"
        )
    with _lock:
        _factories[cls] = factory


def unregister_type(cls: Hashable) -> None:
    """Forget the factory of `cls`. Raises KeyError if there is none."""
    with _lock:
        if cls not in _factories:
            raise KeyError(f"{_name(cls)} is not registered")
        del _factories[cls]


def own_factory(cls: Hashable) -> TypeFactory | None:
    """What makes the type information that `cls` has brought, of that of its arguments; None if it has brought none.

    It raises UnknownTypeError if what was brought is no type information.
    """
    with _lock:
        factory = _factories.get(cls)
    if factory is not None:
        return lambda *arguments: _checked(factory(cls, *arguments), f"the factory registered for {_name(cls)}")
    found = _attribute_of(cls)
    if found is None:
        return None
    return lambda *arguments: _checked(_made(found, arguments), f"the attribute {ATTRIBUTE} of {_name(cls)}")


def _attribute_of(cls: Hashable) -> Any:
    """The class attribute. One that was inherited describes the base, unless it is a class method."""
    found = getattr(cls, ATTRIBUTE, None) if isinstance(cls, type) else None
    is_own = ATTRIBUTE in getattr(cls, "__dict__", ())
    return found if is_own or getattr(found, "__self__", None) is cls else None


def _made(attribute: Any, arguments: tuple[Info, ...]) -> Any:
    return attribute(*arguments) if callable(attribute) and not isinstance(attribute, TypeInformation) else attribute


def _checked(made: Any, source: str) -> Info:
    if isinstance(made, TypeInformation):
        return made
    is_class = isinstance(made, type) and issubclass(made, TypeInformation)
    cure = f"Did you mean {made.__name__}()?" if is_class else "Return one"
    raise UnknownTypeError(f"{source} gave {made!r}, which is no TypeInformation. {cure}")


def _name(cls: Hashable) -> str:
    return getattr(cls, "__qualname__", None) or str(cls)


__all__ = ["ATTRIBUTE", "TypeFactory", "own_factory", "register_type", "unregister_type"]
