"""Python values sorted: as `sorted` would, in memory or spilled, however they come and whatever goes wrong."""

import asyncio
import dataclasses
import gc
import logging
import math
import random
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shuffle
from serializers.errors import (
    CorruptRecordError,
    NotOrderableError,
    NullFieldError,
    SerializationError,
    UnknownTypeError,
)
from serializers.types import TypeInformation, TypeSerializer
from serializers.types.composite import TupleInfo
from serializers.types.numbers import INT, INT32
from serializers.views import InputView, OutputView
from shuffle import batches
from tests import tiny

ROOT = Path(__file__).parent.parent.parent
SMALL = 64 << 10


class City(NamedTuple):
    name: str
    people: int


@dataclasses.dataclass(order=True)
class Person:
    age: int
    name: str
    home: City | None = None


class Level(IntEnum):
    LOW = 1
    HIGH = 9
    MIDDLE = 5


def drawn(rng: random.Random) -> dict[str, Callable[[], Any]]:
    """A way to make a value of each kind that Python can order."""
    return {
        "int": lambda: rng.choice([0, -1, rng.randrange(-(1 << 40), 1 << 40), -(1 << 200), 1 << 300]),
        "float": lambda: rng.choice([0.0, -0.0, math.inf, -math.inf, 5e-324, rng.uniform(-9, 9)]),
        "number": lambda: rng.choice([rng.randrange(-5, 5), rng.uniform(-5, 5), True, 1 << 63, 2.0**63]),
        "bool": lambda: rng.random() < 0.5,
        "str": lambda: "".join(rng.choices("ab\0\udfff\uffee\U0001f600", k=rng.randrange(9))),
        "bytes": lambda: rng.randbytes(rng.randrange(5)),
        "date": lambda: date.min + timedelta(days=rng.randrange(3_000_000)),
        "time": lambda: time(rng.randrange(24), rng.randrange(60), 0, rng.randrange(10**6)),
        "datetime": lambda: datetime(1960, 1, 1) + timedelta(seconds=rng.randrange(-(10**9), 10**9)),
        "aware": lambda: datetime.fromtimestamp(rng.randrange(10**9), rng.choice([UTC, timezone(timedelta(hours=2))])),
        "timedelta": lambda: timedelta(days=rng.randrange(-9, 9), microseconds=rng.randrange(10**6)),
        "decimal": lambda: Decimal(rng.choice(["1.0", "1.00", "-0", "1E+30", str(rng.uniform(-9, 9))])),
        "uuid": lambda: uuid.UUID(int=rng.getrandbits(128)),
        "enum": lambda: rng.choice(list(Level)),
        "numpy": lambda: np.int16(rng.randrange(-99, 99)),
        "tuple": lambda: (rng.randrange(5), rng.choice("ab"), rng.random()),
        "list": lambda: [rng.randrange(3) for _ in range(rng.randrange(4))],
        "named": lambda: City(rng.choice("ab"), rng.randrange(5)),
        "class": lambda: Person(rng.randrange(5), rng.choice(["a", "b\0", "b"])),
        "nested": lambda: ((rng.randrange(3), rng.choice("ab")), [rng.choice("xy")] * rng.randrange(3)),
    }


KINDS = list(drawn(random.Random(0)))


def same(left: Any, right: Any) -> bool:
    """Equal, of one type, and printed alike: 1.0 is not 1, nor 1.00, nor -0.0."""
    return len(left) == len(right) and all(
        type(a) is type(b) and repr(a) == repr(b) for a, b in zip(left, right, strict=True)
    )


@pytest.mark.parametrize("managed", [SMALL, 4 << 20], ids=["spilling", "in memory"])
@pytest.mark.parametrize("kind", KINDS)
def test_as_sorted_would(kind: str, managed: int) -> None:
    print("seed", kind)
    make = drawn(random.Random(kind))[kind]
    values = [make() for _ in range(6000)]
    with tiny.machine(managed_bytes=managed) as machine:
        choices = {"temp_dirs": [str(machine.temp_dir)], "threads": 2}
        with shuffle.sort(values, **choices) as result:
            assert same(list(result), sorted(values))
            assert same(list(result), sorted(values)) and len(result) == 6000
            assert (
                result.report.runs_in_memory < result.report.runs if managed == SMALL else not result.report.passes > 1
            )
        with shuffle.sort(iter(values), reverse=True, **choices) as result:
            assert same(list(result), sorted(values, reverse=True))
        numbered = list(enumerate(values))
        with shuffle.sort(numbered, key=lambda pair: pair[1], **choices) as result:
            assert same(list(result), sorted(numbered, key=lambda pair: pair[1]))


