"""The golden run files: one per layout feature, written once, read and compared byte by byte for ever.

    python -m tests.test_io_manager.golden        writes those that are missing, never changes one

A changed byte is a new format version: give it new names here, keep the old files, tell
`docs/RUN_FORMAT.md`.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from io_manager import BlockFlags, IOManager, JobKey, RunFile, run_draft
from io_manager.codec import Codec
from tests.test_io_manager.harness import CAPACITY, Block, buffers, random_blocks, text_blocks, write_run

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
RUN_ID = 0x0123456789ABCDEF
SECRET, SALT = bytes(range(32)), bytes(range(32, 64))
"""Of version 2. Outside of tests no file has a salt that another has."""


@dataclass(frozen=True)
class Layout:
    """What a golden file holds, and what it is sealed with."""

    codec: str
    blocks: list[Block]
    key: JobKey | None = None

    @property
    def payloads(self) -> list[bytes]:
        return [block.payload for block in self.blocks]


def spanning_blocks() -> list[Block]:
    """A record of three and a half blocks between two ordinary blocks."""
    record = random.Random(11).randbytes(CAPACITY * 7 // 2)
    parts = [record[start : start + CAPACITY] for start in range(0, len(record), CAPACITY)]
    kinds = [BlockFlags.SPAN_FIRST, BlockFlags.SPAN_MORE, BlockFlags.SPAN_MORE, BlockFlags.SPAN_LAST]
    chain = [
        Block(part, b"big", b"big", int(kind == BlockFlags.SPAN_FIRST), int(kind))
        for part, kind in zip(parts, kinds, strict=True)
    ]
    return [Block(b"before", b"a", b"b", 2), *chain, Block(b"after", b"c", b"d", 3)]


def max_key_blocks() -> list[Block]:
    """Keys of 64 bytes, longer ones that are cut, empty ones, and an empty payload."""
    return [
        Block(b"", b"", b"", 0),
        Block(b"x", b"\x00" * 64, b"", 1),
        Block(b"y" * CAPACITY, b"\xff" * 99, b"\xff" * 99, 1),
    ]


LAYOUTS = {
    "plain.v1.spill": Layout("none", random_blocks(3)),
    "lz4.v1.spill": Layout("lz4", [*text_blocks(2), *random_blocks(1)]),
    "zstd.v1.spill": Layout("zstd", [*text_blocks(2), *random_blocks(1)]),
    "spanning.v1.spill": Layout("none", spanning_blocks()),
    "empty.v1.spill": Layout("none", []),
    "max_key.v1.spill": Layout("none", max_key_blocks()),
    "authentic.v2.spill": Layout("none", spanning_blocks(), JobKey(SECRET, encrypts=False)),
    "encrypted.v2.spill": Layout("none", [*max_key_blocks(), *text_blocks(1)], JobKey(SECRET, encrypts=True)),
}


async def write(layout: Layout, target: Path, *, codec: Codec | None = None) -> RunFile:
    """Write a layout to `target` with the fixed run id and salt."""
    with (
        patch.object(run_draft, "new_salt", lambda: SALT),
        tempfile.TemporaryDirectory() as temp_dir,
        buffers() as pool,
    ):
        async with IOManager([temp_dir], codec=layout.codec, key=layout.key) as io:
            io.codec = codec or io.codec
            with patch.object(io, "_next_run_id", lambda: RUN_ID):
                run = await write_run(io, pool, layout.blocks)
            shutil.copyfile(run.path, target)
    return run


def main() -> None:
    """Write what is missing."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, layout in LAYOUTS.items():
        if not (GOLDEN / name).exists():
            asyncio.run(write(layout, GOLDEN / name))
            print("wrote", GOLDEN / name)


if __name__ == "__main__":
    main()
