"""The loan of one buffer: used while it lasts, dead after."""

import ctypes

import pytest

from memory.buffer import Buffer
from memory.errors import SegmentReleasedError


def lend(size_bytes=4096):
    memory = bytearray(size_bytes)
    returned = []
    return (
        Buffer(memoryview(memory), on_release=lambda buffer: returned.append(buffer.retire())),
        memory,
        returned,
    )


def test_the_view_writes_through():
    buffer, memory, _ = lend()
    buffer.view[:3] = b"abc"
    assert memory[:3] == b"abc"
    assert buffer.size_bytes == len(buffer.view) == 4096


def test_it_comes_home_once_and_its_views_die():
    buffer, _, returned = lend()
    view = buffer.view
    buffer.release()
    buffer.release()
    assert len(returned) == 1
    assert len(returned[0]) == 4096
    with pytest.raises(SegmentReleasedError):
        buffer.view  # noqa: B018
    with pytest.raises(ValueError, match="released"):
        view[0]


def test_it_comes_home_even_while_an_array_looks():
    buffer, _, returned = lend()
    array = (ctypes.c_char * 4096).from_buffer(buffer.view)
    buffer.release()
    assert buffer.released
    assert len(returned) == 1
    del array


def test_the_end_of_with_releases_even_when_it_fails():
    buffer, _, returned = lend()
    with pytest.raises(KeyError), buffer:
        raise KeyError
    assert len(returned) == 1
