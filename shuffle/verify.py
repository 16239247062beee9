"""Check that a file is in order, and that a sorted file holds the very records of its input.

    file ── blocking reads ──> window ── verify_records ──> CheckResult: records, bytes, fingerprint, order
                                 │
                                 └ keeps the last record for the next to meet; doubles for a longer one

A window is one anonymous mapping, never larger than the memory allowed. The kernel runs without the GIL, so
input and output are read by two threads at the full speed of each.
"""

import io
import mmap
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from memory.sizes import format_size
from serializers import SLACK_BYTES, RecordLayout
from shuffle.kernels import verify as kernel

Source = str | os.PathLike[str] | int
"""A path, an open file descriptor, or "-" for standard input."""

# 4 MiB: read calls cost nothing beside the copy, and the window still fits the second-level caches of two
# threads.
WINDOW_BYTES = 4 << 20

# What vectors read past the end, and a delimiter for a last line without one.
_RESERVED_BYTES = SLACK_BYTES + 1
_ONES = (1 << 64) - 1
FINGERPRINTS = 1 << 128
"""How many there are: sums of them are taken modulo this."""


class VerifyError(ValueError):
    """A file that cannot be checked at all; a file out of order is a result and no error."""


class RecordTooLargeError(VerifyError):
    """Two neighbouring records do not fit in the memory allowed."""


class PartialRecordError(VerifyError):
    """A file of fixed-length records whose size is no multiple of that length."""


@dataclass(frozen=True)
class CheckResult:
    """What one pass over a file found.

    Records, duplicates and disorders are counts; a duplicate has the key of the record before it.
    `first_disorder` is the number, counted from 1, of the first record that should stand before the one it
    follows. `size_bytes` counts a delimiter after a last line that has none.
    """

    records: int
    size_bytes: int
    fingerprint: int
    disorders: int
    first_disorder: int | None
    duplicates: int
    seconds: float

    @property
    def in_order(self) -> bool:
        """Whether every record stands where it should."""
        return self.first_disorder is None

    def describe(self) -> str:
        """One line, as `check` prints it."""
        order = "in order"
        if self.first_disorder is not None:
            order = f"{self.disorders} out of order, first record {self.first_disorder}"
        return (
            f"{self.records} records, {self.size_bytes} bytes, {order}, {self.duplicates} duplicates, "
            f"fingerprint {self.fingerprint:032x}"
        )


