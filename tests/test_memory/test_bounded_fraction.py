"""Fractions between bounds: exact, and the inverse agrees with the forward rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.bounded_fraction import BoundedFraction
from memory.errors import MemoryConfigurationError
from memory.sizes import GIB, MIB

TENTH = BoundedFraction("direct", "engine", 0.1, 8 * MIB, GIB)


@pytest.mark.parametrize(
    ("whole_bytes", "size_bytes", "rule"),
    [
        (0, 8 * MIB, "10% of engine, at least 8 MiB"),
        (80 * MIB - 1, 8 * MIB, "10% of engine, at least 8 MiB"),
        (80 * MIB, 8 * MIB, "10% of engine"),
        (1000 * MIB, 100 * MIB, "10% of engine"),
        (10 * GIB, GIB, "10% of engine"),
        (20 * GIB, GIB, "10% of engine, at most 1 GiB"),
    ],
)
def test_shares_are_clamped_and_say_so(whole_bytes, size_bytes, rule):
    share = TENTH.share_of(whole_bytes)
    assert (share.name, share.size_bytes, share.rule) == ("direct", size_bytes, rule)


@pytest.mark.parametrize(("rest", "size"), [(9 * MIB, 8 * MIB), (900 * MIB, 100 * MIB), (99 * GIB, GIB)])
def test_the_share_beside_a_rest(rest, size):
    assert TENTH.share_beside(rest).size_bytes == size


@given(
    st.integers(0, 1 << 50),
    st.integers(0, 999).map(lambda thousandths: thousandths / 1000),
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 40),
)
def test_forward_and_inverse_agree(rest, fraction, bound, other_bound):
    share = BoundedFraction("direct", "engine", fraction, min(bound, other_bound), max(bound, other_bound))
    beside = share.share_beside(rest).size_bytes
    forward = share.share_of(rest + beside).size_bytes
    assert forward <= beside <= forward + 1
    assert share.admits(beside)
    assert share.admits(forward)


def test_decimals_are_taken_as_written():
    assert BoundedFraction("x", "y", 0.29, 0, 100).share_of(100).size_bytes == 29


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan")])
def test_a_fraction_lies_from_zero_to_below_one(fraction):
    with pytest.raises(MemoryConfigurationError, match="direct_fraction is"):
        BoundedFraction("direct", "engine", fraction, 0, 1)


def test_bounds_in_the_wrong_order_are_refused():
    with pytest.raises(MemoryConfigurationError, match="direct_min 2 bytes is more than direct_max 1 byte"):
        BoundedFraction("direct", "engine", 0.1, 2, 1)


def test_admits_its_bounds():
    assert [TENTH.admits(size) for size in (8 * MIB - 1, 8 * MIB, GIB, GIB + 1)] == [False, True, True, False]
