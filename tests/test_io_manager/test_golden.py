"""Files written by version 1 are read for ever, and version 1 goes on writing the same bytes."""

from dataclasses import replace
from pathlib import Path

import pytest

from io_manager import IOManager
from io_manager.codec import Codec, codec_by_code
from tests.test_io_manager.golden import GOLDEN, LAYOUTS, RUN_ID, write
from tests.test_io_manager.harness import buffers, read_run, run


class Replay(Codec):
    """Answers with the compressed payloads of the golden file, not with what today's library would make."""

    def __init__(self, name: str, code: int, stored: dict[bytes, bytes]) -> None:
        self.name, self.code, self._stored = name, code, stored

    def encode(self, payload: memoryview) -> bytes | None:
        return self._stored.get(bytes(payload))

    def compress(self, payload: memoryview) -> bytes:
        raise NotImplementedError

    def decompress(self, stored: memoryview, raw_length: int) -> bytes:
        raise NotImplementedError

    def scratch_bytes(self, block_bytes: int) -> int:
        return 0


def replay_of(name: str) -> Replay:
    """Find the compressed payloads in the file by hand: an independent reading of docs/RUN_FORMAT.md."""
    data = (GOLDEN / name).read_bytes()
    code = int.from_bytes(data[12:16], "little")
    stored, at = {}, 4096
    for block in LAYOUTS[name].blocks:
        assert data[at : at + 4] == b"SPBK"
        flags = int.from_bytes(data[at + 4 : at + 6], "little")
        length = int.from_bytes(data[at + 8 : at + 12], "little")
        if flags & 1:
            stored[block.payload] = data[at + 128 : at + 128 + length]
        at += -(-(128 + length) // 4096) * 4096
    return Replay(LAYOUTS[name].codec, code, stored)


@pytest.mark.parametrize("name", LAYOUTS)
def test_golden_file_is_still_written_and_still_read(name: str, tmp_path: Path) -> None:
    layout, golden = LAYOUTS[name], GOLDEN / name
    written = run(write(layout, tmp_path / name, codec=replay_of(name)))
    assert (tmp_path / name).read_bytes() == golden.read_bytes()
    assert written.run_id == RUN_ID

    async def read() -> list[bytes]:
        with buffers() as pool:
            async with IOManager([tmp_path]) as io:
                return await read_run(io, pool, replace(written, path=golden))

    assert run(read()) == layout.payloads


@pytest.mark.parametrize("name", ["lz4.v1.spill", "zstd.v1.spill"])
def test_compressed_golden_files_hold_compressed_and_raw_blocks(name: str) -> None:
    replay = replay_of(name)
    assert len(replay._stored) == 2
    assert codec_by_code(replay.code).name == replay.name


def test_nothing_else_lies_in_the_golden_folder() -> None:
    assert {path.name for path in GOLDEN.glob("*.spill")} == set(LAYOUTS)
