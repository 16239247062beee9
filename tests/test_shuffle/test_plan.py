"""The plan, which is pure: what it decides for machines and inputs of any size, and what it must never promise."""

import re
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from io_manager import MAX_IN_FLIGHT
from memory import GIB, KIB, MIB, MemoryConfigurationError, parse_size
from serializers import SLACK_BYTES, RecordLayout, fixed, lines
from shuffle import plan as module
from shuffle.options import SortOptions
from shuffle.plan import SortPlan, Surroundings, make_plan
from shuffle.runs import block_capacity
from shuffle.surroundings import GROWTH_BYTES

ALIGNMENT_BYTES = 4096
SEGMENT_BYTES = 32 * KIB


def planned(
    memory_bytes: int,
    input_bytes: int | None,
    *,
    record_bytes: int = 100,
    layout: RecordLayout | None = None,
    threads: int | None = None,
    cores: int = 4,
    open_files_max: int = 4096,
    sorted_runs: int | None = None,
    unique: bool = False,
) -> SortPlan:
    """The plan for a library call."""
    layout = layout or lines()
    around = Surroundings(
        input_bytes=input_bytes,
        record_bytes=layout.record_bytes or record_bytes,
        cores=cores,
        open_files_max=open_files_max,
        memory_bytes=memory_bytes,
        framework_bytes=GROWTH_BYTES,
    )
    return make_plan(SortOptions(layout=layout, threads=threads, unique=unique), around, sorted_runs=sorted_runs)


def floor_of(layout: RecordLayout) -> int:
    """The floor, as the error names it."""
    with pytest.raises(MemoryConfigurationError) as caught:
        planned(1 * MIB, 1 * MIB, layout=layout)
    found = re.search(r"the floor is (\d+ MiB)", str(caught.value))
    assert found, caught.value
    return parse_size(found[1])


# --- floors


@pytest.mark.parametrize("layout", [lines(), fixed(100), fixed(100_000), fixed(5 * MIB), fixed(70 * MIB)])
@pytest.mark.parametrize("input_bytes", [0, 1, GIB, None])
def test_the_floor_that_the_error_names_works(layout: RecordLayout, input_bytes: int | None) -> None:
    floor = floor_of(layout)
    check(planned(floor, input_bytes, layout=layout), layout)
    with pytest.raises(MemoryConfigurationError):
        planned(floor - 2 * MIB, input_bytes, layout=layout)


def test_the_floor_for_lines_is_small() -> None:
    assert floor_of(lines()) <= 40 * MIB
    assert floor_of(fixed(5 * MIB)) > 50 * MIB, "ten blocks of a record each"


# --- what becomes of an input


def test_a_small_input_stays_in_memory() -> None:
    plan = planned(512 * MIB, 10 * MIB)
    assert plan.runs == plan.runs_in_memory
    assert plan.passes == 1
    assert plan.spill_bytes == 0
    assert plan.block_bytes == module.BLOCK_BYTES_UNPLANNED
    assert plan.extent_bytes < 32 * MIB, "no larger than it takes"
    assert "nothing" in plan.describe()


def test_a_middling_input_spills_and_is_merged_in_one_pass_by_all_workers() -> None:
    plan = planned(256 * MIB, 2 * GIB)
    assert plan.runs is not None and plan.runs > 10
    assert plan.passes == 1
    assert plan.merges([plan.run_bytes] * plan.runs, ranges=4) == (plan.merges([], ranges=4)[0], 4)
    assert plan.spill_bytes is not None and 1 * GIB < plan.spill_bytes <= 2 * GIB
    assert "one pass" in plan.describe()


def test_fewer_ranges_before_small_blocks_and_a_second_pass() -> None:
    """Where all workers cannot merge all runs at once in good blocks, fewer can: cheaper than to write all again."""
    plans = [planned(64 * MIB, (1 << power) * MIB, cores=4) for power in range(1, 14)]
    ways = [(plan.passes or 0, plan.merges([1] * (plan.runs or 0), ranges=4)[1]) for plan in plans]
    assert ways[0] == (1, 4)
    assert (1, 1) in ways
    passes = [each[0] for each in ways]
    assert passes == sorted(passes) and passes[-1] >= 2, "the more input, the more work"
    ranges = [each[1] for each in ways if each[0] == 1]
    assert ranges == sorted(ranges, reverse=True), "one pass, by fewer and fewer"
    assert len(set(ranges)) > 2


