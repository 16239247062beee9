"""Extents: one window and many segments on the same bytes, living and dying together."""

import ctypes
import sys

import pytest

from memory.errors import SegmentReleasedError
from memory.extent import Extent
from memory.manager import MemoryManager
from memory.probe import resident_bytes
from memory.sizes import MIB

SEGMENT = 4096


@pytest.fixture(params=["off-heap", "heap"])
def manager(request):
    manager = MemoryManager(256 * MIB, segment_bytes=SEGMENT, mode=request.param)
    yield manager
    assert manager.verify_empty()
    manager.shutdown()


def test_view_and_segments_show_the_same_bytes(manager):
    with manager.allocate_extent("sort", 3 * SEGMENT) as extent:
        extent.view[SEGMENT : SEGMENT + 4] = b"\1\0\0\0"
        assert extent.segment(1).get_int32(0) == 1
        extent.segment(2).put_bytes(SEGMENT - 3, b"end")
        assert bytes(extent.view[-3:]) == b"end"
        assert [segment.size_bytes for segment in extent.segments()] == [SEGMENT] * 3
        assert {segment.owner for segment in extent.segments()} == {"sort"}


def test_sizes_are_rounded_up_to_whole_segments(manager):
    for size_bytes, count in ((1, 1), (SEGMENT, 1), (SEGMENT + 1, 2), (10 * SEGMENT, 10)):
        with manager.allocate_extent("sort", size_bytes) as extent:
            assert extent.size_bytes == len(extent.view) == count * SEGMENT
            assert extent.segment_count == count
            assert manager.used_bytes == count * SEGMENT


def test_a_segment_is_always_the_same_object(manager):
    with manager.allocate_extent("sort", 2 * SEGMENT) as extent:
        assert extent.segment(1) is extent.segments()[1]
        for index in (-1, 2):
            with pytest.raises(IndexError, match="extent of 2"):
                extent.segment(index)


def test_nothing_works_after_release(manager):
    extent = manager.allocate_extent("sort", 2 * SEGMENT)
    view, segment = extent.view, extent.segment(0)
    extent.release()
    extent.release()
    assert extent.released
    assert extent.size_bytes == 2 * SEGMENT
    for call in (
        lambda: extent.view,
        lambda: extent.segment(0),
        extent.segments,
        lambda: segment.get_int8(0),
    ):
        with pytest.raises(SegmentReleasedError):
            call()
    with pytest.raises(ValueError, match="released"):
        view[0]
    assert "released" in repr(extent)


def test_a_part_cannot_be_released_alone(manager):
    with manager.allocate_extent("sort", 2 * SEGMENT) as extent:
        segment = extent.segment(0)
        with pytest.raises(ValueError, match="release the extent"):
            segment.release()
        with pytest.raises(ValueError, match="not lent out by this manager"):
            manager.release(segment)
        assert manager.used_bytes == 2 * SEGMENT
    segment.release()  # gone with its extent: harmless


def test_the_end_of_with_releases_even_when_it_fails(manager):
    with pytest.raises(KeyError), manager.allocate_extent("sort", 1):
        raise KeyError
    assert manager.used_bytes == 0


def test_an_extent_without_a_manager():
    extent = Extent(memoryview(bytearray(2 * SEGMENT)), owner="test", segment_bytes=SEGMENT)
    extent.segment(1).put_int8(0, 5)
    assert extent.view[SEGMENT] == 5
    extent.release()
    assert extent.released


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is resident now")
def test_pages_go_back_even_while_arrays_look():
    with MemoryManager(64 * MIB) as manager:
        before = resident_bytes()
        extent = manager.allocate_extent("sort", 64 * MIB)
        array = (ctypes.c_char * extent.size_bytes).from_buffer(extent.view)
        for offset in range(0, extent.size_bytes, 4096):
            array[offset] = b"x"
        assert resident_bytes() > before + 56 * MIB
        extent.release()
        assert resident_bytes() < before + 8 * MIB
        assert manager.verify_empty()
        del array
