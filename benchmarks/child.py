"""The small parent of a measured process: `python -I -S child.py FD COMMAND...`.

Linux lets a process begin with the peak resident set of the one that forked it, and exec keeps it. So a benchmark that
has numpy and numba loaded must not fork what it measures itself. This script is all that stands between: it imports
three built-in modules, takes about 8 MiB, and so a peak below that cannot be told.

It writes one line to the descriptor FD: exit status, wall seconds, CPU seconds (children included), peak bytes.
"""

import os
import sys
import time

# ru_maxrss, the VmHWM of the process at its end, counts bytes on macOS and KiB elsewhere.
PEAK_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    """Start the command, wait for it, tell what it took."""
    report_fd, command = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(report_fd, False)
    started = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, wait_status, usage = os.wait4(pid, 0)
    wall_seconds = time.perf_counter() - started
    cpu_seconds = usage.ru_utime + usage.ru_stime
    peak_bytes = usage.ru_maxrss * PEAK_UNIT_BYTES
    status = os.waitstatus_to_exitcode(wait_status)
    os.write(report_fd, f"{status} {wall_seconds!r} {cpu_seconds!r} {peak_bytes}\n".encode())


if __name__ == "__main__":
    main()
