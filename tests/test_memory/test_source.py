"""Where memory comes from: nothing lent twice, and free pages bounded."""

import sys

import pytest

from memory.probe import resident_bytes
from memory.sizes import MIB
from memory.source import LazySource, PreallocatedSource

SEGMENT = 4096

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is resident now")


@pytest.fixture(params=["lazy", "preallocated"])
def source(request):
    source = LazySource(SEGMENT, "off-heap") if request.param == "lazy" else PreallocatedSource(8, SEGMENT, "off-heap")
    yield source
    source.close()


def fill(span, value):
    span.window()[:] = bytes([value]) * span.size_bytes


def test_spans_do_not_overlap(source):
    spans = [*source.take_segments(3), source.take_extent(2), source.take_extent(1), *source.take_segments(2)]
    for value, span in enumerate(spans):
        fill(span, value)
    for value, span in enumerate(spans):
        assert bytes(span.window()) == bytes([value]) * span.size_bytes
    for span in spans:
        source.give_back(span)


def test_no_segments_are_no_memory(source):
    assert source.take_segments(0) == []


def test_a_lazy_mapping_goes_with_its_last_span():
    source = LazySource(SEGMENT, "off-heap")
    first, second = source.take_segments(2)
    assert first.arena is second.arena
    source.give_back(first)
    assert not second.arena.closed
    source.give_back(second)
    assert second.arena.closed


def test_preallocated_memory_is_lent_again_warm():
    source = PreallocatedSource(4, SEGMENT, "off-heap")
    span = source.take_extent(4)
    fill(span, 9)
    source.give_back(span)
    source.keep_at_most(4 * SEGMENT)
    again = source.take_extent(4)
    assert (again.arena, again.offset) == (span.arena, span.offset)
    assert again.window()[0] == 9
    source.close()


def test_memory_stays_warm_however_often_it_is_lent():
    source = PreallocatedSource(4, SEGMENT, "off-heap")
    for turn in range(5):
        span = source.take_extent(4)
        assert span.window()[0] == turn
        fill(span, turn + 1)
        source.give_back(span)
        source.keep_at_most(4 * SEGMENT)
    source.close()


@linux_only
def test_lazy_pages_go_back_before_their_mapping():
    count = 64 * MIB // SEGMENT
    before = resident_bytes()
    source = LazySource(SEGMENT, "off-heap")
    spans = source.take_segments(count)
    for span in spans:
        fill(span, 1)
    for span in spans[1:]:
        source.give_back(span)
    assert resident_bytes() < before + 12 * MIB
    assert spans[0].window()[0] == 1
    source.give_back(spans[0])


def test_a_chopped_arena_still_yields_an_extent():
    source = PreallocatedSource(4, SEGMENT, "off-heap")
    spans = [source.take_extent(1) for _ in range(4)]
    source.give_back(spans[0])
    source.give_back(spans[2])
    extent = source.take_extent(2)
    assert extent.size_bytes == 2 * SEGMENT
    assert extent.arena is not spans[0].arena
    for span in (extent, spans[1], spans[3]):
        source.give_back(span)
    assert extent.arena.closed
    assert source.take_extent(4).arena is spans[0].arena
    source.close()


@linux_only
def test_free_pages_are_bounded():
    size = 64 * MIB
    before = resident_bytes()
    source = PreallocatedSource(size // SEGMENT, SEGMENT, "off-heap")
    span = source.take_extent(size // SEGMENT)
    fill(span, 1)
    source.give_back(span)
    source.keep_at_most(size)
    assert resident_bytes() > before + size - 8 * MIB, "kept warm while nobody needs the room"
    source.keep_at_most(size - 1)
    assert resident_bytes() < before + 8 * MIB
    source.close()
