"""`merge_files` end to end: sorted files in, one file out, or an error that names the file that is not in order."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import shuffle
from serializers import fixed, lines
from shuffle import NotSortedError, RecordFormatError
from tests import naive, tiny

KIB = 1 << 10
SERIAL = {"record_bytes": 12, "key_offset": 3, "key_bytes": 2}


def sorted_lines(count: int, seed: int, *, reverse: bool = False, length: int = 40) -> bytes:
    """A file in order."""
    rng = random.Random(seed)
    data = b"".join(rng.randbytes(rng.randrange(length)).replace(b"\n", b"") + b"\n" for _ in range(count))
    return tiny.sorted_bytes(data, reverse=reverse)


def numbered_lines(count: int) -> list[bytes]:
    """Lines of 100 bytes, in order."""
    return [b"%06d" % number + b"." * 93 + b"\n" for number in range(count)]


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("managed_kib", [40, 128, 1024])
@pytest.mark.parametrize("reverse", [False, True])
def test_many_files(threads: int, managed_kib: int, reverse: bool) -> None:
    """Some are empty, one has no final newline; forty KiB take several passes."""
    files = [sorted_lines(count, count, reverse=reverse) for count in (500, 0, 900, 1, 40, 0, 700, 300, 300, 800, 0)]
    files[4] = files[4][:-1]
    whole = [data if data.endswith(b"\n") or not data else data + b"\n" for data in files]
    with tiny.machine(managed_bytes=managed_kib * KIB) as machine:
        found = machine.merge(files, threads=threads, reverse=reverse)
        assert found == tiny.sorted_bytes(b"".join(whole), reverse=reverse)
        report = machine.report
        assert report.input_bytes == report.output_bytes == len(found)
        assert (report.passes > 1) == (managed_kib == 40)
        if managed_kib == 1024:
            assert (report.ranges, report.spilled_bytes) == (threads, 0)


def test_equal_keys_come_in_the_order_of_the_files() -> None:
    rng = random.Random(4)
    numbers = iter(range(1 << 20))
    files = []
    for _ in range(7):
        records = [b"---" + rng.choice([b"aa", b"ab", b"b\0"]) + next(numbers).to_bytes(7, "big") for _ in range(600)]
        files.append(tiny.sorted_bytes(b"".join(records), tiny.SERIAL))
    for managed_kib in (40, 1024):
        with tiny.machine(managed_bytes=managed_kib * KIB) as machine:
            found = machine.merge(files, threads=2, **SERIAL)
            assert found == tiny.sorted_bytes(b"".join(files), tiny.SERIAL)


@settings(deadline=None, max_examples=25)
@given(
    files=st.lists(
        st.lists(
            st.tuples(st.sampled_from([b"", b"a", b"b" * 70, b"b" * 70 + b"c"]), st.sampled_from([0, 50, 3904, 9000])),
            max_size=20,
        ),
        min_size=1,
        max_size=5,
    ),
    reverse=st.booleans(),
    unique=st.booleans(),
    limit=st.none() | st.integers(0, 40),
    managed_kib=st.sampled_from([48, 512]),
)
def test_options(
    files: list[list[tuple[bytes, int]]], reverse: bool, unique: bool, limit: int | None, managed_kib: int
) -> None:
    data = [
        tiny.sorted_bytes(b"".join(key + b"-" * length + b"\n" for key, length in file), reverse=reverse)
        for file in files
    ]
    with tiny.machine(managed_bytes=managed_kib * KIB) as machine:
        found = machine.merge(data, threads=2, reverse=reverse, unique=unique, limit=limit)
        assert found == tiny.sorted_bytes(b"".join(data), reverse=reverse, unique=unique, limit=limit)


def test_one_file_and_none() -> None:
    data = sorted_lines(2000, 1)
    with tiny.machine(managed_bytes=512 * KIB) as machine:
        assert machine.merge([data], threads=2) == data
        assert machine.merge([b""], threads=2) == b""
        assert machine.merge([b"", b""], threads=2) == b""
    with pytest.raises(ValueError, match="no input was named"):
        shuffle.merge_files([], "nowhere")


def test_few_open_files_take_several_passes() -> None:
    files = [sorted_lines(200, seed) for seed in range(20)]
    with tiny.machine(managed_bytes=2048 * KIB, open_files_max=51) as machine:
        assert machine.merge(files, threads=2) == tiny.sorted_bytes(b"".join(files))
        assert machine.plan is not None and machine.plan.open_runs_max == 3
        assert machine.report.passes > 2
        assert machine.report.spilled_bytes > 0


# --- not in order


@settings(deadline=None, max_examples=60)
@given(
    swapped=st.tuples(st.integers(0, 599), st.integers(0, 599)),
    threads=st.sampled_from([1, 2, 4]),
    managed_kib=st.sampled_from([48, 512]),
    beside=st.integers(0, 6),
)
def test_two_lines_that_changed_places(swapped: tuple[int, int], threads: int, managed_kib: int, beside: int) -> None:
    """Wherever they are: within a block, in two blocks, in two ranges. The error names the file."""
    records = numbered_lines(600)
    left, right = swapped
    records[left], records[right] = records[right], records[left]
    files = [*(sorted_lines(60, seed) for seed in range(beside)), b"".join(records)]
    with tiny.machine(managed_bytes=managed_kib * KIB) as machine:
        if left == right:
            assert machine.merge(files, threads=threads) == tiny.sorted_bytes(b"".join(files))
            return
        machine.output.write_bytes(b"old")
        with pytest.raises(NotSortedError, match=rf"input{beside}: not in the order asked for"):
            machine.merge(files, threads=threads)
        assert machine.output.read_bytes() == b"old"


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(6)), st.sampled_from([2, 4]))
@example([0, 1, 2, 5, 3, 4], 2)
def test_pieces_that_changed_places(order: list[int], threads: int) -> None:
    """Each piece is in order and fills a block, so that a range may hold nothing but order."""
    count = tiny.CAPACITY // 100
    records = numbered_lines(6 * count)
    data = b"".join(b"".join(records[piece * count : piece * count + count]) for piece in order)
    with tiny.machine(managed_bytes=512 * KIB, block_bytes=(tiny.BLOCK_BYTES, tiny.BLOCK_BYTES)) as machine:
        if order == sorted(order):
            assert machine.merge([data], threads=threads) == data
        else:
            with pytest.raises(NotSortedError, match="input0"):
                machine.merge([data], threads=threads)


def test_the_wrong_direction_is_not_in_order() -> None:
    with tiny.machine(managed_bytes=512 * KIB) as machine, pytest.raises(NotSortedError, match="--reverse"):
        machine.merge([b"".join(numbered_lines(500))], threads=2, reverse=True)


# --- what else can be wrong


def test_errors_leave_the_old_output() -> None:
    with tiny.machine(managed_bytes=512 * KIB) as machine:
        machine.output.write_bytes(b"old")
        with pytest.raises(RecordFormatError, match="input1: 13 bytes are no whole number"):
            machine.merge([bytes(24), bytes(13)], **SERIAL)
        with pytest.raises(FileNotFoundError, match="no such file"):
            shuffle.merge_files([machine.directory / "missing"], machine.output, temp_dirs=[machine.temp_dir])
        os.mkfifo(machine.directory / "pipe")
        with pytest.raises(ValueError, match="merge reads files, not pipes"):
            shuffle.merge_files([machine.directory / "pipe"], machine.output, temp_dirs=[machine.temp_dir])
        assert machine.output.read_bytes() == b"old"


def test_the_output_may_be_an_input() -> None:
    first, second = sorted_lines(500, 1), sorted_lines(500, 2)
    with tiny.machine(managed_bytes=512 * KIB) as machine:
        paths: list[Path] = machine.write([first, second])
        shuffle.merge_files(paths, paths[0], temp_dirs=[machine.temp_dir], threads=2)
        assert paths[0].read_bytes() == tiny.sorted_bytes(first + second)
        assert naive.check(paths[0].read_bytes(), lines()).disorders == 0


def test_key_in_the_middle_of_wide_records() -> None:
    layout = fixed(300, key_offset=150, key_bytes=100)
    rng = random.Random(2)
    files = [tiny.sorted_bytes(rng.randbytes(300 * count), layout) for count in (100, 1, 40)]
    with tiny.machine(managed_bytes=512 * KIB) as machine:
        found = machine.merge(files, record_bytes=300, key_offset=150, key_bytes=100, threads=2)
        assert found == tiny.sorted_bytes(b"".join(files), layout)
