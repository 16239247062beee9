"""On what was it measured: the machine and the versions of everything that took part."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.peers import gnu_sort
from memory import GIB
from memory.probe import physical_memory_bytes

UNKNOWN = "unknown"
_PACKAGES = ("numba", "numpy", "duckdb")


def describe_machine(directory: Path) -> list[tuple[str, str]]:
    """Rows of a table: what, and what it is here. `directory` is where the files of the benchmarks are."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0]
    return [
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("processor", f"{cpu_model()}, {cores} cores"),
        ("memory", f"{physical_memory_bytes() / GIB:.1f} GiB"),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("file system", file_system(directory)),
        ("load before", f"{load:.2f}" + (" (not quiet: do not trust these figures)" if load > 0.5 else "")),
        ("commit", _first_line("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        *((name, _package_version(name)) for name in _PACKAGES),
        ("GNU sort", _first_line(gnu_sort() or "sort", "--version")),
    ]


def cpu_model() -> str:
    """As the processor calls itself."""
    for line in _lines(Path("/proc/cpuinfo")):
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or UNKNOWN


def file_system(directory: Path) -> str:
    """Its type and device, from the longest mount point above `directory`."""
    here = directory.resolve()
    found = (0, UNKNOWN)
    for line in _lines(Path("/proc/mounts")):
        device, mount_point, kind, *_ = line.split(" ")
        if here.is_relative_to(mount_point):
            found = max(found, (len(mount_point), f"{kind} on {device}"))
    return found[1]


def _package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return UNKNOWN
    return done.stdout.split("\n")[0] if done.returncode == 0 else UNKNOWN


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