@settings(max_examples=60)
@given(st.lists(st.one_of(st.none(), st.integers(), st.floats(allow_nan=False)), max_size=50), st.booleans())
def test_nulls_and_numbers(values: list[float | None], nulls_last: bool) -> None:
    with (
        tiny.machine() as machine,
        shuffle.sort(values, nulls_last=nulls_last, temp_dirs=[str(machine.temp_dir)]) as got,
    ):
        numbers = sorted(value for value in values if value is not None)
        nulls = [None] * (len(values) - len(numbers))
        assert same(list(got), numbers + nulls if nulls_last else nulls + numbers)


PEOPLE = [
    Person(age, name, home)
    for age in (30, 4, 30)
    for name in ("Ann", "Bo")
    for home in (City("Rome", 3), None, City("Oslo", 1))
]


@pytest.mark.parametrize(
    ("by", "key"),
    [
        ("age", lambda person: person.age),
        (["name", "-age"], lambda person: (person.name, -person.age)),
        (1, lambda person: person.name),
        (["home", "age"], lambda person: (person.home is not None, person.home or (), person.age)),
        ("home.people:nulls-last", lambda person: (person.home is None, person.home.people if person.home else 0)),
        (
            "-home.name",
            lambda person: (person.home is not None, {"Rome": 0, "Oslo": 1}[person.home.name] if person.home else 0),
        ),
    ],
)
def test_by_fields(by: Any, key: Callable[[Person], Any]) -> None:
    random.Random(1).shuffle(PEOPLE)
    with tiny.machine() as machine, shuffle.sort(PEOPLE, by=by, temp_dirs=[str(machine.temp_dir)]) as result:
        assert list(result) == sorted(PEOPLE, key=key)


def test_dictionaries_by_their_entries() -> None:
    rows = [{"n": n % 7, "name": str(n), "in": {"x": -n}} for n in range(500)]
    with tiny.machine() as machine, shuffle.sort(rows, by=["-n", "in.x"], temp_dirs=[str(machine.temp_dir)]) as result:
        assert list(result) == sorted(rows, key=lambda row: (-row["n"], row["in"]["x"]))


def test_bare_objects_are_pickled_and_said_so(caplog: pytest.LogCaptureFixture) -> None:
    values = [complex(n % 5, n) for n in range(100)]
    functions = [(n % 3, [lambda n=n: n]) for n in range(30)]
    with tiny.machine() as machine, caplog.at_level(logging.WARNING):
        with shuffle.sort(values, key=lambda value: value.real, temp_dirs=[str(machine.temp_dir)]) as result:
            assert list(result) == sorted(values, key=lambda value: value.real)
        with shuffle.sort(functions, by=0, temp_dirs=[str(machine.temp_dir)]) as made:
            assert [function() for _, (function,) in made] == [
                function() for _, (function,) in sorted(functions, key=lambda f: f[0])
            ]
    assert "pickled" in caplog.text


def test_added_in_pieces() -> None:
    values = [(n * 7919) % 10007 for n in range(10007)]
    with tiny.machine(managed_bytes=SMALL) as machine:
        with shuffle.Sorter(type_info=int, temp_dirs=[str(machine.temp_dir)]) as sorter:
            for start in range(0, len(values), 1234):
                sorter.add(iter(values[start : start + 1234]))
            assert list(sorter.finish()) == sorted(values) == list(sorter.finish())
        with pytest.raises(ValueError, match="closed"):
            sorter.add([1])


@pytest.mark.parametrize("choices", [{}, {"type_info": int}, {"by": 0}, {"key": len}])
def test_nothing_to_sort(choices: dict[str, Any]) -> None:
    with tiny.machine() as machine, shuffle.sort([], temp_dirs=[str(machine.temp_dir)], **choices) as result:
        assert list(result) == [] and len(result) == 0


