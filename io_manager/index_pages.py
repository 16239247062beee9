"""The block index of a run on disk: as it stands in memory, or sealed page by page.

    sealed page    46 entries of 88 bytes | zeros | tag 16

Pages are sealed one by one, so that whoever wants a part of an index need not read all of it.
"""

from __future__ import annotations

from io_manager.block_index import ENTRY_BYTES, BlockIndex
from io_manager.cipher import FileSeal, Unit
from io_manager.run_format import ALIGNMENT, PAGE_CONTENT, align_up, seal_page, unseal_page

PAGE_ENTRIES = PAGE_CONTENT.stop // ENTRY_BYTES
_PAGE_ENTRY_BYTES = PAGE_ENTRIES * ENTRY_BYTES


def index_length(block_count: int, *, sealed: bool) -> int:
    """Bytes that the index of a run takes on disk."""
    return -(-block_count // PAGE_ENTRIES) * ALIGNMENT if sealed else align_up(block_count * ENTRY_BYTES)


def part_pages(first: int, stop: int, *, sealed: bool) -> tuple[int, int]:
    """Which pages of an index have the entries `first` to `stop - 1`: (the first page, how many)."""
    if sealed:
        page = first // PAGE_ENTRIES
        return page, -(-stop // PAGE_ENTRIES) - page
    page = first * ENTRY_BYTES // ALIGNMENT
    return page, -(-stop * ENTRY_BYTES // ALIGNMENT) - page


def write_pages(index: BlockIndex, view: memoryview, seal: FileSeal | None) -> None:
    """Put the index into `view`, which is zeroed and `index_length` long."""
    assert len(view) == index_length(len(index), sealed=seal is not None), (len(view), len(index))
    if seal is None:
        view[: len(index) * ENTRY_BYTES] = index.part_bytes(0, len(index))
        return
    for page, first in enumerate(range(0, len(index), PAGE_ENTRIES)):
        entries = index.part_bytes(first, min(first + PAGE_ENTRIES, len(index)))
        content = view[page * ALIGNMENT : (page + 1) * ALIGNMENT]
        content[: len(entries)] = entries
        seal_page(content, Unit.INDEX, page, seal)


def entries_in(pages: memoryview, first: int, stop: int, seal: FileSeal | None) -> memoryview:
    """The bytes of the entries `first` to `stop - 1` in the pages that `part_pages` names, which are overwritten.

    Raises FormatError for a page whose seal is broken.
    """
    first_page, page_count = part_pages(first, stop, sealed=seal is not None)
    assert len(pages) == page_count * ALIGNMENT, (len(pages), first, stop)
    start = first * ENTRY_BYTES - first_page * (ALIGNMENT if seal is None else _PAGE_ENTRY_BYTES)
    if seal is not None:
        for place in range(page_count):
            page = pages[place * ALIGNMENT : (place + 1) * ALIGNMENT]
            unseal_page(page, Unit.INDEX, first_page + place, seal, f"page {first_page + place} of the block index")
            pages[place * _PAGE_ENTRY_BYTES : (place + 1) * _PAGE_ENTRY_BYTES] = page[:_PAGE_ENTRY_BYTES]
    return pages[start : start + (stop - first) * ENTRY_BYTES]
