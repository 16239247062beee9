"""Shuffle files into a directory: which way it is done.

lines, records of one length   range        the file engine, its output cut as it is written
                               hash, ...    rows with the number of their partition before the key
tables                         any          columns to rows and back
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG
from typing import Any

from io_manager import IOThreads
from memory import (
    MemoryConfigurationError,
    default_memory_bytes,
    drop_clean_pages,
    format_size,
    peak_resident_bytes,
    resident_bytes,
)
from shuffle import engine
from shuffle.options import SortOptions
from shuffle.partitioned.manifest import Manifest, Partition, describe_layout, record_suffix
from shuffle.partitioned.part_files import PartFiles
from shuffle.partitioned.partitioned_output import PartitionedOutput
from shuffle.partitioned.request import Request
from shuffle.report import SortReport


@dataclass(frozen=True)
class Shuffled:
    """What happened, and what is in the directory now."""

    report: SortReport
    manifest: Manifest

    def as_dict(self) -> dict[str, Any]:
        """What happened, as JSON has it."""
        return {**self.report.as_dict(), "partitions": len(self.manifest.partitions)}

    def describe(self) -> str:
        """One line for people."""
        return f"{len(self.manifest.partitions):,} partitions of {self.report.describe()}"


async def shuffle_by_range(
    request: Request,
    options: SortOptions,
    *,
    whole_process: bool = False,
    watcher: engine.Watcher | None = None,
) -> Shuffled:
    """Sort all records into files of equally many bytes, in order. Raises what `engine.sort` does."""
    made: list[PartitionedOutput] = []

    def make_target(threads: IOThreads) -> PartitionedOutput:
        made.append(
            PartitionedOutput(
                request.directory,
                request.partitions,
                options.layout,
                descending=options.reverse,
                overwrite=request.overwrite,
                threads=threads,
            )
        )
        return made[0]

    report = await engine.sort(request.inputs, make_target, options, whole_process=whole_process, watcher=watcher)
    manifest = made[0].manifest
    assert manifest is not None and manifest.total.records == report.records, "nothing lost, nothing doubled"
    return Shuffled(report, manifest)


def shuffle_now(
    request: Request,
    options: SortOptions,
    *,
    whole_process: bool = False,
    watcher: engine.Watcher | None = None,
) -> Shuffled:
    """Do it in the caller's thread, one batch after another.

    The budget is for the whole process if `whole_process`, and else for what the job adds to it. Raises ShuffleError,
    and OSError, ValueError and MemoryError kinds whose text says what to do; then nothing is left.
    """
    started = time.perf_counter()
    budget = options.memory_bytes or default_memory_bytes()
    if whole_process:
        drop_clean_pages("llvm")  # kernels are loaded by now, and LLVM has done its work
        options = replace(options, memory_bytes=max(1, budget - resident_bytes()))
    on_read = (watcher or engine.NobodyWatches()).advance
    try:
        shuffled = _shuffle_streamed(request, options, on_read)
    except MemoryConfigurationError as error:
        left = budget if options.memory_bytes is None else options.memory_bytes
        taken = f"{format_size(budget)}, of which {format_size(budget - left)} are taken before it begins"
        raise MemoryConfigurationError(f"the shuffle has {taken}, and that is not enough: {error}") from error
    report, total = shuffled.report, shuffled.manifest.total
    report.memory_bytes, report.peak_resident_bytes = budget, peak_resident_bytes()
    report.records_written, report.output_bytes = total.records, total.size_bytes
    report.seconds = time.perf_counter() - started
    return shuffled


def _shuffle_streamed(request: Request, options: SortOptions, on_read: Callable[[int], None]) -> Shuffled:
    if not request.is_table:
        return _shuffle_records(request, options, on_read)
    from shuffle.partitioned.table_stream import shuffle_table

    return shuffle_table(request, options, on_read)


def _shuffle_records(request: Request, options: SortOptions, on_read: Callable[[int], None]) -> Shuffled:
    from shuffle.exchange.partitioners import partitioner_of
    from shuffle.partitioned.record_stream import shuffle_records

    def describe(partitions: list[Partition]) -> Manifest:
        order = {"descending": options.reverse}
        return Manifest(describe_layout(options.layout), request.partitioner, order, partitions)

    suffix = record_suffix(options.layout)
    with PartFiles(request.directory, request.partitions, suffix=suffix, overwrite=request.overwrite) as files:
        files.open(input_bytes(request.inputs))
        report = shuffle_records(
            request.inputs, files, options, partitioner_of(request.partitioner), request.partitions, on_read
        )
        manifest = files.publish(describe)
    assert manifest.total.records == report.records, "nothing lost, nothing doubled"
    return Shuffled(report, manifest)


def input_bytes(inputs: Sequence[str]) -> int | None:
    """How long all inputs are; None if only reading tells. Raises OSError for one that is not there."""
    sizes = [None if path == "-" else Path(path).stat() for path in inputs]
    if any(each is None or not S_ISREG(each.st_mode) for each in sizes):
        return None
    return sum(each.st_size for each in sizes if each is not None)
