"""Ask the machine what a plan must know: sizes, a sample of the records, limits."""

import functools
import os
import resource
import tempfile
from collections.abc import Sequence

from io_manager import CIPHER_MEMORY_BYTES, InputFile
from memory import MIB, default_memory_bytes, drop_clean_pages, peak_resident_bytes, resident_bytes
from serializers import RecordLayout
from shuffle.options import SortOptions
from shuffle.plan import Surroundings

GROWTH_BYTES = 14 * MIB
"""What a job adds to a process beside the memory it manages: thread stacks, event loop, codecs, Python objects."""

OBJECTS_BYTES = 16 * MIB
"""Python objects of the batches that are being written to rows, and read from them (`shuffle/batches.py`)."""

_SAMPLE_BYTES = 64 << 10
_SAMPLES = 4
_LINE_BYTES_GUESS = 40
_ROW_BYTES_GUESS = 32


async def look_around(inputs: Sequence[InputFile], options: SortOptions, *, whole_process: bool) -> Surroundings:
    """`inputs` are open. With `whole_process` the memory of the interpreter as it is now counts against the budget."""
    sizes = [source.size for source in inputs]
    if whole_process:
        drop_clean_pages("llvm")  # kernels are loaded by now, and LLVM has done its work
    return Surroundings(
        input_bytes=None if None in sizes else sum(size or 0 for size in sizes),
        record_bytes=options.layout.record_bytes or await _mean_line_bytes(inputs, options.layout),
        cores=_cores(),
        open_files_max=raise_open_files_limit(),
        memory_bytes=options.memory_bytes or default_memory_bytes(),
        framework_bytes=GROWTH_BYTES + _cipher_bytes(options) + (resident_bytes() if whole_process else 0),
        start_bytes=peak_resident_bytes() if whole_process else 0,
    )


def look_around_for_rows(options: SortOptions) -> Surroundings:
    """For values that come one after another, of which nobody knows how many; what is added to this process counts."""
    _settle()
    return Surroundings(
        input_bytes=None,
        record_bytes=_ROW_BYTES_GUESS,
        cores=_cores(),
        open_files_max=raise_open_files_limit(),
        memory_bytes=options.memory_bytes or default_memory_bytes(),
        framework_bytes=GROWTH_BYTES + OBJECTS_BYTES + _cipher_bytes(options),
    )


def _cipher_bytes(options: SortOptions) -> int:
    encrypts = options.encrypt_spill or (options.job_key is not None and options.job_key.encrypts)
    return CIPHER_MEMORY_BYTES if encrypts else 0


@functools.cache
def _settle() -> None:
    """The first job of a process has loaded the kernels by now: LLVM, which that took, is not needed any more."""
    drop_clean_pages("llvm")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def temp_dirs(options: SortOptions) -> list[str]:
    """Where to spill."""
    return list(options.temp_dirs) or [tempfile.gettempdir()]


def raise_open_files_limit() -> int:
    """The soft limit on open files, raised to the hard one where that is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 1 << 16)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted


async def _mean_line_bytes(inputs: Sequence[InputFile], layout: RecordLayout) -> int:
    """From a few samples of the largest input; a guess where nothing can be read twice."""
    seekable = [source for source in inputs if source.size]
    if not seekable:
        return _LINE_BYTES_GUESS
    source = max(seekable, key=lambda each: each.size or 0)
    view = memoryview(bytearray(_SAMPLE_BYTES))
    length = lines = 0
    for part in range(_SAMPLES):
        count = await source.read_into(view, (source.size or 0) * part // _SAMPLES)
        length += count
        lines += bytes(view[:count]).count(bytes([layout.delimiter]))
    return max(1, length // max(1, lines))
