"""Which partition a record goes to: against twins, for ever the same, and a clear error for what is none."""

import pickle
from collections import Counter
from typing import Any

import pytest
import xxhash

from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.partitioners import (
    BroadcastPartitioner,
    CustomPartitioner,
    HashPartitioner,
    Partitioner,
    PartitionerError,
    RangePartitioner,
    RoundRobinPartitioner,
    partitioner_of,
)
from tests import naive
from tests.test_exchange.outputs import pack

COUNTS = [2, 3, 7, 200, 1000, 10_000, 70_000]


def shape_for(partitioner: Partitioner, partitions: int) -> KeyShape:
    return KeyShape(partitioner.partition_bytes(partitions), None, 0)


def rows_of(keys: list[bytes]) -> Any:
    return pack([naive.make_row(key, b"value", key_varies=True) for key in keys])


KEYS = [str(i).encode() for i in range(2000)]


@pytest.mark.parametrize("partitions", COUNTS)
def test_hash_takes_the_high_half_of_the_product(partitions: int) -> None:
    made = HashPartitioner().assign(rows_of(KEYS), shape_for(HashPartitioner(), partitions), partitions)
    assert made is not None
    assert made.tolist() == [xxhash.xxh64_intdigest(key) * partitions >> 64 for key in KEYS]


def test_hash_spreads_keys_evenly() -> None:
    keys = [i.to_bytes(8, "big") for i in range(20_000)]
    made = HashPartitioner().assign(rows_of(keys), KeyShape(2, None, 0), 100)
    assert made is not None
    sizes = Counter(made.tolist())
    assert len(sizes) == 100 and max(sizes.values()) < 270 and min(sizes.values()) > 140


@pytest.mark.parametrize("partitions", COUNTS)
@pytest.mark.parametrize("map_number", [0, 1, 12345])
def test_round_robin_goes_on_from_batch_to_batch(partitions: int, map_number: int) -> None:
    dealer, shape = RoundRobinPartitioner(), shape_for(RoundRobinPartitioner(), partitions)
    found: list[int] = []
    for size in (1, 0, 500, 3, 1000):
        batch = rows_of(KEYS[:size])
        made = dealer.assign(batch, shape, partitions, map_number=map_number, first_record=len(found))
        assert made is not None
        found += made.tolist()
    assert found == [(map_number + place) % partitions for place in range(len(found))]


def test_custom_is_asked_for_every_record() -> None:
    asked: list[tuple[Any, int]] = []

    def function(key: Any, partitions: int) -> int:
        asked.append((key, partitions))
        return int(key) % partitions

    keys = [5, 6, 7]
    made = CustomPartitioner(function).assign(rows_of(KEYS[:3]), KeyShape(2, None, 0), 4, keys=keys)
    assert made is not None and made.tolist() == [1, 2, 3]
    assert asked == [(5, 4), (6, 4), (7, 4)]


@pytest.mark.parametrize("answer", [-1, 4, 1 << 70, None, "1", 1.0, True, b"1"])
@pytest.mark.parametrize("partitions", [4, 1])
def test_custom_answers_that_are_no_partition(answer: Any, partitions: int) -> None:
    def function(key: int, partitions: int) -> Any:
        return answer if key == 7 else 0

    keys = list(range(10))
    partitioner = CustomPartitioner(function)
    shape = shape_for(partitioner, partitions)
    with pytest.raises(PartitionerError, match=r"^record 1007: the partitioner returned .* 0 to \d$"):
        partitioner.assign(rows_of(KEYS[:10]), shape, partitions, first_record=1000, keys=keys)


def test_custom_that_raises_names_the_record() -> None:
    def function(key: int, partitions: int) -> int:
        return 1 // (3 - key)

    with pytest.raises(ZeroDivisionError) as caught:
        CustomPartitioner(function).assign(rows_of(KEYS[:10]), KeyShape(2, None, 0), 4, keys=list(range(10)))
    assert caught.value.__notes__ == ["partitioner was called for record 3"]


def test_numpy_answers_are_ints_too() -> None:
    import numpy as np

    made = CustomPartitioner(lambda key, partitions: np.int64(2)).assign(
        rows_of(KEYS[:2]), KeyShape(2, None, 0), 4, keys=[1, 2]
    )
    assert made is not None and made.tolist() == [2, 2]


@pytest.mark.parametrize("partitioner", [BroadcastPartitioner(), RangePartitioner()])
def test_some_need_no_number(partitioner: Partitioner) -> None:
    assert partitioner.partition_bytes(500) == 0
    assert partitioner.assign(rows_of(KEYS), shape_for(partitioner, 500), 500) is None


@pytest.mark.parametrize("partitioner", [HashPartitioner(), RoundRobinPartitioner()])
def test_one_partition_needs_no_number(partitioner: Partitioner) -> None:
    assert partitioner.assign(rows_of(KEYS), shape_for(partitioner, 1), 1) is None


def module_function(key: Any, partitions: int) -> int:
    return 0


def test_by_name_by_function_and_as_they_are() -> None:
    assert partitioner_of("hash") == HashPartitioner()
    assert partitioner_of("range") == RangePartitioner()
    assert partitioner_of("round-robin") == RoundRobinPartitioner()
    assert partitioner_of("broadcast") == BroadcastPartitioner()
    assert partitioner_of(module_function) == CustomPartitioner(module_function)
    ranged = RangePartitioner(weigh="bytes", whole_keys=True)
    assert partitioner_of(ranged) is ranged


@pytest.mark.parametrize("spec", ["hashed", None, 3])
def test_what_is_no_partitioner(spec: Any) -> None:
    with pytest.raises(PartitionerError, match="'round-robin'"):
        partitioner_of(spec)


@pytest.mark.parametrize("partitions", [0, -1, 1 << 32])
def test_numbers_of_partitions_that_cannot_be(partitions: int) -> None:
    for name in ("hash", "broadcast"):
        with pytest.raises(PartitionerError, match="partitions: must be 1 to"):
            partitioner_of(name).partition_bytes(partitions)


def test_they_travel() -> None:
    for spec in ("hash", "range", "round-robin", "broadcast", module_function):
        made = partitioner_of(spec)
        assert pickle.loads(pickle.dumps(made)) == made
