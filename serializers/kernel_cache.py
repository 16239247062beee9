"""`kernel`, `helper`, `intrinsic`: how every compiled function of ours is declared, and where its code is kept.

A kernel is an object file in the cache, loaded where it is declared. numba is imported only where the file is missing,
so a process with a warm cache never pays for it: starting takes 0.2 s instead of 0.45, and 80 MiB less.

Kernels inline `serializers/intrinsics.py` and the helpers and constants of three more files, so the cache directory is
named after their contents and the processor, and an object file after the contents of the file that defines it, and of
the kernel files that it imports: a change anywhere is a cache that is missing something, never one that is wrong.

What is loaded is run. So an object file counts only if it is this user's or root's, and nobody else may write it.
"""

import errno
import hashlib
import logging
import os
import re
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import cache, update_wrapper
from pathlib import Path
from types import FunctionType
from typing import Any

from serializers import native_code

log = logging.getLogger(__name__)

CACHE_VARIABLE = "SPILLWAY_CACHE_DIR"
_INLINED_SOURCES = ("intrinsics.py", "keys.py", "layouts.py", "row_bytes.py", "kernel_compiler.py", "native_code.py")
_DIGEST_BYTES = 32

_compiled: list[str] = []
"""Kernels that this process compiled."""


def cache_directory() -> Path:
    """Where compiled kernels are kept: `SPILLWAY_CACHE_DIR`, or the user's cache directory."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = Path(os.environ.get(CACHE_VARIABLE) or home / "spillway")
    return root / f"kernels-{_environment()}"


@cache
def _environment() -> str:
    """Names the processor, and what every kernel inlines."""
    folder = Path(__file__).parent
    digest = hashlib.sha256(native_code.processor().encode())
    for name in _INLINED_SOURCES:
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:16]


@cache
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


def has_compiled() -> bool:
    """Whether this process compiled kernels that the next will find in the cache."""
    return bool(_compiled) and _usable_cache() is not None


# --- declaring


class Helper:
    """A function that kernels call: compiled into them, never on its own."""

    def __init__(self, function: FunctionType) -> None:
        self.py_func = function
        self._twin: Any = None

    def __call__(self, *arguments: Any) -> Any:
        """Run it by itself, as tests do: this takes numba."""
        return self.for_numba()(*arguments)

    def for_numba(self) -> Any:
        """numba's twin of it."""
        if self._twin is None:
            self._twin = self._make_twin()
        return self._twin

    def _make_twin(self) -> Any:
        from serializers.kernel_compiler import make_helper

        return make_helper(self.py_func)


class Intrinsic(Helper):
    """A machine instruction: a function that writes LLVM's code for it (`serializers/intrinsics.py`)."""

    def _make_twin(self) -> Any:
        from serializers.kernel_compiler import make_intrinsic

        return make_intrinsic(self.py_func)


def helper(function: Callable[..., Any]) -> Any:
    """Declare a function that kernels call."""
    assert isinstance(function, FunctionType)
    return Helper(function)


def intrinsic(function: Callable[..., Any]) -> Any:
    """Declare a machine instruction."""
    assert isinstance(function, FunctionType)
    return Intrinsic(function)


def kernel(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a compiled function of one signature: load it, and compile it before that if the cache has none.

    What is returned runs without the GIL and checks the types of arrays; `py_func` is the function as it is written.
    """

    def load(function: Callable[..., Any]) -> Callable[..., Any]:
        assert isinstance(function, FunctionType)
        symbol = f"{function.__module__}.{function.__name__}"
        file = _place(symbol, Path(function.__code__.co_filename), signature)
        code = _read(file) or _compile(function, signature, symbol, file)
        loaded: Any = native_code.load(symbol, code, native_code.parse_signature(signature))
        loaded.py_func = function
        return update_wrapper(loaded, function)

    return load


# --- keeping


def _place(symbol: str, source: Path, signature: str) -> Path | None:
    directory = _usable_cache()
    if directory is None:
        return None
    digest = hashlib.sha256(_source(source) + signature.encode()).hexdigest()[:16]
    return directory / f"{symbol}-{digest}.o"


@cache
def _source(path: Path) -> bytes:
    """A file of kernels, and the files beside it whose helpers it inlines."""
    source = path.read_bytes()
    names = re.findall(rb"^from [\w.]+\.kernels\.(\w+) import", source, re.MULTILINE)
    return source + b"".join(_source(path.with_name(f"{name.decode()}.py")) for name in names)


def _read(file: Path | None) -> bytes | None:
    """The machine code in `file`; None if there is none, or if it was cut short or changed."""
    if file is None:
        return None
    try:
        content = _read_own(file)
    except OSError:
        return None
    digest, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return code if hashlib.sha256(code).digest() == digest else None


def _read_own(file: Path) -> bytes:
    """Raises PermissionError for a file that somebody else could have put there, or changed."""
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as opened:
        status = os.fstat(opened.fileno())
        is_ours = status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not is_ours or not stat.S_ISREG(status.st_mode):
            log.warning("%s: is not this user's alone, and is not loaded", file)
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(file))
        return opened.read()


def _compile(function: FunctionType, signature: str, symbol: str, file: Path | None) -> bytes:
    if not _compiled:
        log.warning("compiling the kernels for this machine, once: about ten seconds (or run: spillway warmup)")
    _compiled.append(symbol)
    from serializers.kernel_compiler import compile_kernel

    code = compile_kernel(function, signature, symbol)
    if file is not None:
        _keep(file, symbol, hashlib.sha256(code).digest() + code)
    return code


def _keep(file: Path, symbol: str, content: bytes) -> None:
    """Write as a whole or not at all: another process may be reading, or compiling the same. Older versions go."""
    partial = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as opened:
            opened.write(content)
        partial.replace(file)
        for older in file.parent.glob(f"{symbol}-*.o"):
            if older != file:
                older.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s: a compiled kernel could not be kept: %s", file, error)
        with suppress(OSError):
            partial.unlink()
