"""The manager: all or nothing, credited once, nothing left out; against a dict, and under threads."""

import random
import sys
import threading
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from memory.arena import Arena
from memory.errors import MemoryBudgetError, MemoryShutdownError, SegmentReleasedError
from memory.manager import MemoryManager
from memory.probe import resident_bytes
from memory.segment import DEFAULT_SEGMENT_BYTES, MemorySegment
from memory.sizes import KIB, MIB

SEGMENT = 4096
TOTAL = 10 * SEGMENT + 100  # not a whole number of segments, on purpose

KINDS = [(mode, preallocate) for mode in ("off-heap", "heap") for preallocate in (False, True)]


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0]}-{'preallocated' if kind[1] else 'lazy'}")
def manager(request):
    mode, preallocate = request.param
    manager = MemoryManager(TOTAL, segment_bytes=SEGMENT, mode=mode, preallocate=preallocate)
    yield manager
    assert manager.verify_empty()
    assert manager.shutdown() == {}


# ----------------------------------------------------------------------- asking


def test_all_of_it_one_by_one(manager):
    segments = [manager.allocate_segments("test", 1)[0] for _ in range(10)]
    assert manager.free_bytes == 100
    assert not manager.verify_empty()
    with pytest.raises(MemoryBudgetError):
        manager.allocate_segments("test", 1)
    manager.release(segments)


def test_all_of_it_at_once(manager):
    segments = manager.allocate_segments("test", 10)
    assert len(set(segments)) == 10
    assert {(segment.owner, segment.size_bytes) for segment in segments} == {("test", SEGMENT)}
    assert all(segment.off_heap == (manager.mode == "off-heap") for segment in segments)
    manager.release(segments)


def test_no_two_holdings_share_a_byte(manager):
    holdings = [manager.allocate_extent("sort", 3 * SEGMENT), *manager.allocate_segments("rows", 4)]
    holdings.append(manager.allocate_extent("merge", 2 * SEGMENT))
    views = [holding.view if holding.owner != "rows" else holding.view() for holding in holdings]
    for value, view in enumerate(views):
        view[:] = bytes([value]) * len(view)
    for value, view in enumerate(views):
        assert bytes(view) == bytes([value]) * len(view)
    del view, views
    manager.release(holdings)


@pytest.mark.parametrize("count", [11, 1 << 60])
def test_too_much_changes_nothing_and_says_who_holds_what(manager, count):
    held = manager.allocate_segments("rows", 3)
    held[0].put_int32(0, 42)
    with manager.reserve("run 7", 5000):
        for ask in (
            lambda: manager.allocate_segments("sort", count),
            lambda: manager.allocate_extent("sort", count * SEGMENT),
            lambda: manager.reserve("sort", count * SEGMENT),
        ):
            with pytest.raises(MemoryBudgetError) as refused:
                ask()
            assert refused.value.owner == "sort"
            assert refused.value.asked_bytes == count * SEGMENT
            assert refused.value.free_bytes == TOTAL - 3 * SEGMENT - 5000
            assert list(refused.value.holders.items()) == [("rows", 3 * SEGMENT), ("run 7", 5000)]
            assert manager.used_bytes == 3 * SEGMENT + 5000
    assert held[0].get_int32(0) == 42
    manager.release(held)


@pytest.mark.parametrize("owner", [None, 7, b"sort", object()])
def test_an_owner_is_a_name(manager, owner):
    for ask in (manager.allocate_segments, manager.allocate_extent, manager.reserve):
        with pytest.raises(TypeError, match="name"):
            ask(owner, 1)
    with pytest.raises(TypeError, match="name"):
        manager.release_all(owner)


@pytest.mark.parametrize("owner", ["", "  "])
def test_an_owner_has_a_name(manager, owner):
    for ask in (manager.allocate_segments, manager.allocate_extent, manager.reserve):
        with pytest.raises(ValueError, match="name"):
            ask(owner, 1)


