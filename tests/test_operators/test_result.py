"""What all results of operators have in common: lazy, read again and again, closed whatever happens."""

import gc
import operator
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shuffle.operators import OperatorResult, distinct, group_reduce, merge_join, reduce_by_key, top_k
from tests import tiny

SMALL = 64 << 10
COUNT = 6000
Make = Callable[..., OperatorResult[Any]]


def numbers(taken: list[int]) -> Iterator[tuple[int, int]]:
    """Pairs that tell when they are taken."""
    for n in range(COUNT):
        taken.append(n)
        yield n, n


MAKERS: dict[str, Make] = {
    "reduce_by_key": lambda taken, **choices: reduce_by_key(numbers(taken), operator.add, **choices),
    "group_reduce": lambda taken, **choices: group_reduce(numbers(taken), lambda key, group: group, by=0, **choices),
    "distinct": lambda taken, **choices: distinct(numbers(taken), by=0, **choices),
    "top_k": lambda taken, **choices: top_k(numbers(taken), 4000, by=0, **choices),
    "merge_join": lambda taken, **choices: merge_join(numbers(taken), numbers(taken), on=0, **choices),
    "anti": lambda taken, **choices: merge_join(numbers(taken), [(-1, 0)] * 9, on=0, how="anti", **choices),
}


@pytest.fixture(params=list(MAKERS))
def make(request: pytest.FixtureRequest) -> Make:
    """Every operator."""
    return MAKERS[request.param]


def test_lazy_then_read_again_and_left_early(make: Make) -> None:
    before = threading.active_count()
    taken: list[int] = []
    with tiny.machine(managed_bytes=SMALL) as machine:
        result = make(taken, temp_dirs=[str(machine.temp_dir)])
        assert not taken and threading.active_count() == before and not machine.left_behind()
        first = iter(result)
        found = next(first)
        assert taken and machine.left_behind()
        with pytest.raises(RuntimeError, match="being read already"):
            next(iter(result))
        rest = list(first)
        assert list(result) == [found, *rest] and len(rest) > 3000
        iterator = iter(result)
        assert next(iterator) == found
        del iterator
        assert next(iter(result)) == found
        result.close()
        result.close()
        assert machine.left_behind() == []
        with pytest.raises(ValueError, match="is closed"):
            list(result)
        gc.collect()
        assert threading.active_count() == before


def test_closed_while_it_is_read(make: Make) -> None:
    before = threading.active_count()
    with tiny.machine(managed_bytes=SMALL) as machine:
        result = make([], temp_dirs=[str(machine.temp_dir)])
        iterator = iter(result)
        next(iterator)
        result.close()
        assert machine.left_behind() == []
        with pytest.raises(ValueError, match="closed while it was being read"):
            list(iterator)
        assert list(iterator) == [] and threading.active_count() == before


def test_dropped_is_closed(make: Make) -> None:
    with tiny.machine(managed_bytes=SMALL) as machine:
        result = make([], temp_dirs=[str(machine.temp_dir)])
        iterator = iter(result)
        next(iterator)
        threads = [thread for thread in threading.enumerate() if thread.name == "spillway-engine"]
        assert threads
        del result, iterator
        gc.collect()
        for thread in threads:
            thread.join(tiny.SECONDS_MAX)
        assert machine.left_behind() == []


def test_closed_before_it_is_read(make: Make) -> None:
    taken: list[int] = []
    with tiny.machine(), make(taken) as result:
        pass
    with pytest.raises(ValueError, match="is closed"):
        list(result)
    assert not taken


def test_a_function_that_closes_the_result_it_is_called_for() -> None:
    with tiny.machine(managed_bytes=SMALL) as machine:

        def function(key: int, values: Iterator[int]) -> list[int]:
            if key == 5:
                result.close()
            return [key]

        result: OperatorResult[int] = group_reduce(range(50_000), function, temp_dirs=[str(machine.temp_dir)])
        with pytest.raises(RuntimeError, match="cannot close the result"):
            list(result)
        assert machine.left_behind() == []


def test_interrupted() -> None:
    before = threading.active_count()

    def function(key: int, values: Iterator[int]) -> list[int]:
        if key == 500:
            raise KeyboardInterrupt
        return [key]

    with tiny.machine(managed_bytes=SMALL) as machine:
        result = group_reduce(range(COUNT), function, temp_dirs=[str(machine.temp_dir)])
        with pytest.raises(KeyboardInterrupt):
            list(result)
        assert machine.left_behind() == [] and threading.active_count() == before
