"""The books: what owners hold and what is free always add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.budget import MemoryBudget
from memory.errors import MemoryBudgetError


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-60, 60))))
def test_the_books_are_those_of_a_dict(changes):
    budget, twin = MemoryBudget(100), dict.fromkeys("abc", 0)
    for owner, change in changes:
        if change < 0:
            change = -min(-change, twin[owner])
            budget.credit(owner, -change)
        elif sum(twin.values()) + change > 100:
            with pytest.raises(MemoryBudgetError):
                budget.require(owner, change)
            change = 0
        else:
            budget.require(owner, change)
            budget.charge(owner, change)
        twin[owner] += change
        assert budget.holders() == {owner: held for owner, held in twin.items() if held}
        assert budget.used_bytes == sum(twin.values()) == 100 - budget.free_bytes


def test_the_largest_holder_comes_first():
    budget = MemoryBudget(100)
    for owner, size_bytes in (("small", 1), ("large", 50), ("also small", 1)):
        budget.charge(owner, size_bytes)
    assert list(budget.holders()) == ["large", "also small", "small"]


def test_credit_beyond_what_is_held_is_a_broken_promise():
    budget = MemoryBudget(100)
    budget.charge("a", 10)
    budget.charge("b", 10)
    with pytest.raises(AssertionError):
        budget.credit("a", 11)
    with pytest.raises(AssertionError):
        budget.charge("a", 81)
