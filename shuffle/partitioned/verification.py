"""Check an output directory against its manifest, and against what was shuffled.

    manifest ──> every file: there, so many bytes and records, the fingerprint, first and last key, order
                 all files:  in order one behind another, if they are ranges; each key where its hash says, if not
    inputs   ──> totals: records, bytes, fingerprint

Each problem is one line that names the file and the cause; reading goes on after it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from io_manager import KEY_BYTES_MAX
from serializers import RecordLayout
from shuffle.partitioned.manifest import (
    MANIFEST_NAME,
    Content,
    Manifest,
    layout_of,
)
from shuffle.partitioned.manifest_reader import ManifestError, read_manifest
from shuffle.partitioned.problems import Problem, differences
from shuffle.verify import FINGERPRINTS, Checker, CheckResult, PartialRecordError, check_file


@dataclass(frozen=True)
class DirectoryResult:
    """What a check of an output directory found."""

    manifest: Manifest
    problems: tuple[Problem, ...]

    def describe(self) -> str:
        """One line, if nothing is wrong."""
        total = self.manifest.total
        return (
            f"{total.records} records, {total.size_bytes} bytes, in {len(self.manifest.partitions)} partitions, "
            f"fingerprint {total.fingerprint:032x}"
        )


def verify_directory(
    directory: str | os.PathLike[str],
    inputs: Sequence[str] = (),
    *,
    memory_bytes: int,
) -> DirectoryResult:
    """Check `directory` by its manifest; with `inputs`, also that it holds their very records.

    Raises ManifestError, RecordTooLargeError, and OSError as the system gives it.
    """
    path = Path(directory)
    manifest = read_manifest(path)
    check = _check(path, manifest, memory_bytes)
    problems = [*_strangers(path, manifest), *check.files()]
    if inputs:
        problems += check.totals(inputs)
    return DirectoryResult(manifest, tuple(problems))


class Check(Protocol):
    """Checks the files of one kind of records."""

    def files(self) -> Iterator[Problem]:
        """Check every file."""

    def totals(self, inputs: Sequence[str]) -> Iterator[Problem]:
        """Compare with what was shuffled."""


def _check(directory: Path, manifest: Manifest, memory_bytes: int) -> Check:
    if manifest.records.get("kind") == "table":
        from shuffle.partitioned.table_check import TableCheck

        return TableCheck(directory, manifest)
    return RecordCheck(directory, manifest, memory_bytes=memory_bytes)


def _strangers(directory: Path, manifest: Manifest) -> Iterator[Problem]:
    """Files that look like partitions and are in no manifest; partitions that are one file."""
    named = Counter(partition.file for partition in manifest.partitions)
    for name in sorted(name for name, count in named.items() if count > 1):
        yield Problem(f"{directory / MANIFEST_NAME}: {name} is the file of several partitions")
    for name in sorted(entry.name for entry in os.scandir(directory)):
        if name.startswith("part-") and name not in named:
            yield Problem(f"{directory / name}: is not in the manifest")


class RecordCheck:
    """Checks files of lines, or of records of one length."""

    def __init__(self, directory: Path, manifest: Manifest, *, memory_bytes: int) -> None:
        self._directory = directory
        self._manifest = manifest
        self._memory_bytes = memory_bytes
        self._is_range = manifest.partitioner == "range"
        try:
            self._layout: RecordLayout = layout_of(manifest.records)
            self._descending = bool(manifest.order["descending"])
        except (KeyError, TypeError, ValueError) as error:
            where = directory / MANIFEST_NAME
            raise ManifestError(f"{where}: records or order is none that is known ({error})") from error

    def files(self) -> Iterator[Problem]:
        """Check every file."""
        before: Path | None = None
        with Checker(self._layout, reverse=self._descending, memory_bytes=self._memory_bytes) as checker:
            for number, partition in enumerate(self._manifest.partitions):
                path = self._directory / partition.file
                yield from self._file(number, path, partition.content, checker, before)
                if not self._is_range:
                    checker.restart()
                elif partition.content.records and path.is_file():
                    before = path

    def totals(self, inputs: Sequence[str]) -> Iterator[Problem]:
        """Compare with what was shuffled."""
        read = [check_file(source, self._layout, memory_bytes=self._memory_bytes) for source in inputs]
        found = Content(
            sum(each.records for each in read),
            sum(each.size_bytes for each in read),
            fingerprint=sum(each.fingerprint for each in read) % FINGERPRINTS,
        )
        yield from differences(self._directory, self._manifest.total, found, "of the input")

    def _file(self, number: int, path: Path, told: Content, checker: Checker, before: Path | None) -> Iterator[Problem]:
        if not path.is_file():
            yield Problem(f"{path}: {'is no file' if path.exists() else 'is missing'}")
            return
        try:
            result = checker.check(path)
        except PartialRecordError as error:
            yield Problem(str(error))
            checker.restart()
            return
        yield from _order(path, result, before)
        last_key = checker.last_key(KEY_BYTES_MAX) if result.records else None
        content = Content(result.records, path.stat().st_size, self._first_key(path), last_key, result.fingerprint)
        yield from differences(path, told, content, "in the file")
        if self._manifest.partitioner == "hash":
            yield from self._strays(number, path)

    def _strays(self, number: int, path: Path) -> Iterator[Problem]:
        """Records that belong in another partition than this."""
        from shuffle.partitioned.record_stream import hash_partitions

        count = len(self._manifest.partitions)
        misplaced = 0
        for numbers in hash_partitions(path, self._layout, count):
            misplaced += int(np.count_nonzero(numbers != number))
        if misplaced:
            yield Problem(f"{path}: {misplaced} records belong in other partitions, by the hash of their keys")

    def _first_key(self, path: Path) -> bytes | None:
        with path.open("rb") as file:
            head = file.read(self._layout.key_offset + KEY_BYTES_MAX + 1)
        return self._layout.leading_key(memoryview(head), KEY_BYTES_MAX) if head else None


def _order(path: Path, result: CheckResult, before: Path | None) -> Iterator[Problem]:
    if result.first_disorder is None:
        return
    if result.first_disorder == 1 and before is not None:
        yield Problem(f"{path}: record 1 should stand before the last record of {before.name}", is_order=True)
        return
    text = f"{path}: {result.disorders} records out of order, the first is record {result.first_disorder}"
    yield Problem(text, is_order=True)
