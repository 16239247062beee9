"""The kernels of rows, step by step, against Python; and what they do with bytes that nobody wrote."""

import struct
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serializers import SLACK_BYTES
from serializers import row_kernels as kernels
from serializers.columns.read_steps import RowBytes, StepsToRead
from serializers.columns.scratch import Scratch, address_of
from serializers.columns.steps import UnknownBytesError
from serializers.columns.write_steps import ROW_HEAD_BYTES_MAX, StepsToWrite
from serializers.types.order_bytes import big_integer_bytes, write_closed
from serializers.views import BytesOutput
from tests.test_serializers.guarded import GuardedBytes

VALUE = 1
INVERT = bytes(255 - byte for byte in range(256))
TEXTS = st.lists(st.text("ab\0\1\xff", max_size=20).map(lambda text: text.encode("latin-1")), min_size=1, max_size=8)
INTEGERS = [0, 1, -1, 255, -255, 256, -256, 2**31, -(2**31), 2**63 - 1, -(2**63), 2**56, -(2**56) - 1]


def varint(number: int) -> bytes:
    out = BytesOutput()
    out.write_varint(number)
    return bytes(out.data)


def closed(data: bytes, *, inverted: bool = False) -> bytes:
    out = bytearray()
    write_closed(data, out)
    return bytes(out).translate(INVERT) if inverted else bytes(out)


class Writing:
    """Steps to write some rows, and what they come to."""

    def __init__(self, count: int) -> None:
        self.scratch = Scratch()
        self.steps = StepsToWrite(self.scratch)
        self.count = count

    def rows(self) -> list[bytes]:
        bound = self.steps.bytes_max + self.count * ROW_HEAD_BYTES_MAX
        data = np.full(bound + SLACK_BYTES + 8, 0xA5, np.uint8)
        ends = np.zeros(self.count, np.uint32)
        size = self.steps.run(data, 0, ends)
        assert size is not None and size <= bound and (data[-8:] == 0xA5).all()
        assert size == (ends[-1] if self.count else 0)
        return [bytes(data[start:end]) for start, end in pairwise([0, *ends.tolist()])]

    def texts(self, form: np.uint64, texts: list[bytes], *, inverted: bool = False) -> None:
        ends = np.cumsum([0, *map(len, texts)]).astype(np.uint32)
        self.steps.text(form, self.scratch.copy(b"".join(texts)), self.scratch.copy(ends, np.uint32), inverted=inverted)


class Reading:
    """Steps to read the values of rows that have no keys."""

    def __init__(self, rows: list[bytes]) -> None:
        self.guarded = GuardedBytes(b"".join(rows))
        self.places = np.empty((len(rows), 3), np.uint64)
        start = address_of(self.guarded.array)
        found, end = kernels.find_rows(start, start + self.guarded.array.size, 1 << 40, 0, self.places)
        assert (found, end - start) == (len(rows), self.guarded.array.size)
        self.rows = RowBytes(self.guarded.array)
        self.steps = StepsToRead(Scratch(), self.rows, len(rows), joins_texts=True)

    def run(self) -> None:
        self.steps.run(self.places, VALUE, is_all=True)

    def is_refused(self) -> bool:
        try:
            self.run()
        except UnknownBytesError:
            return True
        return False


def rows_of(bodies: list[bytes]) -> list[bytes]:
    return [varint(len(body)) + body for body in bodies]


# --- one step


@pytest.mark.parametrize("dtype", ["u1", "<i2", "<u4", "<f8", "V3", "V12", "V16", "V40"])
def test_copies_items_of_any_size(dtype: str) -> None:
    data = np.frombuffer(Random(dtype).randbytes(np.dtype(dtype).itemsize * 5), dtype)
    writing = Writing(5)
    writing.steps.copy(writing.scratch.copy(data.tobytes(), dtype))
    writing.steps.copy(writing.scratch.copy(data.tobytes()[::-1], dtype))
    rows = writing.rows()
    backwards = np.frombuffer(data.tobytes()[::-1], dtype)
    assert rows == rows_of([one.tobytes() + other.tobytes() for one, other in zip(data, backwards, strict=True)])
    reading = Reading(rows)
    columns = [reading.steps.copy(dtype), reading.steps.copy(dtype)]
    reading.run()
    assert [column.tobytes() for column in columns] == [data.tobytes(), backwards.tobytes()]


