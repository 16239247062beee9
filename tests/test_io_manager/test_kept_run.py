"""Runs that outlive their job, and parts of runs that are read without the whole index."""

import errno
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from io_manager import IndexPart, IOManager, RunCorruptError, RunFile, SpillError, checksum, system
from tests.test_io_manager.harness import buffers, random_blocks, read_run, run, write_run


async def keep(directory: Path, temp_dir: Path, count: int = 5) -> tuple[RunFile, RunFile]:
    """A run of random blocks: as it was, and as it is kept."""
    with buffers() as pool:
        async with IOManager([temp_dir]) as io:
            made = await write_run(io, pool, random_blocks(count))
            kept = await io.keep_run(made, directory, "kept.spill")
            assert io.stats.disk_bytes == 0 and not made.path.exists()
    return made, kept


async def read(kept: RunFile, temp_dir: Path) -> list[bytes]:
    with buffers() as pool:
        async with IOManager([temp_dir]) as io:
            return await read_run(io, pool, kept)


PAYLOADS = [block.payload for block in random_blocks(5)]


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Where runs are kept, and where jobs work."""
    for name in ("kept", "temp"):
        (tmp_path / name).mkdir()
    return tmp_path / "kept", tmp_path / "temp"


def test_a_kept_run_outlives_its_job(places: tuple[Path, Path]) -> None:
    made, kept = run(keep(*places))
    assert kept == replace(made, path=places[0] / "kept.spill")
    assert list(places[1].iterdir()) == []
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert run(read(kept, places[1])) == PAYLOADS


def test_to_another_file_system_it_is_copied(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    real = system.replace

    def refuse(source: Path, target: Path) -> None:
        if source.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(system, "replace", refuse)
    _, kept = run(keep(*places))
    assert not kept.direct and stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert [path.name for path in places[0].iterdir()] == ["kept.spill"] and list(places[1].iterdir()) == []
    assert run(read(kept, places[1])) == PAYLOADS


def test_a_link_is_replaced_and_not_followed(places: tuple[Path, Path]) -> None:
    victim = places[0] / "victim"
    victim.write_bytes(b"precious")
    (places[0] / "kept.spill").symlink_to(victim)
    _, kept = run(keep(*places))
    assert victim.read_bytes() == b"precious" and not kept.path.is_symlink()


def test_where_it_cannot_be_kept_it_goes_with_its_job(places: tuple[Path, Path]) -> None:
    with pytest.raises(SpillError, match=r"gone/kept\.spill: No such file .* while keeping a run"):
        run(keep(places[0] / "gone", places[1]))
    assert list(places[0].iterdir()) == list(places[1].iterdir()) == []


# --- parts


async def read_part(
    kept: RunFile, temp_dir: Path, first: int, stop: int, *, damage: int = 0, of: RunFile | None = None
) -> list[bytes]:
    """The blocks of a part, given the checksum that the whole index has for it."""
    found: list[bytes] = []
    with buffers() as pool:
        async with IOManager([temp_dir]) as io:
            async with await io.open_run(of or kept) as whole:
                part = IndexPart(first, stop, checksum(whole.index.part_bytes(first, stop)) ^ damage)
            async with await io.open_run(kept, part=part) as reader:
                assert len(reader.index) == stop - first and reader.first_block == first
                for number in range(first, stop):
                    with await pool.acquire() as buffer:
                        header = await reader.read_block(number, buffer)
                        assert header.block_number == number
                        found.append(bytes(buffer.view[128 : 128 + header.raw_length]))
    return found


@pytest.mark.parametrize(("first", "stop"), [(0, 5), (0, 1), (2, 4), (4, 5)])
def test_a_part_is_what_the_whole_has_there(places: tuple[Path, Path], first: int, stop: int) -> None:
    _, kept = run(keep(*places))
    assert run(read_part(kept, places[1], first, stop)) == PAYLOADS[first:stop]


def test_entries_that_are_not_those_meant(places: tuple[Path, Path]) -> None:
    _, kept = run(keep(*places))
    with pytest.raises(RunCorruptError, match="checksum of entries of the block index"):
        run(read_part(kept, places[1], 1, 3, damage=1))


def test_blocks_that_the_run_does_not_have(places: tuple[Path, Path]) -> None:
    _, kept = run(keep(*places))

    async def open_part(first: int, stop: int) -> None:
        async with IOManager([places[1]]) as io:
            await io.open_run(kept, part=IndexPart(first, stop, 0))

    for first, stop in ((4, 6), (3, 3), (4, 3), (1 << 60, (1 << 60) + 1)):
        with pytest.raises(RunCorruptError, match="are wanted of 5"):
            run(open_part(first, stop))


def test_an_index_that_is_damaged_elsewhere_does_not_matter(places: tuple[Path, Path]) -> None:
    _, kept = run(keep(*places))
    index_offset = kept.disk_bytes - 2 * 4096
    for damaged_entry, part in ((0, (3, 5)), (4, (0, 3))):
        data = bytearray(kept.path.read_bytes())
        data[index_offset + damaged_entry * 88 + 10] ^= 1
        other = replace(kept, path=places[0] / "damaged.spill")
        other.path.write_bytes(data)
        assert run(read_part(other, places[1], *part, of=kept)) == PAYLOADS[slice(*part)]
        with pytest.raises(RunCorruptError, match="checksum of the block index"):
            run(read(other, places[1]))
