"""What every serializer must do, one check an invariant. `conformance` runs them all."""

import json
import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any

import pytest

from memory import MIN_SEGMENT_BYTES, MemorySegment
from serializers.errors import (
    CorruptRecordError,
    IncompatibleTypeError,
    NullFieldError,
    SerializationError,
    ValueMismatchError,
)
from serializers.segment_views import SegmentInput, SegmentOutput
from serializers.types.type_information import TypeInformation
from serializers.types.type_serializer import TypeSerializer
from serializers.views import BytesInput, BytesOutput, InputView
from tests.test_serializers.same_value import same

NOISE = bytes(range(256)) * (MIN_SEGMENT_BYTES // 256)
POSITIONS_MAX = 150
THREADS = 4


@dataclass(frozen=True)
class Case:
    """A type, values of it, and what else must be known to check them.

    `wrong` are values of other types. `python_key` turns a value into one that Python orders as the type does; None
    if Python cannot. `same` says whether a value came back as it was.
    """

    type_info: TypeInformation[Any]
    values: list[Any]
    wrong: tuple[Any, ...] = field(default_factory=lambda: (object(),))
    python_key: Callable[[Any], Any] | None = lambda value: value
    same: Callable[[Any, Any], bool] = same

    def encoded(self) -> Iterator[tuple[Any, bytes]]:
        """Each value with its bytes."""
        serializer = self.type_info.create_serializer()
        return ((value, serializer.to_bytes(value)) for value in self.values)

    def check_same(self, found: Any, value: Any) -> None:
        """Fail unless `found` is `value` as it was."""
        assert self.same(found, value), f"{self.type_info}: {found!r:.300} came back for {value!r:.300}"


def spread(count: int, wanted: int = POSITIONS_MAX) -> list[int]:
    """Numbers below `count`: all if they are few, else those near both ends and some between."""
    if count <= wanted:
        return list(range(count))
    near = wanted // 3
    return sorted({*range(near), *range(count - near, count), *range(near, count - near, count // near)})


# --- the type itself


def check_information(case: Case) -> None:
    """Its name, its parts, its equal clone."""
    info = case.type_info
    clone = pickle.loads(pickle.dumps(info))
    assert clone == info and hash(clone) == hash(info), f"{info} is not equal to its clone"
    assert str(info) == info.name == clone.name and info.name
    assert isinstance(info.python_type, type)
    assert all(value is None or isinstance(value, info.python_type) for value in case.values), info.python_type
    assert info.arity >= 1 and info.total_fields >= info.arity and len(info.fields) in (0, info.arity)


def check_snapshot(case: Case) -> None:
    """It is JSON, reads its own, and refuses another version or type."""
    info = case.type_info
    snapshot = json.loads(json.dumps(info.snapshot()))
    assert snapshot == info.snapshot(), "JSON changes it"
    info.check_can_read(snapshot)
    for changed in ({"version": snapshot["version"] + 1}, {"type": snapshot["type"] + "?"}):
        with pytest.raises(IncompatibleTypeError):
            info.check_can_read({**snapshot, **changed})


# --- one value


def check_values(case: Case) -> None:
    """Each value comes back from its bytes, which are as many as declared, and no more are read."""
    serializer = case.type_info.create_serializer()
    for value, data in case.encoded():
        assert serializer.length in (None, len(data)), f"{value!r:.200} takes {len(data)} bytes"
        assert serializer.to_bytes(value) == data, f"{value!r:.200} has other bytes the second time"
        for source in (data, bytearray(data), memoryview(data)):
            case.check_same(serializer.from_bytes(source), value)
        with pytest.raises(CorruptRecordError):
            serializer.from_bytes(data + b"\0")
        _check_passes(serializer, lambda data=data: BytesInput(b"front" + data + NOISE, 5), data)  # type: ignore[misc]


def _check_passes(serializer: TypeSerializer[Any], source_at_value: Callable[[], InputView], data: bytes) -> None:
    """`skip`, `copy` and `deserialize` leave off right behind the value; `copy` copies it."""
    for move in (serializer.skip, serializer.deserialize):
        source = source_at_value()
        start = source.position
        move(source)
        assert source.position - start == len(data), f"{move} ends {source.position - start} of {len(data)} bytes on"
    source, out = source_at_value(), BytesOutput(bytearray(b"before"))
    start = source.position
    serializer.copy(source, out)
    assert out.data == b"before" + data and source.position - start == len(data)


def check_truncation(case: Case) -> None:
    """Bytes that end too soon are corrupt at every length, whatever stands behind them."""
    serializer = case.type_info.create_serializer()
    for _, data in case.encoded():
        for end in spread(len(data)):
            for move in (serializer.deserialize, serializer.skip, serializer.from_bytes):
                with pytest.raises(CorruptRecordError):
                    move(data[:end] if move == serializer.from_bytes else BytesInput(data + NOISE, 0, end))


def check_damage(case: Case) -> None:
    """A changed byte makes another value, or an error of ours."""
    serializer = case.type_info.create_serializer()
    for _, data in case.encoded():
        for position in spread(len(data), 60):
            for byte in {0x00, 0x01, 0x02, 0x7F, 0x80, 0xFE, 0xFF, data[position] ^ 1}:
                check_garbage(serializer, data[:position] + bytes((byte,)) + data[position + 1 :])


def check_garbage(serializer: TypeSerializer[Any], data: bytes) -> None:
    """Any bytes make a value, which can be written again, or an error of ours."""
    source = BytesInput(data)
    try:
        value = serializer.deserialize(source)
    except CorruptRecordError:
        return
    except SerializationError as error:
        raise AssertionError(f"{data!r:.200} should be corrupt, not {error!r}") from error
    assert same(serializer.from_bytes(serializer.to_bytes(value)), value)
    skipping = BytesInput(data)
    serializer.skip(skipping)
    assert skipping.position == source.position


def check_refusals(case: Case) -> None:
    """What is not of the type is refused; None as such."""
    serializer = case.type_info.create_serializer()
    for wrong in case.wrong:
        with pytest.raises(ValueMismatchError):
            serializer.to_bytes(wrong)
    if case.type_info.allows_null:
        case.check_same(serializer.from_bytes(serializer.to_bytes(None)), None)
    else:
        with pytest.raises(NullFieldError):
            serializer.to_bytes(None)


# --- many values


def check_sequence(case: Case) -> None:
    """Values stand one behind another with nothing between them, and can be copied, skipped and read so."""
    serializer = case.type_info.create_serializer()
    out = BytesOutput()
    for value in case.values:
        serializer.serialize(value, out)
    assert bytes(out.data) == b"".join(data for _, data in case.encoded())
    copied, source, skipping = BytesOutput(), BytesInput(out.data), BytesInput(out.data)
    for _ in case.values:
        serializer.copy(source, copied)
        serializer.skip(skipping)
        assert skipping.position == source.position
    assert copied.data == out.data and source.remaining == skipping.remaining == 0
    source = BytesInput(copied.data)
    for value in case.values:
        case.check_same(serializer.deserialize(source), value)
    assert source.remaining == 0


# --- segments


def noisy_segment() -> MemorySegment:
    """A segment of the smallest size, full of noise."""
    return MemorySegment(bytearray(NOISE), owner="test")


def starts(length: int) -> list[int]:
    """Where to start `length` bytes so that the boundary of two segments falls before, on and behind each of them."""
    return [MIN_SEGMENT_BYTES - before for before in (-1, *spread(length + 2, 60)) if before <= MIN_SEGMENT_BYTES]


def check_segments(case: Case) -> None:
    """The same bytes and values, wherever the boundaries of the segments lie."""
    for value, data in case.encoded():
        for start in starts(len(data)):
            _check_in_segments(case, value, data, start)


def _check_in_segments(case: Case, value: Any, data: bytes, start: int) -> None:
    serializer = case.type_info.create_serializer()
    output = SegmentOutput(noisy_segment)
    output.write(bytes(start))
    serializer.serialize(value, output)
    assert output.position == start + len(data)
    source = SegmentInput(output.segments, output.position)
    source.seek(start)
    assert source.fork().read(len(data)) == data, f"other bytes at {start}"
    case.check_same(serializer.deserialize(source), value)
    assert source.remaining == 0
    _check_passes(serializer, lambda: SegmentInput(output.segments, output.position, start), data)
    copied = SegmentOutput(noisy_segment)
    copied.write(NOISE[1:])
    serializer.copy(SegmentInput(output.segments, output.position, start), copied)
    assert SegmentInput(copied.segments, copied.position, len(NOISE) - 1).read(len(data)) == data
    if data:
        with pytest.raises(CorruptRecordError):
            serializer.deserialize(SegmentInput(output.segments, output.position - 1, start))


# --- clones and threads


def check_clone(case: Case) -> None:
    """A pickled serializer, and one of a pickled type, writes the same bytes."""
    clones = (
        pickle.loads(pickle.dumps(case.type_info.create_serializer())),
        pickle.loads(pickle.dumps(case.type_info)).create_serializer(),
    )
    for value, data in case.encoded():
        for clone in clones:
            assert clone.to_bytes(value) == data
            case.check_same(clone.from_bytes(data), value)


@contextmanager
def restless_threads() -> Iterator[None]:
    """Threads take turns after a microsecond."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def check_threads(case: Case) -> None:
    """Threads that share a serializer do not disturb each other."""
    serializer = case.type_info.create_serializer()
    expected = list(case.encoded())
    together = Barrier(THREADS)

    def work(turn: int) -> None:
        together.wait()
        for value, data in (expected[turn:] + expected[:turn]) * 3:
            assert serializer.to_bytes(value) == data
            case.check_same(serializer.from_bytes(data), value)

    with restless_threads(), ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(THREADS)))


EVERY_VALUE = (check_values, check_sequence, check_truncation, check_refusals)
"""Checks that are quick enough for many examples."""

ONCE = (check_information, check_snapshot, check_segments, check_clone, check_threads)
"""Checks that are run for one good list of values."""
