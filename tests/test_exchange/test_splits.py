"""Inputs cut into splits: nothing lost, nothing doubled, and the same cuts always."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from io_manager import JobKey, RunCorruptError
from shuffle.exchange import text_split
from shuffle.exchange.parquet_split import parquet_splits
from shuffle.exchange.record_file import RecordFile, RecordFileWriter
from shuffle.exchange.splits import StagedSplit, split_name, splits_of
from shuffle.exchange.text_split import JoinedSplit, TextSplit, join_small, text_splits
from shuffle.tables.kinds import TableError

KEY = JobKey(b"k" * 32, encrypts=False)
CIPHER_KEY = JobKey(b"k" * 32, encrypts=True)


def lines_of(data: bytes) -> list[str]:
    """The slow obvious way."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    return lines if lines[-1] else lines[:-1]


# --- text

TEXTS = st.lists(st.sampled_from([b"\n", b"a", b"bc", "ä€".encode(), b"\xff", b"\r\n", b"\x0b", b"\x00"])).map(b"".join)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=TEXTS, split_bytes=st.integers(1, 9), read_bytes=st.integers(1, 5))
def test_every_line_is_in_the_split_it_begins_in(
    tmp_path: Path, data: bytes, split_bytes: int, read_bytes: int
) -> None:
    path = tmp_path / "text"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_split, "_READ_BYTES", read_bytes)
        splits = text_splits(path, split_bytes=split_bytes)
        assert [line for split in splits for line in split.read()] == lines_of(data)
        begins = 0
        for split in splits:
            found = list(split.read())
            expected = [line for line, start in starts(data) if split.start <= start < split.end]
            assert found == expected
            begins += len(found)


def starts(data: bytes) -> Iterator[tuple[str, int]]:
    offset = 0
    for line in data.split(b"\n"):
        if offset < len(data):
            yield line.decode("utf-8", "surrogateescape"), offset
        offset += len(line) + 1


def test_a_line_longer_than_many_splits(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"x" * 300_000 + b"\nshort\n" + b"y" * 200_000)
    splits = text_splits(path, split_bytes=70_000)
    assert [list(map(len, split.read())) for split in splits] == [[300_000], [], [], [], [5, 200_000], [], [], []]


def test_splits_say_where_they_are_and_travel(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"a\nb\n")
    [split] = text_splits(path)
    assert split == TextSplit(path, 0, 4) == pickle.loads(pickle.dumps(split))
    assert split_name(split) == f"{path}, bytes 0 to 4"
    with pytest.raises(ValueError, match="at least 1"):
        text_splits(path, split_bytes=0)


@pytest.mark.parametrize(("mib", "tasks"), [(16, 1), (17, 2), (512, 32), (1024, 32), (4096, 64)])
def test_large_files_have_large_splits(tmp_path: Path, mib: int, tasks: int) -> None:
    with (tmp_path / "text").open("wb") as file:
        file.truncate(mib << 20)  # takes no room
    splits = text_splits(tmp_path / "text")
    assert len(splits) == tasks and splits[-1].end == mib << 20


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        text_splits(tmp_path / "text")


# --- Parquet


def test_rows_of_a_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows = [{"number": number, "text": str(number) if number % 3 else None} for number in range(25)]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=10)
    splits = parquet_splits(path)
    assert [len(list(split.read())) for split in splits] == [10, 10, 5]
    assert [row for split in splits for row in split.read()] == rows
    tuples = parquet_splits(path, columns=["text", "number"], row_kind="tuple")
    assert [row for split in tuples for row in split.read()] == [(row["text"], row["number"]) for row in rows]
    assert split_name(splits[1]) == f"{path}, row group 1"
    assert list(splits_of(path, directory=tmp_path, key=KEY)) == splits


def test_a_parquet_file_cut_short_after_it_was_split(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"number": range(1000)}), path)
    (split,) = parquet_splits(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TableError, match=r"rows\.parquet: .*cut short"):
        list(split.read())


# --- what an input is


def test_paths_are_files(tmp_path: Path) -> None:
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in paths:
        path.write_text("one\ntwo\n")
    expected = [TextSplit(path, 0, 8) for path in paths]
    assert list(splits_of(paths, directory=tmp_path, key=KEY)) == [JoinedSplit(tuple(expected))]
    assert list(splits_of(str(paths[0]), directory=tmp_path, key=KEY)) == expected[:1]
    assert list(splits_of(paths[0], directory=tmp_path, key=KEY)) == expected[:1]


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 9), max_size=20))
def test_small_files_are_joined_in_order(sizes: list[int]) -> None:
    splits = [TextSplit(Path(str(number)), 3, 3 + size) for number, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_split, "JOINED_BYTES", 10)
        groups = [each.parts if isinstance(each, JoinedSplit) else (each,) for each in join_small(splits)]
    assert [split for group in groups for split in group] == splits
    totals = [sum(split.end - split.start for split in group) for group in groups]
    assert all(total <= 10 for total in totals)
    assert all(total + group[0].end - 3 > 10 for total, group in zip(totals, groups[1:], strict=False))


def test_joined_files_read_one_behind_another(tmp_path: Path) -> None:
    for name, text in {"a.txt": "one\ntwo", "b.txt": "", "c.txt": "three\n"}.items():
        (tmp_path / name).write_text(text)
    [split] = splits_of(sorted(tmp_path.iterdir()), directory=tmp_path, key=KEY)
    assert list(split.read()) == ["one", "two", "three"]
    assert split_name(split) == f"{tmp_path / 'a.txt'} to {tmp_path / 'c.txt'}, 2 files"


