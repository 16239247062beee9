"""Map outputs written by a version are read for ever, and it goes on writing the same bytes."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest
import xxhash

from tests import tiny
from tests.test_exchange.golden_shuffle import GOLDEN, LAYOUTS, MAP_NUMBER, RUN_ID, Golden, write
from tests.test_exchange.outputs import exchange
from tests.test_io_manager.golden import SALT
from tests.test_io_manager.test_golden import unsealed


def wanted(golden: Golden) -> list[list[bytes]]:
    """The rows of each partition."""
    if not golden.shape.partition_bytes:
        return [golden.rows] * golden.partitions
    found: list[list[bytes]] = [[] for _ in range(golden.partitions)]
    for row in golden.rows:
        found[int.from_bytes(golden.shape.layout.key(row)[: golden.shape.partition_bytes], "big")].append(row)
    return found


@pytest.mark.parametrize("name", LAYOUTS)
def test_golden_map_output_is_still_written_and_still_read(name: str, tmp_path: Path) -> None:
    golden = LAYOUTS[name]
    output = tiny.run(write(golden, tmp_path, name))
    for suffix in ("spill", "index"):
        assert (tmp_path / f"{name}.{suffix}").read_bytes() == (GOLDEN / f"{name}.{suffix}").read_bytes()
    run = replace(output.run, path=GOLDEN / f"{name}.spill")
    kept = replace(output, run=run, index_path=GOLDEN / f"{name}.index")
    with exchange(job_key=golden.key) as made:
        found = made.read([kept], range(golden.partitions), golden.shape.layout)
    assert found == [b"".join(rows) for rows in wanted(golden)]


@pytest.mark.parametrize("name", ["authentic.v2", "encrypted.v2"])
def test_sealed_indexes_by_hand(name: str) -> None:
    """They are those of version 1, but for their seals."""
    golden, data, plain = LAYOUTS[name], *((GOLDEN / f"{each}.index").read_bytes() for each in (name, "numbered.v1"))
    of = bytes(13) + bytes([1 if name == "encrypted.v2" else 2])
    assert data[:12] == b"SPILLIDX\2\0\0\0" and data[12:64] == plain[12:64] and data[64:96] == SALT
    unsealed(data[:128], 0, head=slice(0, 112), body=slice(0, 0), tag=slice(112, 128), of=of)
    assert len(data) == 128 + 208 * golden.partitions
    for partition in range(golden.partitions):
        unit = data[128 + 208 * partition :][:208]
        number = 4 << 64 | partition
        entry = unsealed(unit, number, head=slice(0, 0), body=slice(0, 192), tag=slice(192, 208), of=of)
        assert entry == plain[128 + 200 * partition :][:192]


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name.endswith("v1")])
def test_by_hand(name: str) -> None:
    """An independent reading of docs/SHUFFLE_FORMAT.md."""
    golden, data = LAYOUTS[name], (GOLDEN / f"{name}.index").read_bytes()
    blocks = payloads((GOLDEN / f"{name}.spill").read_bytes())
    assert len(data) == 128 + 200 * golden.partitions
    flags, run_id, partitions, map_number, records, raw_bytes, block_count = struct.unpack_from("<IQQQQQQ", data, 12)
    assert data[:12] == b"SPILLIDX\1\0\0\0" and flags == int(golden.is_broadcast) and run_id == RUN_ID
    assert (partitions, map_number, records) == (golden.partitions, MAP_NUMBER, len(golden.rows))
    assert (raw_bytes, block_count) == (sum(map(len, golden.rows)), len(blocks))
    assert data[64:120] == bytes(56) and data[120:128] == xxhash.xxh3_64_digest(data[:120])[::-1]
    for partition, rows in enumerate(wanted(golden)):
        entry = data[128 + 200 * partition :][:200]
        assert entry[192:] == xxhash.xxh3_64_digest(entry[:192])[::-1]
        run_id, number, offset, first, last, stop, *lengths = struct.unpack_from("<QIIQQIHH", entry)
        assert (run_id, number) == (RUN_ID, partition)
        pieces = [*blocks[first:last], blocks[last][:stop] if stop else b""]
        assert b"".join(pieces)[offset:] == b"".join(rows)
        assert struct.unpack_from("<QQ", entry, 40) == (len(rows), sum(map(len, rows)))
        keys = [golden.shape.layout.key(row)[:64] for row in rows]
        for at, length, key in zip((64, 128), lengths, (keys[0], keys[-1]) if keys else (b"", b""), strict=True):
            assert entry[at : at + 64] == key.ljust(64, b"\0") and length == len(key)


def payloads(run: bytes) -> list[bytes]:
    """Of all blocks of a run file, as docs/RUN_FORMAT.md has it."""
    found, at = [], 4096
    while run[at : at + 4] == b"SPBK":
        (length,) = struct.unpack_from("<I", run, at + 8)
        found.append(run[at + 128 : at + 128 + length])
        at += -(-(128 + length) // 4096) * 4096
    return found


def test_nothing_else_lies_in_the_golden_folder() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {
        f"{name}.{end}" for name in LAYOUTS for end in ("spill", "index")
    }
