"""Others that do the same: GNU sort, DuckDB, and no sort at all, but two copies, or one durable write.

Every peer is a whole process. DuckDB has no command of its own here, so this file is one too:

    python -P peers.py duckdb INPUT OUTPUT TEMP_DIR THREADS
"""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

DUCKDB_MEMORY = "1GB"
"""Four times what we take."""

NO_DUCKDB = "DuckDB is not installed (pip install duckdb)"
NO_GNU_SORT = "GNU sort is not installed"

_NOWHERE = "\x01"  # a delimiter that no line holds, so that each is one column, byte for byte
_READING = f"delim = '{_NOWHERE}', header = false, quote = '', escape = '', auto_detect = false"
_WRITING = f"FORMAT csv, DELIMITER '{_NOWHERE}', HEADER false, QUOTE '', ESCAPE ''"


def gnu_sort() -> str | None:
    """The name of GNU sort on this machine, if it has it; on macOS `sort` is another program."""
    for name in ("gsort", "sort"):
        if path := shutil.which(name):
            told = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
            if "GNU coreutils" in told:
                return path
    return None


def gnu_sort_command(
    source: Path, output: Path, *, memory_bytes: int, threads: int, temp_dir: Path
) -> tuple[str, ...] | None:
    """Sort lines; run it with `LC_ALL=C`. None without GNU sort."""
    program = gnu_sort()
    if program is None:
        return None
    memory = f"{memory_bytes // 1024}K"
    return program, "-S", memory, f"--parallel={threads}", "-T", str(temp_dir), "-o", str(output), str(source)


def duckdb_command(source: Path, output: Path, *, threads: int, temp_dir: Path) -> tuple[str, ...] | None:
    """Sort lines. None without DuckDB."""
    if find_spec("duckdb") is None:
        return None
    return sys.executable, "-P", __file__, "duckdb", str(source), str(output), str(temp_dir), str(threads)


def copy_twice_command(source: Path, between: Path, output: Path) -> tuple[str, ...]:
    """Read and write everything twice: the floor under any sort of two passes."""
    return "sh", "-c", 'cat "$1" > "$2" && cat "$2" > "$3"', "sh", str(source), str(between), str(output)


def durable_write_command(output: Path, size_bytes: int) -> tuple[str, ...]:
    """Write so many bytes past the page cache, and wait until the disk has them: the floor under a durable output."""
    terms = (f"count={size_bytes}", "iflag=count_bytes", "bs=2M", "oflag=direct", "conv=fsync", "status=none")
    return "dd", "if=/dev/zero", f"of={output}", *terms


def sort_with_duckdb(source: str, output: str, temp_dir: str, threads: int) -> None:
    """Sort lines by their bytes, which is how DuckDB compares text unless told otherwise."""
    import duckdb

    connection = duckdb.connect(
        config={"memory_limit": DUCKDB_MEMORY, "threads": threads, "temp_directory": f"{temp_dir}/duckdb"}
    )
    lines = f"read_csv({_quoted(source)}, columns = {{'line': 'VARCHAR'}}, {_READING})"
    connection.execute(f"COPY (SELECT line FROM {lines} ORDER BY line) TO {_quoted(output)} ({_WRITING})")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


if __name__ == "__main__":
    assert sys.argv[1] == "duckdb", sys.argv
    sort_with_duckdb(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
