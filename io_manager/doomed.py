"""Names on disk that must not outlive this process: noted before they are made, until they are gone, or may stay.

Who makes a file removes it, in a `with` or a `finally`. But an interrupt may come between any two instructions: when a
directory is made and nobody knows of it yet, or in the middle of its removal. What such an interrupt left is removed
when the job has unwound, or when the process ends. A forked child leaves it to its parent.
"""

from __future__ import annotations

import atexit
import errno
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

_TRIES, _PAUSE_SECONDS = 50, 0.02

_log = logging.getLogger(__name__)
_doomed: dict[Path, Callable[[Path], object]] = {}
os.register_at_fork(after_in_child=_doomed.clear)


def doom(path: Path, remove: Callable[[Path], object]) -> None:
    """Unless it is spared, `remove(path)` is called at the end. It may be that there is nothing of that name."""
    _doomed[path] = remove


def spare(path: Path) -> None:
    """It is gone, or may stay. Idempotent."""
    _doomed.pop(path, None)


@atexit.register
def remove_doomed() -> None:
    """Remove all of it, now that nobody else will. What resists is logged."""
    for path, remove in list(_doomed.items()):
        _remove(path, remove)
        spare(path)


def _remove(path: Path, remove: Callable[[Path], object]) -> None:
    """A thread that has not heard of the end yet may still put files into a directory."""
    for tries_left in reversed(range(_TRIES)):
        try:
            remove(path)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not tries_left:
                _log.warning("%s: could not be removed: %s", path, error.strerror)
                return
        else:
            return
        time.sleep(_PAUSE_SECONDS)
