"""A stretch of several inputs together is read, and nothing else; where it stands is known to the byte."""

from contextlib import AsyncExitStack

import pytest

from shuffle.feed import Feed
from shuffle.sort_buffer import SortBuffer
from tests import tiny

PARTS = [b"one\ntwo\n", b"", b"three\nfour", b"five\n"]
STREAM = b"".join(PARTS)


@pytest.mark.parametrize(
    ("stretch", "records"),
    [
        (None, b"one\ntwo\nthree\nfour\nfive\n"),
        (range(len(STREAM)), b"one\ntwo\nthree\nfour\nfive\n"),
        (range(4, 14), b"two\nthree\n"),
        (range(8, 18), b"three\nfour\n"),
        (range(14, len(STREAM)), b"four\nfive\n"),
        (range(18, len(STREAM)), b"five\n"),
        (range(8, 8), b""),
    ],
    ids=str,
)
def test_a_stretch(stretch: range | None, records: bytes) -> None:
    async def read() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            sources = []
            for number, part in enumerate(PARTS):
                path = bench.directory / f"input{number}"
                path.write_bytes(part)
                sources.append(await bench.open(stack, path))
            counted: list[int] = []
            feed = Feed(sources, tiny.LINES, bench.workers, on_read=counted.append, stretch=stretch)
            buffer = SortBuffer(tiny.noisy_extent(bench.manager, 16 << 10), tiny.LINES, descending=False)
            await feed.fill(buffer)
            assert feed.ended and bytes(buffer.extent.view[: buffer.records_bytes]) == records
            bounds = range(len(STREAM)) if stretch is None else stretch
            assert feed.place_behind(buffer) == bounds.stop and sum(counted) == feed.bytes_read == len(bounds)
            buffer.release()

    tiny.run(read())


def test_a_record_that_is_not_whole_yet_is_not_counted() -> None:
    async def read() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            path = bench.directory / "input"
            path.write_bytes(b"line %d\n" * 9000)
            feed = Feed([await bench.open(stack, path)], tiny.LINES, bench.workers, on_read=lambda size: None)
            buffer = SortBuffer(tiny.noisy_extent(bench.manager, 16 << 10), tiny.LINES, descending=False)
            await feed.fill(buffer)
            assert not feed.ended and feed.place_behind(buffer) == buffer.records_bytes == buffer.record_count * 8
            buffer.release()

    tiny.run(read())
