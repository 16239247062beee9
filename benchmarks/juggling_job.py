"""One sort of tuples in a process of its own, measured from within: `python -P -m benchmarks.juggling_job --help`.

    generate   make the tuples and drop them: this cost is in everybody's fill
    list       list(tuples), list.sort(key=itemgetter(by)), a walk over the list
    spillway   shuffle.Sorter(type_info=tuple[Int32, str], by=by), a walk over the result
    generic    the same engine, every tuple pickled: type_info=GenericInfo(tuple), key=itemgetter(by)

A tuple is an int of 32 bits, uniform, and a string of 12 letters: --strings

    tail     out of a table of 100,000, as often as words in language (Zipf, exponent 1: the first is one in 12, the
             last one in 1.2 million); every tuple has an object of its own, as if it had been read from somewhere
    shared   the same strings, but the table's own objects, as if they had been interned
    random   any letters: hardly any string comes twice

Imports, the table and loading the kernels are outside of the phases. With --check the result is walked once more after
all figures have been taken: tuples of int and str, in order, none lost. The sum of their hashes is the same for every
way, and their fingerprint for every way of the same order, if PYTHONHASHSEED is.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from operator import itemgetter, le, sub
from pathlib import Path
from typing import Any

import numpy as np

from memory import peak_resident_bytes, resident_bytes

Pair = tuple[int, str]

CHUNK_TUPLES = 10_000
WORDS = 100_000
WORD_LETTERS = 12
QUANTILES = 1 << 21
"""Places in the table of ranks: so many that even the rarest word has one, so few that they stay in a cache."""

_INT32 = np.iinfo(np.int32)
_CHECKSUM_MODULUS = 1 << 64


class Tuples:
    """The same tuples each time they are iterated, as cheaply as Python makes tuples."""

    def __init__(self, count: int, *, seed: int, strings: str) -> None:
        words = _random_words(np.random.default_rng(seed), WORDS)
        # Out of an array of objects come those objects; out of an array of letters each time new ones.
        self._words: Any = np.array(words.tolist(), object) if strings == "shared" else words
        self._ranks = _zipf_ranks()
        self._is_random = strings == "random"
        self._count = count
        self._seed = seed

    def __iter__(self) -> Iterator[Pair]:
        return chain.from_iterable(self._chunks())

    def _chunks(self) -> Iterator[Iterable[Pair]]:
        random = np.random.default_rng(self._seed)
        for start in range(0, self._count, CHUNK_TUPLES):
            size = min(CHUNK_TUPLES, self._count - start)
            ints = random.integers(_INT32.min, _INT32.max, size, np.int32, endpoint=True)
            yield zip(ints.tolist(), self._take_words(random, size).tolist(), strict=True)

    def _take_words(self, random: np.random.Generator, count: int) -> Any:
        if self._is_random:
            return _random_words(random, count)
        return self._words.take(self._ranks.take(random.integers(0, QUANTILES, count, np.int32)))


def _random_words(random: np.random.Generator, count: int) -> Any:
    letters = random.integers(ord("a"), ord("z") + 1, (count, WORD_LETTERS), np.uint8)
    return letters.view(f"S{WORD_LETTERS}").ravel().astype(f"U{WORD_LETTERS}")


def _zipf_ranks() -> Any:
    """Each rank as often as its share of `QUANTILES`."""
    shares = np.cumsum(1 / np.arange(1, WORDS + 1))
    ends = np.rint(shares / shares[-1] * QUANTILES).astype(np.int64)
    return np.repeat(np.arange(WORDS, dtype=np.int32), np.diff(ends, prepend=0))


class Stopwatch:
    """Wall and CPU seconds of each phase, garbage collections in it, and the seconds they took."""

    def __init__(self) -> None:
        self.phases: dict[str, dict[str, float]] = {}
        self.start_bytes = 0  # resident when the first phase began
        self._collections = 0
        self._collection_seconds = 0.0
        self._collection_started = 0.0
        gc.callbacks.append(self._on_collection)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the block."""
        if not self.phases:
            self.start_bytes = resident_bytes()
        before = self._readings()
        yield
        names = ("seconds", "cpu_seconds", "collections", "collection_seconds")
        self.phases[name] = dict(zip(names, map(sub, self._readings(), before), strict=True))

    def _readings(self) -> tuple[float, float, int, float]:
        return time.perf_counter(), time.process_time(), self._collections, self._collection_seconds

    def _on_collection(self, moment: str, info: dict[str, int]) -> None:
        if moment == "start":
            self._collection_started = time.perf_counter()
        else:
            self._collections += 1
            self._collection_seconds += time.perf_counter() - self._collection_started


# --- the ways: each returns what can be walked again, and what else it knows


Sorted = tuple[Iterable[Pair], dict[str, Any]]


def generate(tuples: Tuples, watch: Stopwatch, arguments: argparse.Namespace) -> Sorted:
    """In lists, because zip makes no new tuple where the last one has been dropped already."""
    with watch.phase("fill"):
        iterator = iter(tuples)
        while list(islice(iterator, CHUNK_TUPLES)):
            pass
    return tuples, {}


