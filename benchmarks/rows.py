"""What a record costs on its way to a row and back, in this process, against `pickle` of each record.

    tuples    (int32, text of 12) sorted by the number: Python objects, 50,000 at a time
    tables    (int64, int32, float64, text of 4 to 20) sorted by the first: 20 million lines, a million at a time
    others    one type after the other, without claims: what its column is worth, beside its serializer alone

One core. Python's collector rests while anything is measured, ours and theirs, as it does while a sort decodes.
"""

import gc
import pickle
import random
import string
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Any, NamedTuple

from benchmarks.measure import tell
from benchmarks.report import Claim, Section, Table
from benchmarks.workbench import SEED, Workbench, main
from serializers.arrow_columns import ArrowCodec
from serializers.row_codec import RowCodec
from serializers.types.arrow_types import type_info_of_arrow
from serializers.types.composite import ClassInfo, Row, RowInfo, TupleInfo
from serializers.types.containers import DictInfo, ListInfo, OptionalInfo
from serializers.types.decimals import DECIMAL
from serializers.types.identifiers import UUID_INFO
from serializers.types.numbers import FLOAT64, INT, INT32
from serializers.types.ordering import OrderingComparator, OrderKey
from serializers.types.temporal import DATETIME
from serializers.types.text import STR
from serializers.types.type_information import Field, TypeInformation

TUPLES = 50_000
TABLE_ROWS = 20_000_000
SLICE_ROWS = 1_000_000
OTHERS = 20_000

TUPLE_NS = 120.0
TABLE_NS = 100.0

_PROTOCOL = 5
_WARM_UP_ROUNDS = 3
_UNIT = "ns"
_HEADER = ("type", "encode", "decode", "pickle", "unpickle", "serializer", "deserializer")

Info = TypeInformation[Any]


class Point(NamedTuple):
    """A record of three fields."""

    number: int
    text: str
    score: float


@dataclass
class User:
    """The same as a class."""

    number: int
    text: str
    score: float


def run(bench: Workbench) -> Section:
    """Four claims and a table."""
    made = random.Random(SEED)
    with _collector_at_rest():
        claims = [*_tuple_claims(bench, made), *_table_claims(bench, made)]
        rows = [_row(bench, info, [make() for _ in range(OTHERS)]) for info, make in _others(made)]
    note = f"Nanoseconds a value, medians of {bench.pairs}; records are sorted by their first field."
    return Section(claims, [Table("Values of other types", _HEADER, rows, note)])


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _in_turn(rounds: int, count: int, calls: Sequence[Callable[[], Any]]) -> list[list[float]]:
    """Nanoseconds for each of `count` records, by call and round; some rounds before do not count."""
    found: list[list[float]] = [[] for _ in calls]
    for number in range(_WARM_UP_ROUNDS + rounds):
        for call, times in zip(calls, found, strict=True):
            started = time.perf_counter_ns()
            made = call()
            elapsed = time.perf_counter_ns() - started
            del made
            if number >= _WARM_UP_ROUNDS:
                times.append(elapsed / count)
    return found


def _claim(bench: Workbench, what: str, target: float, ours: list[float], peers: list[float]) -> Claim:
    peer = f"pickle {median(peers):.0f} ns" if peers else ""
    return Claim(what, target, ours, unit=_UNIT, peer=peer, is_judged=bench.is_full_size)


# --- what there are claims about


def _tuple_claims(bench: Workbench, made: random.Random) -> list[Claim]:
    info = TupleInfo((INT32, STR))
    values = [(made.randrange(-(1 << 31), 1 << 31), _word(made, 12)) for _ in range(TUPLES)]
    encode, decode, dump, load = _in_turn(bench.pairs, TUPLES, _calls(_codec(info), values))
    return [
        _claim(bench, "a tuple of int32 and text to a row", TUPLE_NS, encode, dump),
        _claim(bench, "a row to a tuple of int32 and text", TUPLE_NS, decode, load),
    ]


def _calls(codec: RowCodec, values: list[Any]) -> list[Callable[[], Any]]:
    rows = codec.encode(values).rows
    dumped = [pickle.dumps(value, _PROTOCOL) for value in values]
    return [
        lambda: codec.encode(values),
        lambda: codec.decode(rows),
        lambda: [pickle.dumps(value, _PROTOCOL) for value in values],
        lambda: [pickle.loads(data) for data in dumped],
    ]


