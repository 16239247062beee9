"""What no type is known for: the value as a pickle. It takes the most bytes and the most time of all types.

    varint length | pickle, protocol 5

What pickle itself cannot do, functions without a name to import them by above all, cloudpickle does. Reading a pickle
runs code that the pickle names: read only what this program has written.
"""

from __future__ import annotations

import logging
import pickle
from dataclasses import dataclass
from typing import Any

from serializers.errors import CorruptRecordError, NotOrderableError, ValueMismatchError
from serializers.types.mismatch import mismatch, shown
from serializers.types.parts import PartsSerializer
from serializers.types.type_comparator import TypeComparator
from serializers.types.type_information import TypeInformation
from serializers.views import InputView, OutputView

_PROTOCOL = 5
_log = logging.getLogger(__name__)
_logged: set[tuple[type, str]] = set()


def log_generic(
    cls: type,
    path: str = "",
    cure: str = "declare its fields, as a dataclass does, or register type information for it",
) -> None:
    """Warn, once for each, that values of `cls` in the field `path` are going to be pickled."""
    if (cls, path) in _logged:
        return
    _logged.add((cls, path))
    place = f"field {path}: " if path else ""
    name = f"{cls.__module__}.{cls.__qualname__}"
    _log.warning("%s%s has no type information and is pickled, which is slow and large; %s", place, name, cure)


@dataclass(frozen=True)
class GenericInfo(TypeInformation[Any]):
    """Any value of class `cls`, pickled. `GenericInfo(object)` takes everything, None included."""

    cls: type

    @property
    def name(self) -> str:
        return f"generic[{self.cls.__name__}]"

    @property
    def python_type(self) -> type:
        return self.cls

    @property
    def allows_null(self) -> bool:
        return isinstance(None, self.cls)

    @property
    def may_pickle(self) -> bool:
        return True

    def create_serializer(self) -> GenericSerializer:
        return GenericSerializer(self)

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> TypeComparator[Any]:
        """Always raises: what a class's `__lt__` says cannot be put into bytes."""
        has_order = any("__lt__" in vars(base) for base in self.cls.__mro__[:-1])
        reason = "compares in a way of its own, which bytes do not follow" if has_order else "has no known order"
        raise NotOrderableError(
            f"{self.cls.__module__}.{self.cls.__qualname__} is a generic type, and {reason}. Declare its fields, as a "
            "dataclass does, or give key= a function that returns a str, an int, or a tuple of such"
        )


class GenericSerializer(PartsSerializer[Any]):
    """The length, and the pickle."""

    def __init__(self, type_info: GenericInfo) -> None:
        super().__init__(type_info)
        self._class = type_info.cls

    def serialize(self, value: Any, out: OutputView) -> None:
        if not isinstance(value, self._class):
            raise mismatch(value, self.type_info.name, "Declare the type it has")
        out.write_sized(_pickled(value))

    def deserialize(self, source: InputView) -> Any:
        value = _unpickled(source.read_sized())
        if not isinstance(value, self._class):
            raise CorruptRecordError(f"a pickled {type(value).__qualname__}, where {self.type_info.name} is expected")
        return value

    def skip(self, source: InputView) -> None:
        source.skip_sized()


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value, _PROTOCOL)
    except RecursionError as error:
        raise ValueMismatchError(
            f"a {type(value).__qualname__} nests too deep to be pickled. Raise sys.setrecursionlimit"
        ) from error
    except Exception:  # PicklingError, AttributeError, TypeError, or whatever a class of the user's raises
        return _cloud_pickled(value)


def _cloud_pickled(value: Any) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(value, _PROTOCOL))
    except Exception as error:
        raise ValueMismatchError(
            f"{shown(value)} ({type(value).__module__}.{type(value).__qualname__}) cannot be pickled: {error}. "
            "Leave out what holds a resource, or give its class a __reduce__"
        ) from error


def _unpickled(data: bytes) -> Any:
    try:
        return pickle.loads(data)
    except MemoryError:
        raise
    except Exception as error:  # damaged bytes raise anything at all
        raise CorruptRecordError(
            f"{len(data)} bytes cannot be unpickled: {type(error).__name__}: {error}. "
            "If they are not damaged, a class that they name has changed or cannot be imported"
        ) from error


__all__ = ["GenericInfo", "GenericSerializer", "log_generic"]