def sort_list(tuples: Tuples, watch: Stopwatch, arguments: argparse.Namespace) -> Sorted:
    """What Python does without us."""
    with watch.phase("fill"):
        records = list(tuples)
    with watch.phase("sort"):
        records.sort(key=itemgetter(arguments.by))
    with watch.phase("emit"):
        _walk(records)
    return records, {}


def sort_typed(tuples: Tuples, watch: Stopwatch, arguments: argparse.Namespace) -> Sorted:
    """Sorted as bytes of the types they have."""
    from serializers.types.annotated import Int32

    return _sort_with_engine(tuples, watch, arguments, type_info=tuple[Int32, str], by=arguments.by)


def sort_pickled(tuples: Tuples, watch: Stopwatch, arguments: argparse.Namespace) -> Sorted:
    """Sorted as bytes too, but of types that nobody told."""
    from serializers.types.generic import GenericInfo

    return _sort_with_engine(tuples, watch, arguments, type_info=GenericInfo(tuple), key=itemgetter(arguments.by))


WAYS: dict[str, Callable[[Tuples, Stopwatch, argparse.Namespace], Sorted]] = {
    "generate": generate,
    "list": sort_list,
    "spillway": sort_typed,
    "generic": sort_pickled,
}


def _sort_with_engine(tuples: Tuples, watch: Stopwatch, arguments: argparse.Namespace, **form: Any) -> Sorted:
    import shuffle

    temp_dirs = [arguments.temp_dir] if arguments.temp_dir else []
    choices = {**form, "memory": arguments.memory, "threads": arguments.threads, "temp_dirs": temp_dirs}
    with shuffle.sort([(2, "b"), (1, "a")], **choices) as small:  # this imports the engine and loads its kernels
        _walk(small)
    sorter: shuffle.Sorter[Pair] = shuffle.Sorter(**choices)
    with watch.phase("fill"):
        sorter.add(tuples)
    with watch.phase("sort"):
        result = sorter.finish()
    with watch.phase("emit"):
        _walk(result)
    report = result.report
    names = ("records", "input_bytes", "spilled_bytes", "runs", "runs_in_memory", "passes")
    return result, {name: getattr(report, name) for name in names}


def _walk(records: Iterable[Pair]) -> None:
    for _ in records:
        pass


# --- what must be true of the result


def check(records: Iterable[Pair], *, count: int, by: int | None) -> dict[str, int]:
    """Checksum (whatever the order) and fingerprint (of this order). Exits with a message if the result is wrong."""
    iterator = iter(records)
    seen = checksum = fingerprint = 0
    last: list[int | str] = []
    while chunk := list(islice(iterator, CHUNK_TUPLES)):
        if {(type(record), *map(type, record)) for record in chunk} != {(tuple, int, str)}:
            sys.exit(f"these are not all tuples of int and str: {chunk[:3]}...")
        if by is not None:
            keys: list[Any] = [*last, *map(itemgetter(by), chunk)]
            if not all(map(le, keys, islice(keys, 1, None))):
                sys.exit(f"out of order after record {seen}")
            last = keys[-1:]
        hashes = tuple(map(hash, chunk))
        checksum = (checksum + sum(hashes)) % _CHECKSUM_MODULUS
        fingerprint = hash((fingerprint, hashes))
        seen += len(chunk)
    if seen != count:
        sys.exit(f"{count} records went in, {seen} came out")
    return {"checksum": checksum, "fingerprint": fingerprint}


def main() -> None:
    """Sort, take the figures, check, and write all of it to --stats."""
    arguments = _parse()
    tuples = Tuples(arguments.records, seed=arguments.seed, strings=arguments.strings)
    watch = Stopwatch()
    records, told = WAYS[arguments.way](tuples, watch, arguments)
    peak_bytes = peak_resident_bytes()
    checked_from = time.perf_counter(), time.process_time()
    by = None if arguments.way == "generate" else arguments.by
    checked = check(records, count=arguments.records, by=by) if arguments.check else {}
    stats = {
        "phases": watch.phases,
        "start_resident_bytes": watch.start_bytes,
        "peak_resident_bytes": peak_bytes,
        "check_seconds": time.perf_counter() - checked_from[0],
        "check_cpu_seconds": time.process_time() - checked_from[1],
        **told,
        **checked,
    }
    arguments.stats.write_text(json.dumps(stats))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--by", type=int, choices=(0, 1), default=0, help="order by the int (0) or the string (1)")
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--strings", choices=("tail", "shared", "random"), default="tail")
    parser.add_argument("--memory", default="1GiB", help="of the engine (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of the engine (default: %(default)s)")
    parser.add_argument("--temp-dir", help="where the engine spills")
    parser.add_argument("--check", action="store_true", help="check the result afterwards")
    parser.add_argument("--stats", type=Path, required=True, help="where to write the figures, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()
