"""The views over segments: what is written comes back, wherever the boundaries lie."""

from collections.abc import Callable
from struct import Struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory import MIN_SEGMENT_BYTES, MemoryBudgetError, MemoryManager, MemorySegment
from serializers.errors import CorruptRecordError
from serializers.segment_views import SegmentInput, SegmentOutput
from serializers.views import BytesInput, BytesOutput
from tests.test_serializers.conformance import noisy_segment

SIZE = MIN_SEGMENT_BYTES
TWO_NUMBERS = Struct("<Iq")


class RefusedError(Exception):
    """What a supplier without segments says."""


def supplier(count: int) -> Callable[[], MemorySegment]:
    """Hands out `count` segments, then refuses."""
    segments = [noisy_segment() for _ in range(count)]

    def next_segment() -> MemorySegment:
        if not segments:
            raise RefusedError
        return segments.pop()

    return next_segment


def bytes_of(output: SegmentOutput) -> bytes:
    return SegmentInput(output.segments, output.position).read(output.position)


calls = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 3 * SIZE).map(lambda n: (b"0123456789abc" * SIZE)[:n])),
        st.tuples(st.just("write_byte"), st.integers(0, 255)),
        st.tuples(st.just("write_varint"), st.integers(0, 2**64 - 1)),
        st.tuples(st.just("write_sized"), st.binary(max_size=300)),
        st.tuples(st.just("write_packed"), st.tuples(st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1))),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(calls, st.integers(0, SIZE + 1))
def test_segments_hold_what_contiguous_memory_does(made: list[tuple[str, object]], front: int) -> None:
    output, plain = SegmentOutput(noisy_segment), BytesOutput()
    for view in (output, plain):
        view.write(bytes(front))
        for name, value in made:
            if name == "write_packed":
                view.write_packed(TWO_NUMBERS, *value)  # type: ignore[misc]
            else:
                getattr(view, name)(value)
    assert output.position == plain.position and bytes_of(output) == plain.data
    for source in (SegmentInput(output.segments, output.position, front), BytesInput(plain.data, front)):
        for name, value in made:
            read = name.replace("write", "read")
            if name == "write":
                assert source.fork().read(len(value)) == value  # type: ignore[arg-type]
                source.skip(len(value))  # type: ignore[arg-type]
            elif name == "write_packed":
                assert source.read_packed(TWO_NUMBERS) == value
            else:
                assert getattr(source, read)() == value
        assert source.remaining == 0
        with pytest.raises(CorruptRecordError):
            source.read_byte()


@pytest.mark.parametrize("before", range(TWO_NUMBERS.size + 2))
def test_numbers_lie_across_a_boundary(before: int) -> None:
    output = SegmentOutput(noisy_segment)
    output.write(bytes(SIZE - before))
    output.write_packed(TWO_NUMBERS, 1, -2)
    output.write_byte(7)
    source = SegmentInput(output.segments, output.position, SIZE - before)
    assert source.read_packed(TWO_NUMBERS) == (1, -2) and source.read_byte() == 7 and source.remaining == 0


def test_seek_goes_anywhere() -> None:
    output = SegmentOutput(noisy_segment)
    data = bytes(place % 251 for place in range(3 * SIZE))
    output.write(data)
    source = SegmentInput(output.segments, len(data))
    for position in (0, SIZE, SIZE - 1, SIZE + 1, 2 * SIZE - 1, 3 * SIZE - 2, 5, 3 * SIZE):
        source.seek(position)
        assert source.position == position and source.remaining == len(data) - position
        assert source.read(min(2, source.remaining)) == data[position : position + 2]
    for position in (-1, 3 * SIZE + 1):
        with pytest.raises(IndexError, match="is not within"):
            source.seek(position)
        with pytest.raises(IndexError):
            SegmentInput(output.segments, len(data), position)


def test_forks_move_on_their_own() -> None:
    output = SegmentOutput(noisy_segment)
    output.write(b"abc" * SIZE)
    source = SegmentInput(output.segments, output.position, 1)
    ahead = source.fork()
    ahead.skip(SIZE)
    assert (source.position, ahead.position) == (1, SIZE + 1) and source.read(2) == b"bc"


