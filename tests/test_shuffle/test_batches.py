"""Batches and samples hold little memory, whatever the values are, and follow from the values alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import pytest

from shuffle.batches import BATCH_VALUES_MAX, SAMPLE_VALUES, WEIGHT_MAX, Batches, Sample, first_values, weigh

LARGE = b"x" * (5 << 20)
STEP_MAX = 128


class Counted:
    """An iterator that tells how many of its values were taken."""

    def __init__(self, values: Iterator[Any]) -> None:
        self._values = values
        self.taken = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        value = next(self._values)
        self.taken += 1
        return value


def grown() -> Batches:
    """As after many small values."""
    batches = Batches()
    for _ in range(10):
        batches.note(1000, 1000)
    return batches


def test_all_values_in_order() -> None:
    values = list(range(100_000))
    batches = Batches()
    seen = []
    for batch in batches.split(values):
        seen += batch
        batches.note(len(batch), 8 * len(batch))
    assert seen == values


def test_small_values_make_full_batches() -> None:
    assert len(grown().take(repeat((1, "text")))) == BATCH_VALUES_MAX


@pytest.mark.parametrize("value", [LARGE, (1, LARGE), [LARGE.decode()], {"a": {"b": LARGE}}])
def test_the_first_large_value_is_a_batch(value: Any) -> None:
    assert len(Batches().take(repeat(value))) == 1 == len(first_values(repeat(value)))


def test_large_values_behind_small_ones_end_a_batch_soon() -> None:
    values = Counted(iter([*repeat(b"small", 1000), *repeat(LARGE, 1000)]))
    assert len(grown().take(values)) == values.taken < 1000 + STEP_MAX


def test_values_of_middling_size_fill_a_batch_by_weight() -> None:
    batch = grown().take(repeat(b"x" * 100_000))
    assert WEIGHT_MAX // 2 <= sum(map(len, batch)) <= WEIGHT_MAX


def test_a_sample_takes_no_more_than_it_wants() -> None:
    values = Counted(iter(range(10_000)))
    assert first_values(values) == list(range(SAMPLE_VALUES)) and values.taken == SAMPLE_VALUES


def test_a_sample_is_filled_bit_by_bit() -> None:
    sample = Sample[int]()
    assert not sample.take(iter(range(999)))
    assert sample.take(iter(range(999, 2000))) and sample.values == list(range(SAMPLE_VALUES))


def test_a_batch_ends_with_the_values() -> None:
    batches = grown()
    values = iter(range(700))
    assert [len(batches.take(values)), batches.take(values)] == [700, []]


@dataclass
class Plain:
    """Its fields are in a dictionary."""

    name: str
    content: bytes


@dataclass(slots=True)
class Slotted:
    """Its fields are not."""

    name: str
    content: bytes


@pytest.mark.parametrize(
    "value",
    [
        bytes(1000),
        bytearray(1000),
        "x" * 1000,
        np.zeros(125),
        (1, bytes(1000)),
        {"key": "x" * 1000},
        {"x" * 1000: None},
        [["x" * 100] * 10],
        ["x"] * 1000,
        list(range(120)),
        {"x" * 1000},
        frozenset([bytes(1000)]),
        Plain("name", bytes(1000)),
        Slotted("name", bytes(1000)),
    ],
)
def test_what_a_value_weighs(value: Any) -> None:
    assert 800 <= weigh(value) <= 16_000


@pytest.mark.parametrize("value", [None, 1, 1 << 60, 1.5, True, "", b"", (), object()])
def test_what_hardly_weighs_anything(value: Any) -> None:
    assert weigh(value) <= 8


def test_what_holds_itself_can_be_weighed() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert weigh(endless) < 100
