"""The golden map outputs: one per feature, written once, read and compared byte by byte for ever.

    python -m tests.test_exchange.golden_shuffle        writes those that are missing, never changes one

A changed byte is a new format version: give it new names here, keep the old files, tell `docs/SHUFFLE_FORMAT.md`.
"""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

from io_manager import BlockFlags, IOManager, JobKey, run_draft
from memory import BufferPool, MemoryManager
from shuffle.exchange import partition_entry
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.map_output import MapOutput, MapOutputSink, MapTarget
from shuffle.runs import block_capacity, span_flag
from tests.test_exchange.outputs import make_row
from tests.test_io_manager.golden import SALT, SECRET

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "shuffle"
RUN_ID = 0x0123456789ABCDEF
MAP_NUMBER = 3
BLOCK_BYTES = 4096


@dataclass(frozen=True)
class Golden:
    """What a golden map output holds: rows in order, in blocks; a row longer than a block fills several."""

    shape: KeyShape
    partitions: int
    blocks: list[list[bytes]]
    is_broadcast: bool = False
    key: JobKey | None = None

    @property
    def rows(self) -> list[bytes]:
        return [row for block in self.blocks for row in block]


NUMBERED, PLAIN, WIDE = KeyShape(2, None, 0), KeyShape(0, None, 0), KeyShape(4, 8, 0)


def numbered(partition: int, key: bytes, value: bytes, shape: KeyShape = NUMBERED) -> bytes:
    return make_row(partition, key, value, shape)


LAYOUTS = {
    "numbered.v1": Golden(
        NUMBERED,
        6,
        [
            [numbered(1, b"a", b"first"), numbered(1, b"b", b"second"), numbered(2, b"", b"third")],
            [numbered(2, b"key", b"fourth")],
            [numbered(5, b"k" * 100, b"fifth"), numbered(5, b"k" * 101, b"sixth")],
        ],
    ),
    "spanning.v1": Golden(
        NUMBERED,
        4,
        [
            [numbered(0, b"a", b"before")],
            [numbered(1, b"big", bytes(range(256)) * 40)],
            [numbered(1, b"big", b"behind"), numbered(2, b"", b"")],
            [numbered(3, b"k" * 5000, bytes(5000))],
        ],
    ),
    "wide.v1": Golden(WIDE, 5, [[numbered(4, b"8 bytes!", b"alone", WIDE)]]),
    "broadcast.v1": Golden(PLAIN, 3, [[numbered(0, b"a", b"for all", PLAIN), numbered(0, b"b", b"", PLAIN)]], True),
    "ranges.v1": Golden(PLAIN, 1, [[numbered(0, b"a", b"one entry", PLAIN)], [numbered(0, b"b", b"x" * 99, PLAIN)]]),
    "empty.v1": Golden(NUMBERED, 3, []),
}
for _name, _encrypts in (("authentic.v2", False), ("encrypted.v2", True)):
    LAYOUTS[_name] = replace(LAYOUTS["numbered.v1"], key=JobKey(SECRET, _encrypts))


async def write(golden: Golden, directory: Path, name: str) -> MapOutput:
    """Write a map output with the fixed run id."""
    target = MapTarget(
        directory,
        name,
        MAP_NUMBER,
        golden.partitions,
        golden.shape.layout,
        golden.shape.partition_bytes,
        golden.is_broadcast,
    )
    async with AsyncExitStack() as stack:
        for module in (run_draft, partition_entry):
            stack.enter_context(patch.object(module, "new_salt", lambda: SALT))
        workspace = stack.enter_context(tempfile.TemporaryDirectory(dir=directory))
        manager = stack.enter_context(MemoryManager(1 << 20))
        io = await stack.enter_async_context(IOManager([workspace], direct=False, key=golden.key))
        pool = stack.enter_context(BufferPool(manager, "test", buffer_bytes=BLOCK_BYTES, required=8, maximum=8))
        with patch.object(io, "_next_run_id", lambda: RUN_ID):
            writer = await stack.enter_async_context(await io.create_run(block_bytes=BLOCK_BYTES, expected_bytes=0))
        sink = MapOutputSink(io, target, writer, pool)
        for block in golden.blocks:
            await put(sink, pool, b"".join(block), len(block))
        return await sink.finish()


async def put(sink: MapOutputSink, pool: BufferPool, payload: bytes, records: int) -> None:
    """One block, or one row in several."""
    capacity = block_capacity(BLOCK_BYTES)
    for offset in range(0, len(payload), capacity):
        piece = payload[offset : offset + capacity]
        flags = span_flag(offset, len(piece), len(payload)) if len(payload) > capacity else 0
        buffer = await pool.acquire()
        start, _ = sink.window(0, BLOCK_BYTES)
        buffer.view[start : start + len(piece)] = piece
        await sink.put(buffer, len(piece), int(flags == BlockFlags.SPAN_FIRST) if flags else records, flags)


def main() -> None:
    """Write what is missing."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, golden in LAYOUTS.items():
        if not (GOLDEN / f"{name}.index").exists():
            asyncio.run(write(golden, GOLDEN, name))
            for suffix in ("spill", "index"):
                (GOLDEN / f"{name}.{suffix}").chmod(0o644)
            print("wrote", GOLDEN / name)


if __name__ == "__main__":
    main()
