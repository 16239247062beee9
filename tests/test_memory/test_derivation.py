"""From one number to all sizes: each row of the table, each contradiction, and the floor."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from memory.derivation import (
    DIRECT_BYTES_MIN,
    FRAMEWORK_BYTES,
    MANAGED_BYTES_MIN,
    OVERHEAD_BYTES_MIN,
    TASK_HEAP_BYTES,
    derive_process_memory,
)
from memory.errors import MemoryConfigurationError, SizeError
from memory.sizes import GIB, MIB

# Round numbers, so that the examples can be checked by hand.
PLAIN = {
    "framework": 100 * MIB,
    "direct_fraction": 0.1,
    "direct_min": 10 * MIB,
    "direct_max": 200 * MIB,
    "overhead_fraction": 0.2,
    "overhead_min": 10 * MIB,
    "overhead_max": 500 * MIB,
}


def derive(**wishes):
    return derive_process_memory(**{**PLAIN, **wishes})


def sizes_of(memory):
    return {name: part["bytes"] for name, part in memory.as_dict().items()}


def in_mib(memory):
    """(process, overhead, engine, framework, task_heap, managed, direct), each a whole number of MiB."""
    names = ("process", "overhead", "engine", "framework", "task_heap", "managed", "direct")
    sizes = [getattr(memory, name).size_bytes / MIB for name in names]
    assert all(size == int(size) for size in sizes), sizes
    return tuple(int(size) for size in sizes)


# -------------------------------------------------------------- the rows of the table


@pytest.mark.parametrize(
    ("wishes", "sizes"),
    [
        # process alone
        ({"process": "1000MiB"}, (1000, 200, 800, 100, 8, 612, 80)),
        ({"process": "5000MiB"}, (5000, 500, 4500, 100, 8, 4192, 200)),
        ({"process": "200MiB", "overhead_fraction": 0.01}, (200, 10, 190, 100, 8, 63, 19)),
        (
            {"process": "200MiB", "overhead_max": "20MiB", "direct_fraction": 0},
            (200, 20, 180, 100, 8, 62, 10),
        ),
        ({"process": "1000MiB", "task_heap": "50MiB"}, (1000, 200, 800, 100, 50, 570, 80)),
        ({"process": "1000MiB", "managed": "400MiB"}, (1000, 200, 800, 100, 220, 400, 80)),
        ({"process": "1000MiB", "managed_fraction": 0.5}, (1000, 200, 800, 100, 220, 400, 80)),
        ({"process": "1000MiB", "managed": "620MiB"}, (1000, 200, 800, 100, 0, 620, 80)),
        # engine alone
        ({"engine": "800MiB"}, (1000, 200, 800, 100, 8, 612, 80)),
        ({"engine": "8000MiB"}, (8500, 500, 8000, 100, 8, 7692, 200)),
        ({"engine": "800MiB", "task_heap": "20MiB"}, (1000, 200, 800, 100, 20, 600, 80)),
        ({"engine": "800MiB", "managed": "500MiB"}, (1000, 200, 800, 100, 120, 500, 80)),
        ({"engine": "800MiB", "managed_fraction": 0.25}, (1000, 200, 800, 100, 420, 200, 80)),
        # engine, managed and task_heap: direct is what is left
        (
            {"engine": "800MiB", "managed": "500MiB", "task_heap": "50MiB"},
            (1000, 200, 800, 100, 50, 500, 150),
        ),
        (
            {"engine": "800MiB", "managed": "650MiB", "task_heap": "40MiB"},
            (1000, 200, 800, 100, 40, 650, 10),
        ),
        (
            {"engine": "800MiB", "managed_fraction": 0.75, "task_heap": "50MiB"},
            (1000, 200, 800, 100, 50, 600, 50),
        ),
        # a fraction of managed and a task heap within a process: direct is what is left, too
        (
            {"process": "1000MiB", "managed_fraction": 0.75, "task_heap": "50MiB"},
            (1000, 200, 800, 100, 50, 600, 50),
        ),
        # managed and task_heap alone: everything is built up from them
        ({"managed": "560MiB", "task_heap": "60MiB"}, (1000, 200, 800, 100, 60, 560, 80)),
        ({"managed": "20MiB", "task_heap": 0, "direct_min": "20MiB"}, (175, 35, 140, 100, 0, 20, 20)),
        ({"managed": "4000MiB", "task_heap": 0}, (4800, 500, 4300, 100, 0, 4000, 200)),
        # process beside them, or beside the engine: overhead is what is left
        (
            {"process": "900MiB", "managed": "560MiB", "task_heap": "60MiB"},
            (900, 100, 800, 100, 60, 560, 80),
        ),
        ({"process": "810MiB", "engine": "800MiB"}, (810, 10, 800, 100, 8, 612, 80)),
        (
            {"process": "1300MiB", "engine": "800MiB", "managed": "500MiB", "task_heap": "50MiB"},
            (1300, 500, 800, 100, 50, 500, 150),
        ),
        # for a call inside someone's process nothing but the job's own memory is counted
        ({"engine": "100MiB", "framework": 0, "overhead_max": "10MiB"}, (110, 10, 100, 0, 8, 82, 10)),
    ],
)
def test_worked_examples(wishes, sizes):
    assert in_mib(derive(**wishes)) == sizes


def test_every_part_remembers_its_rule():
    memory = derive(process="200MiB", overhead_fraction=0.01, task_heap="8MiB")
    rules = {name: part["rule"] for name, part in memory.as_dict().items()}
    assert rules == {
        "process": "given",
        "overhead": "1% of process, at least 10 MiB",
        "engine": "process minus overhead",
        "heap": "framework and task_heap",
        "framework": "given",
        "task_heap": "given",
        "managed": "remainder of engine",
        "direct": "10% of engine",
    }
    built_up = derive(managed="1MiB", task_heap=0, managed_min=0)
    assert built_up.engine.rule == "sum of its parts"
    assert built_up.process.rule == "engine plus overhead"
    assert built_up.direct.rule == "10% of engine, from the other parts"
    assert derive(engine="1GiB", process="1200MiB").overhead.rule == "remainder of process"


def test_the_usual_budget_leaves_most_to_the_data():
    memory = derive_process_memory(process="256MiB")
    assert memory.process_bytes == 256 * MIB
    assert memory.framework.size_bytes == FRAMEWORK_BYTES == 112 * MIB
    assert memory.framework.rule == memory.task_heap.rule == "default"
    assert memory.managed_bytes + memory.direct_bytes >= 110 * MIB


# --------------------------------------------------------------------- contradictions


@pytest.mark.parametrize(
    ("wishes", "complaint"),
    [
        # nothing to begin with
        ({}, "give process .* or engine .* or both managed and task_heap"),
        ({"managed": "100MiB"}, "nothing to derive"),
        ({"task_heap": "100MiB"}, "nothing to derive"),
        ({"managed_fraction": 0.4, "task_heap": "100MiB"}, "nothing to derive"),
        # sums
        (
            {"process": "500MiB", "managed": "300MiB"},
            r"framework \+ managed \+ direct need 440 MiB, and engine is 400",
        ),
        ({"engine": "500MiB", "managed": "360MiB"}, "need 510 MiB, and engine is 500 MiB"),
        (
            {"engine": "500MiB", "managed": "400MiB", "task_heap": "1MiB"},
            "need 501 MiB, and engine is 500 MiB",
        ),
        ({"engine": "500MiB", "managed_fraction": 0.9}, "need 600 MiB, and engine is 500 MiB"),
        ({"process": "499MiB", "engine": "500MiB"}, "engine need 500 MiB, and process is 499 MiB"),
        (
            {"process": "700MiB", "managed": "560MiB", "task_heap": "60MiB"},
            "need 800 MiB, and process is 700 MiB",
        ),
        # remainders out of their bounds
        (
            {"engine": "500MiB", "managed": "300MiB", "task_heap": "91MiB"},
            "direct is 9 MiB, the remainder of engine",
        ),
        (
            {"engine": "500MiB", "managed": "100MiB", "task_heap": "50MiB"},
            "direct is 250 MiB.*direct_max 200 MiB",
        ),
        ({"process": "509MiB", "engine": "500MiB"}, "overhead is 9 MiB, the remainder of process"),
        ({"process": "1001MiB", "engine": "500MiB"}, "overhead is 501 MiB.*overhead_max 500 MiB"),
        ({"process": "805MiB", "managed": "560MiB", "task_heap": "60MiB"}, "overhead is 5 MiB"),
        # said twice, or nonsense by itself
        ({"process": "1GiB", "managed": "100MiB", "managed_fraction": 0.5}, "managed is given twice"),
        ({"process": "1GiB", "managed_fraction": 1}, "managed_fraction is 1"),
        ({"process": "1GiB", "managed_fraction": -0.5}, "managed_fraction is -0.5"),
        ({"process": "1GiB", "direct_fraction": 1.0}, "direct_fraction is 1.0"),
        ({"process": "1GiB", "overhead_fraction": -1}, "overhead_fraction is -1"),
        (
            {"process": "1GiB", "direct_min": "2MiB", "direct_max": "1MiB"},
            "direct_min 2 MiB is more than direct_max",
        ),
        ({"process": "1GiB", "overhead_min": "1GiB"}, "overhead_min 1 GiB is more than overhead_max"),
        # too little managed memory, said so by hand
        ({"process": "1GiB", "managed": "1MiB"}, "managed is 1 MiB .given., and a job needs at least 4 MiB"),
        ({"engine": "1GiB", "managed_fraction": 0}, "managed is 0 bytes .0% of engine."),
        ({"managed": "3MiB", "task_heap": 0}, "a job needs at least 4 MiB"),
    ],
)
def test_contradictions_are_refused(wishes, complaint):
    with pytest.raises(MemoryConfigurationError, match=complaint):
        derive(**wishes)


def test_a_contradiction_lists_every_part_with_its_rule():
    with pytest.raises(MemoryConfigurationError) as refused:
        derive(process="500MiB", managed="300MiB")
    assert str(refused.value).splitlines()[1:] == [
        "  framework 100 MiB (given)",
        "  managed 300 MiB (given)",
        "  direct 40 MiB (10% of engine)",
        "  overhead 100 MiB (20% of process)",
        "  engine 400 MiB (process minus overhead)",
    ]


@pytest.mark.parametrize(
    "name", ["process", "engine", "framework", "task_heap", "managed", "direct_min", "overhead_max"]
)
def test_sizes_nobody_can_read_are_refused(name):
    with pytest.raises(SizeError, match="12 parsecs"):
        derive(**{"process": "1GiB", name: "12 parsecs"})


# ------------------------------------------------------------------------- the floor


def floor_in(text):
    return int(re.search(r"the floor is (\d+) MiB", text)[1]) * MIB


@pytest.mark.parametrize("name", ["process", "engine"])
@pytest.mark.parametrize("size", [0, 1, MIB, 100 * MIB, 120 * MIB])
def test_below_the_floor_the_floor_is_named_and_works(name, size):
    with pytest.raises(MemoryConfigurationError, match=f"too little memory: {name} is") as refused:
        derive_process_memory(**{name: size})
    floor = floor_in(str(refused.value))
    assert derive_process_memory(**{name: floor}).managed_bytes >= MANAGED_BYTES_MIN
    with pytest.raises(MemoryConfigurationError, match="too little memory"):
        derive_process_memory(**{name: floor - MIB})


def test_the_floor_follows_what_the_job_needs():
    with pytest.raises(MemoryConfigurationError) as refused:
        derive_process_memory(process="256MiB", managed_min="200MiB")
    floor = floor_in(str(refused.value))
    assert derive_process_memory(process=floor, managed_min="200MiB").managed_bytes >= 200 * MIB


@given(
    process=st.integers(0, 3 * GIB),
    framework=st.integers(0, 300 * MIB),
    direct_fraction=st.sampled_from([0, 0.1, 0.15, 0.333, 0.9]),
    overhead_fraction=st.sampled_from([0, 0.05, 0.07, 0.5]),
    managed_min=st.integers(0, 300 * MIB),
)
def test_either_the_sums_hold_or_the_floor_is_right(process, **wishes):
    try:
        memory = derive_process_memory(process=process, **wishes)
    except MemoryConfigurationError as refused:
        floor = floor_in(str(refused))
        assert floor > process
        memory = derive_process_memory(process=floor, **wishes)
        process = floor
    assert memory.process_bytes == process
    assert memory.managed_bytes >= wishes["managed_min"]
    assert memory.task_heap.size_bytes == TASK_HEAP_BYTES
    assert memory.direct_bytes >= DIRECT_BYTES_MIN
    assert memory.overhead.size_bytes >= OVERHEAD_BYTES_MIN


@given(st.integers(0, 8 * GIB), st.integers(4 * MIB, 8 * GIB))
def test_what_was_built_up_can_be_taken_apart_again(task_heap, managed):
    built = derive_process_memory(task_heap=task_heap, managed=managed)
    for total in ({"process": built.process_bytes}, {"engine": built.engine.size_bytes}):
        again = derive_process_memory(**total, task_heap=task_heap, managed=managed)
        assert sizes_of(again) == sizes_of(built)


@given(st.integers(200 * MIB, 64 * GIB), st.integers(200 * MIB, 64 * GIB))
def test_more_never_leaves_less(one, other):
    assume(one <= other)
    less, more = derive_process_memory(process=one), derive_process_memory(process=other)
    assert less.managed_bytes <= more.managed_bytes + 1
    assert less.direct_bytes <= more.direct_bytes
