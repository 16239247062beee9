"""Tables of all types, in chunks with offsets, full of nulls and of values that are hard to order; and a slow sort.

`SPILLWAY_SEED` in the environment runs the tests with another seed, which a failure prints.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from functools import cmp_to_key
from random import Random
from typing import Any

import pyarrow as pa

SEED = int(os.environ["SPILLWAY_SEED"])

_TEXTS = ["", "a", "a\0", "a\0b", "ab", "é", "\U0010ffff", "z" * 40, "Zürich", "zurich"]
_FLOATS = [0.0, -0.0, 1.5, -1.5, math.inf, -math.inf, math.nan, 1e300]


def _int(bits: int, signed: bool = True) -> Callable[[Random], int]:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return lambda rng: rng.choice([low, high, 0, 1, rng.randint(low, high), rng.randint(0, 9)])


def _decimal(digits: int, scale: int) -> Callable[[Random], Decimal]:
    def make(rng: Random) -> Decimal:
        number = rng.choice([0, 1, -1, 10**digits - 1, 1 - 10**digits, rng.randint(-(10**digits) + 1, 10**digits - 1)])
        return Decimal(number).scaleb(-scale, context=_EXACT)

    return make


_EXACT = Context(prec=100)


def _text(rng: Random) -> str:
    return rng.choice(_TEXTS) + rng.choice(["", str(rng.randint(0, 20))])


TYPES: dict[str, tuple[Any, Callable[[Random], Any]]] = {
    "int8": (pa.int8(), _int(8)),
    "int64": (pa.int64(), _int(64)),
    "uint16": (pa.uint16(), _int(16, signed=False)),
    "uint64": (pa.uint64(), _int(64, signed=False)),
    "float32": (pa.float32(), lambda rng: rng.choice([*_FLOATS[:-1], rng.randint(-9, 9) / 4])),
    "float64": (pa.float64(), lambda rng: rng.choice([*_FLOATS, rng.random()])),
    "bool": (pa.bool_(), lambda rng: rng.random() < 0.5),
    "string": (pa.string(), _text),
    "large_string": (pa.large_string(), _text),
    "string_view": (pa.string_view(), _text),
    "binary": (pa.binary(), lambda rng: rng.randbytes(rng.randint(0, 3))),
    "fixed_binary": (pa.binary(3), lambda rng: rng.choice([b"\0\0\0", b"abc", b"\xff\0\xff"])),
    "date32": (pa.date32(), _int(16)),
    "date64": (pa.date64(), lambda rng: rng.randint(-(10**4), 10**4) * 86_400_000),
    "timestamp": (pa.timestamp("us"), _int(40)),
    "timestamp_ns": (pa.timestamp("ns", "Europe/Berlin"), _int(60)),
    "time32": (pa.time32("ms"), lambda rng: rng.randint(0, 86_399_999)),
    "time64": (pa.time64("ns"), lambda rng: rng.randint(0, 86_399_999_999_999)),
    "duration": (pa.duration("s"), _int(40)),
    "decimal128": (pa.decimal128(9, 2), _decimal(9, 2)),
    "decimal128_long": (pa.decimal128(38, 7), _decimal(38, 7)),
    "decimal256": (pa.decimal256(60, 0), _decimal(60, 0)),
    "decimal256_short": (pa.decimal256(5, 1), _decimal(5, 1)),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), lambda rng: f"d{rng.randint(0, 9)}"),
    "list": (
        pa.list_(pa.int32()),
        lambda rng: [rng.choice([None, rng.randint(0, 2)]) for _ in range(rng.randint(0, 3))],
    ),
    "texts": (pa.large_list(pa.string()), lambda rng: [_text(rng) for _ in range(rng.randint(0, 2))]),
    "struct": (
        pa.struct([("x", pa.int16()), ("y", pa.string())]),
        lambda rng: {"x": rng.choice([None, 1, 2]), "y": _text(rng)},
    ),
}
"""A type, and what makes a value of it that `pyarrow.array` takes: of moments and spans the number it is stored as."""


def random_column(rng: Random, kind: str, count: int, *, null_share: float = 0.2, few: bool = False) -> Any:
    """A `pyarrow.ChunkedArray` in chunks that begin anywhere; with `few`, of few different values."""
    arrow_type, make = TYPES[kind]
    pool = [make(rng) for _ in range(4)] if few else []
    values = [None if rng.random() < null_share else (rng.choice(pool) if few else make(rng)) for _ in range(count)]
    chunks: list[Any] = []
    start = 0
    while start < count or not chunks:
        length = rng.randint(1, max(1, count))
        pad = rng.randint(0, 9)
        part = [*([values[0]] * pad if count else []), *values[start : start + length]]
        chunks.append(_array(part, arrow_type).slice(pad if count else 0))
        start += length
    return pa.chunked_array(chunks, arrow_type)


def _array(values: list[Any], arrow_type: Any) -> Any:
    kinds = pa.types
    if kinds.is_temporal(arrow_type):
        return pa.array(values, pa.int32() if arrow_type.bit_width == 32 else pa.int64()).view(arrow_type)
    if kinds.is_dictionary(arrow_type):
        return pa.array(values, pa.string()).dictionary_encode().cast(arrow_type)
    return pa.array(values, arrow_type)


def random_table(rng: Random, kinds: Sequence[str], count: int, **choices: Any) -> Any:
    """A `pyarrow.Table` with a column of each kind, called as it, and the number of the row in `row`."""
    columns = {kind: random_column(rng, kind, count, **choices) for kind in kinds}
    return pa.table({**columns, "row": pa.array(range(count), pa.int64())})


def plain(table: Any) -> list[dict[str, Any]]:
    """The rows as Python values that tell all there is to tell: NaN is a text, and moments are numbers."""
    columns = {name: [_plain(value) for value in values_of(table.column(name))] for name in table.column_names}
    if not columns:
        return [{}] * table.num_rows
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def values_of(column: Any) -> list[Any]:
    """The Python values of a column; of moments and spans the numbers they are stored as."""
    arrow_type = column.type
    if pa.types.is_temporal(arrow_type):
        carried = pa.int32() if arrow_type.bit_width == 32 else pa.int64()
        return [value for chunk in column.chunks for value in chunk.view(carried).to_pylist()]
    return list(column.to_pylist())


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return repr(value)
    return value


# --- the order


def order_of(table: Any, by: Sequence[str]) -> list[int]:
    """The slow twin of a sort: places of the rows in order, by columns such as "-name:nulls-last"."""
    places = list(range(table.num_rows))
    for text in reversed(by):
        bare = text.removesuffix(":nulls-last")
        values = values_of(table.column(bare.removeprefix("-")))
        key = order_key(descending=bare.startswith("-"), nulls_last=text != bare)
        places.sort(key=lambda place, values=values, key=key: key(values[place]))  # type: ignore[misc]
    return places


def order_key(*, descending: bool = False, nulls_last: bool = False) -> Callable[[Any], Any]:
    """What `sorted` takes. Nulls have their place in either direction, in lists and structs too; NaN is greatest."""
    signs = (-1 if descending else 1, -1 if nulls_last else 1)
    return cmp_to_key(lambda left, right: _compare(left, right, *signs))


def _compare(left: Any, right: Any, sign: int, null_sign: int) -> int:
    if left is None or right is None:
        return null_sign * ((left is not None) - (right is not None))
    if isinstance(left, dict):
        left, right = list(left.values()), list(right.values())
    if isinstance(left, list):
        pairs = zip(left, right, strict=False)
        different = (order for pair in pairs if (order := _compare(*pair, sign, null_sign)))
        return next(different, sign * (len(left) - len(right)))
    if isinstance(left, float):
        left, right = ((math.isnan(each), 0.0 if math.isnan(each) else each) for each in (left, right))
    if isinstance(left, str):
        left, right = left.encode(), right.encode()
    return sign * (int(left > right) - int(left < right))
