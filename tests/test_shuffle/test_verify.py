"""Checking files against the slow twin, for every size of window, and the faults that must not pass."""

import mmap
import os
import threading
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serializers.layouts import RecordLayout, fixed, lines
from shuffle import verify
from shuffle.verify import PartialRecordError, RecordTooLargeError, VerifyError, check_file, verify_files
from tests import naive

MEMORY_BYTES = 1 << 20
FIXED = fixed(7, key_offset=2, key_bytes=3)


def found(path: Path, layout: RecordLayout, **options: bool) -> naive.Checked:
    """What `check_file` says, in the words of the twin."""
    values = asdict(check_file(path, layout, memory_bytes=MEMORY_BYTES, **options))
    assert values.pop("seconds") >= 0
    return naive.Checked(**values)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that hypothesis may write again and again."""
    return tmp_path_factory.mktemp("verify") / "data"


@given(
    data=st.lists(st.text("ab\0\n\xff", max_size=30).map(lambda text: text.encode("latin-1")), max_size=40).map(
        b"\n".join
    ),
    layout=st.sampled_from([lines(), lines(b"\0"), FIXED]),
    in_order=st.booleans(),
    reverse=st.booleans(),
    unique=st.booleans(),
    window_bytes=st.sampled_from([64, 65, 100, 1 << 20]),
)
def test_agrees_with_its_twin(
    scratch: Path,
    data: bytes,
    layout: RecordLayout,
    in_order: bool,
    reverse: bool,
    unique: bool,
    window_bytes: int,
) -> None:
    records, rest = naive.split_records(data, layout)
    if in_order:
        records = naive.stable_sort(records, layout.key, reverse=reverse)
    data = b"".join(records) + (rest if layout.is_lines else b"")
    scratch.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "WINDOW_BYTES", window_bytes)
        got = found(scratch, layout, reverse=reverse, unique=unique)
    assert got == naive.check(data, layout, reverse=reverse, unique=unique)


@given(st.binary(max_size=100))
def test_hash_of_one_record_agrees_with_its_twin(scratch: Path, record: bytes) -> None:
    scratch.write_bytes(record.replace(b"\n", b"\0") + b"\n")
    assert check_file(scratch, lines(), memory_bytes=MEMORY_BYTES).fingerprint == naive.hash_record(
        record.replace(b"\n", b"\0")
    )


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b"", 0x7CAA3D76645037DAFCD6A91111631185),
        (b"a", 0x3904F4D1F4B004E2EF837B11CD575C7F),
        (b"a\0", 0x0CE93E0F17DF3AA4A913C8E097AD36BD),
        (b"0123456789abcdef", 0xCA68E97F4A5C064FD13E6BC515921583),
        (bytes(range(100)), 0x6E744C27C8AB44E5069B5954F0AF3650),
    ],
)
def test_fingerprint_version_1_never_changes(tmp_path: Path, record: bytes, expected: int) -> None:
    assert naive.hash_record(record) == expected
    if record:
        (tmp_path / "data").write_bytes(record)
        result = check_file(tmp_path / "data", fixed(len(record)), memory_bytes=MEMORY_BYTES)
        assert result.fingerprint == expected


def test_every_byte_and_the_length_count(tmp_path: Path) -> None:
    path = tmp_path / "data"
    seen = set()
    for length in range(1, 50):
        for place in range(length):
            record = bytearray(b"x" * length)
            record[place] ^= 1
            path.write_bytes(record)
            seen.add(check_file(path, fixed(length), memory_bytes=MEMORY_BYTES).fingerprint)
    assert len(seen) == sum(range(1, 50))


def test_duplicates_do_not_cancel_and_order_does_not_count(tmp_path: Path) -> None:
    prints = []
    for text in (b"", b"a\na\n", b"b\nb\n", b"a\nb\n", b"b\na\n"):
        (tmp_path / "data").write_bytes(text)
        prints.append(check_file(tmp_path / "data", lines(), memory_bytes=MEMORY_BYTES).fingerprint)
    assert len(set(prints)) == 4
    assert prints[3] == prints[4]


def test_an_empty_file_is_in_order(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    result = check_file(tmp_path / "data", lines(), memory_bytes=MEMORY_BYTES)
    assert (result.records, result.size_bytes, result.fingerprint, result.in_order) == (0, 0, 0, True)


def test_first_disorder_is_counted_from_one(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"b\nb\na\nc\nb")
    result = check_file(tmp_path / "data", lines(), memory_bytes=MEMORY_BYTES)
    assert (result.first_disorder, result.disorders, result.duplicates) == (3, 2, 1)
    assert not result.in_order
    assert "2 out of order, first record 3" in result.describe()


def test_descriptors_are_read_and_left_open(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"a\nb\n")
    descriptor = os.open(tmp_path / "data", os.O_RDONLY)
    try:
        assert check_file(descriptor, lines(), memory_bytes=MEMORY_BYTES).records == 2
        os.fstat(descriptor)
    finally:
        os.close(descriptor)


def test_a_pipe_that_gives_little_at_a_time(tmp_path: Path) -> None:
    data = b"".join(b"%05d\n" % i for i in range(2000))
    reader, writer = os.pipe()

    def feed() -> None:
        with os.fdopen(writer, "wb", buffering=0) as stream:
            for start in range(0, len(data), 37):
                stream.write(data[start : start + 37])

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        result = check_file(reader, lines(), memory_bytes=4096)
    finally:
        thread.join()
        os.close(reader)
    assert (result.records, result.in_order) == (2000, True)
    assert result.fingerprint == naive.fingerprint(data.split())


class Unmovable(mmap.mmap):
    """A mapping as it is where the system cannot move pages."""

    def resize(self, newsize: int) -> None:
        raise SystemError("mmap: resizing not available--no mremap()")


@pytest.mark.parametrize("mapping", [mmap.mmap, Unmovable])
def test_the_window_grows_for_a_giant_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapping: type[mmap.mmap]
) -> None:
    monkeypatch.setattr(verify, "WINDOW_BYTES", 4096)
    monkeypatch.setattr(verify.mmap, "mmap", mapping)
    data = b"a\n" + b"b" * 300_000 + b"\n" + b"b" * 300_001 + b"\nc\n" * 500
    (tmp_path / "data").write_bytes(data)
    assert found(tmp_path / "data", lines()) == naive.check(data, lines())


def test_a_record_larger_than_memory_names_the_cure(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"a\n" + b"b" * 10_000)
    with pytest.raises(RecordTooLargeError, match=r"data: record 2 .* 8 KiB together; raise --memory"):
        check_file(tmp_path / "data", lines(), memory_bytes=8192)
    with pytest.raises(RecordTooLargeError, match="too little to check anything"):
        check_file(tmp_path / "data", lines(), memory_bytes=100)


def test_a_partial_record_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 705)
    with pytest.raises(PartialRecordError, match=r"705 bytes .* 7-byte records \(5 left over\)") as caught:
        check_file(tmp_path / "data", FIXED, memory_bytes=256)
    assert isinstance(caught.value, VerifyError)
    assert isinstance(caught.value, ValueError)


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_file(tmp_path / "none", lines(), memory_bytes=MEMORY_BYTES)
    with pytest.raises(FileNotFoundError):
        verify_files([tmp_path / "none"], tmp_path / "none", lines(), memory_bytes=MEMORY_BYTES)


@pytest.mark.parametrize(
    ("output", "problems"),
    [
        (b"a\nb\nb\nc\n", []),
        (b"a\nb\nb\nc", []),
        (b"a\nb\nc\nb\n", ["order"]),
        (b"a\nb\nc\n", ["records", "bytes", "fingerprint"]),
        (b"a\nb\nb\nd\n", ["fingerprint"]),
        (b"a\na\nb\nc\n", ["fingerprint"]),
        (b"a\nb\nbc\n\n", ["order", "fingerprint"]),
    ],
)
def test_verify_says_what_differs(tmp_path: Path, output: bytes, problems: list[str]) -> None:
    (tmp_path / "one").write_bytes(b"c\nb")
    (tmp_path / "two").write_bytes(b"a\nb\n")
    (tmp_path / "output").write_bytes(output)
    result = verify_files([tmp_path / "one", tmp_path / "two"], tmp_path / "output", lines(), memory_bytes=MEMORY_BYTES)
    assert [problem.partition(":")[0] for problem in result.problems] == problems
    assert result.ok == (not problems)
    assert [read.records for read in result.inputs] == [2, 2]


def test_unique_output_may_be_shorter_but_not_longer(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"b\na\nb\n")
    for output, ok in ((b"a\nb\n", True), (b"a\nb\nb\n", False), (b"a\nb\nc\nd\n", False)):
        (tmp_path / "output").write_bytes(output)
        result = verify_files(
            [tmp_path / "input"], tmp_path / "output", lines(), unique=True, memory_bytes=MEMORY_BYTES
        )
        assert result.ok == ok, (output, result.problems)


def test_descending_output(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"b\na\nb\n")
    (tmp_path / "output").write_bytes(b"b\nb\na\n")
    paths = [tmp_path / "input"], tmp_path / "output"
    assert verify_files(*paths, lines(), reverse=True, memory_bytes=MEMORY_BYTES).ok
    assert not verify_files(*paths, lines(), memory_bytes=MEMORY_BYTES).ok
