"""Reservations grow, shrink and come home once."""

import pytest

from memory.errors import MemoryBudgetError, MemoryShutdownError, SegmentReleasedError
from memory.manager import MemoryManager


@pytest.fixture
def manager():
    manager = MemoryManager(1000)
    yield manager
    assert manager.verify_empty()
    manager.shutdown()


def test_grow_and_shrink_are_counted_to_the_byte(manager):
    with manager.reserve("run 7", 100) as reservation:
        reservation.grow(23)
        reservation.shrink(3)
        reservation.grow(0)
        assert reservation.size_bytes == manager.used_bytes == 120
        assert manager.holders() == {"run 7": 120}
    assert manager.used_bytes == 0


def test_try_grow_says_whether_it_fits(manager):
    with manager.reserve("run 7") as reservation:
        assert reservation.try_grow(1000)
        assert not reservation.try_grow(1)
        assert reservation.size_bytes == 1000


def test_a_refused_grow_changes_nothing_and_names_the_holders(manager):
    with manager.reserve("merge", 700), manager.reserve("run 7", 100) as reservation:
        with pytest.raises(MemoryBudgetError, match=r"'run 7' asked for 201 bytes.*'merge' 700 bytes") as refused:
            reservation.grow(201)
        assert refused.value.holders == {"merge": 700, "run 7": 100}
        assert (reservation.size_bytes, manager.free_bytes) == (100, 200)


@pytest.mark.parametrize("fewer", [101, 1 << 70])
def test_more_than_is_held_cannot_be_given_back(manager, fewer):
    with manager.reserve("other", 500), manager.reserve("run 7", 100) as reservation:
        with pytest.raises(ValueError, match="does not hold"):
            reservation.shrink(fewer)
        assert (reservation.size_bytes, manager.used_bytes) == (100, 600)


def test_negative_changes_are_refused(manager):
    with manager.reserve("run 7", 100) as reservation:
        for change in (reservation.grow, reservation.try_grow, reservation.shrink):
            with pytest.raises(ValueError, match="positive"):
                change(-1)
        assert reservation.size_bytes == 100
    with pytest.raises(ValueError, match="cannot reserve -1"):
        manager.reserve("run 7", -1)


def test_released_once_used_never_again(manager):
    reservation, other = manager.reserve("run 7", 100), manager.reserve("run 7", 50)
    reservation.release()
    reservation.release()
    manager.release([reservation, None])
    assert reservation.released
    assert (reservation.size_bytes, manager.used_bytes) == (0, 50)
    for change in (reservation.grow, reservation.try_grow, reservation.shrink):
        with pytest.raises(SegmentReleasedError, match="after its release"):
            change(1)
    assert "released" in repr(reservation)
    other.release()


def test_shutdown_takes_it_and_refuses_more(manager):
    reservation = manager.reserve("run 7", 100)
    manager.shutdown()
    assert reservation.size_bytes == 0
    reservation.release()
    with pytest.raises(MemoryShutdownError):
        reservation.grow(1)


def test_the_end_of_with_releases_even_when_it_fails(manager):
    with pytest.raises(KeyError), manager.reserve("run 7", 10):
        raise KeyError
    assert manager.free_bytes == 1000
