"""What the values of an array take, however they are kept: the same for equal values, whatever is behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute

_OFFSET_BYTES = 4


def values_bytes(array: Any) -> int:
    """Bytes of all values: of fixed width as they are, at least one each; of texts and lists their contents and 4 each.

    A whole byte for a truth value makes the bytes of the parts of an array those of the whole, however it is cut.
    """
    for belongs, measure in _MEASURES:
        if belongs(array.type):
            return measure(array)
    return len(array) * (fixed_bytes(array.type) or _OFFSET_BYTES)


def fixed_bytes(arrow_type: Any) -> int | None:
    """What each value of a type takes, if all take the same."""
    kinds = pa.types
    if not (kinds.is_fixed_size_binary(arrow_type) or kinds.is_primitive(arrow_type) or kinds.is_decimal(arrow_type)):
        return None
    bits: int = arrow_type.bit_width
    return max(1, bits // 8)


def _of_texts(array: Any) -> int:
    return len(array) * _OFFSET_BYTES + (pyarrow.compute.sum(pyarrow.compute.binary_length(array)).as_py() or 0)


def _of_lists(array: Any) -> int:
    return len(array) * _OFFSET_BYTES + values_bytes(array.flatten())


def _of_struct(array: Any) -> int:
    return sum(values_bytes(part) for part in array.flatten())


def _is_text(arrow_type: Any) -> bool:
    kinds = pa.types
    return any(
        belongs(arrow_type)
        for belongs in (kinds.is_string, kinds.is_large_string, kinds.is_binary, kinds.is_large_binary)
    )


def _is_list(arrow_type: Any) -> bool:
    kinds = pa.types
    return any(belongs(arrow_type) for belongs in (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list))


_MEASURES: tuple[tuple[Callable[[Any], bool], Callable[[Any], int]], ...] = (
    (lambda arrow_type: isinstance(arrow_type, pa.BaseExtensionType), lambda array: values_bytes(array.storage)),
    (pa.types.is_dictionary, lambda array: values_bytes(array.dictionary_decode())),
    (_is_text, _of_texts),
    (_is_list, _of_lists),
    (pa.types.is_struct, _of_struct),
)
"""Who measures arrays of which types; those of fixed width, and the rare rest, need nobody."""

__all__ = ["fixed_bytes", "values_bytes"]