@given(texts=TEXTS, inverted=st.booleans())
@example(texts=[b"\0" * 9, b"a" * 7 + b"\0", b"a" * 8 + b"\0", b"a" * 8, b"a" * 16, b"", b"\0"], inverted=False)
@example(texts=[b"x" * 127, b"x" * 128, b"y" * 100, b"y" * 20_000, b"y" * 70], inverted=True)
def test_writes_and_reads_texts_in_each_form(texts: list[bytes], inverted: bool) -> None:
    wanted = {
        kernels.SIZED: [varint(len(text)) + text for text in texts],
        kernels.OPEN: texts,
        kernels.CLOSED: [closed(text, inverted=inverted) for text in texts],
    }
    for form, bodies in wanted.items():
        writing = Writing(len(texts))
        writing.texts(form, texts, inverted=inverted)
        rows = writing.rows()
        assert rows == rows_of(bodies)
        for is_separated in (False, True):
            reading = Reading(rows)
            data, ends = reading.steps.text(form, is_separated=is_separated, inverted=inverted)
            reading.run()
            separator = b"\0" if is_separated else b""
            whole = separator.join(texts)
            assert data[: len(whole)].tobytes() == whole
            assert ends.tolist() == [
                0,
                *np.cumsum([len(text) for text in texts]) + np.arange(len(texts)) * is_separated,
            ]


@given(texts=st.lists(st.text("ab\1", max_size=150).map(str.encode), min_size=1, max_size=5))
def test_finds_texts_between_zero_bytes(texts: list[bytes]) -> None:
    missed: list[None] = []
    writing = Writing(len(texts))
    data = writing.scratch.copy(b"".join(text + b"\0" for text in texts))
    writing.steps.separated_text(kernels.SIZED, data, len(texts), lambda: missed.append(None), inverted=False)
    assert writing.rows() == rows_of([varint(len(text)) + text for text in texts])
    assert not missed


def test_notices_a_zero_byte_within_a_text() -> None:
    missed: list[None] = []
    writing = Writing(2)
    data = writing.scratch.copy(b"a\0b\0c\0")
    writing.steps.separated_text(kernels.SIZED, data, 2, lambda: missed.append(None), inverted=False)
    assert writing.steps.run(np.empty(200, np.uint8), 0, np.empty(2, np.uint32)) is None
    assert missed == [None]


@pytest.mark.parametrize("inverted", [False, True])
def test_writes_and_reads_unbounded_integers(inverted: bool) -> None:
    random = Random(4)
    numbers = [*INTEGERS, *(random.getrandbits(random.randrange(64)) * random.choice((-1, 1)) for _ in range(100))]
    bodies = [big_integer_bytes(number) for number in numbers]
    bodies = [body.translate(INVERT) for body in bodies] if inverted else bodies
    writing = Writing(len(numbers))
    writing.steps.integers(writing.scratch.copy(struct.pack(f"{len(numbers)}q", *numbers), np.int64), inverted=inverted)
    assert writing.rows() == rows_of(bodies)
    reading = Reading(rows_of(bodies))
    column, wide = reading.steps.integers(inverted=inverted)
    reading.run()
    assert column.tolist() == numbers and wide() == []


@pytest.mark.parametrize("inverted", [False, True])
def test_leaves_integers_of_more_than_64_bits_where_they_are(inverted: bool) -> None:
    numbers = [5, 2**63, -(2**63) - 1, 2**64 - 1, 2**64, -(2**64), 1 - 2**64, 2**700, -(2**700), -5]
    bodies = [big_integer_bytes(number) for number in numbers]
    rows = rows_of([body.translate(INVERT) for body in bodies] if inverted else bodies)
    reading = Reading(rows)
    column, wide = reading.steps.integers(inverted=inverted)
    reading.run()
    assert wide() == list(range(1, 9))
    starts = np.cumsum([0, *map(len, rows)])
    for number in wide():
        head_bytes = len(rows[number]) - len(bodies[number])
        assert column[number] - address_of(reading.guarded.array) == starts[number] + head_bytes


@pytest.mark.parametrize(
    "body", ["", "81", "8100", "820001", "7effff00", "10", "ff", "ff00000008", "ff0000000900", "90ff"]
)
def test_refuses_what_is_no_integer(body: str) -> None:
    reading = Reading(rows_of([bytes.fromhex(body)]))
    reading.steps.integers()
    assert reading.is_refused()


# --- nulls


def nulls_of(writing: Writing, flags: list[int]) -> NDArray[Any]:
    return writing.scratch.copy(bytes(flags))


def test_writes_marks_and_passes_over_what_is_null() -> None:
    writing = Writing(4)
    with writing.steps.optional(writing.steps.option(nulls_of(writing, [0, 1, 1, 0]), 2, 1)):
        writing.steps.copy(writing.scratch.copy(b"ab"))
    writing.steps.copy(writing.scratch.copy(b"wxyz"))
    rows = writing.rows()
    assert rows == rows_of([b"\1aw", b"\2x", b"\2y", b"\1bz"])
    reading = Reading(rows)
    line, nulls = reading.steps.option(2, 1)
    with reading.steps.optional(line):
        column = reading.steps.copy("u1")
    last = reading.steps.copy("u1")
    reading.run()
    assert nulls.tolist() == [0, 1, 1, 0]
    assert column[:2].tobytes() == b"ab" and last.tobytes() == b"wxyz"


