"""What every benchmark works with: its size, a directory that goes away, inputs, and our own command.

python -m benchmarks.text_lines --pairs 5
python -m benchmarks.text_lines --records 200000 --pairs 1     a rehearsal; its verdicts are withheld
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import BenchmarkError, Job, tell
from benchmarks.report import Section
from memory import format_size, parse_size

ROOT = Path(__file__).resolve().parent.parent
RECORD_BYTES = 100
RECORDS = 10_000_000
MEMORY = "256MiB"
THREADS = 2
PAIRS = 5
SEED = 1
LARGE_FACTOR = 10
"""How much larger the large sort is."""

OURS = (sys.executable, str(ROOT / "cli.py"))

Benchmark = Callable[["Workbench"], Section]


@dataclass(frozen=True)
class Workbench:
    """One session. `records` of `RECORD_BYTES` make an input; `directory` is fresh and removed afterwards."""

    directory: Path
    records: int = RECORDS
    pairs: int = PAIRS
    memory: str = MEMORY
    threads: int = THREADS
    large: bool = False

    @property
    def is_full_size(self) -> bool:
        """Whether what is measured is what is claimed."""
        return (self.records, self.memory, self.threads) == (RECORDS, MEMORY, THREADS)

    @property
    def input_bytes(self) -> int:
        """Of one input."""
        return self.records * RECORD_BYTES

    @property
    def memory_bytes(self) -> int:
        """What a sort may take."""
        return parse_size(self.memory)

    def describe(self) -> str:
        """The terms of all measurements."""
        return (
            f"{self.records:,} records of {RECORD_BYTES} bytes ({self.input_bytes / 1e9:g} GB), memory {self.memory}, "
            f"{self.threads} threads, {self.pairs} pairs in turn"
        )

    @contextmanager
    def input(self, kind: str, *, records: int | None = None, copies: int = 4) -> Iterator[Path]:
        """A generated file, the same for the same kind and size; deleted at the end of the block.

        Raises BenchmarkError without room for so many `copies`: by default input, spill, and two outputs.
        """
        records = self.records if records is None else records
        path = self.directory / f"{kind}-{records}.in"
        self.check_room(copies * records * RECORD_BYTES)
        tell(f"generating {records:,} records of {kind}")
        options = ("--kind", kind, "--records", str(records), "--record-bytes", str(RECORD_BYTES), "--seed", str(SEED))
        self.run_ours("gen", *options, str(path))
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def check_room(self, needed_bytes: int) -> None:
        """Raises BenchmarkError if the disk has less."""
        free = shutil.disk_usage(self.directory).free
        if free < needed_bytes:
            raise BenchmarkError(
                f"{self.directory}: needs {format_size(needed_bytes)}, has {format_size(free)}: set --work-dir"
            )

    def sort_job(self, source: Path, *options: str, name: str = "spillway") -> Job:
        """Our sort of `source`. Jobs of different names have different outputs."""
        output, stats = self.directory / f"{name}.out", self.directory / f"{name}.json"
        terms = ("--memory", self.memory, "--threads", str(self.threads), "--temp-dir", str(self.directory))
        reporting = ("--no-progress", "--stats", str(stats))
        command = (*OURS, "sort", *terms, *reporting, *options, str(source), str(output))
        return Job(name, command, inputs=(source,), output=output, stats=stats)

    def verify_sorted(self, jobs: Sequence[Job]) -> None:
        """A check for `in_turn`: every output is in order and holds the records of its input, which are lines."""
        for job in jobs:
            assert job.output is not None
            self.run_ours("verify", *map(str, job.inputs), str(job.output))

    def run_ours(self, *arguments: str) -> None:
        """Run a command of ours that is not measured. Raises BenchmarkError."""
        done = subprocess.run((*OURS, *arguments), capture_output=True, text=True)
        if done.returncode:
            raise BenchmarkError(f"spillway {' '.join(arguments)}: {done.stderr.strip()}")


@contextmanager
def opened(arguments: argparse.Namespace) -> Iterator[Workbench]:
    """A workbench as the command line describes it, kernels compiled."""
    with tempfile.TemporaryDirectory(prefix="spillway-bench-", dir=arguments.work_dir) as directory:
        bench = Workbench(
            Path(directory),
            records=arguments.records,
            pairs=arguments.pairs,
            memory=arguments.memory,
            threads=arguments.threads,
            large=arguments.large,
        )
        tell(f"{bench.describe()}, in {directory}")
        bench.run_ours("warmup")
        yield bench


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--records", type=_positive, default=RECORDS, help=f"of {RECORD_BYTES} bytes (default: 10 M)")
    parser.add_argument("--pairs", type=_positive, default=PAIRS, help="measurements of each (default: %(default)s)")
    parser.add_argument(
        "--memory", default=MEMORY, help="what our process and GNU sort may take (default: %(default)s)"
    )
    parser.add_argument("--threads", type=_positive, default=THREADS, help="of every program (default: %(default)s)")
    parser.add_argument("--work-dir", help="where all files go, in a new directory (default: the system's temp)")
    parser.add_argument("--large", action="store_true", help=f"sort {LARGE_FACTOR} times as much, too: 35 GB of disk")
    return parser


def main(benchmark: Benchmark, description: str | None) -> None:
    """Run one benchmark alone: its tables go to standard output."""
    arguments = argument_parser(description).parse_args()
    try:
        with opened(arguments) as bench:
            print(benchmark(bench).render())
    except BenchmarkError as error:
        sys.exit(f"benchmark: {error}")


def _positive(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
