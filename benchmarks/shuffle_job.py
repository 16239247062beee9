"""Our side of the shuffle benchmarks, each a process of its own:

python -P -m benchmarks.shuffle_job aggregate INPUT OUTPUT ...    sum and count by key, Parquet to Parquet
python -P -m benchmarks.shuffle_job words INPUT OUTPUT ...        word count through Python functions
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.shuffle_peers import add, words_of
from memory import peak_resident_bytes

PARTITIONS = 16


def aggregate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Rows in the order of their keys."""
    import shuffle

    asked = {"total": "sum:value", "n": "count"}
    terms = {"memory": arguments.memory, "threads": arguments.threads, "temp_dirs": arguments.temp_dir}
    with shuffle.aggregate(arguments.input, by="key", aggregates=asked, **terms) as result:
        return {"groups": result.write(arguments.output)}


def count_words(arguments: argparse.Namespace) -> dict[str, Any]:
    """Word, tab, count, in order of the words."""
    import shuffle

    terms = {"memory": arguments.memory, "slots": arguments.threads, "temp_dirs": arguments.temp_dir}
    job = shuffle.Shuffle(map=words_of, reduce=add, partition_by="range", partitions=PARTITIONS, **terms)
    with job.run(arguments.input) as counts, Path(arguments.output).open("w") as file:
        file.writelines(f"{word}\t{count}\n" for word, count in counts)
        return {}


def main() -> None:
    """Run one job; what it says of itself goes to --stats as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("aggregate", "words"))
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--memory", required=True, help="of all processes together")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--temp-dir")
    parser.add_argument("--stats", type=Path, required=True)
    arguments = parser.parse_args()
    stats = {"aggregate": aggregate, "words": count_words}[arguments.what](arguments)
    stats["peak_resident_bytes"] = peak_resident_bytes()
    arguments.stats.write_text(json.dumps(stats))


if __name__ == "__main__":
    main()
