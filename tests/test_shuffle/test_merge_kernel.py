"""`merge_until` against sorting the runs end to end: small blocks, small output, so that it stops all the
time."""

import ctypes
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serializers import SLACK_BYTES, RecordLayout, fixed, lines
from shuffle.kernels import merge
from tests import naive

ALL_ONES = (1 << 64) - 1
LINES = lines()
SERIAL = fixed(12, key_offset=3, key_bytes=2)  # the last 4 bytes say which record it was


class DisorderError(Exception):
    """The kernel says that a run is not in order."""


def placed(data: bytes, after: int = 0xEE) -> NDArray[np.uint8]:
    """`data` with slack behind it that no answer may depend on."""
    memory: NDArray[np.uint8] = np.full(len(data) + SLACK_BYTES, after, np.uint8)
    memory[: len(data)] = np.frombuffer(data, np.uint8)
    return memory


def cut(run: Sequence[bytes], block_bytes: int) -> list[list[bytes]]:
    """The records of a run, block by block."""
    blocks, start = [], 0
    for sizes in naive.cut_blocks([len(record) for record in run], block_bytes):
        blocks.append(list(run[start : start + len(sizes)]))
        start += len(sizes)
    return blocks


class Merge:
    """The world around the kernel: it brings blocks, empties the output, and counts the stops."""

    def __init__(
        self,
        runs: Sequence[Sequence[bytes]],
        layout: RecordLayout = LINES,
        *,
        reverse: bool = False,
        block_bytes: int = 64,
        target_bytes: int = 128,
        bounds: bool = False,
        unique: bool = False,
        limit: int = ALL_ONES,
        skip: int = 0,
    ) -> None:
        self._layout = layout
        self._bounds = bounds
        self._inverted = ALL_ONES if reverse else 0
        self._skip = skip
        self._blocks = [cut(run, block_bytes) for run in runs]
        self._loaded: list[NDArray[np.uint8] | None] = [None] * len(runs)
        self._target_bytes = max(target_bytes, *(len(b"".join(b)) for bs in self._blocks for b in bs), 1)
        self.runs = np.zeros((merge.RUN_ROWS, len(runs)), np.uint64)
        self.tree = np.zeros((merge.TREE_ROWS, len(runs)), np.uint64)
        self.layout = np.zeros(merge.LAYOUT_ENTRIES, np.uint64)
        self.layout[merge.RECORD_BYTES] = layout.record_bytes
        self.layout[merge.KEY_OFFSET] = layout.key_offset
        self.layout[merge.KEY_BYTES] = layout.key_bytes
        self.layout[merge.DELIMITER] = layout.delimiter
        self.layout[merge.INVERTED] = self._inverted
        self.layout[merge.SKIP] = skip
        self.layout[merge.UNIQUE] = unique
        self.state = np.zeros(merge.STATE_ENTRIES, np.uint64)
        self.state[merge.WINNER] = self.state[merge.REFILLED] = merge.NO_RUN
        self.state[merge.LIMIT] = limit
        self.stops: Counter[int] = Counter()
        self.gallops = 0

    def load(self, run: int) -> None:
        """Put the next block under `run`, or say that it has ended."""
        if not self._blocks[run]:
            self.runs[merge.CURSOR, run] = 0
            return
        data = b"".join(self._blocks[run].pop(0))
        block = self._loaded[run] = placed(data)
        self.runs[merge.CURSOR, run] = block.ctypes.data
        self.runs[merge.BLOCK_END, run] = block.ctypes.data + len(data)
        self.runs[merge.BOUND, run] = self._bound(run)

    def _bound(self, run: int) -> int:
        """The word of the first key of the run's next block: nothing in this one goes after it."""
        if not self._bounds or not self._blocks[run]:
            return ALL_ONES
        key = self._layout.key(self._blocks[run][0][0])[self._skip :]
        return int.from_bytes(key[:8].ljust(8, b"\0"), "big") ^ self._inverted

    def run(self) -> bytes:
        """Everything, merged."""
        for run in range(self.runs.shape[1]):
            self.load(run)
        target, parts = placed(bytes(self._target_bytes)), []
        begin = at = int(target.ctypes.data)
        while True:
            stop, run, at = merge.merge_until(
                self.runs, self.tree, self.layout, self.state, at, begin + self._target_bytes
            )
            self.stops[stop] += 1
            if stop in (merge.FULL, merge.DONE):
                assert at > begin or stop == merge.DONE, "an empty output cannot be full"
                parts.append(bytes(target[: at - begin]))
                at = begin
                self._keep()
            if stop == merge.DONE:
                return b"".join(parts)
            if stop == merge.DISORDER:
                raise DisorderError(run)
            if stop == merge.DRY:
                self.gallops += int(self.runs[merge.LAST, run] == 0)
                self.load(run)
                self.state[merge.REFILLED] = run

    def _keep(self) -> None:
        """Move the last record written out of the way of the next output."""
        start, end = int(self.state[merge.KEPT]), int(self.state[merge.KEPT_END])
        if start:
            self._kept = placed(ctypes.string_at(start, end - start))
            self.state[merge.KEPT] = self._kept.ctypes.data
            self.state[merge.KEPT_END] = self._kept.ctypes.data + end - start


