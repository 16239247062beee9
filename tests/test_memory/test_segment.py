"""Segments against slow twins of bytes and struct, on the heap, off it, and across."""

import ctypes
import mmap
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory.errors import SegmentReleasedError
from memory.segment import DEFAULT_SEGMENT_BYTES, MIN_SEGMENT_BYTES, MemorySegment, check_segment_bytes

SIZE = MIN_SEGMENT_BYTES
CODES = {
    "bool": "?",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}
ORDERS = {"little": "<", "big": ">"}
OFFSETS = st.integers(0, SIZE)


def on_heap(content=bytes(SIZE)):
    return MemorySegment(bytearray(content), owner="test")


def off_heap(content=bytes(SIZE)):
    mapping = mmap.mmap(-1, 3 * SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    mapping[SIZE : 2 * SIZE] = content
    return MemorySegment(memoryview(mapping)[SIZE : 2 * SIZE], owner="test")


@pytest.fixture(params=[on_heap, off_heap])
def make(request):
    return request.param


@pytest.fixture(params=[(on_heap, off_heap), (off_heap, on_heap), (on_heap, on_heap)])
def make_pair(request):
    return request.param


def content_of(segment):
    return segment.get_bytes(0, segment.size_bytes)


def one_byte(type_name):
    return struct.calcsize(CODES[type_name]) == 1


# --------------------------------------------------------------------- numbers


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("type_name", CODES)
@pytest.mark.parametrize("make_one", [on_heap, off_heap])
@given(offset=OFFSETS, raw=st.binary(min_size=8, max_size=8))
@settings(max_examples=12)
def test_numbers_are_those_of_struct(make_one, type_name, order, offset, raw):
    layout = struct.Struct(ORDERS[order] + CODES[type_name])
    offset = min(offset, SIZE - layout.size)
    (value,) = layout.unpack(raw[: layout.size])
    orders = () if one_byte(type_name) else (order,)
    segment, twin = make_one(), bytearray(SIZE)
    getattr(segment, f"put_{type_name}")(offset, value, *orders)
    layout.pack_into(twin, offset, value)
    assert content_of(segment) == twin
    got = getattr(segment, f"get_{type_name}")(offset, *orders)
    assert layout.pack(got) == layout.pack(value)


@pytest.mark.parametrize("type_name", CODES)
def test_numbers_stay_within_bounds(make, type_name):
    segment = make()
    width = struct.calcsize("=" + CODES[type_name])
    get, put = getattr(segment, f"get_{type_name}"), getattr(segment, f"put_{type_name}")
    put(SIZE - width, 1)
    assert get(SIZE - width) == 1
    before = content_of(segment)
    for offset in (-1, -width, -SIZE, SIZE - width + 1, SIZE, SIZE + 1, 1 << 40, -(1 << 70), 1 << 70):
        with pytest.raises(IndexError, match="do not lie within"):
            get(offset)
        with pytest.raises(IndexError, match="do not lie within"):
            put(offset, 1)
    assert content_of(segment) == before


def test_little_is_the_default_order(make):
    segment = make()
    segment.put_int32(0, 1)
    assert segment.get_bytes(0, 4) == b"\1\0\0\0"
    assert segment.get_int32(0, "big") == 1 << 24


def test_bool_is_one_or_zero(make):
    segment = make()
    segment.put_uint8(5, 200)
    assert segment.get_bool(5) is True
    segment.put_bool(5, True)
    assert segment.get_uint8(5) == 1


# ----------------------------------------------------------------------- bytes


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, SIZE + 1), (SIZE, 1), (SIZE + 1, 0), (0, -1), (5, -5)])
def test_ranges_stay_within_bounds(make, offset, length):
    segment, other = make(), on_heap()
    calls = [
        lambda: segment.view(offset, length),
        lambda: segment.get_bytes(offset, length),
        lambda: segment.copy_to(offset, other, 0, length),
        lambda: other.copy_to(0, segment, offset, length),
        lambda: segment.swap(offset, other, 0, length),
        lambda: other.swap(0, segment, offset, length),
        lambda: segment.compare(offset, length, other, 0, 1),
        lambda: other.compare(0, 1, segment, offset, length),
        lambda: segment.equals(offset, other, 0, length),
    ]
    for call in calls:
        with pytest.raises(IndexError):
            call()
    if length >= 0:
        with pytest.raises(IndexError):
            segment.put_bytes(offset, bytes(length))
    assert content_of(segment) == content_of(other) == bytes(SIZE)


def test_empty_ranges_are_fine_up_to_the_very_end(make):
    segment, other = make(), on_heap()
    for offset in (0, SIZE):
        assert segment.get_bytes(offset, 0) == b""
        assert len(segment.view(offset, 0)) == 0
        segment.put_bytes(offset, b"")
        segment.swap(offset, other, offset, 0)
        assert segment.compare(offset, 0, other, offset, 0) == 0
        assert segment.equals(offset, other, offset, 0)


def test_bytes_of_every_kind_can_be_put(make):
    segment = make()
    numbers = memoryview((ctypes.c_uint16 * 3)(1, 2, 3))
    for data in (
        b"abc",
        bytearray(b"defg"),
        memoryview(b"x1y2z3")[::2],
        memoryview(b"12345678").cast("I"),
        numbers,
    ):
        segment.put_bytes(7, data)
        assert segment.get_bytes(7, memoryview(data).nbytes) == memoryview(data).tobytes()


@given(st.binary(min_size=64, max_size=64), st.integers(0, 40), st.integers(0, 40), st.integers(0, 24))
def test_copies_within_a_segment_may_overlap(content, source, target, length):
    twin = bytearray(content + bytes(SIZE - 64))
    twin[target : target + length] = bytes(twin[source : source + length])
    copied, put = on_heap(content + bytes(SIZE - 64)), off_heap(content + bytes(SIZE - 64))
    copied.copy_to(source, copied, target, length)
    put.put_bytes(target, put.view(source, length))
    assert content_of(copied) == content_of(put) == twin