def test_values_longer_than_buffers() -> None:
    rng = random.Random(5)
    values = [rng.choice("ab") * rng.choice([3, 300, 40_000, 90_000]) + str(n) for n in range(120)]
    with (
        tiny.machine(managed_bytes=256 << 10) as machine,
        shuffle.sort(values, temp_dirs=[str(machine.temp_dir)]) as got,
    ):
        assert list(got) == sorted(values)


def test_lazy_and_one_reader_at_a_time() -> None:
    pulled: list[int] = []

    def numbers() -> Iterator[int]:
        for n in range(5000, 0, -1):
            pulled.append(n)
            yield n

    with (
        tiny.machine(managed_bytes=SMALL) as machine,
        shuffle.sort(numbers(), temp_dirs=[str(machine.temp_dir)]) as got,
    ):
        assert not pulled
        first = iter(got)
        assert next(first) == 1 and len(pulled) == 5000
        with pytest.raises(RuntimeError, match="read already"):
            next(iter(got))
        del first
        assert list(got) == list(range(1, 5001))


def test_merge_is_heapqs() -> None:
    assert list(shuffle.merge([1, 4], [2, 3], [])) == [1, 2, 3, 4]
    assert list(shuffle.merge(["cc", "a"], ["bbb"], key=len, reverse=True)) == ["bbb", "cc", "a"]


# --- the async twin


def test_beside_an_event_loop() -> None:
    values = [(n * 7919) % 5003 for n in range(5003)]

    async def job(temp_dir: str) -> list[int]:
        async with shuffle.AsyncSorter(temp_dirs=[temp_dir]) as sorter:
            for start in range(0, len(values), 1000):
                await sorter.add(values[start : start + 1000])
            result = await sorter.finish()
            twice = [[value async for value in result] for _ in range(2)]
            assert twice[0] == twice[1]
            async for _ in result.batches():
                break
            return twice[0]

    with tiny.machine(managed_bytes=SMALL) as machine:
        assert tiny.run(job(str(machine.temp_dir))) == sorted(values)


def test_cancelled_beside_an_event_loop() -> None:
    async def job(temp_dir: str) -> None:
        async with shuffle.AsyncSorter(temp_dirs=[temp_dir]) as sorter:
            adding = asyncio.create_task(sorter.add(range(100_000)))
            await asyncio.sleep(0)
            adding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await adding

    with tiny.machine(managed_bytes=SMALL) as machine:
        tiny.run(job(str(machine.temp_dir)))


# --- what goes wrong


def late(bad: Any) -> Iterator[Any]:
    """Good values, then one that does not fit."""
    yield from range(3000)
    yield bad


def records_then(bad: Any) -> list[Any]:
    return [*((n, "x") for n in range(2500)), bad]


class Raised(Exception):
    pass


def raising() -> Iterator[int]:
    yield from range(4000)
    raise Raised("half way")


def unlucky(value: int) -> int:
    if value == 3333:
        raise Raised("unlucky")
    return value


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("values", "choices", "error", "text"),
    [
        (late("text"), {}, SerializationError, "record 3000"),
        (late(None), {}, NullFieldError, "record 3000"),
        (late(1 << 40), {"type_info": INT32}, SerializationError, "record 3000"),
        (records_then((1, None)), {}, NullFieldError, "record 2500, field 1"),
        (records_then((1, 2)), {}, SerializationError, "record 2500, field 1"),
        (records_then((1,)), {}, SerializationError, "record 2500"),
        ([*[[1]] * 2000, CYCLE], {}, SerializationError, "record 2000"),
        (raising(), {}, Raised, "half way"),
        (range(5000), {"key": unlucky}, Raised, "unlucky"),
        (range(5000), {"key": lambda n: {n}}, NotOrderableError, "no order"),
        ([{1}, {2}], {}, NotOrderableError, "no order"),
        ([object()], {}, NotOrderableError, "key="),
        ([object()], {"allow_generic": False}, UnknownTypeError, "object"),
        (records_then((1, "y")), {"by": "nme"}, SerializationError, "its fields are 0, 1"),
        ([(1, {2})], {"by": 1}, NotOrderableError, "field 1"),
        ([1], {"by": 0, "key": abs}, SerializationError, "Give one of them"),
        ([1], {"memory": "12 quarts"}, ValueError, "12 quarts"),
        ([1], {"threads": 0}, ValueError, "threads is 0"),
    ],
)
def test_bad_input_says_where_and_leaves_nothing(
    values: Any, choices: dict[str, Any], error: type[Exception], text: str
) -> None:
    before = threading.active_count()
    with tiny.machine(managed_bytes=SMALL) as machine:
        with pytest.raises(error, match=text) as caught:
            list(shuffle.sort(values, temp_dirs=[str(machine.temp_dir)], **choices))
        del caught
        assert machine.left_behind() == []
        gc.collect()
        assert threading.active_count() == before


