"""Which quicksort, and that it makes no difference to the words."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shuffle import word_sorter
from shuffle.kernels import sort
from shuffle.options import SortKernel
from shuffle.word_sorter import WordSorter, faster_kernel

KERNELS: list[SortKernel] = ["numba", "numpy", "auto"]


@pytest.mark.parametrize("kernel", KERNELS)
@given(words=st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=300))
def test_every_kernel_gives_the_same_order(kernel: SortKernel, words: list[int]) -> None:
    found = np.array(words, np.uint64)
    WordSorter(kernel).sort(found, sort.UNORDERED)
    assert found.tolist() == sorted(words)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_scan_that_saw_order_is_believed(kernel: SortKernel) -> None:
    falling = np.arange(1000, 0, -1, dtype=np.uint64)
    WordSorter(kernel).sort(falling, sort.DESCENDING)
    assert falling.tolist() == list(range(1, 1001))
    untouched = np.array([3, 1, 2], np.uint64)
    WordSorter(kernel).sort(untouched, sort.ASCENDING)
    assert untouched.tolist() == [3, 1, 2], "not even looked at"


def test_the_processor_is_asked_only_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(word_sorter, "faster_kernel", lambda: asked.append("asked") or "numpy")
    sorter = WordSorter("auto")
    sorter.sort(np.arange(100, dtype=np.uint64)[::-1].copy(), sort.UNORDERED)
    assert asked == []
    many = np.random.default_rng(3).permutation(1 << 17).astype(np.uint64)
    sorter.sort(many, sort.UNORDERED)
    assert asked == ["asked"]
    assert many.tolist() == list(range(1 << 17))


def test_the_processor_is_asked_once() -> None:
    assert faster_kernel() in ("numba", "numpy")
    hits = faster_kernel.cache_info().hits
    faster_kernel()
    assert faster_kernel.cache_info().hits == hits + 1


def test_every_thread_has_its_own_scratch() -> None:
    sorter, addresses = WordSorter("numba"), []
    everyone = threading.Barrier(4)

    def work() -> None:
        addresses.append(sorter.scratch().ctypes.data)
        assert sorter.scratch().ctypes.data == addresses[-1] or len(addresses) > 1
        everyone.wait()  # all scratches are alive now

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(addresses)) == 4
    assert sorter.scratch() is sorter.scratch()


def test_threads_sort_side_by_side_with_one_sorter() -> None:
    sorter, inputs = WordSorter("numba"), [np.random.default_rng(i).permutation(50_000) for i in range(4)]
    words = [part.astype(np.uint64) for part in inputs]
    threads = [threading.Thread(target=sorter.sort, args=(part, sort.UNORDERED)) for part in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(part.tolist() == list(range(50_000)) for part in words)