@pytest.mark.parametrize("body", [b"", b"\0a", b"\3", b"\1"])
def test_refuses_marks_that_nobody_wrote(body: bytes) -> None:
    reading = Reading(rows_of([body]))
    line, _ = reading.steps.option(2, 1)
    with reading.steps.optional(line):
        reading.steps.copy("u1")
    assert reading.is_refused()


@pytest.mark.parametrize("field_count", [1, 7, 8, 9, 64, 65, 130])
def test_masks_have_a_bit_for_every_field(field_count: int) -> None:
    random = Random(field_count)
    rows = [[random.random() < 0.4 for _ in range(field_count)] for _ in range(5)]
    writing = Writing(5)
    mask = writing.steps.mask(field_count)
    writing.steps.bytes_max += 5 * (field_count + 7 >> 3)
    for bit in range(field_count):
        flags = [int(row[bit]) for row in rows]
        with writing.steps.optional(writing.steps.field(mask, bit, nulls_of(writing, flags))):
            writing.steps.copy(writing.scratch.copy(bytes([bit] * flags.count(0))))
    bodies = [
        sum(is_null << bit for bit, is_null in enumerate(row)).to_bytes(field_count + 7 >> 3, "little")
        + bytes(bit for bit, is_null in enumerate(row) if not is_null)
        for row in rows
    ]
    assert writing.rows() == rows_of(bodies)
    reading = Reading(rows_of(bodies))
    mask = reading.steps.mask(field_count)
    found = []
    for bit in range(field_count):
        line, nulls = reading.steps.masked(mask, bit)
        found.append(nulls)
        with reading.steps.optional(line):
            reading.steps.constant(bit)
    reading.run()
    assert [[bool(nulls[number]) for nulls in found] for number in range(5)] == rows


def test_refuses_bits_that_no_field_has() -> None:
    for body, is_refused in ((b"\0", False), (b"\4", False), (b"\x08", True), (b"\x01", True), (b"", True)):
        reading = Reading(rows_of([body]))
        reading.steps.mask(3, 0xF9)
        assert reading.is_refused() == is_refused, body


# --- repetition


def test_repeats_within_repetition() -> None:
    """Lists of lists of bytes."""
    lists = [[[1, 2], [], [3]], [], [[]], [[4]], [[], [5, 6, 7]]]
    writing = Writing(len(lists))
    inner = [each for outer in lists for each in outer]
    elements = bytes(number for each in inner for number in each)
    repeated, repeat = writing.steps.repeated, writing.steps.repeat
    with repeated(repeat(counts(writing, lists))), repeated(repeat(counts(writing, inner))):
        writing.steps.copy(writing.scratch.copy(elements))
    bodies = [bytes([len(outer)]) + b"".join(bytes([len(each), *each]) for each in outer) for outer in lists]
    assert writing.rows() == rows_of(bodies)
    reading = Reading(rows_of(bodies))
    line, outer_counts = reading.steps.repeat()
    with reading.steps.elements(line, 1):
        line, inner_counts = reading.steps.repeat()
        with reading.steps.elements(line, 1):
            column = reading.steps.copy("u1")
    reading.run()
    assert outer_counts.tolist() == [3, 0, 1, 1, 2]
    assert inner_counts[:7].tolist() == [2, 0, 1, 0, 1, 0, 3]
    assert column[:7].tobytes() == elements


def counts(writing: Writing, lists: list[Any]) -> NDArray[np.uint32]:
    return writing.scratch.copy(np.array(list(map(len, lists)), np.uint32), np.uint32)


@pytest.mark.parametrize("marks", [(1, 0), (0xFE, 0xFF)])
def test_repeats_as_long_as_a_mark_says_so(marks: tuple[int, int]) -> None:
    element, end = (bytes([mark]) for mark in marks)
    lists = [b"abc", b"", b"d", b"", b""]
    bodies = [b"".join(element + bytes([each]) for each in letters) + end for letters in lists]
    writing = Writing(len(lists))
    with writing.steps.repeated(writing.steps.repeat(counts(writing, lists), is_key=True)):
        writing.steps.constant(marks[0], 4)
        writing.steps.copy(writing.scratch.copy(b"".join(lists)))
    writing.steps.constant(marks[1], 5)
    assert writing.rows() == rows_of(bodies)
    reading = Reading(rows_of(bodies))
    line, found = reading.steps.repeat_while(*marks)
    with reading.steps.elements(line, 1):
        column = reading.steps.copy("u1")
    reading.run()
    assert found.tolist() == [3, 0, 1, 0, 0] and column[:4].tobytes() == b"abcd"
    for body in (b"", element, element + b"a", b"\x07", end + b"a"):
        reading = Reading(rows_of([body]))
        line, _ = reading.steps.repeat_while(*marks)
        with reading.steps.elements(line, 1):
            reading.steps.copy("u1")
        assert reading.is_refused(), body