def test_copies_and_swaps_across_backings(make_pair):
    make_left, make_right = make_pair
    left, right = make_left(b"l" * SIZE), make_right(b"r" * SIZE)
    left.copy_to(10, right, 20, 5)
    assert content_of(right) == b"r" * 20 + b"l" * 5 + b"r" * (SIZE - 25)
    left.swap(0, right, 30, SIZE - 30)
    assert content_of(left) == b"r" * (SIZE - 30) + b"l" * 30
    assert content_of(right) == b"r" * 20 + b"l" * 5 + b"r" * 5 + b"l" * (SIZE - 30)


def test_a_swap_within_a_segment_must_not_overlap(make):
    segment = make(b"abcdefgh" + bytes(SIZE - 8))
    segment.swap(0, segment, 4, 4)
    assert segment.get_bytes(0, 8) == b"efghabcd"
    with pytest.raises(ValueError, match="overlap"):
        segment.swap(0, segment, 3, 4)
    assert segment.get_bytes(0, 8) == b"efghabcd"


@pytest.mark.parametrize("make_left", [on_heap, off_heap])
@given(st.binary(max_size=20), st.binary(max_size=20), st.integers(0, 50), st.integers(0, 50))
def test_compare_is_that_of_bytes(make_left, left_bytes, right_bytes, left_offset, right_offset):
    left, right = make_left(), off_heap()
    left.put_bytes(left_offset, left_bytes)
    right.put_bytes(right_offset, right_bytes)
    order = left.compare(left_offset, len(left_bytes), right, right_offset, len(right_bytes))
    assert order == (left_bytes > right_bytes) - (left_bytes < right_bytes)
    assert order == -right.compare(right_offset, len(right_bytes), left, left_offset, len(left_bytes))
    same = left.equals(left_offset, right, right_offset, len(left_bytes))
    assert same == (left_bytes == right.get_bytes(right_offset, len(left_bytes)))


def test_compare_is_unsigned_and_puts_the_prefix_first(make):
    segment = make(b"\x7f\x80\x7f\x80\x00" + bytes(SIZE - 5))
    assert segment.compare(0, 1, segment, 1, 1) == -1
    assert segment.compare(0, 2, segment, 2, 3) == -1
    assert segment.compare(2, 3, segment, 0, 2) == 1


def test_a_view_writes_through(make):
    segment = make()
    segment.view(100, 3)[:] = b"abc"
    assert segment.get_bytes(99, 5) == b"\0abc\0"
    assert len(segment.view()) == SIZE
    assert len(segment.view(SIZE - 1)) == 1


# ------------------------------------------------------------------------ life


@pytest.mark.parametrize("size", [0, 1, 64, 2048, 4095, 4097, 3 * 4096, -4096])
def test_undersized_and_odd_sizes_are_refused(size):
    with pytest.raises(ValueError, match="power of two"):
        check_segment_bytes(size)
    if size > 0:
        with pytest.raises(ValueError, match="power of two"):
            MemorySegment(bytearray(size), owner="test")


def test_sizes_and_owner():
    assert check_segment_bytes(MIN_SEGMENT_BYTES) == 4096
    assert check_segment_bytes(DEFAULT_SEGMENT_BYTES) == 32768
    segment = on_heap()
    assert (segment.size_bytes, segment.owner, segment.off_heap) == (SIZE, "test", False)
    assert off_heap().off_heap


def test_read_only_memory_is_refused():
    with pytest.raises(TypeError, match="writable"):
        MemorySegment(memoryview(bytes(SIZE)), owner="test")


def test_nothing_works_after_release(make):
    segment, other = make(), on_heap()
    segment.release()
    segment.release()
    assert segment.released
    assert segment.size_bytes == SIZE
    calls = [
        *(lambda name=name: getattr(segment, f"get_{name}")(0) for name in CODES),
        *(lambda name=name: getattr(segment, f"put_{name}")(0, 1) for name in CODES),
        lambda: segment.get_int64(-1),
        lambda: segment.get_int8(SIZE),
        lambda: segment.view(),
        lambda: segment.view(0, 0),
        lambda: segment.get_bytes(0, 0),
        lambda: segment.get_bytes(0, -1),
        lambda: segment.put_bytes(0, b""),
        lambda: segment.copy_to(0, other, 0, 1),
        lambda: other.copy_to(0, segment, 0, 1),
        lambda: segment.swap(0, other, 0, 1),
        lambda: other.swap(0, segment, 0, 1),
        lambda: segment.compare(0, 0, other, 0, 0),
        lambda: other.compare(0, 0, segment, 0, 0),
        lambda: segment.equals(0, other, 0, 0),
    ]
    for call in calls:
        with pytest.raises(SegmentReleasedError, match="'test'"):
            call()
    assert content_of(other) == bytes(SIZE)


def test_release_works_while_arrays_still_look(make):
    segment = make()
    array = (ctypes.c_char * SIZE).from_buffer(segment.view())
    segment.release()
    with pytest.raises(SegmentReleasedError):
        segment.get_int8(0)
    array[0] = b"x"  # its own business, and no crash


def test_release_goes_through_whoever_lent_it():
    returned = []
    segment = MemorySegment(bytearray(SIZE), owner="test", on_release=returned.append)
    segment.release()
    assert returned == [segment]
    assert not segment.released
    segment.retire()
    segment.release()
    assert returned == [segment]


def test_repr_shows_the_state(make):
    segment = make()
    assert "4 KiB" in repr(segment)
    segment.release()
    assert "released" in repr(segment)
