"""Free runs against a plain set of free numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.free_runs import FreeRuns


def runs_of(numbers):
    """The runs of neighbours in a set of numbers, the slow way."""
    runs = []
    for number in sorted(numbers):
        if runs and runs[-1][0] + runs[-1][1] == number:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((number, 1))
    return runs


@given(st.integers(0, 24), st.lists(st.tuples(st.sampled_from(["run", "last", "give"]), st.integers(1, 6))))
def test_runs_are_those_of_a_set(total, steps):
    runs, free, taken = FreeRuns(total), set(range(total)), []
    for step, count in steps:
        if step == "run":
            fitting = [start for start, run_count in runs_of(free) if run_count >= count]
            start = runs.take_run(count)
            assert start == (fitting[0] if fitting else None)
            if start is not None:
                taken.append((start, count))
                free -= set(range(start, start + count))
        elif step == "last" and free:
            assert runs.take_last() == max(free)
            taken.append((max(free), 1))
            free.remove(max(free))
        elif step == "give" and taken:
            start, count = taken.pop(count % len(taken))
            runs.give(start, count)
            free |= set(range(start, start + count))
        assert runs.runs() == runs_of(free)
        assert runs.free_count == len(free)
    for start, count in taken:
        runs.give(start, count)
    assert runs.runs() == ([(0, total)] if total else [])


@pytest.mark.parametrize("given_back", [(0, 1), (5, 1), (3, 3), (0, 10), (9, 1)])
def test_giving_back_twice_is_caught(given_back):
    runs = FreeRuns(10)
    runs.take_run(5)
    runs.give(0, 2)
    runs.give(4, 1)
    with pytest.raises(AssertionError, match="twice"):
        runs.give(*given_back)