def test_a_huge_input_takes_several_passes_and_says_how_much_is_written_twice() -> None:
    plan = planned(40 * MIB, 10 * GIB)
    assert plan.passes is not None and plan.passes > 1
    assert plan.spill_bytes is not None and plan.spill_bytes > 10 * GIB
    assert f"{plan.passes} passes" in plan.describe()


def test_few_open_files_take_more_passes() -> None:
    assert planned(256 * MIB, 4 * GIB).passes == 1
    few = planned(256 * MIB, 4 * GIB, open_files_max=60)
    assert few.open_runs_max == 60 - module.OPEN_FILES_KEPT
    assert few.passes is not None and few.passes > 1
    none_left = planned(256 * MIB, 4 * GIB, open_files_max=10)
    assert none_left.open_runs_max == 2, "it can always merge two"


def test_threads_are_what_was_asked_for_or_what_memory_allows() -> None:
    assert planned(1 * GIB, GIB, threads=3).threads == 3
    assert planned(1 * GIB, GIB, cores=7).threads == 7
    assert planned(40 * MIB, GIB, cores=64).threads < 8
    assert planned(40 * MIB, GIB, cores=64).threads >= 1
    assert planned(floor_of(fixed(5 * MIB)), GIB, layout=fixed(5 * MIB), cores=64).threads < 4


@pytest.mark.parametrize("record_bytes", [64 * KIB, 1 * MIB, 3 * MIB, 20 * MIB, 100 * MIB])
@pytest.mark.parametrize("cores", [1, 4, 64])
def test_a_sort_buffer_holds_a_record_however_long(record_bytes: int, cores: int) -> None:
    """A buffer too small for one record would never be full: the job would take buffer after buffer for ever."""
    layout = fixed(record_bytes)
    for records in (1, 2, 100):
        plan = planned(8 * GIB, records * record_bytes, layout=layout, cores=cores)
        assert plan.extent_bytes >= record_bytes + layout.index_bytes + 2 * SLACK_BYTES
        check(plan, layout)


def test_nothing_is_foreseen_of_an_input_of_unknown_size() -> None:
    plan = planned(256 * MIB, None)
    assert (plan.input_bytes, plan.runs, plan.runs_in_memory, plan.passes, plan.spill_bytes) == (None,) * 5
    assert plan.extent_count == plan.memory.managed_bytes // plan.extent_bytes
    assert "of unknown size" in plan.describe()
    assert "cannot hold" in plan.describe()
    check(plan, lines())


def test_a_sample_may_be_wrong_so_a_second_buffer_may_always_be_had() -> None:
    """One buffer is handed on only when the next has taken over what was left in it."""
    plan = planned(512 * MIB, 1000, record_bytes=1000)
    assert plan.runs == 1
    assert plan.extent_count == 2


def test_a_merge_knows_its_runs() -> None:
    plan = planned(256 * MIB, 10 * GIB, sorted_runs=5)
    assert plan.runs == 5
    assert plan.merges([1] * 5, ranges=4)[1] == 4
    assert "up to" in plan.describe()
    many = planned(64 * MIB, 10 * GIB, sorted_runs=5000)
    merges, ranges = many.merges([1] * 5000, ranges=4)
    assert merges.passes > 1 and ranges <= 4


def test_the_same_question_has_the_same_answer() -> None:
    assert planned(256 * MIB, 3 * GIB) == planned(256 * MIB, 3 * GIB)


# --- what must hold for all of them


LAYOUTS = st.one_of(
    st.just(lines()),
    st.integers(1, 4 * MIB).map(fixed),
    st.integers(1, 200 * KIB).map(fixed),
)


@settings(deadline=None)
@given(
    memory_bytes=st.one_of(st.integers(40 * MIB, 256 * MIB), st.integers(40 * MIB, 64 * GIB)),
    input_bytes=st.one_of(st.none(), st.integers(0, 64 * MIB), st.integers(0, 4 * GIB), st.integers(0, 1 << 42)),
    record_bytes=st.one_of(st.integers(1, 300), st.integers(1, 1 << 26)),
    layout=LAYOUTS,
    cores=st.integers(1, 200),
    open_files_max=st.integers(1, 5000),
    sorted_runs=st.one_of(st.none(), st.integers(1, 3000)),
)
@example(
    memory_bytes=128 * MIB,
    input_bytes=145,
    record_bytes=1,
    layout=lines(),
    cores=147,
    open_files_max=803,
    sorted_runs=None,
)
@example(
    memory_bytes=1 * GIB,
    input_bytes=20 * MIB,
    record_bytes=1,
    layout=fixed(4 * MIB),
    cores=16,
    open_files_max=99,
    sorted_runs=None,
)
def test_buffers_never_add_up_to_more_than_there_is(
    memory_bytes: int,
    input_bytes: int | None,
    record_bytes: int,
    layout: RecordLayout,
    cores: int,
    open_files_max: int,
    sorted_runs: int | None,
) -> None:
    try:
        plan = planned(
            memory_bytes,
            input_bytes,
            record_bytes=record_bytes,
            layout=layout,
            cores=cores,
            open_files_max=open_files_max,
            sorted_runs=sorted_runs,
        )
    except MemoryConfigurationError as error:
        assert "floor" in str(error)
        assert layout.record_bytes * 16 + 38 * MIB > memory_bytes, "it only refuses where blocks would not fit"
        return
    check(plan, layout)