KEY_MAKERS = {
    "two symbols": lambda rng: bytes(rng.choices(b"ab", k=rng.randrange(30))),
    "prefixes": lambda rng: b"x" * rng.randrange(20),
    "zeros": lambda rng: bytes(rng.choices(b"a\0", k=rng.randrange(12))),
    "digits": lambda rng: b"%09d" % rng.randrange(10**9),
    "any bytes": lambda rng: rng.randbytes(rng.randrange(12)).replace(b"\n", b""),
    "duplicates": lambda rng: rng.choice([b"dup", b"dupe", b"", b"zebra" * 5, b"a\0", b"a", b"\xff" * 9]),
    "all ones": lambda rng: b"\xff" * rng.randrange(12),
}


def random_runs(
    rng: random.Random, kind: str, run_count: int, *, reverse: bool, contiguous: bool = False
) -> list[list[bytes]]:
    """Sorted runs of lines; empty ones among them. Contiguous runs follow one another and do not overlap."""
    records = [KEY_MAKERS[kind](rng) + b"\n" for _ in range(rng.randrange(400))]
    if contiguous:
        records = naive.stable_sort(records, LINES.key, reverse=reverse)
    cuts = sorted(rng.randrange(len(records) + 1) for _ in range(run_count - 1))
    pairs = zip([0, *cuts], [*cuts, len(records)], strict=True)
    return [naive.stable_sort(records[x:y], LINES.key, reverse=reverse) for x, y in pairs]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", KEY_MAKERS)
@given(seed=st.integers(0, 1 << 32), run_count=st.integers(1, 12), bounds=st.booleans(), contiguous=st.booleans())
def test_merges_like_its_twin(
    kind: str, reverse: bool, seed: int, run_count: int, bounds: bool, contiguous: bool
) -> None:
    runs = random_runs(random.Random(seed), kind, run_count, reverse=reverse, contiguous=contiguous)
    job = Merge(runs, reverse=reverse, bounds=bounds)
    expected = naive.merge(runs, LINES.key, reverse=reverse)
    assert job.run() == b"".join(expected)
    assert int(job.state[merge.RECORDS]) == len(expected)


@pytest.mark.parametrize("run_count", [1, 2, 3, 7, 8, 9, 250])
def test_any_number_of_runs(run_count: int) -> None:
    rng = random.Random(run_count)
    runs = [sorted(b"%06d\n" % rng.randrange(10**6) for _ in range(20)) for _ in range(run_count)]
    assert Merge(runs).run() == b"".join(naive.merge(runs, LINES.key))


def test_runs_that_are_all_empty() -> None:
    assert Merge([[], [], []]).run() == b""


@pytest.mark.parametrize("reverse", [False, True])
@given(seed=st.integers(0, 1 << 32), run_count=st.integers(1, 9), bounds=st.booleans())
def test_equal_keys_keep_the_order_of_the_runs(reverse: bool, seed: int, run_count: int, bounds: bool) -> None:
    rng = random.Random(seed)
    runs, serial = [], 0
    for _ in range(run_count):
        records = []
        for _ in range(rng.randrange(60)):
            records.append(rng.randbytes(3) + bytes(rng.choices(b"\0\xff", k=2)) + b"pad" + serial.to_bytes(4, "big"))
            serial += 1
        runs.append(naive.stable_sort(records, SERIAL.key, reverse=reverse))
    merged = Merge(runs, SERIAL, reverse=reverse, bounds=bounds).run()
    assert merged == b"".join(naive.merge(runs, SERIAL.key, reverse=reverse))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("layout", [LINES, fixed(10, key_bytes=9)])
def test_ordered_blocks_are_copied_whole(layout: RecordLayout, reverse: bool) -> None:
    records = [b"%09d\n" % i for i in range(4000)]
    records.sort(reverse=reverse)
    runs = [records[start : start + 500] for start in range(0, 4000, 500)]
    walked = Merge(runs, layout, reverse=reverse, block_bytes=1000, target_bytes=1 << 20)
    galloped = Merge(runs, layout, reverse=reverse, block_bytes=1000, target_bytes=1 << 20, bounds=True)
    assert walked.run() == galloped.run() == b"".join(records)
    assert int(galloped.state[merge.RECORDS]) == 4000
    assert walked.gallops == 0
    assert galloped.gallops == 8 * 4  # of 5 blocks each; nobody knows the bound of a last one


