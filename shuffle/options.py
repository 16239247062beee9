"""What a caller may choose about a sort. The only place where defaults stand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from memory import parse_size
from serializers import RecordLayout, lines

if TYPE_CHECKING:
    from io_manager import JobKey

PathLike = str | os.PathLike[str]
Codec = Literal["none", "lz4", "zstd", "auto"]
SortKernel = Literal["auto", "numba", "numpy"]


class ResourceChoices(TypedDict, total=False):
    """What every job may take, in the words of its caller. Sizes are bytes, or text like "256MiB".

    memory         what the job may add to this process (default: half of what the process may use), beside the code of
                   the engine, which the first job loads; a value of more than 8 MiB takes four times its size beyond it
    temp_dirs      where to spill; default the system's temp directory
    max_disk       the most that spill files may take
    threads        workers that sort and merge; default all cores
    compress       spilled blocks: "none", "lz4", "zstd", or "auto" to measure whether it pays
    encrypt_spill  encrypt whatever is written to temp directories, with a key that only this job has
    """

    memory: int | str | None
    temp_dirs: PathLike | Iterable[PathLike]
    max_disk: int | str | None
    threads: int | None
    compress: Codec
    encrypt_spill: bool


@dataclass(frozen=True)
class SortOptions:
    """Choices for one job; None means that the engine decides from what the machine has.

    memory_bytes   the whole process as the operating system sees it (in a library: what the job adds to it)
    temp_dirs      where to spill; the system's temp directory if empty
    disk_bytes_max the most that spill files may take at any time
    threads        workers that sort and merge; all cores if None
    limit          write only the first so many records
    combine        makes one record of neighbours with equal keys in a sorted buffer, where they need not stay apart:
                   called with the sorted words, the address of the records, their offsets and the mask of ordinals,
                   in any thread; puts the words that are left to the front, and returns how many they are
    encrypt_spill  encrypt what is written to temp directories
    authentic      believe no spilled byte that this job did not write: what may_pickle needs it
    job_key        what to seal with, where several processes spill for one job; a new one, where there is need, if None
    resume         keep what is finished when the job is killed, and go on with what one before it has kept
    """

    layout: RecordLayout = field(default_factory=lines)
    memory_bytes: int | None = None
    temp_dirs: Sequence[str] = ()
    disk_bytes_max: int | None = None
    threads: int | None = None
    compress: Codec = "none"
    reverse: bool = False
    unique: bool = False
    limit: int | None = None
    sort_kernel: SortKernel = "auto"
    combine: Callable[..., int] | None = None
    encrypt_spill: bool = False
    authentic: bool = False
    job_key: JobKey | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads is {self.threads}: at least 1 is needed")
        if self.limit is not None and self.limit < 0:
            raise ValueError(f"limit is {self.limit}: give 0 or more records")
        if self.disk_bytes_max is not None and self.disk_bytes_max < 0:
            raise ValueError(f"the disk limit is {self.disk_bytes_max} bytes: it cannot be negative")
        if self.resume and self.encrypt_spill:
            raise ValueError(
                "--resume cannot be combined with --encrypt-spill: the key is in memory only and ends with the job, so "
                "nobody could read what it has kept. Leave one of them out"
            )
        if self.resume and self.authentic:
            raise ValueError(
                "pickled records cannot be resumed: they are believed only under a key, which is in memory only and "
                "ends with the job. Leave resume= out, or describe the type of the records"
            )
        if self.encrypt_spill:
            from io_manager import check_encryption

            check_encryption()

    @property
    def one_range(self) -> bool:
        """Whether output offsets are unknown until everything before them is written."""
        return self.unique or self.limit is not None


def read_options(
    layout: RecordLayout,
    *,
    memory: int | str | None = None,
    max_disk: int | str | None = None,
    temp_dirs: PathLike | Iterable[PathLike] = (),
    **choices: Any,
) -> SortOptions:
    """The options of a caller who gives sizes as numbers or text, and one directory or several.

    Raises SizeError for a size that cannot be read, ValueError for what makes no sense.
    """
    return SortOptions(
        layout=layout,
        memory_bytes=None if memory is None else parse_size(memory),
        disk_bytes_max=None if max_disk is None else parse_size(max_disk),
        temp_dirs=path_names(temp_dirs),
        **choices,
    )


def path_names(paths: PathLike | Iterable[PathLike]) -> tuple[str, ...]:
    """The names of one path or several."""
    given = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    return tuple(os.fspath(path) for path in given)
