"""Where runs go: by room, in turns, past what is full; private whatever the umask; gone at the end."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from io_manager import DiskFullError, IOManager, SpillError, TempDirError, platform_files
from io_manager.directories import JobDirectories
from io_manager.job_directory import JobDirectory
from tests.test_io_manager.harness import BLOCK_BYTES, buffers, fail_write, put, random_blocks, run, write_run


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Three temp dirs with free space of our choosing, by name."""
    rooms = {"a": 1000, "b": 1000, "c": 100}
    for name in rooms:
        (tmp_path / name).mkdir()

    def free_bytes(path: Path) -> int:
        return next(rooms[part] for part in reversed(path.parts) if part in rooms)

    monkeypatch.setattr(platform_files, "free_bytes", free_bytes)
    return rooms


@pytest.fixture
def directories(tmp_path: Path, disks: dict[str, int]) -> Iterator[JobDirectories]:
    made = JobDirectories([tmp_path / name for name in disks], max_disk_bytes=None, direct=False)
    made.create()
    yield made
    made.close()


def chosen(directories: JobDirectories, count: int, bytes_needed: int = 10) -> str:
    return "".join(directories.choose(bytes_needed).temp_dir.name for _ in range(count))


def test_similar_rooms_take_turns_and_small_ones_wait(directories: JobDirectories, disks: dict[str, int]) -> None:
    assert chosen(directories, 4) == "abab"
    disks["c"] = 5000
    assert chosen(directories, 2) == "cc"
    disks["c"] = 999
    assert sorted(chosen(directories, 3)) == ["a", "b", "c"]


def test_promises_count_as_taken(directories: JobDirectories, disks: dict[str, int]) -> None:
    home = directories.choose(900)
    claim = directories.claim(home, 900)
    assert home.temp_dir.name not in chosen(directories, 3)
    directories.release(claim)
    directories.release(claim)
    assert home.temp_dir.name in chosen(directories, 2)


def test_full_directories_are_passed_over(directories: JobDirectories, disks: dict[str, int]) -> None:
    directories.choose(10).is_full = True
    assert chosen(directories, 2) == "bb"
    disks["b"] = 0
    assert chosen(directories, 2) == "cc"
    with pytest.raises(DiskFullError, match="--temp-dir") as error:
        directories.choose(101)
    assert (error.value.needed_bytes, error.value.free_bytes) == (101, 1000)


def test_a_directory_that_is_full_at_preallocation_is_replaced_at_once(
    tmp_path: Path, disks: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = platform_files.preallocate

    def preallocate(fd: int, length: int) -> bool:
        if "/a/" in str(Path(f"/proc/self/fd/{fd}").readlink()):
            raise OSError(errno.ENOSPC, "injected")
        return real(fd, length)

    monkeypatch.setattr(platform_files, "preallocate", preallocate)
    disks.update(a=1 << 20, b=1 << 19, c=0)

    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path / "a", tmp_path / "b"]) as io:
                for _ in range(3):
                    writer = await io.create_run(block_bytes=BLOCK_BYTES, expected_bytes=1 << 15)
                    assert "/b/" in str(writer.target.path)
                    await put(writer, pool, random_blocks(1)[0])
                    await writer.finish()
                assert not list((tmp_path / "a").rglob("*.spill"))

    run(attempt())


def test_a_directory_that_fills_up_in_the_middle_is_remembered(
    tmp_path: Path, disks: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    disks.update(a=1 << 20, b=1 << 19, c=0)

    async def attempt() -> None:
        with buffers() as pool:
            async with IOManager([tmp_path / "a", tmp_path / "b"]) as io:
                fail_write(monkeypatch, errno.ENOSPC, at_call=3, unless=lambda path: "/b/" in str(path))
                with pytest.raises(DiskFullError, match="/a/"):
                    await write_run(io, pool, random_blocks(9))
                written = [await write_run(io, pool, random_blocks(9)) for _ in range(3)]
                assert all("/b/" in str(one.path) for one in written)

    run(attempt())


@pytest.mark.parametrize("mask", [0o000, 0o777])
def test_job_directories_are_private_under_any_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        directory = JobDirectory(tmp_path, direct=True)
    finally:
        os.umask(before)
    assert directory.path.stat().st_mode & 0o7777 == 0o700
    assert (directory.path / "owner.json").stat().st_mode & 0o077 == 0
    directory.remove()
    directory.remove()
    assert not list(tmp_path.iterdir())


def test_a_name_taken_by_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim, temp_dir = tmp_path / "victim", tmp_path / "temp"
    victim.mkdir(), temp_dir.mkdir()
    names = iter(["0" * 32, "1" * 32])
    monkeypatch.setattr(secrets, "token_hex", lambda _: next(names))
    (temp_dir / f"spillway-{'0' * 32}").symlink_to(victim)
    directory = JobDirectory(temp_dir, direct=False)
    assert directory.path.name == f"spillway-{'1' * 32}"
    directory.remove()
    assert not list(victim.iterdir()) and (temp_dir / f"spillway-{'0' * 32}").is_symlink()


def test_names_that_are_always_taken_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "0" * 32)
    (tmp_path / f"spillway-{'0' * 32}").mkdir()
    with pytest.raises(TempDirError, match="tricks"):
        JobDirectory(tmp_path, direct=False)


def test_a_temp_dir_that_cannot_be_is_named_with_its_cure(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    good = tmp_path / "good"
    good.mkdir()

    async def enter(bad: Path) -> None:
        async with IOManager([good, bad]):
            raise AssertionError("never entered")

    for bad, words in ((tmp_path / "missing", "no such directory"), (file, "is not a directory")):
        with pytest.raises(TempDirError, match=words) as error:
            run(enter(bad))
        assert str(bad) in str(error.value) and "--temp-dir" in str(error.value)
        assert isinstance(error.value, SpillError) and not list(good.iterdir())
    with pytest.raises(ValueError, match="--temp-dir"):
        IOManager([])


def test_a_failure_in_the_middle_of_making_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(directory: Path, name: str) -> bool:
        if directory.parent.name == "b":
            raise OSError(errno.EROFS, "Read-only file system")
        return False

    for name in "ab":
        (tmp_path / name).mkdir()
    monkeypatch.setattr(platform_files, "direct_works", broken)
    made = JobDirectories([tmp_path / "a", tmp_path / "b"], max_disk_bytes=None, direct=True)
    with pytest.raises(TempDirError, match="Read-only"):
        made.create()
    made.close()
    assert not list((tmp_path / "a").iterdir()) and not list((tmp_path / "b").iterdir())


def test_closing_survives_a_directory_that_is_gone_or_resists(tmp_path: Path) -> None:
    made = JobDirectories([tmp_path], max_disk_bytes=None, direct=False)
    made.close()
    made.create()
    stray = made.choose(0).path / "not ours"
    stray.mkdir()
    made.close()  # logged, not raised, and nothing of the stray is touched
    assert stray.is_dir()
    stray.rmdir()
    made.close()
    assert not list(tmp_path.iterdir())


def test_the_same_temp_dir_twice_is_one(tmp_path: Path) -> None:
    made = JobDirectories([tmp_path, str(tmp_path)], max_disk_bytes=None, direct=False)
    made.create()
    assert len(list(tmp_path.iterdir())) == 1
    made.close()
