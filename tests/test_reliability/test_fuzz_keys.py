"""The beginning of an order key never contradicts the order of the values: for every type, and at every length.

A prefix may say "equal" of values that are not, and then the rest of the keys is looked at; it must never say "less" of
the greater. Values are ranked by the slow twin, which compares them as Python does and knows no bytes. If prefixes do
not fall from rank to rank, and are the same within a rank, then all pairs agree: N * (N - 1) / 2 of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cmp_to_key
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest

from serializers import rows
from serializers.row_codec import RowCodec
from serializers.types.arrays import PythonArrayInfo
from serializers.types.composite import TupleInfo
from serializers.types.containers import ListInfo, OptionalInfo, UnionInfo, VariadicTupleInfo
from serializers.types.decimals import DECIMAL
from serializers.types.floats import FloatInfo
from serializers.types.identifiers import UUID_INFO, EnumInfo
from serializers.types.numbers import BOOL, INT, IntegerInfo
from serializers.types.numpy_scalars import NumpyScalarInfo
from serializers.types.temporal import AWARE_DATETIME, DATE, DATETIME, TIME, TIMEDELTA
from serializers.types.text import BYTEARRAY, BYTES, STR
from tests.naive_types import Rule
from tests.test_reliability import amounts
from tests.test_serializers.random_schemas import Color, Level, Mode, Permission, random_value

KEY_BYTES = 64
PREFIXES = (1, 2, 4, 7, 8, 9, 16, 31, 32, 63, 64)
VALUES = amounts.amount(48, 1450)
INT64 = IntegerInfo(64, True)

TYPES = {
    info.name: info
    for info in (
        *(IntegerInfo(bits, signed) for bits in (8, 16, 32, 64) for signed in (True, False)),
        *(FloatInfo(bits) for bits in (16, 32, 64)),
        *(NumpyScalarInfo(name) for name in ("bool", "int8", "uint16", "int64", "float16", "float32", "float64")),
        *(EnumInfo(cls) for cls in (Color, Level, Mode, Permission)),
        *(BOOL, INT, STR, BYTES, BYTEARRAY, DECIMAL, UUID_INFO, DATE, TIME, DATETIME, AWARE_DATETIME, TIMEDELTA),
        *(PythonArrayInfo(code) for code in "bQdu"),
        *(OptionalInfo(STR), OptionalInfo(FloatInfo(64)), UnionInfo((INT, FloatInfo(64))), UnionInfo((STR, INT64))),
        *(TupleInfo((STR, INT64)), TupleInfo((BYTES, STR)), TupleInfo((INT64, FloatInfo(64), STR))),
        *(ListInfo(STR), VariadicTupleInfo(INT64), ListInfo(OptionalInfo(INT))),
    )
}


def values_of(info: Any, random: Random) -> list[Any]:
    """Values of any kind, and families that share the beginnings of their texts, or lie side by side."""
    made: list[Any] = []
    while len(made) < VALUES:
        value = random_value(random, info)
        made += [value, *near(value, random)]
    return made[:VALUES]


ENDS = ("", "\0", "\0\0", "\1", "a", "\xff", "\ud800", "😀")


def near(value: Any, random: Random) -> list[Any]:
    """Values like this one; those of texts share up to 64 of their first characters."""
    if isinstance(value, str) and type(value) is str:
        shared = value + "é" * random.randrange(33) + "a" * random.randrange(33)
        return [
            shared,
            *(shared + random.choice(("", "\0", "\0\0", "\1", "a", "\xff", "\ud800", "😀")) for _ in range(4)),
        ]
    if type(value) in (bytes, bytearray):
        shared = bytes(value) + b"\0" * random.randrange(4) + b"p" * random.randrange(65)
        return [type(value)(shared + random.choice((b"", b"\0", b"\0\xff", b"\xff", b"a"))) for _ in range(4)]
    if type(value) is int and abs(value) > 1 << 64:
        return [value + step for step in (-1, 1, 256)]
    if type(value) is tuple and value and type(value[0]) in (str, bytes):
        return [(each, *value[1:]) for each in near(value[0], random)]
    if type(value) is list and value and type(value[0]) is str:
        return [value[:1] + near(value[0], random), [*value, "a"]]
    return []


def keys_of(info: Any, values: Sequence[Any], comparator: Any) -> list[bytes]:
    """Order keys as rows have them, written by the kernels."""
    codec = RowCodec(info, comparator)
    encoded, layout = codec.encode(values), rows(codec.key_bytes)
    starts = [0, *encoded.ends.tolist()]
    return [layout.key(encoded.data[start:end].tobytes()) for start, end in pairwise(starts)]


@pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
@pytest.mark.parametrize("name", TYPES)
def test_prefixes(name: str, descending: bool) -> None:
    info, random = TYPES[name], amounts.source("keys", name, descending)
    values = values_of(info, random)
    nulls_last = random.random() < 0.5
    comparator = info.create_comparator(descending=descending, nulls_last=nulls_last)
    rule = Rule(descending, nulls_last)

    def compare(left: int, right: int) -> int:
        return rule.compare(info, values[left], values[right])

    keys = keys_of(info, values, comparator)
    ranked = sorted(range(len(values)), key=cmp_to_key(compare))
    table = np.frombuffer(b"".join(key[:KEY_BYTES].ljust(KEY_BYTES, b"\0") for key in keys), np.uint8)
    table = table.reshape(-1, KEY_BYTES)[ranked]
    same = np.array([compare(left, right) == 0 for left, right in pairwise(ranked)])
    for length in PREFIXES:
        prefixes = [row.tobytes() for row in table[:, :length]]
        falls = [at for at, (left, right) in enumerate(pairwise(prefixes)) if left > right]
        assert not falls, told(values, ranked, falls[0], length)
        differs = [at for at, (left, right) in enumerate(pairwise(prefixes)) if left != right and same[at]]
        assert not differs, told(values, ranked, differs[0], length)
    for at, (left, right) in enumerate(pairwise(ranked)):
        order = (keys[left] > keys[right]) - (keys[left] < keys[right])
        assert order == compare(left, right), told(values, ranked, at, len(keys[left]))
        normalized = bytearray(KEY_BYTES)
        comparator.put_normalized_key(values[left], normalized, 0, KEY_BYTES)
        assert normalized == table[at].tobytes()
    amounts.report(f"prefixes of keys: {name}", fuzz_pairs=len(values) * (len(values) - 1) // 2)


def told(values: Sequence[Any], ranked: Sequence[int], at: int, length: int) -> str:
    """Two neighbours, for the text of a failure."""
    return f"{values[ranked[at]]!r} and {values[ranked[at + 1]]!r}, by {length} bytes"
