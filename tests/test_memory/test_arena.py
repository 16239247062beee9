"""Arenas: what is asked for, and that it really goes back to the operating system."""

import ctypes
import mmap
import sys

import pytest

from memory.arena import Arena
from memory.errors import SegmentReleasedError
from memory.probe import resident_bytes
from memory.sizes import MIB

SIZE = 64 * MIB
SLACK = 8 * MIB  # what else may come and go meanwhile, and the kernel's own imprecision

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is resident now")


def touch(view):
    for offset in range(0, len(view), 4096):
        view[offset] = 1


@pytest.mark.parametrize("mode", ["heap", "off-heap"])
def test_fresh_memory_is_zero_and_writable(mode):
    arena = Arena(3 * 4096, mode)
    view = arena.window(0, arena.size_bytes)
    assert bytes(view) == bytes(3 * 4096)
    view[-1] = 7
    assert arena.window(2 * 4096, 4096)[-1] == 7
    arena.close()


@pytest.mark.parametrize("mode", ["heap", "off-heap"])
def test_close_is_final_and_may_be_repeated(mode):
    arena = Arena(4096, mode)
    arena.close()
    arena.close()
    assert arena.closed
    with pytest.raises(SegmentReleasedError):
        arena.window(0, 1)


def test_off_heap_starts_on_a_page():
    arena = Arena(4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(arena.window(0, 1)))
    assert address % 4096 == 0
    arena.close()


@linux_only
@pytest.mark.parametrize("mode", ["heap", "off-heap"])
def test_pages_go_back_on_close(mode):
    before = resident_bytes()
    arena = Arena(SIZE, mode)
    if mode == "off-heap":
        assert resident_bytes() < before + SLACK, "a page costs nothing until it is touched"
    touch(arena.window(0, SIZE))
    assert resident_bytes() > before + SIZE - SLACK
    arena.close()
    assert resident_bytes() < before + SLACK


@linux_only
def test_pages_go_back_on_close_even_under_an_array():
    before = resident_bytes()
    arena = Arena(SIZE)
    array = (ctypes.c_char * SIZE).from_buffer(arena.window(0, SIZE))
    touch(arena.window(0, SIZE))
    arena.close()
    assert resident_bytes() < before + SLACK
    assert array[0] == b"\0"  # still mapped: no crash, and nothing of the past
    del array


@linux_only
def test_discard_gives_back_a_part_and_leaves_the_rest():
    before = resident_bytes()
    arena = Arena(SIZE)
    touch(arena.window(0, SIZE))
    arena.discard(0, SIZE // 2)
    assert resident_bytes() < before + SIZE // 2 + SLACK
    assert arena.window(0, SIZE)[0] == 0
    assert arena.window(0, SIZE)[SIZE // 2] == 1
    arena.close()


def test_discard_never_touches_pages_it_holds_only_partly():
    page = mmap.PAGESIZE
    arena = Arena(3 * page)
    arena.window(0, 3 * page)[:] = b"x" * (3 * page)
    arena.discard(1, page)
    arena.discard(page + 1, 2 * page - 2)
    assert bytes(arena.window(0, 3 * page)) == b"x" * (3 * page)
    if sys.platform == "linux":
        arena.discard(1, 3 * page - 2)
        assert bytes(arena.window(0, 3 * page)) == b"x" * page + bytes(page) + b"x" * page
    arena.close()


def test_a_refusal_of_the_system_is_a_memory_error_with_a_cure():
    with pytest.raises(MemoryError, match="Lower the memory budget"):
        Arena(1 << 62)
