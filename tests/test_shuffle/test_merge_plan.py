"""The order of merges: steps against a list that is really merged, and the counts that Knuth promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shuffle.merge_plan import MergePlan, MergeStep, plan_merges

SIZES = st.lists(st.integers(0, 1 << 40), max_size=60)
FAN_INS = st.integers(2, 12)


class Merged:
    """Runs that remember which of the first ones are in them, how many bytes were moved, and how often at most."""

    def __init__(self, sizes: list[int]) -> None:
        self.runs = [([number], size, 0) for number, size in enumerate(sizes)]
        self.rewritten_bytes = 0

    def merge(self, step: MergeStep) -> None:
        window = self.runs[step.first : step.first + step.count]
        assert len(window) == step.count, "only runs that are there"
        size = sum(run[1] for run in window)
        numbers = [number for run in window for number in run[0]]
        self.runs[step.first : step.first + step.count] = [(numbers, size, 1 + max(run[2] for run in window))]
        self.rewritten_bytes += size


@given(SIZES, FAN_INS)
def test_steps_keep_the_order_of_the_input_and_end_where_one_merge_is_enough(sizes: list[int], fan_in: int) -> None:
    plan, merged = plan_merges(sizes, fan_in=fan_in), Merged(sizes)
    for step in plan.steps:
        assert 2 <= step.count <= fan_in
        merged.merge(step)
    assert [number for run in merged.runs for number in run[0]] == list(range(len(sizes)))
    assert len(merged.runs) <= fan_in
    assert plan.rewritten_bytes == merged.rewritten_bytes
    assert plan.passes == 1 + max((run[2] for run in merged.runs), default=0)


@given(SIZES, FAN_INS)
def test_as_few_merges_as_can_be_and_all_but_one_are_full(sizes: list[int], fan_in: int) -> None:
    steps = plan_merges(sizes, fan_in=fan_in).steps
    too_many = max(0, len(sizes) - fan_in)
    assert len(steps) == -(-too_many // (fan_in - 1))
    assert sum(step.count != fan_in for step in steps) <= 1
    if len(sizes) <= fan_in**2:
        assert all(step.count == fan_in for step in steps[1:]), "the first takes the remainder, when it is cheapest"
    left = len(sizes) - sum(step.count - 1 for step in steps)
    assert left == min(len(sizes), fan_in), "the last merge is full"


@given(SIZES, FAN_INS, FAN_INS)
def test_smaller_steps_end_at_the_same_number_of_runs(sizes: list[int], fan_in: int, step_fan_in: int) -> None:
    plan, merged = plan_merges(sizes, fan_in=fan_in, step_fan_in=step_fan_in), Merged(sizes)
    for step in plan.steps:
        assert 2 <= step.count <= min(fan_in, step_fan_in)
        merged.merge(step)
    assert [number for run in merged.runs for number in run[0]] == list(range(len(sizes)))
    assert len(merged.runs) == min(len(sizes), fan_in)


@given(SIZES, FAN_INS)
def test_level_by_level_and_then_the_neighbours_with_the_fewest_bytes(sizes: list[int], fan_in: int) -> None:
    merged, steps = Merged(sizes), list(plan_merges(sizes, fan_in=fan_in).steps)
    while len(merged.runs) > fan_in**2:
        for first in range(len(merged.runs) // fan_in):
            assert steps[0] == MergeStep(first, fan_in)
            merged.merge(steps.pop(0))
    for step in steps:
        now = [run[1] for run in merged.runs]
        costs = [sum(now[first : first + step.count]) for first in range(len(now) - step.count + 1)]
        assert costs[step.first] == min(costs)
        assert step.first == costs.index(min(costs)), "of equals the first: the same plan every time"
        merged.merge(step)


def test_a_million_runs_are_planned_in_a_blink() -> None:
    plan = plan_merges([1] * 10**6, fan_in=100)
    assert (len(plan.steps), plan.passes, plan.rewritten_bytes) == (10_000 + 100, 3, 2 * 10**6)


@pytest.mark.parametrize("fan_in", [2, 3, 7, 16])
def test_runs_of_one_size_need_hardly_more_passes_than_a_tree_has_levels(fan_in: int) -> None:
    for count in range(1, 300):
        passes = plan_merges([100] * count, fan_in=fan_in).passes
        levels = next(level for level in range(1, 99) if fan_in**level >= count)
        assert levels <= passes <= levels + 1, count


def test_few_runs_need_no_step() -> None:
    assert plan_merges([], fan_in=2) == plan_merges([5], fan_in=2) == plan_merges([5, 6], fan_in=2)
    assert plan_merges([5, 6], fan_in=2) == MergePlan((), 1, 0)


def test_the_picture_in_the_module() -> None:
    plan = plan_merges([9, 9, 1, 1, 1, 2, 2, 2, 1], fan_in=4)
    assert plan == MergePlan((MergeStep(2, 3), MergeStep(3, 4)), 2, 3 + 7)


def test_no_merge_of_one() -> None:
    with pytest.raises(AssertionError, match="two runs at least"):
        plan_merges([1, 2, 3], fan_in=1)
