"""How a value that is not of its type is refused: one wording for every type."""

from __future__ import annotations

from reprlib import Repr

from serializers.errors import NullFieldError, ValueMismatchError

_REPR = Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60


def shown(value: object) -> str:
    """`value` as an error names it: its repr, cut to a length that fits a line."""
    try:
        return _REPR.repr(value)
    except Exception:  # of a class of the user's, or an int of too many digits: the error must not be lost to it
        return f"a value of {type(value).__qualname__}"


def mismatch(value: object, type_name: str, cure: str) -> ValueMismatchError:
    """The error for a `value` that is no `type_name`: a NullFieldError for None."""
    if value is None:
        return NullFieldError(f"None, where {type_name} has no room for it. Declare optional[{type_name}]")
    found = type(value)
    place = "" if found.__module__ == "builtins" else f"{found.__module__}."
    return ValueMismatchError(f"{shown(value)} ({place}{found.__qualname__}) is not {type_name}. {cure}")


__all__ = ["mismatch", "shown"]
