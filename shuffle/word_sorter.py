"""Which quicksort sorts the words: ours, or numpy's where its vector code is quicker on this processor.

Both give the same order, because words are all different. numpy's `ndarray.sort` takes 5 ns a word with AVX-512 on
Intel and Zen 5, but 47 ns on Zen 4, where its compress-store is microcoded; ours takes 15 ns on either
(benchmarks/sort_words.py). So `auto` asks the processor: a thousandth of a second, once for each process.
"""

import threading
import time
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shuffle.kernels import sort
from shuffle.options import SortKernel

_TRIAL_WORDS = 1 << 14
_WORTH_ASKING_WORDS = 1 << 16


class WordSorter:
    """Sorts words in any thread; each thread has its own scratch."""

    def __init__(self, kernel: SortKernel) -> None:
        self.kernel = kernel
        self._local = threading.local()

    def scratch(self) -> NDArray[np.uint64]:
        """This thread's scratch for the sort kernels."""
        scratch: NDArray[np.uint64] | None = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = np.empty(sort.SCRATCH_WORDS, np.uint64)
        return scratch

    def sort(self, words: NDArray[np.uint64], order: int) -> None:
        """Sort `words` in place; `order` is what `make_words` saw of them."""
        if order == sort.ASCENDING:
            return
        if order == sort.DESCENDING:
            words[:] = words[::-1].copy()
        elif self._choose(len(words)) == "numpy":
            words.sort()
        else:
            sort.sort_words(words, self.scratch())

    def _choose(self, word_count: int) -> str:
        if self.kernel != "auto":
            return self.kernel
        return faster_kernel() if word_count >= _WORTH_ASKING_WORDS else "numba"


@cache
def faster_kernel() -> str:
    """Time both on the same words: "numba" or "numpy"."""
    words = np.random.default_rng(0).integers(0, 1 << 63, _TRIAL_WORDS, np.uint64)
    scratch = np.empty(sort.SCRATCH_WORDS, np.uint64)
    ours = _seconds(lambda trial: sort.sort_words(trial, scratch), words)
    theirs = _seconds(lambda trial: trial.sort(), words)
    return "numpy" if theirs < ours else "numba"


def _seconds(sort_in_place, words: NDArray[np.uint64]) -> float:  # type: ignore[no-untyped-def]
    best = float("inf")
    for _ in range(2):
        trial = words.copy()
        start = time.perf_counter()
        sort_in_place(trial)
        best = min(best, time.perf_counter() - start)
    return best
