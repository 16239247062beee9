"""Generic values: what pickle and cloudpickle can do, cycles, the warning, and what becomes of bad pickles."""

import collections
import logging
import operator
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from serializers.errors import CorruptRecordError, NotOrderableError, NullFieldError, ValueMismatchError
from serializers.types.composite import TupleInfo
from serializers.types.generic import GenericInfo, log_generic
from serializers.types.numbers import INT
from tests.test_serializers.conformance import check_serializer, check_type

ANYTHING = GenericInfo(object)


class Thing:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


class Ordered(Thing):
    def __lt__(self, other: "Ordered") -> bool:
        return bool(self.value < other.value)


class Exploding:
    def __reduce__(self) -> Any:
        raise RuntimeError("not today")


class Sneaky:
    def __reduce__(self) -> Any:
        return operator.truediv, (1, 0)


def passed(value: Any, info: GenericInfo = ANYTHING) -> Any:
    serializer = info.create_serializer()
    return serializer.from_bytes(serializer.to_bytes(value))


def test_the_suite() -> None:
    check_type(GenericInfo(Thing), [Thing(1), Thing([Thing("a")]), Ordered(5)], wrong=(1, "a", [Thing(1)]))
    check_serializer(ANYTHING, [None, 1, "a", [1, {2: 3}], collections.OrderedDict(a=1)], wrong=())


def test_bytes_are_a_sized_pickle() -> None:
    data = GenericInfo(Thing).create_serializer().to_bytes(Thing(1))
    assert data[1:3] == b"\x80\x05" and data[0] == len(data) - 1 and pickle.loads(data[1:]) == Thing(1)


def test_functions() -> None:
    offset = 5

    def add(value: int) -> int:
        return value + offset

    functions: list[Callable[[int], int]] = [add, lambda value: value + 5]
    for function in functions:
        assert passed(function)(1) == 6
        assert passed({"deep": [function]})["deep"][0](1) == 6
    assert passed(passed) is passed and passed(len) is len


def test_classes_of_a_function() -> None:
    class Local:
        def __init__(self) -> None:
            self.value = 7

    assert passed(Local()).value == 7
    assert passed(Local(), GenericInfo(Local)).value == 7


def test_cycles() -> None:
    value: list[Any] = [1]
    value.append(value)
    found = passed(value)
    assert found[1] is found
    thing = Thing(None)
    thing.value = thing
    assert passed(thing).value.value.value is not thing


def test_nesting_deeper_than_the_stack() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueMismatchError, match=r"list nests too deep to be pickled. Raise sys.setrecursionlimit"):
        passed(value)


@pytest.mark.parametrize(
    "value", [threading.Lock(), (each for each in "a"), Exploding()], ids=["lock", "generator", "error"]
)
def test_what_cannot_be_pickled(value: Any) -> None:
    with pytest.raises(ValueMismatchError, match="cannot be pickled: "):
        TupleInfo((INT, ANYTHING)).create_serializer().to_bytes((1, value))


def test_bad_pickles() -> None:
    serializer = GenericInfo(Thing).create_serializer()
    good = pickle.dumps(Thing([1, 2]), 5)
    for pickled in (b"", b"\x80", good[:-1], b"cno_such_module\nThing\n.", b"\x80\x63.", pickle.dumps(Sneaky())):
        with pytest.raises(CorruptRecordError, match="cannot be unpickled"):
            serializer.from_bytes(bytes((len(pickled),)) + pickled)
    other = pickle.dumps(5)
    with pytest.raises(CorruptRecordError, match=r"a pickled int, where generic\[Thing\] is expected"):
        serializer.from_bytes(bytes((len(other),)) + other)


def test_none() -> None:
    assert ANYTHING.allows_null and not GenericInfo(Thing).allows_null
    with pytest.raises(NullFieldError):
        passed(None, GenericInfo(Thing))


def test_there_is_no_order_but_a_cure() -> None:
    with pytest.raises(
        NotOrderableError, match=r"Thing is a generic type, and has no known order.*or give key= a function"
    ):
        GenericInfo(Thing).create_comparator()
    with pytest.raises(NotOrderableError, match=r"Ordered is a generic type, and compares in a way of its own"):
        GenericInfo(Ordered).create_comparator()


def test_the_warning_is_given_once_for_each_place(caplog: pytest.LogCaptureFixture) -> None:
    class Foo:
        pass

    class Bar:
        pass

    for cls, path in ((Foo, "x.y"), (Foo, "x.y"), (Foo, "x.z"), (Bar, "x.y"), (Bar, ""), (Bar, "")):
        log_generic(cls, path)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 4 and {record.levelno for record in caplog.records} == {logging.WARNING}
    assert (
        texts[0].startswith("field x.y: ") and "Foo has no type information and is pickled, which is slow" in texts[0]
    )
    assert texts[3].startswith(f"{__name__}.") and "declare its fields" in texts[3]
