"""Plan, then do: from options, input size and limits to every size the job will use. Pure: no I/O, no clock.

    process memory ── framework, task heap, overhead
                   ├─ direct    spill and output buffers
                   └─ managed   phase 1: sort buffers            one fills while each worker sorts another
                                phase 2: merge buffers           (runs + read-ahead) blocks for each range
                                         and sort buffers whose runs stayed in memory

A block is as large as one merge pass over all runs allows, up to `BLOCK_BYTES_MAX`; only when even small blocks do not
fit are runs merged in several passes (`shuffle/merge_plan.py`). All arithmetic is in integers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from io_manager import HEADER_BYTES, MAX_IN_FLIGHT
from memory import KIB, MIB, MemoryConfigurationError, ProcessMemory, derive_process_memory, format_size
from serializers import SLACK_BYTES, RecordLayout
from shuffle.merge_plan import MergePlan, plan_merges
from shuffle.options import SortOptions

EXTENT_BYTES_MAX = 64 * MIB
"""Larger sort buffers make fewer runs, but copying records out of them misses the caches more."""

EXTENT_BYTES_MIN = 2 * MIB
"""One huge page."""

BLOCK_BYTES_MAX = 2 * MIB
"""A block's hop through the event loop costs 60 to 100 us of a processor; 1 MiB instead made 1 GB take 5 % longer."""

BLOCK_BYTES_GOOD = 512 * KIB
"""Rather fewer ranges than smaller blocks: 255 runs took 14 s in one range of 448 KiB blocks, 22 s in two of 192."""

BLOCK_BYTES_MIN = 64 * KIB
"""Below this a spinning disk seeks more than it reads, and a block costs more in Python than in the kernel."""

BLOCK_BYTES_UNPLANNED = 256 * KIB
"""For runs that never leave memory (they stay in a second-level cache), and where nobody knows how many will come."""

OUTPUT_BYTES_MAX = 2 * MIB
"""One write: long enough that its hop does not count."""

READ_AHEAD_BLOCKS = 8
"""Blocks on their way for each range: what two outputs take, so that merging need not wait for reading."""

OUTPUT_BUFFERS_PER_RANGE = 3
"""One being filled, one being written, one in between."""

INDEX_ENTRY_BYTES = 192
"""An index entry (88 bytes) while it is read, sorted and searched."""

OPEN_FILES_KEPT = 48
"""Descriptors for all that is no run: standard streams, input, output, locks, the event loop."""

_DIRECT_FRACTION, _DIRECT_BYTES_MIN, _DIRECT_BYTES_MAX = 0.05, 6 * MIB, 128 * MIB
_OVERHEAD_FRACTION, _OVERHEAD_BYTES_MIN = 0.04, 8 * MIB


@dataclass(frozen=True)
class Surroundings:
    """What a plan must know of the world.

    `input_bytes` is None where only reading tells; `record_bytes` is the mean of a sample. `framework_bytes` is what
    interpreter and compiled code take out of `memory_bytes`, and `start_bytes` the most they took while they started.
    """

    input_bytes: int | None
    record_bytes: int
    cores: int
    open_files_max: int
    memory_bytes: int
    framework_bytes: int
    start_bytes: int = 0


