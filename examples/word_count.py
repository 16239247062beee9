"""Count the words in the sources of Python's standard library, on all cores and in bounded memory.

    lines ──words──> (word, 1) ... ──partition, sort, merge──> (word, count) ──top_k──> the most frequent

Each core runs the functions in a process of its own. They are plain functions of a module, so that it can import them.

Run it: python -m examples.word_count [FILE ...]
"""

import operator
import re
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import shuffle

WORD = re.compile(r"[a-z]+")


def words(line: str) -> list[tuple[str, int]]:
    """A pair for each word of a line."""
    return [(word, 1) for word in WORD.findall(line.lower())]


def most_frequent(paths: Sequence[Path], count: int, *, memory: str = "512MiB") -> list[tuple[str, int]]:
    """The words that are there most often, the first of the alphabet where several are equally frequent."""
    job = shuffle.Shuffle(map=words, reduce=operator.add, partitions=4, memory=memory)
    with job.run(list(paths)) as counts, shuffle.top_k(counts, count, by=["-1", "0"], memory="128MiB") as first:
        return list(first)


def main() -> None:
    """Count in the files named, or in the standard library's."""
    library = Path(sysconfig.get_path("stdlib"))
    paths = [Path(name) for name in sys.argv[1:]] or sorted(library.glob("*.py"))
    for word, count in most_frequent(paths, 10):
        print(f"{count:>9,} {word}")


if __name__ == "__main__":
    main()
