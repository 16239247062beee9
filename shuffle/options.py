"""What a caller may choose about a sort. The only place where defaults stand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from serializers import RecordLayout, lines

Codec = Literal["none", "lz4", "zstd", "auto"]
SortKernel = Literal["auto", "numba", "numpy"]


@dataclass(frozen=True)
class SortOptions:
    """Choices for one job; None means that the engine decides from what the machine has.

    memory_bytes   the whole process as the operating system sees it (in a library: what the job adds to it)
    temp_dirs      where to spill; the system's temp directory if empty
    disk_bytes_max the most that spill files may take at any time
    threads        workers that sort and merge; all cores if None
    limit          write only the first so many records
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

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads is {self.threads}: at least 1 is needed")
        if self.limit is not None and self.limit < 0:
            raise ValueError(f"limit is {self.limit}: give 0 or more records")
        if self.disk_bytes_max is not None and self.disk_bytes_max < 0:
            raise ValueError(f"the disk limit is {self.disk_bytes_max} bytes: it cannot be negative")

    @property
    def one_range(self) -> bool:
        """Whether output offsets are unknown until everything before them is written."""
        return self.unique or self.limit is not None
