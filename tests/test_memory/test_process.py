"""The sizes of a process: sums hold, and people and programs can read them."""

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from memory.bounded_fraction import MemoryComponent
from memory.process import ProcessMemory
from memory.sizes import MIB


def part(name, mib, rule="given"):
    return MemoryComponent(name, mib * MIB, rule)


MEMORY = ProcessMemory(
    framework=part("framework", 100, "default"),
    task_heap=part("task_heap", 8, "default"),
    managed=part("managed", 112, "remainder of engine"),
    direct=part("direct", 20, "10% of engine"),
    overhead=part("overhead", 16),
    engine=part("engine", 240),
    process=part("process", 256),
)


def test_the_parts_in_bytes():
    assert MEMORY.managed_bytes == 112 * MIB
    assert MEMORY.direct_bytes == 20 * MIB
    assert MEMORY.process_bytes == 256 * MIB
    assert MEMORY.heap.size_bytes == 108 * MIB


def test_describe_is_an_aligned_table():
    assert MEMORY.describe().splitlines() == [
        "process          256 MiB  given",
        "  overhead        16 MiB  given",
        "  engine         240 MiB  given",
        "    heap         108 MiB  framework and task_heap",
        "      framework  100 MiB  default",
        "      task_heap    8 MiB  default",
        "    managed      112 MiB  remainder of engine",
        "    direct        20 MiB  10% of engine",
    ]


def test_as_dict_is_json():
    again = json.loads(json.dumps(MEMORY.as_dict()))
    assert again["managed"] == {"bytes": 112 * MIB, "rule": "remainder of engine"}
    assert list(again) == [
        "process",
        "overhead",
        "engine",
        "heap",
        "framework",
        "task_heap",
        "managed",
        "direct",
    ]


@pytest.mark.parametrize("name", ["framework", "task_heap", "managed", "direct", "overhead", "engine", "process"])
def test_sums_that_do_not_hold_are_a_broken_promise(name):
    with pytest.raises(AssertionError):
        replace(MEMORY, **{name: part(name, 1)})


def test_it_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        MEMORY.managed = part("managed", 1)