@dataclass(frozen=True)
class VerifyResult:
    """What was read, what was written, and in what they differ: one line of text each."""

    inputs: tuple[CheckResult, ...]
    output: CheckResult
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the output is the input, in order."""
        return not self.problems


class _Window:
    """Consecutive bytes of a stream, from the last record walked on, in memory with slack behind it."""

    def __init__(self, memory_bytes: int) -> None:
        self.name = ""
        self._memory_bytes = memory_bytes
        self.capacity = min(WINDOW_BYTES, memory_bytes - _RESERVED_BYTES)
        if self.capacity < SLACK_BYTES:
            raise RecordTooLargeError(f"{format_size(memory_bytes)} is too little to check anything in; raise --memory")
        self._map = _private_map(self.capacity + _RESERVED_BYTES)
        self.filled = 0

    def close(self) -> None:
        """Give the memory back."""
        self._map.close()

    @property
    def address(self) -> int:
        """Where the window begins. Good until it grows."""
        return int(np.frombuffer(self._map, np.uint8).ctypes.data)

    def fill(self, stream: io.RawIOBase) -> bool:
        """Read until the window is full: whether the stream ended before that."""
        with memoryview(self._map) as view:
            while self.filled < self.capacity:
                with view[self.filled : self.capacity] as room:
                    read_bytes = stream.readinto(room)
                if read_bytes is None:
                    raise BlockingIOError(f"{self.name}: is non-blocking, and has nothing to read yet")
                if not read_bytes:
                    return True
                self.filled += read_bytes
        return False

    def leading_key(self, layout: RecordLayout, length: int, limit: int) -> bytes:
        """At most `limit` bytes of the key of the record that the window begins with, `length` bytes."""
        with memoryview(self._map) as view, view[:length] as record:
            return layout.leading_key(record, limit)

    def end_line(self, delimiter: int, position: int) -> None:
        """Put a delimiter after the last byte, if there is one from `position` on and it is not one."""
        if self.filled > position and self._map[self.filled - 1] != delimiter:
            self._map[self.filled] = delimiter
            self.filled += 1

    def drop(self, offset: int) -> None:
        """Forget the bytes before `offset`."""
        self.filled -= offset
        if offset:
            self._map.move(0, offset, self.filled)

    def grow(self, record: int) -> None:
        """Twice the room, at most what the memory allows, for record number `record` and the one before."""
        capacity = min(2 * self.capacity, self._memory_bytes - _RESERVED_BYTES)
        if capacity <= self.capacity:
            raise RecordTooLargeError(
                f"{self.name}: record {record} and the one before it do not fit in "
                f"{format_size(self._memory_bytes)} together; raise --memory"
            )
        self._map = _resized(self._map, capacity + _RESERVED_BYTES, self.filled)
        self.capacity = capacity


class Checker:
    """Reads one source after another, as if they were one: the first record of each must follow the last one before.

    `reverse` wants keys descending, `unique` takes an equal neighbour for a disorder. Holds at most `memory_bytes`.
    """

    def __init__(self, layout: RecordLayout, *, reverse: bool = False, unique: bool = False, memory_bytes: int) -> None:
        self._layout = layout
        self._shape = layout_words(layout, reverse=reverse, unique=unique)
        self._state = np.zeros(kernel.STATE_WORDS, np.uint64)
        self._window = _Window(memory_bytes)
        self._position = 0  # in the window, of the first record not walked yet; the one before it, if any, begins there

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._window.close()

    def restart(self) -> None:
        """Whatever is read next need not follow what was read before."""
        self._window.drop(self._window.filled)
        self._position = 0

    def last_key(self, limit: int) -> bytes | None:
        """At most `limit` bytes of the key of the last record that was read; None if there is none."""
        return self._window.leading_key(self._layout, self._position, limit) if self._position else None

    def check(self, source: Source) -> CheckResult:
        """Read `source` once. Raises RecordTooLargeError, PartialRecordError, and OSError as the system gives it."""
        started = time.perf_counter()
        before = self._state.copy()
        self._state[kernel.DISORDERS] = 0  # with it, the first of them is forgotten
        self._window.name = "standard input" if source in ("-", 0) else str(source)
        with _open(source) as stream:
            self._walk(stream, int(before[kernel.RECORDS]))
        if self._window.filled > self._position:
            size_bytes = int(self._state[kernel.BYTES] - before[kernel.BYTES]) + self._window.filled - self._position
            raise _partial_record(self._window.name, self._layout, size_bytes)
        return _result(before, self._state, time.perf_counter() - started)

    def _walk(self, stream: io.RawIOBase, records_before: int) -> None:
        window, at_end = self._window, False
        while not at_end:
            at_end = window.fill(stream)
            if at_end and self._layout.is_lines:
                window.end_line(self._layout.delimiter, self._position)
            base = window.address
            previous, following = kernel.verify_records(
                base, base + self._position, base + window.filled, self._shape, self._state
            )
            self._position = following - previous
            window.drop(previous - base)
            if not at_end and window.filled == window.capacity:
                window.grow(int(self._state[kernel.RECORDS]) - records_before + 1)


def check_file(
    source: Source, layout: RecordLayout, *, reverse: bool = False, unique: bool = False, memory_bytes: int
) -> CheckResult:
    """Read `source` once: its records, their fingerprint, and whether their keys ascend. See `Checker`."""
    with Checker(layout, reverse=reverse, unique=unique, memory_bytes=memory_bytes) as checker:
        return checker.check(source)


def verify_files(
    inputs: Sequence[Source],
    output: Source,
    layout: RecordLayout,
    *,
    reverse: bool = False,
    unique: bool = False,
    memory_bytes: int,
) -> VerifyResult:
    """Compare the records of `inputs` together with those of `output`, which must be in order.

    With `unique` the output may hold fewer records, so only its order is certain. Inputs and output are read
    by a thread each, with half of `memory_bytes`. Raises what `check_file` raises.
    """
    half = memory_bytes // 2

    def read_inputs() -> tuple[CheckResult, ...]:
        return tuple(check_file(source, layout, memory_bytes=half) for source in inputs)

    with ThreadPoolExecutor(1, thread_name_prefix="spillway-verify") as thread:
        reading = thread.submit(read_inputs)
        checked = check_file(output, layout, reverse=reverse, unique=unique, memory_bytes=half)
        read = reading.result()
    return VerifyResult(read, checked, tuple(_problems(read, checked, unique=unique)))


def _problems(inputs: Sequence[CheckResult], output: CheckResult, *, unique: bool) -> Iterator[str]:
    if not output.in_order:
        yield f"order: {output.disorders} records out of order, the first is record {output.first_disorder}"
    records = sum(result.records for result in inputs)
    size_bytes = sum(result.size_bytes for result in inputs)
    fingerprint = sum(result.fingerprint for result in inputs) % FINGERPRINTS
    if unique:
        if output.records > records:
            yield f"records: {records} in the input, more in the output: {output.records}"
        return
    if output.records != records:
        yield f"records: {records} in the input, {output.records} in the output"
    if output.size_bytes != size_bytes:
        yield f"bytes: {size_bytes} in the input, {output.size_bytes} in the output"
    if output.fingerprint != fingerprint:
        yield f"fingerprint: {fingerprint:032x} of the input, {output.fingerprint:032x} of the output"


def layout_words(layout: RecordLayout, *, reverse: bool, unique: bool) -> NDArray[np.uint64]:
    """What the kernel must know of records and their order."""
    words = np.zeros(kernel.LAYOUT_WORDS, np.uint64)
    words[kernel.RECORD_BYTES] = layout.record_bytes
    words[kernel.KEY_OFFSET] = layout.key_offset
    words[kernel.KEY_BYTES] = layout.key_bytes
    words[kernel.DELIMITER] = layout.delimiter
    words[kernel.INVERTED] = _ONES if reverse else 0
    words[kernel.UNIQUE] = unique
    return words


def _result(before: NDArray[np.uint64], after: NDArray[np.uint64], seconds: float) -> CheckResult:
    """What was found since `before`; disorders were counted from 0."""
    old, new = ([int(value) for value in state] for state in (before, after))
    sums = [state[kernel.SUM_HIGH] << 64 | state[kernel.SUM_LOW] for state in (old, new)]
    disorders = new[kernel.DISORDERS]
    return CheckResult(
        records=new[kernel.RECORDS] - old[kernel.RECORDS],
        size_bytes=new[kernel.BYTES] - old[kernel.BYTES],
        fingerprint=(sums[1] - sums[0]) % FINGERPRINTS,
        disorders=disorders,
        first_disorder=new[kernel.FIRST_DISORDER] - old[kernel.RECORDS] + 1 if disorders else None,
        duplicates=new[kernel.DUPLICATES] - old[kernel.DUPLICATES],
        seconds=seconds,
    )


def _partial_record(name: str, layout: RecordLayout, size_bytes: int) -> PartialRecordError:
    return PartialRecordError(
        f"{name}: {size_bytes} bytes are no whole number of {layout.record_bytes}-byte records "
        f"({size_bytes % layout.record_bytes} left over); is --record-bytes right, or the file cut short?"
    )


def _open(source: Source) -> io.FileIO:
    if isinstance(source, int) or source == "-":
        return io.FileIO(0 if source == "-" else source, closefd=False)
    return io.FileIO(Path(source))


def _private_map(size_bytes: int) -> mmap.mmap:
    return mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _resized(old: mmap.mmap, size_bytes: int, kept_bytes: int) -> mmap.mmap:
    """A mapping of `size_bytes` that begins with the first `kept_bytes` of `old`, which is gone
    afterwards."""
    try:
        old.resize(size_bytes)  # pages move, bytes do not; only Linux can
    except SystemError:
        new = _private_map(size_bytes)
        with memoryview(old) as view:
            new[:kept_bytes] = view[:kept_bytes]
        old.close()
        return new
    return old