def test_impossible_counts_are_refused(manager):
    assert manager.allocate_segments("test", 0) == []
    with pytest.raises(ValueError, match="-1 segments"):
        manager.allocate_segments("test", -1)
    for size_bytes in (0, -1):
        with pytest.raises(ValueError, match="extent"):
            manager.allocate_extent("test", size_bytes)


def test_what_the_system_refuses_is_not_charged(manager, monkeypatch):
    def refuse(self, size_bytes, mode="off-heap"):
        raise MemoryError("none left")

    with manager.reserve("run 7", 1):  # 9 segments: an extent in one piece must come from the arena or fail
        monkeypatch.setattr(Arena, "__init__", refuse)
        holdings = []
        try:
            holdings = manager.allocate_segments("test", 9)
        except MemoryError:
            assert manager.used_bytes == 1
        manager.release(holdings)
        assert manager.used_bytes == 1


@pytest.mark.parametrize("segment_bytes", [0, 1, 2048, 5000, -4096])
def test_odd_segment_sizes_are_refused(segment_bytes):
    with pytest.raises(ValueError, match="power of two"):
        MemoryManager(MIB, segment_bytes=segment_bytes)


def test_odd_arguments_are_refused():
    with pytest.raises(ValueError, match="-1 bytes"):
        MemoryManager(-1)
    with pytest.raises(ValueError, match="'off-heap' or 'heap'"):
        MemoryManager(MIB, mode="swap")


@pytest.mark.parametrize("preallocate", [False, True])
def test_a_manager_of_nothing_refuses_everything(preallocate):
    with MemoryManager(0, preallocate=preallocate) as manager:
        assert manager.segment_bytes == DEFAULT_SEGMENT_BYTES == 32 * KIB
        assert manager.allocate_segments("test", 0) == []
        with pytest.raises(MemoryBudgetError):
            manager.allocate_segments("test", 1)
        with pytest.raises(MemoryBudgetError):
            manager.allocate_extent("test", 1)
        assert manager.verify_empty()


# ------------------------------------------------------------------- giving back


def test_releases_are_credited_once(manager):
    first, second, third = manager.allocate_segments("test", 3)
    manager.release(first)
    manager.release(first)
    first.release()
    manager.release([first, second, second, None])
    manager.release([])
    manager.release(None)
    assert manager.used_bytes == SEGMENT
    manager.release_all("test")
    third.release()
    manager.release(third)
    assert manager.used_bytes == 0
    with pytest.raises(SegmentReleasedError):
        third.get_int8(0)


def test_one_release_takes_all_kinds_of_several_owners(manager):
    extent = manager.allocate_extent("sort", 2 * SEGMENT)
    reservation = manager.reserve("run 7", 10)
    manager.release(item for item in (*manager.allocate_segments("rows", 2), None, extent, reservation))
    assert manager.used_bytes == 0
    assert extent.released
    assert reservation.released


def test_release_all_takes_everything_of_one_owner(manager):
    kept = manager.allocate_segments("rows", 2)
    taken = [*manager.allocate_segments("sort", 2), manager.allocate_extent("sort", SEGMENT)]
    manager.reserve("sort", 7)
    assert manager.release_all("sort") == 3 * SEGMENT + 7
    assert manager.release_all("sort") == 0
    assert manager.release_all("nobody") == 0
    assert manager.holders() == {"rows": 2 * SEGMENT}
    assert all(holding.released for holding in taken)
    assert not kept[0].released
    manager.release(kept)


def test_what_came_from_elsewhere_is_refused_and_nothing_is_released(manager):
    mine = manager.allocate_segments("test", 1)
    stranger = MemorySegment(bytearray(SEGMENT), owner="test")
    with MemoryManager(SEGMENT, segment_bytes=SEGMENT) as other:
        for foreign in (stranger, other.allocate_segments("test", 1)[0]):
            with pytest.raises(ValueError, match="not lent out by this manager"):
                manager.release([*mine, foreign])
        assert other.used_bytes == SEGMENT
    for nonsense in ([*mine, "test"], [*mine, 7]):
        with pytest.raises(TypeError, match="can be released"):
            manager.release(nonsense)
    assert not mine[0].released
    manager.release(mine)


