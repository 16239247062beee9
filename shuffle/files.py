"""Sort and merge files: the library calls, and what the command line stands on.

The engine, and with it numba, is imported at the first call, so that `import shuffle` stays quick.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from serializers import RecordLayout, fixed, lines
from shuffle import event_loop
from shuffle.engine_thread import EngineThread
from shuffle.options import PathLike, ResourceChoices, SortKernel, SortOptions, path_names, read_options
from shuffle.report import SortReport

if TYPE_CHECKING:
    from shuffle.partitioned.shuffle_file import Shuffled

_LAYOUT_CHOICES = ("record_bytes", "key_offset", "key_bytes", "delimiter")

T = TypeVar("T")


class Choices(ResourceChoices, total=False):
    """What may be chosen about a sort or a merge, beside its resources; everything has a default.

    record_bytes  length of a record; None for lines
    key_offset    where in a record the key begins
    key_bytes     how long the key is; None for the rest of the record
    delimiter     the byte that ends a line
    reverse       descending order; ties keep input order all the same
    unique        only the first of records with equal keys
    limit         only so many records, the first in order
    sort_kernel   "numba", "numpy", or "auto" for the quicker on this processor
    """

    record_bytes: int | None
    key_offset: int
    key_bytes: int | None
    delimiter: bytes
    reverse: bool
    unique: bool
    limit: int | None
    sort_kernel: SortKernel


def sort_file(
    inputs: PathLike | Sequence[PathLike], output: PathLike, *, resume: bool = False, **choices: Unpack[Choices]
) -> SortReport:
    """Sort the records of one or more files into `output`. See `Choices` for the keywords.

    Order is that of unsigned bytes, the shorter first; ties keep the order of the input. `output` appears whole or not
    at all, and may be one of the inputs; "-" is standard input or output.

    With `resume` a job that is killed or fails keeps what it has finished, in the temp directories and beside the
    output, for a week; the same call goes on from there. ResumeError, a ValueError, says that the input or the choices
    are not what they were; nothing is lost then.

    Raises OSError, ValueError or MemoryError kinds whose text says what to do; then the old output stands untouched.
    """
    options = replace(make_options(**choices), resume=resume)
    from shuffle import engine

    names = _inputs(inputs)
    return _run(lambda: engine.sort(names, os.fspath(output), options))


def merge_files(inputs: Sequence[PathLike], output: PathLike, **choices: Unpack[Choices]) -> SortReport:
    """Merge files that are in order already into `output`. Equal keys come in the order of `inputs`.

    Raises what `sort_file` does, and NotSortedError, naming the file, where one is not in order.
    """
    options = make_options(**choices)
    from shuffle import engine

    names = _inputs(inputs)
    return _run(lambda: engine.merge(names, os.fspath(output), options))


def shuffle_file(
    inputs: PathLike | Sequence[PathLike],
    output_dir: PathLike,
    *,
    partitions: int,
    partitioner: str | None = None,
    by: str | Sequence[str] = (),
    sort_by: str | Sequence[str] = (),
    aggregates: str | Sequence[str] = (),
    format: str | None = None,
    output_format: str | None = None,
    overwrite: bool = False,
    **choices: Unpack[Choices],
) -> "Shuffled":
    """Shuffle one or more files into a directory: a sorted file for each partition, and a manifest.

    partitions     how many files, 1 to 10,000; some may be empty
    partitioner    "range": the files one behind another are what `sort_file` would write, cut into equal parts
                   "hash": equal keys go to one file, the same on every machine
                   "round-robin": record i goes to file i modulo `partitions`
                   default: "range" for lines and records of one length, "hash" for tables
    by, sort_by    of a table: columns that say where a row goes, and further ones to order by: "-amount" descends
    aggregates     of a table: one row for each group of equal `by`, with "count", "sum:amount", "min:amount", ...
    format         "lines", "fixed", "parquet", "csv", "tsv", "arrow"; if None, by the suffixes of the inputs, or `by`
    output_format  of a table; default that of the input
    overwrite      replace an output that is there; nothing but an output of a shuffle is ever replaced

    and `Choices`, but for `unique` and `limit`. The directory appears whole or not at all. Raises ShuffleError for what
    cannot be asked for, and what `sort_file` does.
    """
    options = make_options(**choices)
    from shuffle.partitioned.request import make_request
    from shuffle.partitioned.shuffle_file import shuffle_by_range, shuffle_now

    request = make_request(
        _inputs(inputs),
        os.fspath(output_dir),
        options,
        partitions=partitions,
        partitioner=partitioner,
        by=_listed(by),
        sort_by=_listed(sort_by),
        aggregates=_listed(aggregates),
        format=format,
        output_format=output_format,
        overwrite=overwrite,
    )
    if request.is_streamed:
        return shuffle_now(request, options)
    return _run(lambda: shuffle_by_range(request, options))


def make_options(**choices: Unpack[Choices]) -> SortOptions:
    """The same choices, read and checked. Raises LayoutError, SizeError, ValueError."""
    given: dict[str, Any] = dict(choices)
    of_layout = {name: given.pop(name) for name in _LAYOUT_CHOICES if name in given}
    return read_options(make_layout(**of_layout), **given)


def make_layout(
    record_bytes: int | None = None,
    key_offset: int = 0,
    key_bytes: int | None = None,
    delimiter: bytes = b"\n",
) -> RecordLayout:
    """Lines, unless the length of a record is given. Raises LayoutError."""
    if record_bytes is not None:
        return fixed(record_bytes, key_offset=key_offset, key_bytes=key_bytes)
    if key_offset or key_bytes is not None:
        raise ValueError("a key within the record (--key-offset, --key-bytes) needs --record-bytes as well")
    return lines(delimiter)


def _inputs(inputs: PathLike | Sequence[PathLike]) -> list[str]:
    names = list(path_names(inputs))
    if not names:
        raise ValueError("no input was named: give at least one file")
    return names


def _listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _run(job: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a job to its end; where an event loop runs in this thread already (a notebook), beside it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return event_loop.run(job())
    thread = EngineThread()
    try:
        return thread.call(job())
    finally:
        thread.close()
