"""The quicksort of normalized keys, in this process and thread: our numba kernel against numpy's `ndarray.sort`.

A word holds key bits above the ordinal of its record, so words are all different even where keys are not:

    random       as many key bits as there is room for
    duplicates   100 different keys, so that most partitions split ordinals
    8 bits       keys of 256 values next to each other

Both sort the same words, in turn; nanoseconds are per word, medians. What `--sort-kernel auto` picks is said below.
"""

import time
from collections.abc import Callable
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import BenchmarkError
from benchmarks.report import Section, Table
from benchmarks.workbench import SEED, Workbench, main
from shuffle.kernels import sort
from shuffle.word_sorter import faster_kernel

Words = NDArray[np.uint64]

WORD_COUNTS = (100_000, 300_000, 1_000_000)
DISTINCT_KEYS = 100
_REPEATS_MIN = 5


def run(bench: Workbench) -> Section:
    """One table: a row for each kind and number of words."""
    scratch = np.empty(sort.SCRATCH_WORDS, np.uint64)
    rows = [
        _row(kind, make(count), scratch, max(bench.pairs, _REPEATS_MIN))
        for kind, make in KINDS.items()
        for count in WORD_COUNTS
    ]
    header = ("keys", "words", "numba ns", "numpy ns", "numpy / numba")
    note = f"`auto` picks {faster_kernel()} here."
    return Section(tables=[Table("Sorting words, one thread", header, rows, note)])


def _row(kind: str, words: Words, scratch: Words, repeats: int) -> list[str]:
    ours, theirs = [], []
    for _ in range(repeats):
        seconds, our_words = _sort_copy(lambda trial: sort.sort_words(trial, scratch), words)
        ours.append(seconds)
        seconds, their_words = _sort_copy(lambda trial: trial.sort(), words)
        theirs.append(seconds)
        if not np.array_equal(our_words, their_words):
            raise BenchmarkError(f"numba and numpy do not agree about {len(words):,} words, {kind}")
    our_ns, their_ns = (median(seconds) * 1e9 / len(words) for seconds in (ours, theirs))
    ratio = median(their / our for our, their in zip(ours, theirs, strict=True))
    return [kind, f"{len(words):,}", f"{our_ns:.1f}", f"{their_ns:.1f}", f"{ratio:.2f}"]


def _sort_copy(sort_in_place: Callable[[Words], object], words: Words) -> tuple[float, Words]:
    trial = words.copy()
    started = time.perf_counter()
    sort_in_place(trial)
    return time.perf_counter() - started, trial


def _random(count: int) -> Words:
    key_bits = 64 - _ordinal_bits(count)
    return _pack(_generator().integers(0, 1 << key_bits, count, np.uint64))


def _duplicates(count: int) -> Words:
    key_bits = 64 - _ordinal_bits(count)
    distinct = _generator().integers(0, 1 << key_bits, DISTINCT_KEYS, np.uint64)
    return _pack(distinct[_generator().integers(0, DISTINCT_KEYS, count)])


def _eight_bits(count: int) -> Words:
    return _pack(_generator().integers(0, 1 << 8, count, np.uint64))


def _pack(keys: Words) -> Words:
    """Keys above, ordinals below."""
    ordinals = np.arange(len(keys), dtype=np.uint64)
    words: Words = keys << np.uint64(_ordinal_bits(len(keys))) | ordinals
    return words


def _ordinal_bits(count: int) -> int:
    return (count - 1).bit_length()


def _generator() -> np.random.Generator:
    return np.random.default_rng(SEED)


KINDS: dict[str, Callable[[int], Words]] = {"random": _random, "duplicates": _duplicates, "8 bits": _eight_bits}


if __name__ == "__main__":
    main(run, __doc__)
