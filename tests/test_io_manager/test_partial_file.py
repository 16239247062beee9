"""What a killed job leaves beside its output, and who removes it."""

import os
from pathlib import Path

from io_manager import partial_file


def test_a_partial_file_without_a_maker_is_removed(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    path = partial_file.partial_path(target)
    os.close(partial_file.make_partial(path))
    assert partial_file.sweep_partials(target) == 1
    assert list(tmp_path.iterdir()) == []


def test_one_whose_maker_lives_stays(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    path = partial_file.partial_path(target)
    fd = partial_file.make_partial(path)
    try:
        assert partial_file.sweep_partials(target) == 0
        assert path.exists()
    finally:
        os.close(fd)


def test_files_that_only_look_like_it_stay(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    names = [".out.txt.partial", ".out.txt.0123456789abcdeg.partial", "out.txt.0123456789abcdef.partial", "out.txt"]
    names += [".other.txt.0123456789abcdef.partial", ".out.txt.0123456789abcdef.partial.bak"]
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / ".out.txt.0123456789abcdef.partial").symlink_to(tmp_path / "out.txt")
    assert partial_file.sweep_partials(target) == 0
    assert {path.name for path in tmp_path.iterdir()} == {*names, ".out.txt.0123456789abcdef.partial"}


def test_a_file_swept_before_it_was_locked_is_made_again(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    path = partial_file.partial_path(tmp_path / "out.txt")
    real, calls = partial_file.platform_files.open_new, []

    def open_and_lose_the_first(place: Path, *, direct: bool) -> int:
        fd = real(place, direct=direct)
        if not calls:
            place.unlink()
        calls.append(place)
        return fd

    monkeypatch.setattr(partial_file.platform_files, "open_new", open_and_lose_the_first)
    os.close(partial_file.make_partial(path))
    assert len(calls) == 2
    assert path.exists()
