"""Errors say who holds what and what to do; each is a kind of builtin; all can be pickled."""

import pickle

import pytest

from memory import errors
from memory.sizes import MIB


def budget_error(holders):
    return errors.MemoryBudgetError("sort", 64 * MIB, 32 * MIB, 256 * MIB, holders)


def test_each_is_a_kind_of_builtin():
    kinds = {
        errors.MemoryBudgetError: MemoryError,
        errors.MemoryConfigurationError: ValueError,
        errors.SegmentReleasedError: ValueError,
        errors.SizeError: ValueError,
        errors.MemoryShutdownError: RuntimeError,
        errors.BufferLeakError: RuntimeError,
        errors.PoolTimeoutError: TimeoutError,
    }
    assert all(issubclass(error, builtin) for error, builtin in kinds.items())


def test_budget_error_names_asker_sizes_holders_and_cure():
    text = str(budget_error({"small": MIB, "merge": 128 * MIB, "run 7": 95 * MIB}))
    assert text.startswith("'sort' asked for 64 MiB")
    assert "32 MiB (33554432 bytes) of 256 MiB are free" in text
    assert "Held: 'merge' 128 MiB, 'run 7' 95 MiB, 'small' 1 MiB." in text
    assert "Raise the memory budget" in text


def test_many_holders_are_summed_up():
    text = str(budget_error({f"run {number}": number * MIB for number in range(1, 21)}))
    assert "'run 20' 20 MiB" in text
    assert "12 others 78 MiB" in text
    assert "'run 12'" not in text


def test_nobody_holds_any():
    assert "Nobody holds any." in str(budget_error({}))


@pytest.mark.parametrize(
    "error",
    [budget_error({"merge": 3}), errors.PoolTimeoutError("late"), errors.SegmentReleasedError("gone")],
)
def test_errors_survive_pickling(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_an_error_keeps_its_own_copy_of_the_holders():
    holders = {"merge": 3}
    error = budget_error(holders)
    holders.clear()
    assert error.holders == {"merge": 3}
