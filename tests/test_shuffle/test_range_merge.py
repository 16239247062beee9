"""One merge: many runs in tiny blocks, with as few buffers as can be, into a sink that remembers everything."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from io_manager import PooledBuffer, RunCorruptError, RunWriter
from memory import Buffer
from serializers import RecordLayout, lines
from shuffle.cuts import order_of_blocks, whole
from shuffle.errors import NotSortedError
from shuffle.merge_heads import MergeOrder
from shuffle.range_merge import RangeMerge
from shuffle.runs import FileRun, Run
from shuffle.sinks import RunSink
from tests import naive, tiny

PREFIX = b"the same sixty-four bytes and more stand before every key of this kind: "
LAYOUTS = [tiny.LINES, tiny.SERIAL]


class Collector:
    """A sink of whole buffers, which begin anywhere in a page, as those of an output do."""

    def __init__(self, fails_after: int | None = None) -> None:
        self.parts: list[bytes] = []
        self.flags: list[int] = []
        self._fails_after = fails_after
        self._start = 0

    def window(self, position: int, buffer_bytes: int) -> tuple[int, int]:
        self._start = position % 100
        return self._start, self._start + tiny.CAPACITY

    async def put(self, buffer: Buffer, length: int, records: int, flags: int) -> None:
        with buffer:
            if self._fails_after == len(self.parts):
                raise OSError("the sink is full")
            await asyncio.sleep(0)
            at = sum(map(len, self.parts)) % 100
            self.parts.append(bytes(buffer.view[at : at + length]))
            self.flags.append(flags)


class BrokenRun:
    """A run whose blocks cannot be read from the `bad`-th reading on."""

    def __init__(self, run: FileRun, bad: int) -> None:
        self._run = run
        self._left = bad

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    async def load(self, block: int, buffer: PooledBuffer) -> None:
        if not self._left:
            raise RunCorruptError(f"{self._run.name}: injected")
        self._left -= 1
        await self._run.load(block, buffer)


Change = Callable[[RangeMerge], None]


async def merge(
    bench: tiny.Bench,
    runs: Sequence[Run],
    order: MergeOrder,
    sink: Any = None,
    *,
    spare: int = 0,
    change: Change = lambda merge: None,
) -> tuple[bytes, RangeMerge]:
    """Merge whole runs with a buffer for each, two for spans and `spare`, and two outputs; all must come home."""
    sink = sink or Collector()
    ended: list[Run] = []
    runs = [run for run in runs if len(run.index)]
    with bench.pool(len(runs) + 2, len(runs) + 2 + spare) as reads, bench.pool(2) as outputs:
        made = RangeMerge(
            [whole(run) for run in runs],
            order_of_blocks(runs, descending=order.descending),
            order,
            sink,
            reads=reads,
            outputs=outputs,
            workers=bench.workers,
            on_run_end=ended.append,
        )
        change(made)
        try:
            await made.run()
        finally:
            await asyncio.sleep(0)  # what was still to be called back
            if isinstance(sink, RunSink):
                await sink._writer._all_written()
            assert (reads.in_use, outputs.in_use) == (0, 0)
    if order.limit is None:
        assert sorted(run.number for run in ended) == sorted(run.number for run in runs), "each ends once"
    return b"".join(getattr(sink, "parts", [])), made


async def make_runs(
    bench: tiny.Bench,
    stack: AsyncExitStack,
    runs: Sequence[Sequence[bytes]],
    layout: RecordLayout = tiny.LINES,
    *,
    reverse: bool = False,
    on_disk: Callable[[int], bool] = lambda number: True,
) -> list[Run]:
    """Runs of these records, put in order; some in memory."""
    made: list[Run] = []
    for number, records in enumerate(runs):
        if on_disk(number):
            made.append(await bench.file_run(stack, number, records, layout, descending=reverse))
        else:
            made.append(bench.memory_run(number, records, layout, descending=reverse))
    return made


async def check_merge(
    runs: Sequence[Sequence[bytes]],
    layout: RecordLayout = tiny.LINES,
    *,
    reverse: bool = False,
    unique: bool = False,
    limit: int | None = None,
    spare: int = 0,
    on_disk: Callable[[int], bool] = lambda number: True,
) -> None:
    """The merge against the slow twin."""
    async with tiny.bench() as bench, AsyncExitStack() as stack:
        made = await make_runs(bench, stack, runs, layout, reverse=reverse, on_disk=on_disk)
        found, done = await merge(bench, made, MergeOrder(layout, reverse, unique, limit), spare=spare)
        everything = b"".join(record for run in runs for record in run)
        expected = tiny.sorted_bytes(everything, layout, reverse=reverse, unique=unique, limit=limit)
        assert found == expected
        assert done.records_written == len(naive.split_records(expected, layout)[0])
        if unique and limit is None:
            assert done.records_dropped == sum(map(len, runs)) - done.records_written


LENGTHS = [0, 1, 20, 300, tiny.CAPACITY - 2, tiny.CAPACITY, 2 * tiny.CAPACITY - 2, 2 * tiny.CAPACITY]
LINE = st.builds(
    lambda key, length, end: key + b"-" * length + end + b"\n",
    st.sampled_from([b"", b"a", b"b", PREFIX, PREFIX + b"1", PREFIX + b"2"]),
    st.sampled_from(LENGTHS[:4] * 5 + LENGTHS),
    st.sampled_from([b"", b"x", b"\xff"]),
)


@settings(deadline=None, max_examples=60)
@given(
    runs=st.lists(st.lists(LINE, min_size=1, max_size=25), min_size=1, max_size=6),
    reverse=st.booleans(),
    unique=st.booleans(),
    limit=st.none() | st.integers(0, 30),
    spare=st.integers(0, 6),
    seed=st.integers(0, 99),
)
def test_lines_of_all_lengths(
    runs: list[list[bytes]], reverse: bool, unique: bool, limit: int | None, spare: int, seed: int
) -> None:
    disk = random.Random(seed)
    tiny.run(
        check_merge(
            runs, reverse=reverse, unique=unique, limit=limit, spare=spare, on_disk=lambda number: disk.random() < 0.6
        )
    )


@settings(deadline=None, max_examples=30)
@given(
    keys=st.lists(st.lists(st.binary(min_size=2, max_size=2) | st.just(b"kk"), max_size=500), min_size=1, max_size=5),
    reverse=st.booleans(),
    unique=st.booleans(),
    limit=st.none() | st.integers(0, 300),
)
@example(keys=[[b"kk"] * 500] * 4, reverse=True, unique=False, limit=None)
def test_fixed_records_keep_the_order_of_equal_keys(
    keys: list[list[bytes]], reverse: bool, unique: bool, limit: int | None
) -> None:
    numbers = iter(range(1 << 20))
    runs = [[b"no " + key + next(numbers).to_bytes(7, "big") for key in run] for run in keys if run]
    if runs:
        tiny.run(check_merge(runs, tiny.SERIAL, reverse=reverse, unique=unique, limit=limit))


@pytest.mark.parametrize("on_disk", [True, False])
def test_fifty_runs_and_not_a_buffer_too_many(on_disk: bool) -> None:
    rng = random.Random(50)
    runs = [[rng.randbytes(30).replace(b"\n", b"") + b"\n" for _ in range(400)] for _ in range(50)]
    tiny.run(check_merge(runs, on_disk=lambda number: on_disk))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("unique", [False, True])
def test_spans_that_begin_alike(reverse: bool, unique: bool) -> None:
    """First blocks equal, later ones not; some equal altogether; one the beginning of another."""
    stem = b"s" * (2 * tiny.CAPACITY)
    spans = [stem + end + b"\n" for end in (b"b", b"a", b"", b"a" * 5000, b"b", b"a", b"\xff", b"")]
    runs = [[span, b"short\n", stem[:4000] + b"\n"] for span in spans]
    tiny.run(check_merge(runs, reverse=reverse, unique=unique))


@pytest.mark.parametrize("on_disk", [True, False])
def test_equal_spans_of_runs_that_have_ended(on_disk: bool) -> None:
    """The first of them must stay readable after its run has ended, for the others to be compared with it."""
    span = b"l" * 9000 + b"\n"
    tiny.run(check_merge([[span]] * 5, unique=True, on_disk=lambda number: on_disk))
    tiny.run(check_merge([[span], [b"m\n", b"l" * 9000 + b"m" * 9000 + b"\n"], [span]], unique=True))


def test_a_run_is_not_ended_while_its_last_span_may_be_asked_for() -> None:
    async def check() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            span = b"l" * 9000 + b"\n"
            runs = await make_runs(bench, stack, [[span], [span], [b"z\n"]])
            closing: set[asyncio.Task[None]] = set()

            def close_when_ended(made: RangeMerge) -> None:
                def end(run: Run) -> None:
                    ended(run)
                    assert isinstance(run, FileRun)
                    closing.add(asyncio.ensure_future(run.reader.close()))

                ended, made._on_run_end = made._on_run_end, end

            found, _ = await merge(bench, runs, MergeOrder(lines(), False, unique=True), change=close_when_ended)
            await asyncio.gather(*closing)
            assert found == span + b"z\n"

    tiny.run(check())


def test_read_ahead_never_takes_the_last_buffer_of_a_run() -> None:
    """Index keys are all alike, so blocks are read ahead in a wrong order; and whoever may take a buffer does."""

    def greedy(made: RangeMerge) -> None:
        retire = made._retire

        def retire_and_pump(each: Any) -> None:
            retire(each)
            if asyncio._get_running_loop() is None:  # in the worker: let the loop have its way before going on
                asyncio.run_coroutine_threadsafe(_call(made._pump), made._loop).result(10)
            else:
                made._pump()

        made._retire = retire_and_pump  # type: ignore[method-assign]

    async def check(with_spans: bool) -> None:
        rng = random.Random(8)
        runs = [[PREFIX + b"%06d\n" % rng.randrange(10**6) for _ in range(500)] for _ in range(5)]
        if with_spans:
            runs = [[*run, PREFIX + b"%d" % number * 20_000 + b"\n"] for number, run in enumerate(runs)]
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            made = await make_runs(bench, stack, runs)
            found, _ = await merge(bench, made, MergeOrder(lines(), False), change=greedy)
            assert found == tiny.sorted_bytes(b"".join(record for run in runs for record in run))

    tiny.run(check(False))
    tiny.run(check(True))


async def _call(function: Callable[[], None]) -> None:
    function()


def test_into_another_run() -> None:
    """Blocks, flags, counts and keys are those of a run that was sorted in one piece."""
    rng = random.Random(9)
    runs = [
        [PREFIX + rng.randbytes(rng.choice([3, 50, 9000])).replace(b"\n", b"") + b"\n" for _ in range(30)]
        for _ in range(4)
    ]

    async def check() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            made = await make_runs(bench, stack, runs)
            writer = await stack.enter_async_context(
                await bench.io.create_run(block_bytes=tiny.BLOCK_BYTES, expected_bytes=0)
            )
            await merge(bench, made, MergeOrder(lines(), False), RunSink(writer, lines(), lambda size_bytes: None))
            file = await writer.finish()
            found = FileRun(0, file, await stack.enter_async_context(await bench.io.open_run(file)))
            wanted = bench.memory_run(0, [record for run in runs for record in run])
            assert b"".join(await bench.payloads(found)) == b"".join(await bench.payloads(wanted))
            assert found.last_key == wanted.last_key
            assert found.record_count == wanted.record_count
            for run in (found, wanted):
                counts, keys = run.index.record_counts, [run.index.first_key(n) for n in range(len(run.index))]
                assert all(key == keys[n - 1] for n, key in enumerate(keys) if not counts[n]), "the span's own key"

    tiny.run(check())


# --- files that nobody vouches for


@pytest.mark.parametrize(
    "data",
    [
        b"b\na\n",
        b"a\nb\na\n",
        b"aaaa0\nbxxx1\naaaa2\n",  # what first and last key share, the others need not
        b"".join(b"%04d" % n + b"." * 995 + b"\n" for n in [*range(20), 3]),  # from block to block
        b"z\n" + b"a" * 9000 + b"\n",
        b"b" * 9000 + b"\na\n",
        b"b" * 9000 + b"\n" + b"a" * 9000 + b"\n",
        b"b" * 9000 + b"b\n" + b"b" * 9000 + b"a\n",
        b"b" * 9000 + b"\n" + b"b" * 8000 + b"\n",
        b"b" * 9000 + b"\n" + b"b" * 3000 + b"\n",
    ],
    ids=range(10),
)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("unique", [False, True])
def test_disorder_in_a_sorted_file(data: bytes, reverse: bool, beside: bool, unique: bool) -> None:
    records = naive.split_lines(data)[0]
    if reverse:  # the mirror of every record, so that the same places are wrong
        flip = bytes(255 - byte if byte not in b"\n\xf5" else byte for byte in range(256))
        records = [record.translate(flip) for record in records]
        records = [record for record in records if record.endswith(b"\n")]
    if records == naive.stable_sort(records, lines().key, reverse=reverse):
        return  # the shorter first is no disorder, mirrored

    async def check() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            runs: list[Run] = [await bench.sorted_file(stack, 0, b"".join(records))]
            if beside:
                runs.append(bench.memory_run(1, [b"m\n", b"a\n", b"zzz\n"], descending=reverse))
            with pytest.raises(BaseExceptionGroup) as caught:
                await merge(bench, runs, MergeOrder(lines(), reverse, unique))
            found = caught.value.exceptions[0]
            assert isinstance(found, NotSortedError)
            assert "sorted0: not in the order asked for" in str(found)

    tiny.run(check())


# --- when something goes wrong


@pytest.mark.parametrize("spare", [0, 1, 6])
@pytest.mark.parametrize("bad", [0, 1, 2, 5, 9])
def test_an_error_in_a_read_brings_every_buffer_home(spare: int, bad: int) -> None:
    rng = random.Random(bad)
    runs = [[rng.randbytes(40).replace(b"\n", b"") + b"\n" for _ in range(1000)] for _ in range(5)]

    async def check() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            made = await make_runs(bench, stack, runs)
            broken = made[2]
            assert isinstance(broken, FileRun)
            made[2] = BrokenRun(broken, bad)  # type: ignore[call-overload]
            with pytest.raises(BaseExceptionGroup) as caught:
                await merge(bench, made, MergeOrder(lines(), False), spare=spare)
            assert isinstance(caught.value.exceptions[0], RunCorruptError)

    tiny.run(check())


@pytest.mark.parametrize("fails_after", [0, 1, 7])
def test_an_error_in_the_sink_brings_every_buffer_home(fails_after: int) -> None:
    runs = [[b"%06d" % n + b"." * 50 + b"\n" for n in range(1000)] for _ in range(3)]

    async def check() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            made = await make_runs(bench, stack, runs, on_disk=lambda number: number != 1)
            with pytest.raises(BaseExceptionGroup) as caught:
                await merge(bench, made, MergeOrder(lines(), False), Collector(fails_after), spare=4)
            assert str(caught.value.exceptions[0]) == "the sink is full"

    tiny.run(check())


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 20, 60])
def test_a_cancelled_merge_gives_everything_back(turns: int) -> None:
    runs = [[b"%06d" % n + b"." * 50 + b"\n" for n in range(2000)] for _ in range(4)]

    async def check() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            made = await make_runs(bench, stack, runs)
            work = asyncio.ensure_future(merge(bench, made, MergeOrder(lines(), False), spare=2))
            for _ in range(turns):
                await asyncio.sleep(0)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work

    tiny.run(check())


def test_limit_zero_reads_no_more_than_the_first_blocks() -> None:
    async def check() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            made = await make_runs(bench, stack, [[b"%06d\n" % n for n in range(5000)]] * 3)
            before = bench.io.stats.raw_bytes_read
            found, done = await merge(bench, made, MergeOrder(lines(), False, limit=0))
            assert (found, done.records_written) == (b"", 0)
            assert bench.io.stats.raw_bytes_read - before <= 5 * tiny.CAPACITY

    tiny.run(check())


def _slowly(write_behind: Any) -> Any:
    """Blocks that are on disk only long after nothing else is left to do."""

    async def later(writer: Any, *args: Any) -> None:
        for _ in range(300):
            await asyncio.sleep(0)
        await write_behind(writer, *args)

    return later


def test_outputs_that_come_home_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run takes an output over and gives it back when it is written, with nobody else moving meanwhile."""
    monkeypatch.setattr(RunWriter, "_write_behind", _slowly(RunWriter._write_behind))
    records = [b"%06d\n" % n for n in range(3000)]

    async def check() -> None:
        async with tiny.bench() as bench, AsyncExitStack() as stack:
            made = await make_runs(bench, stack, [records[::2], records[1::2]], on_disk=lambda number: False)
            writer = await stack.enter_async_context(
                await bench.io.create_run(block_bytes=tiny.BLOCK_BYTES, expected_bytes=0)
            )
            await merge(bench, made, MergeOrder(lines(), False), RunSink(writer, lines(), lambda size_bytes: None))
            assert (await writer.finish()).record_count == len(records)

    tiny.run(check())