@pytest.mark.parametrize("length", [0, 1, SIZE - 1, SIZE, SIZE + 1, 2 * SIZE])
def test_nothing_behind_the_end_is_read(length: int) -> None:
    segments = [noisy_segment(), noisy_segment()]
    for start in {0, length // 2, length}:
        source = SegmentInput(segments, length, start)
        for attempt in (source.read, source.skip):
            with pytest.raises(CorruptRecordError, match=f"{length - start} are left"):
                attempt(length - start + 1)
        with pytest.raises(CorruptRecordError):
            source.read(1 << 62)
        assert source.position == start, "a refused read has moved on"
        source.skip(length - start)
        for more in (source.read_byte, lambda: source.read_packed(TWO_NUMBERS), source.read_varint):  # noqa: B023
            with pytest.raises(CorruptRecordError):
                more()
        assert source.read(0) == b""


def test_nothing_needs_no_segment() -> None:
    output = SegmentOutput(supplier(0))
    output.write(b"")
    assert output.position == 0 and output.segments == []
    output.truncate(0)
    assert SegmentInput([], 0).remaining == 0 and SegmentInput([], 0).read(0) == b""
    with pytest.raises(CorruptRecordError):
        SegmentInput([], 0).read_byte()


# --- refusal


def test_a_refusal_is_passed_on_and_leaves_nothing_behind() -> None:
    output = SegmentOutput(supplier(2))
    output.write(bytes(SIZE - 3))
    output.write(b"kept")
    position = output.position
    for attempt in (
        lambda: output.write(bytes(SIZE)),
        lambda: output.write(bytes(5 * SIZE)),
        lambda: output.write_sized(bytes(2 * SIZE)),
    ):
        with pytest.raises(RefusedError):
            attempt()
        output.truncate(position)
        assert output.position == position and bytes_of(output) == bytes(SIZE - 3) + b"kept"
    output.write(b"x" * (2 * SIZE - position))  # what room there is can still be used
    for attempt in (lambda: output.write_byte(1), lambda: output.write_packed(TWO_NUMBERS, 1, 2)):
        with pytest.raises(RefusedError):
            attempt()
    assert output.position == 2 * SIZE


def test_the_first_segment_may_be_refused() -> None:
    output = SegmentOutput(supplier(0))
    for attempt in (lambda: output.write(b"a"), lambda: output.write_byte(1)):
        with pytest.raises(RefusedError):
            attempt()
    assert output.position == 0 and output.segments == []


def test_segments_that_came_before_a_refusal_are_kept_and_used() -> None:
    room = [noisy_segment(), noisy_segment()]

    def next_segment() -> MemorySegment:
        if not room:
            raise RefusedError
        return room.pop()

    output = SegmentOutput(next_segment)
    with pytest.raises(RefusedError):
        output.write(b"x" * (3 * SIZE))
    assert len(output.segments) == 2 and output.position == 0
    room.append(noisy_segment())
    output.write(b"y" * (3 * SIZE))
    assert len(output.segments) == 3 and bytes_of(output) == b"y" * (3 * SIZE)


def test_a_number_that_does_not_fit_leaves_nothing_behind() -> None:
    output = SegmentOutput(noisy_segment)
    output.write(b"abc")
    with pytest.raises(Exception, match=r"argument out of range|format requires"):
        output.write_packed(TWO_NUMBERS, 1 << 40, 1)
    assert output.position == 3


@pytest.mark.parametrize("position", [0, 1, SIZE - 1, SIZE, SIZE + 1, 2 * SIZE, 2 * SIZE + 5])
def test_truncation_forgets_what_follows(position: int) -> None:
    output = SegmentOutput(supplier(3))
    data = bytes(place % 251 for place in range(2 * SIZE + 5))
    output.write(data)
    output.truncate(position)
    assert output.position == position and bytes_of(output) == data[:position]
    output.write(b"z" * (3 * SIZE - position))
    assert bytes_of(output) == data[:position] + b"z" * (3 * SIZE - position)
    assert len(output.segments) == 3


# --- with the memory manager


@pytest.mark.parametrize("mode", ["heap", "off-heap"])
def test_segments_of_a_manager_go_back_to_it(mode: str) -> None:
    with MemoryManager(4 * SIZE, segment_bytes=SIZE, mode=mode) as manager:  # type: ignore[arg-type]
        output = SegmentOutput(lambda: manager.allocate_segments("records", 1)[0])
        with pytest.raises(MemoryBudgetError, match="records"):
            output.write(bytes(5 * SIZE))
        output.write(b"ab" * (2 * SIZE))
        source = SegmentInput(output.segments, output.position)
        assert source.read(4 * SIZE) == b"ab" * (2 * SIZE)
        manager.release(output.segments)
        assert manager.shutdown() == {}


def test_any_buffer_can_be_written() -> None:
    words = memoryview(b"abcdefgh").cast("I")
    output = SegmentOutput(noisy_segment)
    output.write(words)
    output.write(bytes(SIZE - 12))
    output.write(words)
    output.write(bytearray(b"xyz"))
    output.write(memoryview(b"1-2-3-")[::2])
    output.write(memoryview(b"").cast("I"))
    assert bytes_of(output).replace(b"\0", b"") == b"abcdefghabcdefghxyz123"
