"""Windows end by what pairs weigh, before anybody knows how large they are as rows; and by pairs alone."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from serializers.types.numbers import INT
from serializers.types.text import BYTES
from shuffle.exchange.mapped_pairs import MappedPairs
from shuffle.exchange.pair_type import PairType
from shuffle.exchange.window_combiner import WINDOW_PAIRS, WindowCombiner

LARGE_BYTES = 5 << 20


@dataclass
class Numbers:
    """A split of all numbers."""

    made: int = 0

    def read(self) -> Iterator[int]:
        """As many as are wanted."""
        while True:
            self.made += 1
            yield self.made


def first_window(split: Numbers, function: Any, value_info: Any) -> list[tuple[int, Any]]:
    """Of what `function` makes."""
    combiner = WindowCombiner("task", PairType(INT, value_info), operator.add)
    return combiner.window(MappedPairs(split, function, None))


def test_a_window_of_large_values_ends_with_the_first() -> None:
    split = Numbers()
    window = first_window(split, lambda number: [(number, bytes(LARGE_BYTES))], BYTES)
    assert len(window) == 1 and split.made <= 2


def test_values_of_100_kb_fill_a_window_of_some_mib() -> None:
    window = first_window(Numbers(), lambda number: [(number, bytes(100_000))], BYTES)
    assert 20 < len(window) < 200


def test_small_pairs_fill_a_window_as_long_as_ever() -> None:
    """It ends after a number of pairs that all sums of floats have been made with."""
    few = Numbers()
    assert dict(first_window(few, lambda number: [(number % 7, 1)], INT)) == {
        key: len(range(key or 7, WINDOW_PAIRS + 1, 7)) for key in range(7)
    }
    many = first_window(Numbers(), lambda number: [(number, 1)], INT)
    assert len(many) == 1 << 12