def test_a_released_segment_never_shows_the_next_owners_bytes(manager):
    (old,) = manager.allocate_segments("old", 1)
    old.put_int8(0, 1)
    old.release()
    new = manager.allocate_segments("new", 10)
    with pytest.raises(SegmentReleasedError):
        old.put_int8(0, 2)
    manager.release(new)


def test_reserved_bytes_and_segments_share_one_budget(manager):
    with manager.reserve("run 7", TOTAL - 2 * SEGMENT) as reservation:
        segments = manager.allocate_segments("rows", 2)
        assert manager.free_bytes == 0
        reservation.shrink(SEGMENT)
        segments += manager.allocate_segments("rows", 1)
        assert not reservation.try_grow(1)
        manager.release(segments)
        reservation.grow(3 * SEGMENT)
        assert manager.free_bytes == 0


def test_scattered_free_memory_still_makes_an_extent(manager):
    segments = manager.allocate_segments("rows", 10)
    manager.release(segments[::2])
    with manager.allocate_extent("sort", 5 * SEGMENT) as extent:
        extent.view[:] = b"x" * extent.size_bytes
        assert manager.free_bytes == 100
        assert not any(segment.get_bytes(0, 1) == b"x" for segment in segments[1::2])
    manager.release(segments)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is resident now")
@pytest.mark.parametrize("by_growth", [False, True])
@pytest.mark.parametrize("preallocate", [False, True])
def test_reserved_bytes_and_free_pages_are_never_resident_together(preallocate, by_growth):
    with MemoryManager(64 * MIB, preallocate=preallocate) as manager:
        before = resident_bytes()
        with manager.allocate_extent("sort", 64 * MIB) as extent:
            extent.view[:] = b"x" * extent.size_bytes
        with manager.reserve("run 7", 0 if by_growth else MIB) as reservation:
            if by_growth:
                reservation.grow(MIB)
            assert resident_bytes() < before + 8 * MIB
        assert manager.verify_empty()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is resident now")
def test_shutdown_returns_what_was_kept_warm():
    manager = MemoryManager(64 * MIB, preallocate=True)
    before = resident_bytes()
    with manager.allocate_extent("sort", 64 * MIB) as extent:
        extent.view[:] = b"x" * extent.size_bytes
    assert resident_bytes() > before + 56 * MIB
    assert manager.verify_empty()
    manager.shutdown()
    assert resident_bytes() < before + 8 * MIB


# ---------------------------------------------------------------------- shutdown


def test_after_shutdown_only_verify_empty_answers():
    manager = MemoryManager(TOTAL, segment_bytes=SEGMENT)
    (segment,) = manager.allocate_segments("rows", 1)
    extent, reservation = manager.allocate_extent("sort", 1), manager.reserve("run 7", 5)
    assert manager.shutdown() == {"rows": SEGMENT, "sort": SEGMENT, "run 7": 5}
    assert manager.shutdown() == {}
    assert manager.verify_empty()
    assert segment.released
    assert extent.released
    assert reservation.released
    for call in (
        lambda: manager.allocate_segments("test", 1),
        lambda: manager.allocate_segments("test", 0),
        lambda: manager.allocate_extent("test", 1),
        lambda: manager.reserve("test"),
        lambda: manager.release(segment),
        lambda: manager.release(None),
        lambda: manager.release_all("test"),
        lambda: manager.free_bytes,
        lambda: manager.used_bytes,
        lambda: manager.holders(),
        lambda: manager.bytes_for_fraction(0.5),
        lambda: manager.segments_for_fraction(0.5),
    ):
        with pytest.raises(MemoryShutdownError):
            call()
    for holding in (segment, extent, reservation):
        holding.release()
    assert "MemoryManager" in repr(manager)


def test_the_end_of_with_shuts_down(manager):
    with MemoryManager(TOTAL) as other:
        other.reserve("test", 1)
    with pytest.raises(MemoryShutdownError):
        other.reserve("test", 1)


