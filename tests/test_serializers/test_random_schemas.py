"""Types of any shape against slow, obvious twins: bytes, orders, hashes, snapshots, and types found from values.

The seed is in the name of each test. SPILLWAY_SEED runs the same ones again, or others.
"""

import json
import os
import pickle
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from serializers.errors import NotOrderableError
from serializers.types import type_info_of_values
from serializers.types.containers import OptionalInfo
from serializers.types.ordering import OrderingComparator, OrderKey
from serializers.types.type_information import TypeInformation
from serializers.views import BytesInput, BytesOutput
from tests.naive_types import ABSENT, Order, part_of
from tests.test_serializers.random_schemas import random_record, random_value
from tests.test_serializers.same_value import same

SEED = int(os.environ["SPILLWAY_SEED"])
SCHEMAS = 100
RECORDS = 3000
ORDERS = 1
DEPTH = 3

Info = TypeInformation[Any]


class Sample:
    """A type and some of its records, each with its bytes."""

    def __init__(self, number: int) -> None:
        self.rng = Random(f"{SEED}-{number}")
        self.info = random_record(self.rng, DEPTH, orderable=number % 2 == 0)
        self.records = [random_value(self.rng, self.info) for _ in range(RECORDS)]
        self.serializer = self.info.create_serializer()
        self.encoded = [self.serializer.to_bytes(record) for record in self.records]


@pytest.fixture(params=range(SCHEMAS), ids=lambda number: f"{SEED}-{number}", scope="module")
def sample(request: pytest.FixtureRequest) -> Iterator[Sample]:
    yield Sample(request.param)


def test_values_come_back(sample: Sample) -> None:
    for record, data in zip(sample.records, sample.encoded, strict=True):
        assert same(sample.serializer.from_bytes(data), record), f"{sample.info}: {record!r}"


def test_values_are_passed_on_and_over(sample: Sample) -> None:
    together = b"".join(sample.encoded)
    source, out, skipping = BytesInput(together), BytesOutput(), BytesInput(together)
    for data in sample.encoded:
        sample.serializer.copy(source, out)
        start = skipping.position
        sample.serializer.skip(skipping)
        assert skipping.position - start == len(data), sample.info
    assert out.data == together and source.remaining == skipping.remaining == 0


def test_each_field_is_read_alone(sample: Sample) -> None:
    assert sample.serializer.field_count() == len(sample.info.fields)
    for record, data in zip(sample.records, sample.encoded, strict=True):
        index = sample.rng.randrange(len(sample.info.fields))
        wanted = part_of(sample.info, record, index)
        found = sample.serializer.deserialize_field(BytesInput(data + b"noise"), index)
        assert same(found, None if wanted is ABSENT else wanted), f"{sample.info}, field {index}: {record!r}"


def test_snapshots_are_json_that_reads_its_own(sample: Sample) -> None:
    snapshot = json.loads(json.dumps(sample.info.snapshot()))
    assert snapshot == sample.info.snapshot()
    sample.info.check_can_read(snapshot)
    assert pickle.loads(pickle.dumps(sample.info)) == sample.info


# --- orders


def test_order_is_that_of_sorted(sample: Sample) -> None:
    for keys in random_orders(sample):
        comparator = OrderingComparator(sample.info, keys)
        order_keys = [comparator.order_key(record) for record in sample.records]
        naive = Order(sample.info, keys)
        wanted = sorted(range(RECORDS), key=lambda index: naive.key(sample.records[index]))
        found = sorted(range(RECORDS), key=order_keys.__getitem__)
        assert found == wanted, f"{sample.info} by {keys}"
        check_equality(sample, comparator, naive, wanted, order_keys)


def check_equality(
    sample: Sample, comparator: OrderingComparator, naive: Order, order: list[int], order_keys: list[bytes]
) -> None:
    """Neighbours are equal by keys, hashes, values and bytes, or by none of them."""
    for low, high in sample.rng.sample(list(pairwise(order)), 60):
        left, right = sample.records[low], sample.records[high]
        is_equal = naive.compare(left, right) == 0
        place = f"{sample.info} by {comparator.keys}: {left!r}, {right!r}"
        assert (order_keys[low] == order_keys[high]) == is_equal, place
        assert (comparator.hash(left) == comparator.hash(right)) == is_equal, place
        assert (comparator.compare(left, right) == 0) == is_equal, place
        order_of_bytes = comparator.compare_serialized(
            BytesInput(sample.encoded[low]), BytesInput(sample.encoded[high])
        )
        assert order_of_bytes == 0 if is_equal else order_of_bytes < 0, place


def test_closed_keys_are_no_beginnings_of_others(sample: Sample) -> None:
    for keys in random_orders(sample):
        comparator = OrderingComparator(sample.info, keys)
        closed = []
        for record in sample.records:
            out = bytearray()
            comparator.write_key(record, out, is_last=False)
            closed.append(bytes(out))
        for low, high in pairwise(sorted(set(closed))):
            assert not high.startswith(low), f"{sample.info} by {keys}"


def test_fields_come_back_from_keys(sample: Sample) -> None:
    for keys in random_orders(sample):
        comparator = OrderingComparator(sample.info, keys)
        names = {each.name: index for index, each in enumerate(sample.info.fields)}
        for record in sample.rng.sample(sample.records, 50):
            found = comparator.read_fields(BytesInput(comparator.order_key(record)))
            assert found.keys() == comparator.recoverable
            for name, value in found.items():
                wanted = part_of(sample.info, record, names[name])
                assert wanted is ABSENT or same(value, wanted), f"{sample.info} by {keys}: {record!r}"


def random_orders(sample: Sample) -> Iterator[tuple[OrderKey, ...]]:
    """Some choices of fields that have an order, each with a direction and a place for nulls."""
    paths = [path for path in paths_of(sample.info) if is_orderable(sample.info, path)]
    for _ in range(ORDERS if paths else 0):
        chosen = sample.rng.sample(paths, sample.rng.randint(1, min(3, len(paths))))
        yield tuple(OrderKey(path, sample.rng.random() < 0.5, sample.rng.random() < 0.5) for path in chosen)


def paths_of(info: Info, depth: int = 3) -> Iterator[tuple[str | int, ...]]:
    """The record itself, its fields, and those within them, by name."""
    yield ()
    while isinstance(info, OptionalInfo):
        info = info.inner
    for each in info.fields if depth else ():
        for rest in paths_of(each.type_info, depth - 1):
            yield (each.name, *rest)


def is_orderable(info: Info, path: tuple[str | int, ...]) -> bool:
    try:
        OrderingComparator(info, (OrderKey(path),))
    except NotOrderableError:
        return False
    return True


# --- types from values


def test_types_found_from_values_take_them(sample: Sample) -> None:
    info = type_info_of_values(sample.records)
    serializer = info.create_serializer()
    for record in sample.records:
        assert same(serializer.from_bytes(serializer.to_bytes(record)), record), f"{sample.info} -> {info}: {record!r}"