def _codec(info: Info) -> RowCodec:
    if info.fields:
        return RowCodec(info, OrderingComparator(info, (OrderKey((0,)),)))
    return RowCodec(info, info.create_comparator() if info.is_key_type else None)


def _table_claims(bench: Workbench, made: random.Random) -> list[Claim]:
    what = ("a line of an Arrow table to a row", "a row to a line of an Arrow table")
    try:
        table = _table(made)
    except ImportError:
        return [Claim(each, TABLE_NS, problem="pyarrow is not installed") for each in what]
    info = type_info_of_arrow(table.schema)
    codec = ArrowCodec(table.schema, OrderingComparator(info, (OrderKey((0,)),)))
    slices = [table.slice(start, SLICE_ROWS) for start in range(0, TABLE_ROWS, SLICE_ROWS)]
    encoded = [codec.encode_table(each).rows for each in slices]

    def encode() -> None:
        for each in slices:
            codec.encode_table(each)

    def decode() -> None:
        for rows in encoded:
            codec.decode_table(rows)

    found = _in_turn(bench.pairs, TABLE_ROWS, [encode, decode])
    return [_claim(bench, each, TABLE_NS, times, []) for each, times in zip(what, found, strict=True)]


def _table(made: random.Random) -> Any:
    import numpy as np
    import pyarrow as pa

    numbers = np.random.default_rng(SEED)
    words = pa.array([_word(made, made.randint(4, 20)) for _ in range(1000)])
    return pa.table(
        {
            "id": numbers.integers(-(1 << 63), 1 << 63, TABLE_ROWS),
            "count": numbers.integers(-(1 << 31), 1 << 31, TABLE_ROWS).astype(np.int32),
            "score": numbers.random(TABLE_ROWS),
            "name": words.take(pa.array(numbers.integers(0, len(words), TABLE_ROWS))),
        }
    )


# --- what there are none about


def _row(bench: Workbench, info: Info, values: list[Any]) -> list[str]:
    serializer = info.create_serializer()
    data = [serializer.to_bytes(value) for value in values]
    alone: list[Callable[[], Any]] = [
        lambda: [serializer.to_bytes(value) for value in values],
        lambda: [serializer.from_bytes(each) for each in data],
    ]
    found = _in_turn(bench.pairs, len(values), [*_calls(_codec(info), values), *alone])
    cells = [f"{median(times):.0f}" for times in found]
    tell(f"  {info}: {', '.join(cells)} ns")
    return [info.name, *cells]


def _others(made: random.Random) -> list[tuple[Info, Callable[[], Any]]]:
    fields = (Field("number", INT), Field("text", STR), Field("score", FLOAT64))

    def number() -> int:
        return made.randrange(-(1 << 31), 1 << 31)

    def text() -> str:
        return _word(made, 12)

    def parts() -> tuple[int, str, float]:
        return number(), text(), made.random()

    return [
        (INT, number),
        (STR, text),
        (FLOAT64, made.random),
        (DATETIME, lambda: datetime(2000, 1, 1) + timedelta(microseconds=made.randrange(10**15))),
        (UUID_INFO, lambda: uuid.UUID(int=made.getrandbits(128))),
        (DECIMAL, lambda: Decimal(number()).scaleb(-2)),
        (TupleInfo((INT, OptionalInfo(STR))), lambda: (number(), made.choice((None, text())))),
        (TupleInfo((INT, STR, FLOAT64), Point), lambda: Point(*parts())),
        (ClassInfo(User, fields), lambda: User(*parts())),
        (RowInfo(fields), lambda: Row(**dict(zip(Point._fields, parts(), strict=True)))),
        (ListInfo(INT), lambda: [number() for _ in range(5)]),
        (DictInfo(STR, INT), lambda: {text(): number() for _ in range(3)}),
    ]


def _word(made: random.Random, length: int) -> str:
    return "".join(made.choices(string.ascii_lowercase, k=length))


if __name__ == "__main__":
    main(run, __doc__)