# ---------------------------------------------------------------------- fractions


def test_fractions_round_down(manager):
    assert manager.segments_for_fraction(1) == 10
    assert manager.segments_for_fraction(0.59) == 5
    assert manager.segments_for_fraction(0.001) == 0
    assert manager.bytes_for_fraction(1.0) == TOTAL
    assert manager.bytes_for_fraction(0.5) == TOTAL // 2
    assert manager.bytes_for_fraction(1e-9) == 0


@pytest.mark.parametrize("fraction", [0, -0.1, 1.0000001, 2, float("nan"), float("inf")])
def test_fractions_outside_are_refused(manager, fraction):
    for ask in (manager.segments_for_fraction, manager.bytes_for_fraction):
        with pytest.raises(ValueError, match="fraction"):
            ask(fraction)


# ------------------------------------------------------------- against a slow twin

OWNERS = st.sampled_from(["sort", "merge", "run 7"])


class ManagerTwin(RuleBasedStateMachine):
    """Any sequence of calls, against a dict of who holds how much, with a mark in every byte lent out."""

    @initialize(kind=st.sampled_from(KINDS), spare=st.integers(0, SEGMENT - 1))
    def begin(self, kind, spare):
        self.total = 12 * SEGMENT + spare
        self.manager = MemoryManager(self.total, segment_bytes=SEGMENT, mode=kind[0], preallocate=kind[1])
        self.held = []  # (holding, bytes it must count for, mark)
        self.marks = 0

    @property
    def free_bytes(self):
        return self.total - sum(size_bytes for _, size_bytes, _ in self.held)

    def ask(self, fits, call):
        """The holdings of a call that must succeed just when it fits."""
        if fits:
            return call()
        with pytest.raises(MemoryBudgetError):
            call()
        return None

    def keep(self, holding, size_bytes):
        self.marks = self.marks % 250 + 1
        for view in self.views(holding):
            view[:] = bytes([self.marks]) * len(view)
        self.held.append((holding, size_bytes, self.marks))

    @staticmethod
    def views(holding):
        if isinstance(holding, MemorySegment):
            return [holding.view()]
        return [holding.view] if hasattr(holding, "view") else []

    @rule(owner=OWNERS, count=st.integers(0, 13))
    def segments(self, owner, count):
        fits = count * SEGMENT <= self.free_bytes
        for segment in self.ask(fits, lambda: self.manager.allocate_segments(owner, count)) or ():
            self.keep(segment, SEGMENT)

    @rule(owner=OWNERS, size_bytes=st.integers(1, 13 * SEGMENT))
    def extent(self, owner, size_bytes):
        rounded = -(-size_bytes // SEGMENT) * SEGMENT
        extent = self.ask(rounded <= self.free_bytes, lambda: self.manager.allocate_extent(owner, size_bytes))
        if extent:
            self.keep(extent, rounded)

    @rule(owner=OWNERS, size_bytes=st.integers(0, 13 * SEGMENT))
    def reserve(self, owner, size_bytes):
        reservation = self.ask(size_bytes <= self.free_bytes, lambda: self.manager.reserve(owner, size_bytes))
        if reservation:
            self.keep(reservation, size_bytes)

    @rule(data=st.data(), change=st.integers(-SEGMENT, SEGMENT))
    def resize(self, data, change):
        reservations = [entry for entry in self.held if hasattr(entry[0], "grow")]
        if not reservations:
            return
        entry = data.draw(st.sampled_from(reservations))
        reservation, size_bytes, mark = entry
        if change >= 0:
            fits = change <= self.free_bytes
            assert reservation.try_grow(change) == fits
        else:
            fits = -change <= size_bytes
            if fits:
                reservation.shrink(-change)
            else:
                with pytest.raises(ValueError, match="does not hold"):
                    reservation.shrink(-change)
        if fits:
            self.held.remove(entry)
            self.held.append((reservation, size_bytes + change, mark))

    @rule(data=st.data(), by_manager=st.booleans())
    def release(self, data, by_manager):
        if not self.held:
            return
        leaving = data.draw(st.lists(st.sampled_from(self.held), max_size=5))
        if by_manager:
            self.manager.release([holding for holding, _, _ in leaving])
        else:
            for holding, _, _ in leaving:
                holding.release()
        self.held = [entry for entry in self.held if entry not in leaving]
        assert all(holding.released for holding, _, _ in leaving)

    @rule(owner=OWNERS)
    def release_all(self, owner):
        leaving = [entry for entry in self.held if entry[0].owner == owner]
        assert self.manager.release_all(owner) == sum(size_bytes for _, size_bytes, _ in leaving)
        self.held = [entry for entry in self.held if entry not in leaving]

    @invariant()
    def the_books_are_right(self):
        twin = Counter()
        for holding, size_bytes, _ in self.held:
            assert holding.size_bytes == size_bytes
            twin[holding.owner] += size_bytes
        assert self.manager.holders() == {owner: held for owner, held in twin.items() if held}
        assert self.manager.free_bytes == self.free_bytes
        assert self.manager.verify_empty() == (self.free_bytes == self.total)

    @invariant()
    def nobody_wrote_to_what_others_hold(self):
        for holding, _, mark in self.held:
            for view in self.views(holding):
                assert view[0] == view[-1] == mark
                assert view[len(view) // 2] == mark

    def teardown(self):
        if hasattr(self, "manager"):
            self.manager.release([holding for holding, _, _ in self.held])
            assert self.manager.verify_empty()
            self.manager.shutdown()


def test_any_sequence_of_calls_keeps_the_books():
    run_state_machine_as_test(ManagerTwin, settings=settings(max_examples=40, stateful_step_count=30, deadline=None))


# ------------------------------------------------------------------------- threads


def run_in_threads(count, work):
    """`work(thread_number)` in `count` threads that start together; the first error is raised here."""
    errors, barrier = [], threading.Barrier(count)

    def guarded(number):
        barrier.wait()
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_threads_never_get_more_than_there_is(manager):
    def work(number):
        chance = random.Random(number)
        owner, held = f"thread {number}", []
        for _ in range(150):
            try:
                held += manager.allocate_segments(owner, chance.randrange(3))
                held.append(manager.allocate_extent(owner, chance.randrange(1, 3 * SEGMENT)))
                held.append(manager.reserve(owner, chance.randrange(SEGMENT)))
            except MemoryBudgetError:
                assert sum(manager.holders().values()) <= TOTAL
            for segment in held:
                if isinstance(segment, MemorySegment):
                    segment.put_int64(0, number)
                    assert segment.get_int64(0) == number
            chance.shuffle(held)
            manager.release(held[len(held) // 2 :])
            del held[len(held) // 2 :]
        manager.release_all(owner)

    run_in_threads(4, work)


def test_threads_that_release_the_same_credit_it_once(manager):
    for _ in range(30):
        kept, shared = manager.allocate_segments("kept", 2), manager.allocate_segments("test", 8)
        mixed = list(shared)

        def work(number, shared=shared, mixed=mixed):
            if number == 0:
                manager.release(mixed)
            elif number == 1:
                for segment in reversed(shared):
                    segment.release()
            elif number == 2:
                manager.release_all("test")
            else:
                mixed.clear()  # the list changes under the one who releases it

        run_in_threads(4, work)
        manager.release(shared)
        assert manager.holders() == {"kept": 2 * SEGMENT}
        manager.release(kept)


def test_shutdown_among_threads_leaves_nothing_out():
    manager = MemoryManager(TOTAL, segment_bytes=SEGMENT)

    def work(number):
        if number == 0:
            manager.shutdown()
            return
        try:
            while True:
                for segment in manager.allocate_segments("test", 2):
                    segment.release()
        except MemoryShutdownError:
            return

    run_in_threads(4, work)
    assert manager.verify_empty()
