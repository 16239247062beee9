"""Short counts, refusals and systems that lack a call."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from io_manager import platform_files, system


@pytest.fixture
def fd(tmp_path: Path) -> int:
    fd = platform_files.open_new(tmp_path / "file", direct=False)
    yield fd  # type: ignore[misc]
    os.close(fd)


def test_short_writes_and_reads_go_on(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write, real_read = os.pwritev, os.preadv
    monkeypatch.setattr(os, "pwritev", lambda fd, views, at: real_write(fd, [views[0][:3]], at))
    monkeypatch.setattr(os, "preadv", lambda fd, views, at: real_read(fd, [views[0][:2]], at))
    platform_files.write_exactly(fd, memoryview(b"0123456789"), 5)
    view = memoryview(bytearray(12))
    assert platform_files.read_exactly(fd, view, 5) == 10 and bytes(view[:10]) == b"0123456789"


def test_a_disk_that_takes_nothing_is_an_error(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwritev", lambda *_: 0)
    with pytest.raises(OSError, match="no bytes"):
        platform_files.write_exactly(fd, memoryview(b"x"), 0)


def test_new_files_are_new_and_private(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "there").write_text("")
    for name in ("link", "there"):
        with pytest.raises(FileExistsError):
            platform_files.open_new(tmp_path / name, direct=False)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
@pytest.mark.parametrize("at", ["open", "pwritev"])
def test_direct_io_that_is_refused_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, at: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, "injected")

    with monkeypatch.context() as patch:
        patch.setattr(os, at, refuse)
        assert not platform_files.direct_works(tmp_path, "probe")
    assert not list(tmp_path.iterdir())


def test_other_errors_of_the_probe_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, "injected")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", refuse)
        with pytest.raises(OSError, match="injected"):
            platform_files.direct_works(tmp_path, "probe")
    assert not list(tmp_path.iterdir())


def test_preallocation_takes_room_or_says_that_it_cannot(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert platform_files.preallocate(fd, 0)
    if platform_files.preallocate(fd, 1 << 16):
        assert os.fstat(fd).st_blocks * 512 >= 1 << 16
    with pytest.raises(OSError) as error:
        platform_files.preallocate(fd, 1 << 62)
    assert error.value.errno in (errno.ENOSPC, errno.EFBIG)
    monkeypatch.setattr(system, "_c_function", lambda name: None)
    assert not platform_files.preallocate(fd, 100)
    platform_files.start_writeback(fd, 0, 100)


def test_hints_are_only_hints(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    platform_files.start_writeback(fd, 0, 4096)
    platform_files.advise_sequential(fd)
    monkeypatch.delattr(os, "posix_fadvise")
    platform_files.advise_sequential(fd)


def test_the_umask_is_read_and_kept() -> None:
    before = os.umask(0o027)
    try:
        assert platform_files.current_umask() == 0o027
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_memory_for_direct_io_is_aligned() -> None:
    import numpy as np

    for length in (0, 1, 4096, 10_000):
        view = platform_files.aligned_bytes(length)
        assert len(view) == length and not any(view)
        assert not length or np.frombuffer(view, np.uint8).ctypes.data % 4096 == 0
