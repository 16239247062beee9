"""Arrow arrays of what is in numpy arrays, without a copy.

`pyarrow.array` would do, but it looks whether its argument is pandas', and for that imports pandas where it is
installed: a quarter of a second, and 40 MiB that no budget knows of.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Array = Any
"""A `pyarrow.Array`."""


def arrow_array(items: NDArray[Any], nulls: NDArray[np.bool_] | None = None) -> Array:
    """The array of numbers or bools, and nulls where `nulls` says so."""
    values = _bits(items) if items.dtype == np.bool_ else np.ascontiguousarray(items)
    validity = None if nulls is None else pa.py_buffer(_bits(~nulls))
    return pa.Array.from_buffers(pa.from_numpy_dtype(items.dtype), len(items), [validity, pa.py_buffer(values)])


def _bits(flags: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.packbits(flags, bitorder="little")


__all__ = ["arrow_array"]