class Numbers:
    """A split of a user."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __repr__(self) -> str:
        return f"Numbers({self.count})"

    def read(self) -> range:
        return range(self.count)


def test_splits_of_users_are_taken_as_they_are(tmp_path: Path) -> None:
    splits = [Numbers(3), Numbers(4)]
    assert list(splits_of(splits, directory=tmp_path, key=KEY)) == splits
    assert split_name(splits[0]) == "Numbers(3)"


def test_texts_that_are_all_names_of_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(ValueError, match=r"or the name of a file\? Give pathlib.Path"):
        splits_of([str(tmp_path / "a")], directory=tmp_path, key=KEY)
    assert staged([str(tmp_path / "a"), "b"], tmp_path) == [[str(tmp_path / "a"), "b"]]
    assert staged(iter([str(tmp_path / "a")]), tmp_path) == [[str(tmp_path / "a")]]


def staged(inputs: Any, directory: Path, split_records: int = 10) -> list[list[Any]]:
    splits = list(splits_of(inputs, directory=directory, key=KEY, split_records=split_records))
    assert all(isinstance(split, StagedSplit) for split in splits)
    found = [list(split.read()) for split in splits]
    for split in splits:
        split.discard()  # type: ignore[attr-defined]
    assert not list(directory.glob("*.records"))
    return found


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 35])
def test_anything_else_is_staged_so_many_records_at_a_time(tmp_path: Path, count: int) -> None:
    expected = [list(range(first, min(first + 10, count))) for first in range(0, count, 10)]
    assert staged(range(count), tmp_path) == staged(list(range(count)), tmp_path) == expected
    assert staged((number for number in range(count)), tmp_path) == expected


def test_staging_waits_until_a_split_is_wanted(tmp_path: Path) -> None:
    taken = []
    splits = splits_of(
        (taken.append(number) or number for number in range(100)), directory=tmp_path, key=KEY, split_records=10
    )
    assert not taken
    assert next(splits).first_record == 0 and len(taken) == 10  # type: ignore[attr-defined]
    assert next(splits).first_record == 10  # type: ignore[attr-defined]


def test_an_iterator_that_raises_leaves_no_half_file(tmp_path: Path) -> None:
    def records() -> Iterator[int]:
        yield from range(15)
        raise KeyError("lost")

    splits = splits_of(records(), directory=tmp_path, key=KEY, split_records=10)
    next(splits)
    with pytest.raises(KeyError, match="lost"):
        next(splits)
    assert len(list(tmp_path.iterdir())) == 1


# --- record files


def write(path: Path, records: list[Any], key: JobKey = KEY) -> RecordFile:
    with RecordFileWriter(path, key) as writer:
        writer.write_all(records)
        return writer.finish()


@pytest.mark.parametrize("key", [KEY, CIPHER_KEY])
def test_records_of_any_kind_and_size(tmp_path: Path, key: JobKey) -> None:
    records = [None, 1, "x" * 3_000_000, [1, {2: b"3"}], *range(10_000)]
    file = write(tmp_path / "file", records, key)
    assert list(file.read()) == list(file.read()) == records
    assert file.record_count == len(records)
    assert file.size_bytes == (tmp_path / "file").stat().st_size
    assert max(map(len, file.batches())) <= 1 << 15


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_that_was_changed_is_never_unpickled(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / f"file-{os.urandom(8).hex()}"
    file = write(path, [Bomb()], data.draw(st.sampled_from([KEY, CIPHER_KEY])))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["bit", "cut", "insert"]))
    spoiled = {
        "bit": whole[:place] + bytes([whole[place] ^ 1 << data.draw(st.integers(0, 7))]) + whole[place + 1 :],
        "cut": whole[:place],
        "insert": whole[:place] + b"x" + whole[place:],
    }[kind]
    path.write_bytes(spoiled)
    with pytest.raises((RunCorruptError, ArmedError)) as caught:
        list(file.read())
    if isinstance(caught.value, ArmedError):  # the batch itself was whole, and what follows is not
        assert place >= len(whole) - 20


class ArmedError(Exception):
    """Raised by unpickling."""


def explode() -> None:
    raise ArmedError


class Bomb:
    """Goes off where it is unpickled."""

    def __reduce__(self) -> Any:
        return explode, ()


def test_neither_another_file_nor_another_key_passes(tmp_path: Path) -> None:
    one, other = write(tmp_path / "one", [1]), write(tmp_path / "other", [1])
    (tmp_path / "one").write_bytes((tmp_path / "other").read_bytes())
    with pytest.raises(RunCorruptError, match="one: damaged at byte"):
        list(one.read())
    stranger = replace(other, key=JobKey(b"s" * 32, encrypts=False))
    with pytest.raises(RunCorruptError):
        list(stranger.read())


def test_batches_in_another_order_do_not_pass(tmp_path: Path) -> None:
    with RecordFileWriter(tmp_path / "file", KEY) as writer:
        sizes = [writer.write([1]) + 20, writer.write([2]) + 20]
        file = writer.finish()
    data = file.path.read_bytes()
    first, second, end = data[: sizes[0]], data[sizes[0] : sum(sizes)], data[sum(sizes) :]
    for spoiled in (second + first + end, first + end, first + second):
        file.path.write_bytes(spoiled)
        with pytest.raises(RunCorruptError):
            list(file.read())


def test_a_writer_that_is_left_removes_its_file(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="pickle"), RecordFileWriter(tmp_path / "file", KEY) as writer:
        writer.write_all([1, 2, (number for number in range(3))])
    assert list(tmp_path.iterdir()) == []
