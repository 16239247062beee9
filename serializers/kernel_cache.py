"""`kernel` and `helper`: how every compiled function of ours is declared, and where its machine code is kept.

numba keys a cached kernel by the source file that defines it. Kernels also inline `serializers/intrinsics.py` and the
helpers and constants of two more files, which numba does not see, so the cache directory is named after their contents:
a change there starts a new directory.
"""

import errno
import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import event

log = logging.getLogger(__name__)

CACHE_VARIABLE = "SPILLWAY_CACHE_DIR"
_INLINED_SOURCES = ("intrinsics.py", "keys.py", "layouts.py")


def cache_directory() -> Path:
    """Where compiled kernels are kept: `SPILLWAY_CACHE_DIR`, or the user's cache directory."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = Path(os.environ.get(CACHE_VARIABLE) or home / "spillway")
    folder = Path(__file__).parent
    digest = hashlib.sha256(b"".join((folder / name).read_bytes() for name in _INLINED_SOURCES))
    return root / f"kernels-{digest.hexdigest()[:16]}"


def _usable_cache() -> Path | None:
    directory = cache_directory()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))
    except OSError as error:
        log.warning("kernels are compiled anew by every process: %s (set %s)", error, CACHE_VARIABLE)
        return None
    return directory


_CACHE = _usable_cache()


def kernel(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile at import, for one signature, or load what an earlier process compiled. Runs without the GIL."""

    def compile_or_load(function: Callable[..., Any]) -> Callable[..., Any]:
        config: Any = numba.config
        kept, config.CACHE_DIR = config.CACHE_DIR, str(_CACHE or "")
        try:
            return numba.njit(signature, nogil=True, cache=_CACHE is not None)(function)
        finally:
            config.CACHE_DIR = kept

    return compile_or_load


helper = numba.njit(nogil=True)
"""A function that kernels call: compiled into them, never on its own."""


class _Notice(event.Listener):
    """Says once that kernels are being compiled: the only slow start there will be."""

    def __init__(self) -> None:
        self.is_given = False

    def on_start(self, _event: event.Event) -> None:
        if not self.is_given:
            self.is_given = True
            log.warning("compiling the kernels for this machine, once: about ten seconds (or run: spillway warmup)")

    def on_end(self, _event: event.Event) -> None:
        """Nothing to say at the end of each kernel."""


_NOTICE = _Notice()
event.register("numba:compile", _NOTICE)  # type: ignore[no-untyped-call]


def has_compiled() -> bool:
    """Whether this process compiled kernels that the next will find in the cache."""
    return _NOTICE.is_given and _CACHE is not None
