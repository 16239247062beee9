"""What the operating system says about memory. Each is asked here alone, and answered on macOS too.

Measured here, decided elsewhere: the process memory model itself does no I/O.
"""

import os
import resource
import sys
from pathlib import Path

_PROC = Path("/proc/self")
_CGROUPS = Path("/sys/fs/cgroup")

_USAGE = {"memory.max": "memory.current", "memory.limit_in_bytes": "memory.usage_in_bytes"}

# ru_maxrss counts bytes on macOS and KiB elsewhere.
_MAXRSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def default_memory_bytes() -> int:
    """What a job takes if nobody says otherwise: half of what this process may use."""
    return process_memory_limit() // 2


def process_memory_limit() -> int:
    """The most this process may use: the least of physical memory and the limits set on it."""
    limits = [physical_memory_bytes(), cgroup_memory_limit(), _address_space_limit()]
    return min(limit for limit in limits if limit is not None)


def physical_memory_bytes() -> int:
    """All memory of the machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def cgroup_memory_limit(membership: Path = _PROC / "cgroup", root: Path = _CGROUPS) -> int | None:
    """The tightest limit of our control group and those around it, version 1 or 2; None without any.

    `membership` lists the groups of the process, as "0::/path" or "4:memory:/path". Within a container the
    path may lead nowhere below `root`; then the groups that do exist above it count, and `root` itself.
    """
    limits = [
        limit
        for line in _lines(membership)
        for directory, name in _group_files(line, root)
        if (limit := _limit_in(directory / name)) is not None
    ]
    return min(limits, default=None)


def free_memory_bytes() -> int:
    """Memory that nobody uses, of the machine or of our control group, whichever has less; 0 where nobody tells."""
    free = [int(line.split()[1]) * 1024 for line in _lines(Path("/proc/meminfo")) if line.startswith("MemAvailable:")]
    return min([*free, *_cgroup_room(_PROC / "cgroup", _CGROUPS)], default=0) if free else 0


def _cgroup_room(membership: Path, root: Path) -> list[int]:
    """What is left to each control group around us that has a limit."""
    room = []
    for line in _lines(membership):
        for directory, name in _group_files(line, root):
            limit = _limit_in(directory / name)
            used = _limit_in(directory / _USAGE[name])
            if limit is not None and used is not None:
                room.append(max(0, limit - used))
    return room


def resident_bytes() -> int:
    """Memory of this process that is resident now, or the most there ever was where only that is told."""
    try:
        pages = int((_PROC / "statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return _peak_from_rusage()
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_resident_bytes() -> int:
    """The most memory this process has had resident.

    VmHWM where there is /proc: ru_maxrss survives exec, so a small program started by a large one would
    inherit the size of its parent at the fork.
    """
    for line in _lines(_PROC / "status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return _peak_from_rusage()


def _peak_from_rusage() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT_BYTES


def _address_space_limit() -> int | None:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _group_files(line: str, root: Path) -> list[tuple[Path, str]]:
    """Where the limits of one line of /proc/self/cgroup stand: its group and all groups around it."""
    hierarchy, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if hierarchy == "0" and not controllers:
        top, name = root, "memory.max"
    elif "memory" in controllers.split(","):
        top, name = root / "memory", "memory.limit_in_bytes"
    else:
        return []
    group = Path(path.strip().lstrip("/"))
    return [(top / part, name) for part in (group, *group.parents)]


def _limit_in(file: Path) -> int | None:
    """The number in a limit file; None for "max", and for a group that cannot be seen from here."""
    lines = _lines(file)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
