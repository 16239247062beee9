"""Files written by a version are read for ever, and it goes on writing the same bytes."""

import hmac
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from io_manager import IOManager
from io_manager.codec import Codec, codec_by_code
from tests.test_io_manager.golden import GOLDEN, LAYOUTS, RUN_ID, SALT, SECRET, write
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
    written = run(write(layout, tmp_path / name, codec=None if layout.key else replay_of(name)))
    assert (tmp_path / name).read_bytes() == golden.read_bytes()
    assert written.run_id == RUN_ID

    async def read() -> list[bytes]:
        with buffers() as pool:
            async with IOManager([tmp_path], key=layout.key) as io:
                return await read_run(io, pool, replace(written, path=golden))

    assert run(read()) == layout.payloads


@pytest.mark.parametrize("name", ["lz4.v1.spill", "zstd.v1.spill"])
def test_compressed_golden_files_hold_compressed_and_raw_blocks(name: str) -> None:
    replay = replay_of(name)
    assert len(replay._stored) == 2
    assert codec_by_code(replay.code).name == replay.name


@pytest.mark.parametrize("name", ["authentic.v2.spill", "encrypted.v2.spill"])
def test_sealed_files_by_hand(name: str) -> None:
    """An independent reading of docs/RUN_FORMAT.md."""
    data = (GOLDEN / name).read_bytes()
    assert data[:16] == b"SPILLRUN\2\0\0\0\0" + (b"\1" if name.startswith("encrypted") else b"\2") + b"\0\0"
    assert data[32:64] == SALT and not any(data[64:4080])
    unsealed(data[:4096], 0, head=slice(0, 4080), body=slice(0, 0), tag=slice(4080, 4096), of=data)
    at = 4096
    for number, block in enumerate(LAYOUTS[name].blocks):
        length = -(-(128 + int.from_bytes(data[at + 8 : at + 12], "little")) // 4096) * 4096
        unit = data[at : at + length]
        plain = unsealed(unit, 1 << 64 | number, head=slice(0, 32), body=slice(48, None), tag=slice(32, 48), of=data)
        assert plain[:64] == block.first_key[:64].ljust(64, b"\0") and not any(plain[64:80])
        assert plain[80 : 80 + len(block.payload)] == block.payload and not any(plain[80 + len(block.payload) :])
        at += length
    assert len(data) == at + 2 * 4096, "one page of index, and the footer"
    for kind, page in ((2, data[at : at + 4096]), (3, data[at + 4096 :])):
        plain = unsealed(page, kind << 64, head=slice(0, 0), body=slice(0, 4080), tag=slice(4080, 4096), of=data)
        assert plain[:8] == (b"SPILLEND" if kind == 3 else (4096).to_bytes(8, "little"))


def unsealed(unit: bytes, number: int, *, head: slice, body: slice, tag: slice, of: bytes) -> bytes:
    """The bytes of a unit of a file, if its tag is right."""
    key, nonce = hmac.digest(SECRET, b"spillway file key" + SALT, "sha256"), number.to_bytes(12, "big")
    if of[13] == 1:
        return AESGCM(key).decrypt(nonce, unit[body] + unit[tag], unit[head])
    message = nonce + len(unit[head]).to_bytes(8, "little") + unit[head] + unit[body]
    assert hmac.digest(key, message, "sha256")[:16] == unit[tag]
    return unit[body]


def test_nothing_else_lies_in_the_golden_folder() -> None:
    assert {path.name for path in GOLDEN.glob("*.spill")} == set(LAYOUTS)