class Careless(TypeSerializer[int]):
    """Writes less than it reads."""

    def serialize(self, value: int, out: OutputView) -> None:
        out.write(value.to_bytes(3, "little"))

    def deserialize(self, source: InputView) -> int:
        return int.from_bytes(source.read(4), "little")

    def skip(self, source: InputView) -> None:
        source.skip(4)


@dataclasses.dataclass(frozen=True)
class CarelessInfo(TypeInformation[int]):
    name = "careless"
    python_type = int

    def create_serializer(self) -> Careless:
        return Careless()


def test_a_serializer_that_writes_less_than_it_reads_is_found() -> None:
    info = TupleInfo((INT, CarelessInfo()))
    with tiny.machine(managed_bytes=SMALL) as machine:
        with pytest.raises(CorruptRecordError, match=r"record 0, field 1"):
            list(shuffle.sort([(n, n) for n in range(3000)], type_info=info, by=0, temp_dirs=[str(machine.temp_dir)]))
        gc.collect()


def test_a_full_disk_is_told_to_whoever_adds() -> None:
    with (
        tiny.machine(managed_bytes=SMALL) as machine,
        pytest.raises(OSError, match="--max-disk"),
        shuffle.sort(range(100_000), max_disk=20_000, temp_dirs=[str(machine.temp_dir)]) as result,
    ):
        list(result)


def test_too_little_memory_says_the_floor() -> None:
    with pytest.raises(ValueError, match="the floor is"):
        list(shuffle.sort([1, 2], memory="1MiB"))


def test_closed_while_it_is_read() -> None:
    result = shuffle.sort(range(100_000, 0, -1), memory="64MiB")
    iterator = iter(result)
    assert next(iterator) == 1
    result.close()
    with pytest.raises(ValueError, match="is closed"):
        list(iterator)


def test_dropped_is_closed() -> None:
    with tiny.machine(managed_bytes=SMALL) as machine:
        result = shuffle.sort(range(20_000, 0, -1), temp_dirs=[str(machine.temp_dir)])
        iterator = iter(result)
        assert next(iterator) == 1 and machine.left_behind()
        thread = next(thread for thread in threading.enumerate() if thread.name == "spillway-engine")
        del result, iterator
        gc.collect()
        thread.join(tiny.SECONDS_MAX)
        assert not thread.is_alive() and machine.left_behind() == []


LEAVING = """
import sys, shuffle
result = shuffle.sort(range(3_000_000, 0, -1), memory="64MiB", temp_dirs=sys.argv[1])
print(next(iter(result)), result.report.runs > 1)
{ending}
"""


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise KeyError('x')", "del result"])
def test_a_process_that_ends_leaves_no_file(tmp_path: Path, ending: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVING.format(ending=ending), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "1 True\n", done
    assert list(tmp_path.iterdir()) == []


def test_batches_grow_with_small_values_and_shrink_with_large_ones() -> None:
    sizes = batches.Batches()
    taken = [len(sizes.take(iter(range(10**6))))]
    for row_bytes in (10, 10, 10, 10, 10**6, 10**9):
        sizes.note(taken[-1], taken[-1] * row_bytes)
        taken.append(len(sizes.take(iter(range(10**6)))))
    assert taken == [256, 1024, 4096, 16384, batches.BATCH_VALUES_MAX, 1, 1]