def check(plan: SortPlan, layout: RecordLayout) -> None:
    """Whatever the executor does by this plan fits the memory."""
    managed, direct = plan.memory.managed_bytes, plan.memory.direct_bytes
    assert plan.threads >= 1
    # phase 1
    assert plan.extent_bytes % SEGMENT_BYTES == 0
    assert plan.extent_count >= 2
    assert plan.extent_count * plan.extent_bytes <= managed
    assert (MAX_IN_FLIGHT + 2) * plan.block_bytes <= direct, "a run that is written holds so many, and one waits"
    # a block: for the disk, for a record, for an output that begins anywhere in a page
    assert plan.block_bytes % ALIGNMENT_BYTES == 0
    assert plan.block_bytes % SEGMENT_BYTES == 0, "else rounding to segments would take more than was counted"
    if not layout.is_lines:
        assert block_capacity(plan.block_bytes) >= layout.record_bytes
        assert plan.extent_bytes >= layout.record_bytes + layout.index_bytes + 2 * SLACK_BYTES
    assert block_capacity(plan.block_bytes) + ALIGNMENT_BYTES - 1 + SLACK_BYTES <= plan.output_bytes
    assert plan.output_bytes % SEGMENT_BYTES == 0
    assert plan.threads * module.OUTPUT_BUFFERS_PER_RANGE * plan.output_bytes <= direct
    # phase 2
    for run_count in {1, 2, 3, 50, 700, plan.runs or 1} - ({plan.runs} if (plan.runs or 0) > 20_000 else set()):
        check_merges(plan, run_count)
    assert plan.describe()


def check_merges(plan: SortPlan, run_count: int) -> None:
    """Merging so many runs fits memory and open files at every step."""
    managed, ahead = plan.memory.managed_bytes, module.READ_AHEAD_BLOCKS
    for ranges_wanted in (1, plan.threads):
        merges, ranges = plan.merges([100] * run_count, ranges=ranges_wanted)
        assert 1 <= ranges <= ranges_wanted
        left = run_count
        for step in merges.steps:
            assert (step.count + 2) * plan.block_bytes <= managed
            assert step.count <= plan.open_runs_max
            left -= step.count - 1
        assert ranges * (left + 2) * plan.block_bytes <= managed, "what the read pools require"
        assert left <= max(plan.open_runs_max, 1)
        if not merges.steps and left > 2:
            assert ranges * (left + ahead) * plan.block_bytes <= managed, "and what they read ahead"
        candidates = min(run_count, plan.extent_count)
        kept = plan.runs_kept(run_count=run_count, candidates=candidates, ranges=ranges_wanted, index_bytes=10_000)
        assert 0 <= kept <= candidates
        if kept:
            assert not merges.steps, "runs stay in memory only for one merge of all"
            buffers = ranges * (run_count + ahead) * plan.block_bytes
            assert kept * plan.extent_bytes + 10_000 + buffers <= managed


def test_less_on_its_way() -> None:
    """Smaller blocks, where a merge would hold too much of a small input; never below what a record needs."""
    around = Surroundings(
        input_bytes=200 << 20, record_bytes=100, cores=2, open_files_max=1024, memory_bytes=256 << 20, framework_bytes=0
    )
    made = make_plan(SortOptions(), around)
    less = made.with_less_on_its_way(lines(), share=10)
    assert replace(less, block_bytes=made.block_bytes) == made and less.runs is not None
    held_bytes = less.threads * (less.runs + module.READ_AHEAD_BLOCKS) * less.block_bytes
    assert less.block_bytes == module.BLOCK_BYTES_MIN or held_bytes <= 20 << 20
    assert made.with_less_on_its_way(fixed(300_000), share=10**6).block_bytes <= made.block_bytes
    unknown = make_plan(SortOptions(), replace(around, input_bytes=None))
    assert unknown.with_less_on_its_way(lines(), share=10) == unknown
