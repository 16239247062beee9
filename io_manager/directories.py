"""All the directories of a job: made together, chosen by room, removed together.

A new run goes where there is room; among directories with similar room they take turns, so that several disks
work at once. A directory that once said it is full is passed over until something in it has been deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from os import PathLike
from pathlib import Path

from io_manager import platform_files, system
from io_manager.disk_account import DiskAccount, DiskClaim
from io_manager.errors import DiskFullError, disk_errors
from io_manager.job_directory import JobDirectory, check_temp_dir, refused
from io_manager.sweep import Swept, sweep

# Directories with at least half of the most room take turns.
_SIMILAR_ROOM = 0.5

_log = logging.getLogger(__name__)


class JobDirectories:
    """One private directory under each temp dir. Plain blocking calls: the manager runs them in its
    threads."""

    def __init__(
        self,
        temp_dirs: Sequence[str | PathLike[str]],
        *,
        max_disk_bytes: int | None,
        direct: bool,
        adopted: Sequence[JobDirectory] = (),
    ) -> None:
        """`adopted` are used instead of new ones, if there are any."""
        if not temp_dirs:
            raise ValueError("no temp directory given: name one with --temp-dir")
        # Absolute, because the process may change its working directory before it cleans up.
        self._temp_dirs = list(dict.fromkeys(Path(temp_dir).absolute() for temp_dir in temp_dirs))
        self._direct = direct
        self._directories = list(adopted)
        self.outlive_job = bool(adopted)  # until their new job knows better
        self._open_claims: dict[DiskClaim, JobDirectory] = {}
        self._choices = 0
        self.account = DiskAccount(max_disk_bytes)

    def create(self) -> list[Swept]:
        """Sweep what dead jobs left, then make the directories. Raises TempDirError; leaves nothing behind
        then."""
        for temp_dir in self._temp_dirs:
            check_temp_dir(temp_dir)
        swept = [found for temp_dir in self._temp_dirs for found in _sweep_if_listable(temp_dir)]
        if self._directories:
            return swept
        try:
            for temp_dir in self._temp_dirs:
                self._directories.append(JobDirectory(temp_dir, direct=self._direct))
        except BaseException:
            self.close()
            raise
        return swept

    def close(self) -> None:
        """Remove the directories and all in them. Idempotent; what resists is logged, and tried again by the
        next call. If they are to `outlive_job`, they are left to whoever resumes it."""
        left = []
        for directory in self._directories:
            try:
                if self.outlive_job:
                    directory.leave()
                else:
                    directory.remove()
            except OSError as error:
                left.append(directory)
                _log.warning("%s: could not be removed: %s. Try `spillway clean`.", directory.path, error.strerror)
        self._directories = left

    @property
    def paths(self) -> list[Path]:
        """The directories, in the order of the temp dirs."""
        return [directory.path for directory in self._directories]

    def remove_strays(self, known: Collection[Path]) -> None:
        """Remove the run files that are not among those `known`: nobody finished them. Raises OSError."""
        for directory in self._directories:
            paths = [directory.path / name for name in system.listdir(directory.path) if name.endswith(".spill")]
            for path in paths:
                if path not in known:
                    system.remove(path)

    def choose(self, bytes_needed: int) -> JobDirectory:
        """The directory the next run should go to. Raises DiskFullError when none has room."""
        return next(self.by_room(bytes_needed))

    def by_room(self, bytes_needed: int) -> Iterator[JobDirectory]:
        """The directories with room for `bytes_needed`, best first, each marked as chosen when it is handed
        out.

        Raises DiskFullError, when asked for one more than there are.
        """
        assert self._directories, "create() comes first"
        left = list(self._directories)
        while candidates := self._with_room(left, bytes_needed):
            most = max(candidates.values())
            similar = [directory for directory, room in candidates.items() if room >= most * _SIMILAR_ROOM]
            chosen = min(similar, key=lambda directory: directory.last_chosen)
            self._choices += 1
            chosen.last_chosen = self._choices
            left.remove(chosen)
            yield chosen
        best = max(self._directories, key=self._room)
        raise DiskFullError.at(best.path, needed_bytes=bytes_needed, free_bytes=max(self._room(best), 0))

    def claim(self, directory: JobDirectory, expected_bytes: int) -> DiskClaim:
        """Promise `expected_bytes` of a directory to a run. Raises DiskLimitError."""
        claim = DiskClaim(self.account, expected_bytes)
        self._open_claims[claim] = directory
        return claim

    def release(self, claim: DiskClaim) -> None:
        """The run of this claim is gone from the disk. Idempotent."""
        claim.settle(0)
        self._open_claims.pop(claim, None)

    def find(self, path: Path) -> JobDirectory | None:
        """The directory of ours that a file stands in."""
        return next((directory for directory in self._directories if directory.path == path.parent), None)

    def _with_room(self, directories: Sequence[JobDirectory], bytes_needed: int) -> dict[JobDirectory, int]:
        rooms = {directory: self._room(directory) for directory in directories if not directory.is_full}
        return {directory: room for directory, room in rooms.items() if room > 0 and room >= bytes_needed}

    def _room(self, directory: JobDirectory) -> int:
        """Free bytes, less what was promised to open runs and not written yet."""
        promised = sum(claim.unwritten_bytes for claim, home in self._open_claims.items() if home is directory)
        with disk_errors(directory.path, doing="asking how much is free", needed_bytes=0):
            return platform_files.free_bytes(directory.path) - promised


def _sweep_if_listable(temp_dir: Path) -> list[Swept]:
    try:
        return sweep(temp_dir)
    except PermissionError:  # a drop-box directory: may be written, may not be listed
        return []
    except OSError as error:
        raise refused(temp_dir, error) from error
