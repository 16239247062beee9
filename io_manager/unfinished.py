"""What a job left so that it can be resumed: how it is found, how long it is kept, and what goes with it.

    <temp dir>/spillway-<32 hex digits>/resume.journal     first record: which output, which partial file beside it,
                                                           which job directories. In all but the first directory that
                                                           record is all there is
    <output's directory>/.<name>.<random>.unfinished       the partial output

Names stay random, so nobody can put something in their place; a job is found by what its journal says. It stays until
it is resumed and ends well, or for `KEPT_SECONDS` after its last change: nothing that is abandoned stays for ever.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from io_manager import platform_files, system
from io_manager.job_directory import JOURNAL_NAME, NAME_PATTERN
from io_manager.journal import Record, read_journal
from io_manager.locks import lock_abandoned
from io_manager.partial_file import KEPT_SECONDS, is_unfinished_name

FORMAT = "spillway-resume-1"


@dataclass(frozen=True)
class Unfinished:
    """A job that can be resumed, as its journal tells. `directories` are those it spilled to, the journal's first."""

    target: Path
    partial: Path
    directories: tuple[Path, ...]
    records: list[Record]

    @property
    def changed(self) -> float:
        """When it last came on, in seconds since 1970."""
        return max(_changed(directory) for directory in self.directories)


def first_record(target: Path, partial: Path, directories: list[Path]) -> Record:
    """How the journal of a job begins."""
    places = {"target": os.fspath(target), "partial": partial.name, "directories": list(map(os.fspath, directories))}
    return {"format": FORMAT, **places}


def unfinished_in(temp_dirs: list[Path]) -> Iterator[Unfinished]:
    """The jobs of this user whose journal stands in one of `temp_dirs`. Others there are not looked into."""
    for temp_dir in temp_dirs:
        with suppress(PermissionError):
            for name in sorted(system.listdir(temp_dir)):
                if not NAME_PATTERN.fullmatch(name) or (found := _read(temp_dir / name)) is None:
                    continue
                if found.directories[0] == temp_dir / name:  # and not one of the others of the same job
                    yield found


def is_kept(directory: Path) -> bool:
    """Whether a job directory has something in it that may be resumed yet: a finished run at least."""
    found = _read(directory)
    if found is not None and directory.name != found.directories[0].name:
        found = _read(found.directories[0])
    return found is not None and len(found.records) > 1 and time.time() - found.changed < KEPT_SECONDS


def remove_partial_of(directory: Path) -> None:
    """Remove the partial output that belongs to a job directory, if there is one, and nobody is writing it."""
    found = _read(directory)
    if found is None:
        return
    with suppress(OSError):
        fd = platform_files.open_existing(found.partial, direct=False)
        try:
            if stat.S_ISREG(system.fstat(fd).st_mode) and lock_abandoned(fd, found.partial):
                system.remove(found.partial)
        finally:
            system.close(fd)


def _read(directory: Path) -> Unfinished | None:
    """None where there is no journal, or none that this version of the program could go on with."""
    try:
        status = system.stat(directory, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return None
        records = read_journal(directory / JOURNAL_NAME)
    except OSError:
        return None
    return _parse(directory, records) if records else None


def _parse(directory: Path, records: list[Record]) -> Unfinished | None:
    head = records[0]
    target, name, listed = head.get("target"), head.get("partial"), head.get("directories")
    if head.get("format") != FORMAT or not isinstance(target, str) or not isinstance(name, str):
        return None
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        return None
    directories = tuple(map(Path, listed))
    if not Path(target).is_absolute() or not is_unfinished_name(Path(target), name):
        return None
    if not all(NAME_PATTERN.fullmatch(each.name) and each.is_absolute() for each in directories):
        return None
    if directory.name not in [each.name for each in directories]:
        return None
    return Unfinished(Path(target), Path(target).with_name(name), directories, records)


def _changed(directory: Path) -> float:
    changed = 0.0
    for path in (directory, directory / JOURNAL_NAME):
        with suppress(OSError):
            changed = max(changed, system.stat(path, follow_symlinks=False).st_mtime)
    return changed
