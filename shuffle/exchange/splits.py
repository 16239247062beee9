"""The input of a job, cut into splits: one map task for each, the same ones however many slots there are.

    a path, or Paths          text files in ranges of bytes, small ones together, Parquet files in row groups
    a list of splits          anything with read(), that can be pickled
    anything else             an iterable of records, of any length: staged in files, so many records in each

A record's place is (split, position): that is the order of equal keys.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from io_manager import JobKey, system
from shuffle.exchange.parquet_split import parquet_splits
from shuffle.exchange.record_file import RecordFile, RecordFileWriter
from shuffle.exchange.text_split import join_small, text_splits

SPLIT_RECORDS = 1 << 17
"""Staged in one file. A number, not bytes: how records are cut must not depend on how well they pickle."""


@runtime_checkable
class Split(Protocol):
    """Part of an input: a picklable description, that a task reads where it runs. May have a `name`, for errors."""

    def read(self) -> Iterable[Any]:
        """Its records, the same ones each time."""


@dataclass(frozen=True)
class StagedSplit:
    """Records that came out of an iterator of the driver."""

    file: RecordFile
    first_record: int

    @property
    def name(self) -> str:
        """For errors."""
        return f"from record {self.first_record} on"

    def read(self) -> Iterator[Any]:
        """Its records."""
        return self.file.read()

    def discard(self) -> None:
        """Nobody will read it any more."""
        system.remove(self.file.path)


def split_name(split: Split) -> str:
    """What errors call a split."""
    return str(getattr(split, "name", None) or repr(split))


def splits_of(inputs: Any, *, directory: Path, key: JobKey, split_records: int = SPLIT_RECORDS) -> Iterator[Split]:
    """The splits of `inputs`; what must be staged is staged in `directory` as it is asked for, sealed with `key`.

    Raises OSError for a file that cannot be read, what an iterator raises, and ValueError for a list of texts that are
    all names of files: nobody could tell which of both is meant.
    """
    if isinstance(inputs, str | os.PathLike):
        return _splits_of_files([Path(inputs)])
    if isinstance(inputs, Sequence) and inputs:
        if all(isinstance(each, os.PathLike) for each in inputs):
            return _splits_of_files(map(Path, inputs))
        if all(isinstance(each, Split) for each in inputs):
            return iter(inputs)
        _check_no_names(inputs)
    return _staged(iter(inputs), directory, key, split_records)


def _splits_of_files(paths: Iterable[Path]) -> Iterator[Split]:
    for is_table, group in groupby(paths, _is_table):
        if is_table:
            yield from chain.from_iterable(map(parquet_splits, group))
        else:
            yield from join_small(chain.from_iterable(map(text_splits, group)))


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _check_no_names(inputs: Sequence[Any]) -> None:
    if all(isinstance(each, str) and "\n" not in each and "\0" not in each for each in inputs) and all(
        Path(each[:4096]).is_file() for each in inputs
    ):
        raise ValueError(
            f"{inputs[0]!r}: is this text, or the name of a file? Give pathlib.Path objects for files, and "
            "iter(...) for records"
        )


def _staged(records: Iterator[Any], directory: Path, key: JobKey, split_records: int) -> Iterator[StagedSplit]:
    first_record = 0
    for number, first in enumerate(records):
        with RecordFileWriter(directory / f"staged-{number:08}.records", key) as writer:
            writer.write_all(chain([first], islice(records, split_records - 1)))
            file = writer.finish()
        yield StagedSplit(file, first_record)
        first_record += file.record_count
