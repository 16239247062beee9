"""Where a kernel finds what it needs to read Python's own tuples, texts and ints (`shuffle.kernels.pairs`).

Types are told by their addresses, and values asked for through functions of CPython's stable interface (PEP 384), which
are the same in every version. The one thing that is known of an object besides is that its type is the last word of
its head.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from typing import Any

import numpy as np

from serializers.columns.pieces import EncodedRows
from serializers.columns.scratch import address_of
from serializers.layouts import SLACK_BYTES
from shuffle.aggregation.keys import Keys
from shuffle.aggregation.state_plan import ValueColumn
from shuffle.kernels import pairs as kernels

_FUNCTIONS = {
    kernels.TAKE_GIL: "PyGILState_Ensure",
    kernels.LEAVE_GIL: "PyGILState_Release",
    kernels.LIST_ITEM: "PyList_GetItem",
    kernels.TUPLE_SIZE: "PyTuple_Size",
    kernels.TUPLE_ITEM: "PyTuple_GetItem",
    kernels.UTF8: "PyUnicode_AsUTF8AndSize",
    kernels.INT64: "PyLong_AsLongLongAndOverflow",
    kernels.FORGET_ERROR: "PyErr_Clear",
}
_TYPES = {kernels.TUPLE: tuple, kernels.TEXT: str, kernels.INT: int}
_WORD_BYTES = 8
_SCRATCH_WORDS = 8


class PairTarget:
    """Where pairs go: short keys as two words each, longer ones as rows, and a value for each."""

    def __init__(self, pairs_max: int, row_bytes_max: int) -> None:
        self._words = np.empty((pairs_max, 2), np.uint64)
        self._word_values = np.empty(pairs_max, np.uint64)
        self._rows = np.empty(row_bytes_max + SLACK_BYTES, np.uint8)
        self._row_ends = np.empty(pairs_max, np.uint32)
        self._row_values = np.empty(pairs_max, np.uint64)
        entries = np.zeros(kernels.TARGET_ENTRIES, np.uint64)
        entries[kernels.WORDS], entries[kernels.WORD_VALUES] = address_of(self._words), address_of(self._word_values)
        entries[kernels.ROWS], entries[kernels.ROW_ENDS] = address_of(self._rows), address_of(self._row_ends)
        entries[kernels.ROW_VALUES] = address_of(self._row_values)
        entries[kernels.WORDS_MAX] = entries[kernels.ROWS_MAX] = pairs_max
        entries[kernels.ROWS_ROOM] = row_bytes_max
        self._entries = entries
        self.address = address_of(entries)

    def __len__(self) -> int:
        """How many pairs there are."""
        return int(self._entries[kernels.WORDS_COUNT] + self._entries[kernels.ROWS_COUNT])

    @property
    def size_bytes(self) -> int:
        """Of all keys."""
        return 16 * int(self._entries[kernels.WORDS_COUNT]) + int(self._entries[kernels.ROWS_SIZE])

    def short(self) -> tuple[Keys, ValueColumn]:
        """The keys of words, and their values."""
        count = int(self._entries[kernels.WORDS_COUNT])
        return Keys(self._words[:count]), ValueColumn(self._word_values[:count])

    def long(self) -> tuple[Keys, ValueColumn]:
        """The keys of rows, and their values."""
        count, size = int(self._entries[kernels.ROWS_COUNT]), int(self._entries[kernels.ROWS_SIZE])
        return Keys(encoded=EncodedRows(self._rows, size, self._row_ends[:count])), ValueColumn(
            self._row_values[:count]
        )

    def clear(self) -> None:
        """Forget all pairs."""
        self._entries[[kernels.WORDS_COUNT, kernels.ROWS_COUNT, kernels.ROWS_SIZE]] = 0


class PairReader:
    """Reads pairs whose keys are of class `key`, str or int, for one thread at a time."""

    def __init__(self, key: type) -> None:
        self._scratch = np.zeros(_SCRATCH_WORDS, np.uint64)
        self._python = np.zeros(kernels.PYTHON_ENTRIES, np.uint64)
        self._python[kernels.TYPE_OFFSET] = _type_offset()
        self._python[kernels.SCRATCH] = address_of(self._scratch)
        for place, cls in {**_TYPES, kernels.KEY: key}.items():
            self._python[place] = id(cls)
        for place, name in _FUNCTIONS.items():
            self._python[place] = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
        self._address = address_of(self._python)

    def read(self, pairs: list[Any], first: int, target: PairTarget) -> tuple[int, int]:
        """Append the pairs from `first` on to `target`: (how far it came, why it stopped).

        The reason is ALL_READ, NO_ROOM, or ODD_PAIR for one that is no plain tuple of a key and an int of 64 bits.
        """
        done, why = kernels.read_pairs(id(pairs), first, len(pairs), self._address, target.address)
        return int(done), int(why)


@cache
def can_read_objects() -> bool:
    """Whether this Python is one whose objects are as kernels take them to be."""
    if platform.python_implementation() != "CPython" or ctypes.sizeof(ctypes.c_void_p) != _WORD_BYTES:
        return False
    samples: list[object] = [(), "text", 1 << 40]
    return all(ctypes.c_uint64.from_address(id(each) + _type_offset()).value == id(type(each)) for each in samples)


def _type_offset() -> int:
    return object.__basicsize__ - _WORD_BYTES