@pytest.mark.parametrize("body", [b"", b"\2a", b"\1", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a", b"\0a"])
def test_refuses_counts_that_the_row_cannot_hold(body: bytes) -> None:
    reading = Reading(rows_of([body]))
    line, _ = reading.steps.repeat()
    with reading.steps.elements(line, 1):
        reading.steps.copy("u1")
    assert reading.is_refused()


# --- whole rows


@pytest.mark.parametrize("sizes", [[126, 127, 128, 129], [20_000, 1, 16_383, 16_384, 100, 130], [0, 200, 0, 17_000, 0]])
def test_lengths_of_rows_and_keys_may_take_any_bytes(sizes: list[int]) -> None:
    texts = [Random(size).randbytes(size) for size in sizes]
    writing = Writing(len(texts))
    writing.texts(kernels.OPEN, texts)
    writing.steps.key_end()
    writing.texts(kernels.OPEN, texts[::-1])
    rows = writing.rows()
    bodies = [varint(len(key)) + key + value for key, value in zip(texts, texts[::-1], strict=True)]
    assert rows == rows_of(bodies)
    places = np.empty((len(rows), 3), np.uint64)
    data = GuardedBytes(b"".join(rows)).array
    start = address_of(data)
    assert kernels.find_rows(start, start + data.size, 1 << 40, kernels.KEY_BYTES_VARY, places)[0] == len(rows)
    for (key, value, end), size, rest in zip((places - np.uint64(start)).tolist(), sizes, sizes[::-1], strict=True):
        assert (value - key, end - value) == (size, rest)


def find(data: bytes, key_bytes: int, *, enough: int = 1 << 40, room: int = 10) -> tuple[int, int]:
    memory = GuardedBytes(data).array
    start = address_of(memory)
    places = np.empty((room, 3), np.uint64)
    count, end = kernels.find_rows(start, start + memory.size, enough, key_bytes, places)
    return count, end - start


def test_finds_as_many_rows_as_are_wanted() -> None:
    data = b"\3abc" * 5
    assert find(data, 2) == (5, 20)
    assert find(data, 2, room=3) == (3, 12)
    assert find(data, 2, enough=9) == (3, 12)
    assert find(data, 2, enough=1) == (1, 4)
    assert find(b"", 0) == (0, 0)
    assert find(b"\0\0", 0) == (2, 2)


@pytest.mark.parametrize("data", [b"\4abc", b"\x80", b"\xff" * 9 + b"\x01", b"\xff" * 9 + b"\x02" + b"a" * 9, b"\3ab"])
def test_does_not_find_a_row_that_is_cut_short(data: bytes) -> None:
    assert find(b"\2ab" + data, 0) == (1, 3)


def test_does_not_find_a_row_whose_key_is_cut_short() -> None:
    assert find(b"\2ab\3abc", 3) == (0, 0)
    vary = int(kernels.KEY_BYTES_VARY)
    assert find(b"\2\1a\3\3ab\1\0", vary) == (1, 3)
    assert find(b"\1\x80\1\0", vary) == (0, 0)
    assert find(b"\0", vary) == (0, 0)


@pytest.mark.parametrize("cut", range(1, 12))
def test_refuses_a_row_that_ends_too_early_or_too_late(cut: int) -> None:
    body = b"ab" + closed(b"c\0d") + varint(2) + b"ef"
    for changed in (body[:-cut], body + b"x" * cut):
        reading = Reading(rows_of([body, changed]))
        reading.steps.copy("u2")
        reading.steps.text(kernels.CLOSED, is_separated=False)
        reading.steps.text(kernels.SIZED, is_separated=False)
        assert reading.is_refused(), changed


@given(st.binary(max_size=30), st.booleans())
def test_reads_nothing_outside_whatever_the_bytes(body: bytes, inverted: bool) -> None:
    """The page behind the slack is guarded."""
    reading = Reading(rows_of([body]))
    steps = reading.steps
    steps.integers(inverted=inverted)
    steps.text(kernels.CLOSED, is_separated=True, inverted=inverted)
    line, _ = steps.option(0, 1)
    with steps.optional(line):
        steps.text(kernels.SIZED, is_separated=True)
    line, _ = steps.repeat()
    with steps.elements(line, 1):
        steps.skip(1)
    steps.text(kernels.OPEN, is_separated=False)
    reading.is_refused()
