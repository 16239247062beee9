"""What happened: one job in numbers, predicted beside actual. `as_dict` is the JSON of `--stats`, version included."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from memory import format_size

STATS_VERSION = 1
STAGES = ("read", "sort", "spill", "merge", "publish")


@dataclass
class Stage:
    """Wall seconds while at least one task was in the stage, and bytes of records that went through it."""

    seconds: float = 0.0
    bytes: int = 0
    _inside: int = 0
    _entered: float = 0.0

    @contextmanager
    def timed(self, size_bytes: int = 0) -> Iterator[None]:
        """Count the time until the block ends; overlapping blocks count once."""
        self.bytes += size_bytes
        if not self._inside:
            self._entered = time.perf_counter()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self.seconds += time.perf_counter() - self._entered


@dataclass
class SortReport:
    """The result of a job. Bytes are those of records, except where disk is named."""

    records: int = 0
    records_written: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    runs: int = 0
    runs_in_memory: int = 0
    passes: int = 0
    ranges: int = 0
    spilled_bytes: int = 0
    disk_bytes_peak: int = 0
    seconds: float = 0.0
    peak_resident_bytes: int = 0
    memory_bytes: int = 0
    resumed: dict[str, int] | None = None
    """Of a job that was resumed: runs taken over, and the bytes that were not read, merged and written once more."""
    predicted: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=lambda: {name: Stage() for name in STAGES})

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        actual = {name: value for name, value in vars(self).items() if name not in ("stages", "predicted")}
        stages = {
            name: {"seconds": round(stage.seconds, 6), "bytes": stage.bytes} for name, stage in self.stages.items()
        }
        return {"version": STATS_VERSION, **actual, "stages": stages, "predicted": self.predicted}

    def describe(self) -> str:
        """One line for people."""
        spilled = f"{format_size(self.spilled_bytes)} spilled" if self.spilled_bytes else "nothing spilled"
        return (
            f"{self.records_written:,} records, {format_size(self.output_bytes)}, in {self.seconds:.2f} s: "
            f"{self.runs} runs, {spilled}, {self.passes} {'pass' if self.passes == 1 else 'passes'}, "
            f"peak memory {format_size(self.peak_resident_bytes)} of {format_size(self.memory_bytes)}"
        )
