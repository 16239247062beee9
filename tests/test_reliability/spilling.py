"""Jobs of every kind that spill, with a needle in every key and every value.

    with small_machine() as machine:
        JOBS["sort_lines"](machine, encrypt_spill=True)

Each checks what comes out, so that a test need only look at what was written on the way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest

import shuffle
from shuffle.exchange.shuffle_job import Shuffle
from shuffle.tables import group_store, merge_join_tables, sort_table
from tests import tiny
from tests.test_exchange.executors import InlineExecutor


def texts(count: int, seed: int, kinds: int = 1 << 30) -> list[str]:
    """With a needle near both ends."""
    rng = random.Random(seed)
    return [f"NEEDLE{rng.randrange(kinds)}needle" + "." * rng.randrange(20) for _ in range(count)]


def sort_lines(machine: tiny.Machine, **choices: Any) -> None:
    data = "\n".join(texts(16_000, 1)).encode() + b"\n"
    assert machine.sort(data, **choices) == tiny.sorted_bytes(data)
    assert machine.report.passes > 1, "runs that are merged into runs are spilled again"


def sort_long_lines(machine: tiny.Machine, **choices: Any) -> None:
    lines = [*texts(1000, 2), "NEEDLE" * 15_000, *texts(1000, 3)]
    data = "\n".join(lines).encode() + b"\n"
    assert machine.sort(data, **choices) == tiny.sorted_bytes(data)


def sort_objects(machine: tiny.Machine, **choices: Any) -> None:
    values = [(number, {number: text}) for number, text in enumerate(texts(3000, 4))]
    with shuffle.sort(values, key=lambda value: value[1][value[0]], temp_dirs=[machine.temp_dir], **choices) as result:
        assert list(result) == sorted(values, key=lambda value: value[1][value[0]])


class Note:
    """Of a class that nobody described."""

    def __init__(self, text: str) -> None:
        self.text = text


def sort_generic(machine: tiny.Machine, **choices: Any) -> None:
    notes = [Note(text) for text in texts(1500, 5)]
    with shuffle.sort(notes, key=text_of, temp_dirs=[machine.temp_dir], **choices) as result:
        assert [note.text for note in result] == sorted(note.text for note in notes)


def text_of(note: Note) -> str:
    return note.text


def sort_rows(machine: tiny.Machine, **choices: Any) -> None:
    table = pa.table({"text": texts(3000, 6), "number": range(3000)})
    with sort_table(table, ["text"], temp_dirs=[machine.temp_dir], **choices) as result:
        assert result.to_table().equals(table.sort_by("text"))


def aggregate_values(machine: tiny.Machine, **choices: Any) -> None:
    """More groups than a table holds, and values in order."""
    pairs = list(zip(texts(6000, 7, 5000), texts(6000, 8), strict=True))
    asked = "count,count_distinct:1,collect:1"
    with shuffle.aggregate(iter(pairs), 0, asked, temp_dirs=[machine.temp_dir], **choices) as result:
        assert sum(row[1] for row in result) == len(pairs)
        assert sum(1 for _ in result) == len({key for key, _ in pairs})


def aggregate_table(machine: tiny.Machine, **choices: Any) -> None:
    table = pa.table({"key": texts(8000, 9, 7000), "number": range(8000)})
    with shuffle.aggregate(table, "key", "count,sum:number", temp_dirs=[machine.temp_dir], **choices) as result:
        assert sum(result.to_table()["sum_number"].to_pylist()) == sum(range(8000))


def join_tables(machine: tiny.Machine, **choices: Any) -> None:
    """A key with more rows than stay in memory: they go to a file without a name."""
    left = pa.table({"key": ["NEEDLE"] * 3, "left": range(3)})
    right = pa.table({"key": ["NEEDLE"] * 900, "right": texts(900, 10)})
    with merge_join_tables(left, right, "key", temp_dirs=[machine.temp_dir], **choices) as joined:
        assert joined.to_table().num_rows == 2700


def shuffle_lines(machine: tiny.Machine, **choices: Any) -> None:
    data = "\n".join(texts(4000, 11)).encode() + b"\n"
    [path] = machine.write(data)
    directory = machine.directory / "parts"
    options = {"partitions": 3, "partitioner": "hash", "temp_dirs": [machine.temp_dir], **choices}
    shuffle.shuffle_file(path, directory, **options)
    parts = b"".join(part.read_bytes() for part in directory.glob("part-*"))
    assert sorted(parts.splitlines()) == sorted(data.splitlines())


def shuffle_objects(machine: tiny.Machine, **choices: Any) -> None:
    """Staged records, map outputs, their indexes, and results."""
    pairs = list(zip(texts(3000, 12, 300), texts(3000, 13), strict=True))
    job = Shuffle(partitions=3, split_records=1000, **choices)
    with job.run(iter(pairs), InlineExecutor(machine.temp_dir)) as result:
        assert sorted(result) == sorted(pairs)


def shuffle_ranges(machine: tiny.Machine, **choices: Any) -> None:
    pairs = list(zip(texts(3000, 14, 300), texts(3000, 15), strict=True))
    job = Shuffle(partitions=3, partition_by="range", group_reduce=longest, split_records=1000, **choices)
    with job.run(iter(pairs), InlineExecutor(machine.temp_dir)) as result:
        assert dict(result) == {key: max(text for other, text in pairs if other == key) for key, _ in pairs}


def longest(key: str, values: Iterator[str]) -> Iterator[tuple[str, str]]:
    yield key, max(values)


JOBS: dict[str, Callable[..., None]] = {
    job.__name__: job
    for job in (
        sort_lines,
        sort_long_lines,
        sort_objects,
        sort_generic,
        sort_rows,
        aggregate_values,
        aggregate_table,
        join_tables,
        shuffle_lines,
        shuffle_objects,
        shuffle_ranges,
    )
}


@contextmanager
def small_machine() -> Iterator[tiny.Machine]:
    with pytest.MonkeyPatch.context() as patch, tiny.machine(managed_bytes=96 << 10) as machine:
        patch.setitem(group_store.GroupStore.__init__.__kwdefaults__, "kept_bytes", 10_000)
        yield machine