@dataclass(frozen=True)
class SortPlan:
    """Everything decided. What follows from the size of the input is None where that is unknown."""

    memory: ProcessMemory
    threads: int
    extent_bytes: int
    extent_count: int
    block_bytes: int
    output_bytes: int
    open_runs_max: int
    input_bytes: int | None
    run_bytes: int
    runs: int | None
    runs_in_memory: int | None
    passes: int | None
    spill_bytes: int | None

    def fan_in(self, *, ranges: int, memory_bytes: int | None = None) -> int:
        """The most runs that `ranges` merges side by side can have in `memory_bytes` (all that is managed if None)."""
        available = self.memory.managed_bytes if memory_bytes is None else memory_bytes
        blocks = available // (ranges * self.block_bytes) - READ_AHEAD_BLOCKS
        return min(blocks, self.open_runs_max)

    def runs_kept(self, *, run_count: int, candidates: int, ranges: int, index_bytes: int) -> int:
        """How many of the last `candidates` of `run_count` runs may stay in their sort buffers while all are merged."""
        for kept in range(candidates, 0, -1):
            available = self.memory.managed_bytes - kept * self.extent_bytes - index_bytes
            if available > 0 and self.fan_in(ranges=ranges, memory_bytes=available) >= run_count:
                return kept
        return 0

    def merges(self, run_bytes: Sequence[int], *, ranges: int, steps_min: int = 1) -> tuple[MergePlan, int]:
        """The merges before the last, and how many ranges the last has: `ranges`, or fewer if that saves a pass.

        One of these merges takes no more than one in `steps_min` of the runs, if two are no more.
        """
        for fewer in range(ranges, 0, -1):
            if len(run_bytes) <= self.fan_in(ranges=fewer):
                return MergePlan((), 1, 0), fewer
        fan_in = max(2, self.fan_in(ranges=self.threads))
        steps = plan_merges(run_bytes, fan_in=fan_in, step_fan_in=max(2, len(run_bytes) // steps_min))
        return steps, ranges if fan_in <= self.fan_in(ranges=ranges) else 1

    def with_less_on_its_way(self, layout: RecordLayout, *, share: int) -> "SortPlan":
        """The same plan with blocks so small that a merge holds no more than one in `share` bytes of the input."""
        if not self.input_bytes or not self.runs:
            return self
        most = self.input_bytes // (share * self.threads * (self.runs + READ_AHEAD_BLOCKS))
        least = max(_block_floor(layout), most // BLOCK_BYTES_MIN * BLOCK_BYTES_MIN)
        return replace(self, block_bytes=min(self.block_bytes, least))

    def describe(self) -> str:
        """The plan as `spillway explain` prints it."""
        size = "of unknown size" if self.input_bytes is None else format_size(self.input_bytes)
        workers = "1 worker" if self.threads == 1 else f"{self.threads} workers"
        rows = [
            ("input", f"{size}, {workers}"),
            ("sort", f"{self.extent_count} buffers of {format_size(self.extent_bytes)}"),
            ("spill", self._describe_spill()),
            ("merge", self._describe_merge()),
        ]
        text = "\n".join(f"{name:<8}{what}" for name, what in rows)
        memory = "\n".join("  " + line for line in self.memory.describe().splitlines())
        return f"{text}\nmemory\n{memory}"

    def _describe_spill(self) -> str:
        if self.spill_bytes is None:
            return f"what {self.extent_count} buffers cannot hold"
        if not self.spill_bytes:
            return "nothing"
        return f"{format_size(self.spill_bytes)}, in runs of {format_size(self.run_bytes)}"

    def _describe_merge(self) -> str:
        blocks = f"blocks of {format_size(self.block_bytes)}"
        if self.runs is None or self.passes is None:
            return f"up to {self.fan_in(ranges=1)} runs at a time, {blocks}"
        runs = "1 run" if self.runs == 1 else f"{self.runs} runs"
        passes = "one pass" if self.passes == 1 else f"{self.passes} passes"
        return f"{runs}, {self.runs_in_memory} of them in memory, {passes}, {blocks}"


def make_plan(options: SortOptions, around: Surroundings, *, sorted_runs: int | None = None) -> SortPlan:
    """The plan of a sort, or of a merge of `sorted_runs` files that are in order already.

    Raises MemoryConfigurationError, which names the floor, when the job cannot run in its memory.
    """
    record_room = _block_floor(options.layout)
    _check_start(around)
    memory = derive_process_memory(
        process=around.memory_bytes,
        framework=around.framework_bytes,
        managed_min=max(2 * EXTENT_BYTES_MIN, (2 + READ_AHEAD_BLOCKS) * record_room),
        direct_fraction=_DIRECT_FRACTION,
        direct_min=max(_DIRECT_BYTES_MIN, 2 * OUTPUT_BUFFERS_PER_RANGE * record_room),
        direct_max=max(_DIRECT_BYTES_MAX, 2 * OUTPUT_BUFFERS_PER_RANGE * record_room),
        overhead_fraction=_OVERHEAD_FRACTION,
        overhead_min=_OVERHEAD_BYTES_MIN,
    )
    threads = _threads(options.threads or around.cores, memory, record_room)
    bytes_needed = _bytes_needed(options.layout, around)
    extent_bytes = _extent_bytes(memory.managed_bytes, threads, bytes_needed, record_room)
    run_bytes = extent_bytes * around.record_bytes // (around.record_bytes + options.layout.index_bytes)
    runs = sorted_runs
    if runs is None and bytes_needed is not None:
        runs = max(1, -(-bytes_needed // extent_bytes))
    output_bytes = _output_bytes(memory.direct_bytes, threads, record_room)
    open_runs_max = max(2, around.open_files_max - OPEN_FILES_KEPT)
    most = min(output_bytes - BLOCK_BYTES_MIN, BLOCK_BYTES_MAX, _spill_share(memory.direct_bytes))
    block_bytes = _block_bytes(memory.managed_bytes, threads, runs, most, record_room)
    if runs is not None and not sorted_runs and _fits(memory.managed_bytes, runs, extent_bytes, threads, record_room):
        block_bytes = max(min(BLOCK_BYTES_UNPLANNED, output_bytes - BLOCK_BYTES_MIN), record_room)
    sizes = SortPlan(
        memory=memory,
        threads=threads,
        extent_bytes=extent_bytes,
        extent_count=min(memory.managed_bytes // extent_bytes, max(2, runs or memory.managed_bytes)),
        block_bytes=block_bytes,
        output_bytes=output_bytes,
        open_runs_max=open_runs_max,
        input_bytes=around.input_bytes,
        run_bytes=run_bytes,
        runs=runs,
        runs_in_memory=None,
        passes=None,
        spill_bytes=None,
    )
    if runs is None or sorted_runs:
        return sizes
    return _foresee(sizes, runs, options)


def _check_start(around: Surroundings) -> None:
    """A process that has been larger than its budget cannot keep to it any more."""
    if around.memory_bytes < around.start_bytes:
        floor_mib = around.start_bytes // MIB + 2  # the start takes a little more or less each time
        raise MemoryConfigurationError(
            f"too little memory: process is {format_size(around.memory_bytes)}, and the floor is {floor_mib} MiB: "
            "loading the compiled kernels takes that, and compiling them more. Give at least that, or run "
            "`spillway warmup` once if they were just compiled."
        )


def _block_floor(layout: RecordLayout) -> int:
    """The least block: one that holds a record of fixed length. Lines may span blocks, so they need no more."""
    needed = layout.record_bytes + HEADER_BYTES + SLACK_BYTES
    return max(BLOCK_BYTES_MIN, -(-needed // BLOCK_BYTES_MIN) * BLOCK_BYTES_MIN)


def _bytes_needed(layout: RecordLayout, around: Surroundings) -> int | None:
    """Sort buffer that all records would take, a little more than rather less."""
    if around.input_bytes is None:
        return None
    records = -(-around.input_bytes // around.record_bytes)
    return around.input_bytes + records * layout.index_bytes * 102 // 100 + 64 * KIB


def _threads(wanted: int, memory: ProcessMemory, record_room: int) -> int:
    """As many workers as can each have a sort buffer, with one to spare, and their output buffers."""
    extents = memory.managed_bytes // max(EXTENT_BYTES_MIN, 2 * record_room)
    outputs = memory.direct_bytes // (OUTPUT_BUFFERS_PER_RANGE * 2 * record_room)
    return max(1, min(wanted, extents - 1, outputs))


def _extent_bytes(managed_bytes: int, threads: int, bytes_needed: int | None, record_room: int) -> int:
    """One buffer for each worker and one that fills; small inputs are shared out evenly, large memory is cut finely.

    A buffer holds one record of fixed length at least, for which `_threads` left room.
    """
    share = min(EXTENT_BYTES_MAX, managed_bytes // (threads + 1))
    if bytes_needed is not None:
        share = min(share, max(EXTENT_BYTES_MIN, -(-bytes_needed // threads) + 2 * EXTENT_BYTES_MIN))
    return max(share // EXTENT_BYTES_MIN, -(-record_room // EXTENT_BYTES_MIN)) * EXTENT_BYTES_MIN


def _fits(managed_bytes: int, runs: int, extent_bytes: int, threads: int, record_room: int) -> bool:
    """Whether all runs can stay in memory, with the buffers that merge them."""
    block_bytes = max(BLOCK_BYTES_UNPLANNED, record_room)
    return runs * extent_bytes + threads * (runs + READ_AHEAD_BLOCKS) * block_bytes <= managed_bytes


def _output_bytes(direct_bytes: int, threads: int, record_room: int) -> int:
    """More than a block, so that a block fits an output that begins anywhere in a page."""
    share = min(max(OUTPUT_BYTES_MAX, 2 * record_room), direct_bytes // (threads * OUTPUT_BUFFERS_PER_RANGE))
    return share // BLOCK_BYTES_MIN * BLOCK_BYTES_MIN


def _spill_share(direct_bytes: int) -> int:
    """What a block may take so that a run can be written: it has several in flight while two more are made."""
    return direct_bytes // (MAX_IN_FLIGHT + 2) // BLOCK_BYTES_MIN * BLOCK_BYTES_MIN


def _block_bytes(managed_bytes: int, threads: int, runs: int | None, most: int, record_room: int) -> int:
    """The largest block with which all runs merge at once, in as many ranges as leave it good; else a small one."""
    if runs is None:
        return max(record_room, min(most, BLOCK_BYTES_UNPLANNED))
    for ranges in range(threads, 0, -1):
        share = managed_bytes // (ranges * (runs + READ_AHEAD_BLOCKS)) - INDEX_ENTRY_BYTES
        if share >= max(record_room, BLOCK_BYTES_GOOD if ranges > 1 else 0):
            return max(record_room, min(most, share // BLOCK_BYTES_MIN * BLOCK_BYTES_MIN))
    return max(record_room, min(most, 2 * BLOCK_BYTES_MIN))


def _foresee(plan: SortPlan, runs: int, options: SortOptions) -> SortPlan:
    """Add what will happen: runs that stay in memory, passes, bytes spilled."""
    ranges = 1 if options.one_range else plan.threads
    index_bytes = (plan.input_bytes or 0) // plan.block_bytes * INDEX_ENTRY_BYTES
    candidates = min(runs, plan.extent_count)
    kept = plan.runs_kept(run_count=runs, candidates=candidates, ranges=ranges, index_bytes=index_bytes)
    merges, _ = plan.merges([plan.run_bytes] * runs, ranges=ranges)
    spilled_bytes = min(plan.input_bytes or 0, (runs - kept) * plan.run_bytes)
    return replace(plan, runs_in_memory=kept, passes=merges.passes, spill_bytes=spilled_bytes + merges.rewritten_bytes)
