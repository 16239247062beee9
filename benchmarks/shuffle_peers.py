"""Others that shuffle, each as a process of its own:

python -P shuffle_peers.py duckdb INPUT OUTPUT TEMP_DIR THREADS MEMORY    sum and count by key, Parquet to Parquet
python -P shuffle_peers.py spark INPUT OUTPUT TEMP_DIR THREADS MEMORY     the same, local[THREADS]
python -P shuffle_peers.py pool INPUT OUTPUT PROCESSES                    word count, dictionaries merged at the end
"""

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

NO_SPARK = "Spark is not installed (pip install pyspark, and a Java to run it)"

CHUNK_BYTES = 8 << 20
"""Of text that a process of the pool gets at once."""


def peer_command(name: str, *arguments: object) -> tuple[str, ...]:
    """What runs a peer of this file."""
    return sys.executable, "-P", __file__, name, *map(str, arguments)


def has_spark() -> bool:
    """Whether Spark can be asked at all."""
    return find_spec("pyspark") is not None


def duckdb(source: str, output: str, temp_dir: str, threads: str, memory: str) -> None:
    """Rows in any order, as DuckDB is quickest."""
    import duckdb

    terms: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory,
        "threads": int(threads),
        "temp_directory": f"{temp_dir}/duckdb",
        "preserve_insertion_order": False,
    }
    query = f"SELECT key, sum(value) AS total, count(*) AS n FROM read_parquet('{source}') GROUP BY key"
    duckdb.connect(config=terms).execute(f"COPY ({query}) TO '{output}' (FORMAT parquet)")


def spark(source: str, output: str, temp_dir: str, threads: str, memory: str) -> None:
    """A directory of Parquet files."""
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import count, lit
    from pyspark.sql.functions import sum as total

    session = (
        SparkSession.builder.master(f"local[{threads}]")
        .config("spark.driver.memory", memory)
        .config("spark.local.dir", temp_dir)
        .config("spark.sql.shuffle.partitions", 8)
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    rows = session.read.parquet(source).groupBy("key").agg(total("value").alias("total"), count(lit(1)).alias("n"))
    rows.write.parquet(output)
    session.stop()


# --- word count, as one writes it with the standard library


def words_of(line: str) -> Iterator[tuple[str, int]]:
    """The map function: a word and one."""
    for word in line.split():
        yield word, 1


def add(left: int, right: int) -> int:
    """The reduce function."""
    return left + right


def count_chunk(place: tuple[str, int]) -> dict[str, int]:
    """The words of the lines that begin in one chunk."""
    counts: dict[str, int] = {}
    for line in lines_of_chunk(*place):
        for word, one in words_of(line):
            counts[word] = add(counts[word], one) if word in counts else one
    return counts


def lines_of_chunk(source: str, start: int) -> list[str]:
    """Lines that begin at `start` or after it, and before the next chunk."""
    end = start + CHUNK_BYTES
    with Path(source).open("rb") as file:
        if start:
            file.seek(start - 1)
            file.readline()
        if file.tell() >= end:
            return []
        text = file.read(end - file.tell())
        if not text.endswith(b"\n"):
            text += file.readline()
    return text.decode().splitlines()


def pool(source: str, output: str, processes: str) -> None:
    """Word, tab, count, in order of the words."""
    starts = range(0, Path(source).stat().st_size, CHUNK_BYTES)
    totals: dict[str, int] = {}
    with get_context("spawn").Pool(int(processes)) as workers:
        for counts in workers.imap_unordered(count_chunk, [(source, start) for start in starts]):
            for word, count in counts.items():
                totals[word] = add(totals[word], count) if word in totals else count
    with Path(output).open("w") as file:
        file.writelines(f"{word}\t{totals[word]}\n" for word in sorted(totals))


if __name__ == "__main__":
    peers: dict[str, Callable[..., None]] = {"duckdb": duckdb, "spark": spark, "pool": pool}
    peers[sys.argv[1]](*sys.argv[2:])
