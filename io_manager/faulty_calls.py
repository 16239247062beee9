"""System calls that go wrong: each takes a call and returns one that does something else in its place. See `faults`."""

from __future__ import annotations

import errno
import mmap
import os
import time
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

Call = Callable[..., Any]

_READS_INTO = {"preadv", "readv"}
_ZEROED_BYTES = 4096
_SWAPPED_BYTES = 512


class Action(Protocol):
    """What this module needs of a fault."""

    @property
    def action(self) -> str:
        """What is done."""

    @property
    def seconds(self) -> float:
        """How late a delayed call is."""


def change(fault: Action, operation: str, call: Call, source: Random) -> Call:
    """`call`, with the fault done to it."""
    if fault.action == "delay":
        return _late(call, fault.seconds)
    if fault.action == "short":
        return _short(operation, call, source)
    if fault.action == "end":
        return lambda *args: b"" if operation == "pread" else 0
    if fault.action in _SPOIL:
        return _spoilt(_SPOIL[fault.action], operation, call, source)
    return _failing("ENOSPC" if fault.action == "full" else fault.action, operation, call)


def bytes_wanted(operation: str, args: tuple[Any, ...]) -> int:
    """Bytes of disk that a call asks for."""
    if operation == "fallocate":
        return int(args[1])
    data = args[1]
    return sum(map(len, data)) if operation == "pwritev" else len(data)


def _failing(name: str, operation: str, call: Call) -> Call:
    code = getattr(errno, name)

    def fail(*args: Any) -> Any:
        if operation == "close":
            call(*args)  # whatever it says, the descriptor is gone
        names = [os.fspath(each) for each in args[:1] if isinstance(each, str | os.PathLike)]
        raise OSError(code, os.strerror(code), *names)

    return fail


def _late(call: Call, seconds: float) -> Call:
    def wait(*args: Any) -> Any:
        time.sleep(seconds)
        return call(*args)

    return wait


def _short(operation: str, call: Call, source: Random) -> Call:
    def less(length: int) -> int:
        wanted = source.randrange(1, length) if length > 1 else length
        # As often as not in whole pages: else a descriptor that goes past the page cache refuses, and is never short.
        return wanted & -4096 if wanted >= 4096 and source.random() < 0.5 else wanted

    def move_less(fd: int, data: Any, *rest: Any) -> Any:
        if operation == "pread":
            return call(fd, less(data), *rest)
        if operation == "write":
            return call(fd, data[: less(len(data))], *rest)
        return call(fd, [data[0][: less(len(data[0]))]], *rest)

    return move_less


# --- bytes that are not what they were


def _spoilt(spoil: Callable[[memoryview, Random], None], operation: str, call: Call, source: Random) -> Call:
    def read(fd: int, views: list[memoryview], *rest: Any) -> int:
        count = int(call(fd, views, *rest))
        spoil(views[0][:count], source)
        return count

    def read_bytes(fd: int, length: int, offset: int) -> bytes:
        data = bytearray(call(fd, length, offset))
        spoil(memoryview(data), source)
        return bytes(data)

    def write(fd: int, data: Any, *rest: Any) -> int:
        view = _copy(data[0] if operation == "pwritev" else data)
        spoil(view, source)
        return int(call(fd, [view] if operation == "pwritev" else view, *rest))

    if operation in _READS_INTO:
        return read
    return read_bytes if operation == "pread" else write


def _copy(data: Any) -> memoryview:
    """The same bytes where a descriptor that goes past the page cache takes them: the caller's stay what they are."""
    view = memoryview(mmap.mmap(-1, max(1, len(data))))[: len(data)]
    view[:] = data
    return view


def _flip(view: memoryview, source: Random) -> None:
    if len(view):
        view[source.randrange(len(view))] ^= 1 << source.randrange(8)


def _zero(view: memoryview, source: Random) -> None:
    """A page; if it was zeros, one bit is flipped, so that something is other than it was."""
    start = source.randrange(len(view)) // _ZEROED_BYTES * _ZEROED_BYTES if len(view) else 0
    page = view[start : start + _ZEROED_BYTES]
    if not any(page):
        return _flip(page, source)
    page[:] = bytes(len(page))
    return None


def _swap(view: memoryview, source: Random) -> None:
    blocks = len(view) // _SWAPPED_BYTES
    pairs = [source.sample(range(blocks), 2) for _ in range(16)] if blocks > 1 else []
    for one, other in pairs:
        left = view[one * _SWAPPED_BYTES : (one + 1) * _SWAPPED_BYTES]
        right = view[other * _SWAPPED_BYTES : (other + 1) * _SWAPPED_BYTES]
        if left != right:
            left[:], right[:] = bytes(right), bytes(left)
            return
    _flip(view, source)  # all alike


_SPOIL = {"flip": _flip, "zero": _zero, "swap": _swap}