@pytest.mark.parametrize("bounds", [False, True])
@pytest.mark.parametrize("skip", [0, 5, 17])
def test_skips_what_all_keys_share(skip: int, bounds: bool) -> None:
    rng = random.Random(skip)
    runs = [sorted(b"the same beginning"[:17] + b"%06d\n" % rng.randrange(9999) for _ in range(90)) for _ in range(5)]
    assert Merge(runs, bounds=bounds, skip=skip).run() == b"".join(naive.merge(runs, LINES.key))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["duplicates", "prefixes", "two symbols"])
@given(seed=st.integers(0, 1 << 32), run_count=st.integers(1, 9))
def test_unique_keeps_the_first_of_each_key(kind: str, reverse: bool, seed: int, run_count: int) -> None:
    runs = random_runs(random.Random(seed), kind, run_count, reverse=reverse)
    job = Merge(runs, reverse=reverse, unique=True, bounds=True)
    expected = sorted({record for run in runs for record in run}, key=LINES.key, reverse=reverse)
    assert job.run() == b"".join(expected)
    assert int(job.state[merge.RECORDS]) == len(expected)
    assert int(job.state[merge.DROPPED]) == sum(map(len, runs)) - len(expected)


def test_unique_keeps_the_record_of_the_first_run() -> None:
    runs = [[b"xxxAApad%04d" % serial] for serial in (7, 3, 5)]
    assert Merge(runs, SERIAL, unique=True).run() == runs[0][0]


@pytest.mark.parametrize("limit", [0, 1, 7, 100, 1000])
def test_a_limit_is_the_head_of_the_whole(limit: int) -> None:
    rng = random.Random(limit)
    runs = [sorted(b"%06d\n" % rng.randrange(10**6) for _ in range(30)) for _ in range(6)]
    job = Merge(runs, limit=limit, bounds=True)
    assert job.run() == b"".join(naive.merge(runs, LINES.key)[:limit])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["digits", "two symbols", "zeros"])
def test_a_run_out_of_order_is_found(kind: str, reverse: bool) -> None:
    found = 0
    for seed in range(50):
        rng = random.Random(seed)
        runs = random_runs(rng, kind, 3, reverse=reverse)
        run = rng.choice([run for run in runs if len(set(run)) > 1] or [[]])
        if not run:
            continue
        i = rng.choice([i for i in range(len(run) - 1) if run[i] != run[i + 1]])
        run[i], run[i + 1] = run[i + 1], run[i]
        with pytest.raises(DisorderError) as caught:
            Merge(runs, reverse=reverse, block_bytes=1 << 20).run()
        assert runs[int(caught.value.args[0])] is run, f"seed {seed}"
        found += 1
    assert found > 30


def test_a_disorder_between_equal_words_is_found() -> None:
    with pytest.raises(DisorderError):
        Merge([[b"12345678b\n", b"12345678a\n"], [b"5\n"]]).run()


def test_a_full_output_loses_nothing() -> None:
    job = Merge([[b"%07d\n" % i for i in range(run, 100, 3)] for run in range(3)], block_bytes=8, target_bytes=8)
    assert job.run() == b"".join(b"%07d\n" % i for i in range(100))
    assert job.stops[merge.FULL] == 99
    assert job.stops[merge.DRY] == 100


def test_a_spanning_record_stops_the_merge_in_its_place() -> None:
    job = Merge([[b"a\n", b"c\n"], [b"b" * 40], [b"b" * 40]], block_bytes=1 << 10)
    for run in range(3):
        job.load(run)
    job.runs[merge.SPAN_RANK, 1:] = 2, 1  # the caller has compared the two: run 2 goes first
    target = placed(bytes(100))
    begin = int(target.ctypes.data)

    def go(at: int) -> tuple[int, int, int]:
        stop, run, at = merge.merge_until(job.runs, job.tree, job.layout, job.state, at, begin + 100)
        return int(stop), int(run), int(at)

    stop, run, at = go(begin)
    assert (stop, run, bytes(target[: at - begin])) == (merge.SPANNING, 2, b"a\n")
    for ended, expected in ((2, merge.SPANNING), (1, merge.DRY)):
        job.runs[merge.CURSOR, ended] = job.runs[merge.SPAN_RANK, ended] = 0
        job.state[merge.REFILLED] = ended
        stop, run, at = go(at)
        assert stop == expected
    assert bytes(target[: at - begin]) == b"a\nc\n"
