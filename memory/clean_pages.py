"""Give back memory that a shared library only needed for its own start.

Compiling, and even loading compiled code, touches some 60 MiB of LLVM's machine code, and the kernel counts those pages
as resident for the rest of the process. They are clean copies of a file: dropped, they cost nothing, and would be read
again from the page cache if they were ever wanted. Only Linux tells enough to do this safely; elsewhere nothing
happens.
"""

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

_SMAPS = Path("/proc/self/smaps")
_MADV_DONTNEED = 4
_HEADER = re.compile(r"(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) (?P<mode>\S+) \S+ \S+ \S+ +(?P<path>/.*)")


def drop_clean_pages(library: str) -> int:
    """Drop the resident pages of every mapping of a file named like `library`: bytes given back.

    A mapping that is writable, or of which even one page was ever changed (relocations are), is left alone.
    """
    dropped = 0
    for start, end, resident_bytes in _clean_mappings(library):
        if _madvise(start, end - start):
            dropped += resident_bytes
    return dropped


def _clean_mappings(library: str) -> Iterator[tuple[int, int, int]]:
    """(start, end, resident bytes) of each mapping that holds nothing but unchanged file contents."""
    try:
        text = _SMAPS.read_text()
    except OSError:
        return
    for header, figures in _split(text):
        is_unchanged = figures.get("Anonymous") == 0  # a changed page is a copy, and the copy has no file
        if is_unchanged and "w" not in header["mode"] and library in Path(header["path"]).name:
            yield int(header["start"], 16), int(header["end"], 16), figures.get("Rss", 0) << 10


def _split(text: str) -> Iterator[tuple[re.Match[str], dict[str, int]]]:
    """Each mapping of a file with its figures in KiB."""
    header, figures = None, dict[str, int]()
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and " " not in name:
            if value.endswith(" kB"):
                figures[name] = int(value[:-3])
            continue
        if header:
            yield header, figures
        header, figures = _HEADER.match(line), {}
    if header:
        yield header, figures


def _madvise(start: int, length: int) -> bool:
    madvise = getattr(ctypes.CDLL(None), "madvise", None)
    if madvise is None:
        return False
    return bool(madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), ctypes.c_int(_MADV_DONTNEED)) == 0)
