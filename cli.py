"""`spillway`: text in, exit code out.

Exit status: 0 fine, 1 only "not in order", 2 any error, 128 + n stopped by signal n (130 interrupted, 143 terminated),
141 when nobody reads the output any more. Data alone goes to standard output; everything said to people goes to
standard error.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from shuffle import SortOptions, SortReport

T = TypeVar("T")
Command = Callable[..., Any]

OK, NOT_IN_ORDER, ERROR, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141
_START = "SPILLWAY_START"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_CURES = {
    errno.ENOENT: "Check the name.",
    errno.EISDIR: "Name a file in it.",
    errno.ENOTDIR: "Check the name.",
    errno.EACCES: "Ask its owner for permission, or choose another place.",
    errno.EROFS: "Choose another place.",
    errno.ENOSPC: "Free some space there, or choose a larger disk.",
    errno.EFBIG: "Raise the limit on file sizes (ulimit -f).",
}


class Stopped(Exception):
    """A signal ended the job, and everything is cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main() -> None:
    """The installed command: run, and turn what went wrong into one line and an exit status."""
    os.environ.setdefault(_START, "first")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start threads for matrices nobody multiplies
    status = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # reported by run(), or nobody is there to read the report
            stream.flush()
    os._exit(status)  # everything is given back already; taking the interpreter down piece by piece costs 0.15 s


def run(arguments: list[str]) -> int:
    """Run one command line: its exit status."""
    try:
        with spillway.make_context("spillway", list(arguments)) as context:  # click's own main() takes EPIPE for a 1
            status = spillway.invoke(context)
        sys.stdout.flush()
        return status if isinstance(status, int) else OK
    except click.exceptions.Exit as done:  # --help, --version
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ERROR
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "spillway"
        return complain(f"{error.format_message().rstrip('.')}. Try: {command} --help")
    except click.ClickException as error:
        return complain(error.format_message())
    except Stopped as stopped:
        return 128 + stopped.number
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes
        return BROKEN_PIPE
    except (OSError, ValueError, MemoryError) as error:
        return complain(describe(error))


def describe(error: Exception) -> str:
    """What went wrong and what to do. Our own errors say both; what the system and Python raise does not."""
    if isinstance(error, OSError) and error.strerror:
        cure = _CURES.get(error.errno or 0, "See whether that place is there, healthy and yours to use.")
        place = "" if error.filename is None else f"{error.filename}: "
        return f"{place}{error.strerror[0].lower()}{error.strerror[1:]}. {cure}"
    if type(error) is MemoryError:
        return "the system has no memory left. Lower --memory, or end other programs."
    return str(error) or type(error).__name__


def complain(text: str) -> int:
    """Say what is wrong in one line, with control characters made visible: names of files may hold any."""
    sentence = text.strip().partition("\n  ")[0]  # without the table that some errors add
    print("spillway: " + "".join(c if c.isprintable() else repr(c)[1:-1] for c in sentence), file=sys.stderr)
    return ERROR


def record_options(command: Command) -> Command:
    """How records and their order are told."""
    for option in reversed(
        (
            click.option("--record-bytes", type=int, metavar="N", help="Records of N bytes; without it, lines."),
            click.option("--key-offset", type=int, default=0, metavar="N", help="Where the key begins (default 0)."),
            click.option("--key-bytes", type=int, metavar="N", help="Length of the key (default: to the end)."),
            click.option("-z", "--zero-terminated", is_flag=True, help="Lines end with NUL, not newline."),
            click.option("-r", "--reverse", is_flag=True, help="Descending order."),
            click.option("-u", "--unique", is_flag=True, help="Only the first of records with equal keys."),
        )
    ):
        command = option(command)
    return command


def job_options(command: Command) -> Command:
    """What a job may use."""
    for option in reversed(
        (
            click.option(
                "-S", "--memory", metavar="SIZE", help="The whole process (default: half of what it may use)."
            ),
            click.option(
                "-T",
                "--temp-dir",
                "temp_dirs",
                multiple=True,
                metavar="DIR",
                help="Where to spill; repeatable.",
            ),
            click.option("--max-disk", metavar="SIZE", help="The most that spill files may take."),
            click.option(
                "--threads",
                "--parallel",
                type=click.IntRange(1),
                metavar="N",
                help="Workers (default: all cores).",
            ),
            click.option(
                "--compress",
                type=click.Choice(["none", "lz4", "zstd", "auto"]),
                default="none",
                show_default=True,
                help="Compress what is spilled; auto measures whether it pays.",
            ),
            click.option("--limit", type=click.IntRange(0), metavar="N", help="Only the first N records in order."),
            click.option(
                "--sort-kernel",
                type=click.Choice(["auto", "numba", "numpy"]),
                default="auto",
                show_default=True,
                help="Which quicksort; both give the same order.",
            ),
        )
    ):
        command = option(command)
    return command


def writable(_context: click.Context, _parameter: click.Parameter, name: str | None) -> str | None:
    """Refuse, before the job, a file that its report could not be written to."""
    if name is not None:
        target = Path(name)
        place = target if target.exists() else target.absolute().parent
        if target.is_dir() or not os.access(place, os.W_OK):
            raise click.BadParameter(f"{name} cannot be written; name a file in a directory that you may write in")
    return name


def report_options(command: Command) -> Command:
    """What a job tells."""
    stats = click.option("--stats", metavar="FILE", callback=writable, help="Write what happened as JSON to FILE.")
    progress = click.option(
        "--progress/--no-progress", default=None, help="A bar on standard error (default: on a terminal)."
    )
    output = click.option("-o", "--output", metavar="OUTPUT", help="Then all arguments are inputs.")
    return output(stats(progress(command)))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="spillway", message="%(prog)s %(version)s")
def spillway() -> None:
    """Sort data larger than memory, in the memory you allow."""


@spillway.command()
@click.argument("paths", nargs=-1, required=True, metavar="INPUT OUTPUT | -o OUTPUT INPUT...")
@report_options
@job_options
@record_options
def sort(paths: tuple[str, ...], output: str | None, stats: str | None, progress: bool | None, **given: Any) -> None:
    """Sort INPUT into OUTPUT, which appears whole or not at all and may be INPUT. "-" is stdin or stdout."""
    inputs, output = _inputs_and_output(paths, output)
    options = _options(given)
    _report(_run_job("sort", inputs, output, options, progress), stats)


@spillway.command()
@click.argument("paths", nargs=-1, required=True, metavar="-o OUTPUT INPUT...")
@report_options
@job_options
@record_options
def merge(paths: tuple[str, ...], output: str | None, stats: str | None, progress: bool | None, **given: Any) -> None:
    """Merge files that are in order already; one that is not is an error."""
    if output is None:
        raise click.UsageError("name the output: merge -o OUTPUT INPUT...")
    options = _options(given)
    _report(_run_job("merge", list(paths), output, options, progress), stats)


@spillway.command()
@click.argument("paths", nargs=-1, required=True, metavar="INPUT...")
@job_options
@record_options
def explain(paths: tuple[str, ...], **given: Any) -> None:
    """Say what a sort of INPUT would do, and do nothing."""
    options = _options(given)
    plan = _run_to_end(load_engine().plan_for(list(paths), options, whole_process=True))
    click.echo(f"{'records':<8}{options.layout.describe()}")
    click.echo(plan.describe())


@spillway.command()
@click.argument("path", metavar="INPUT")
@click.option("-S", "--memory", metavar="SIZE", help="The most that two neighbouring records may take.")
@record_options
def check(path: str, memory: str | None, **given: Any) -> int:
    """Exit with 0 if INPUT is in order, and with 1 if it is not."""
    options = _options({**given, "memory": memory})
    from shuffle.verify import check_file

    result = check_file(
        path,
        options.layout,
        reverse=options.reverse,
        unique=options.unique,
        memory_bytes=_memory_bytes(options),
    )
    click.echo(result.describe(), err=not result.in_order)
    return OK if result.in_order else NOT_IN_ORDER


@spillway.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT... OUTPUT")
@click.option("-S", "--memory", metavar="SIZE", help="The most that two neighbouring records may take, twice.")
@record_options
def verify(inputs: tuple[str, ...], memory: str | None, **given: Any) -> int:
    """Exit with 0 if OUTPUT is in order and holds the very records of INPUT, and with 1 if not."""
    if len(inputs) < 2:
        raise click.UsageError("give INPUT and OUTPUT")
    options = _options({**given, "memory": memory})
    from shuffle.verify import verify_files

    result = verify_files(
        inputs[:-1],
        inputs[-1],
        options.layout,
        reverse=options.reverse,
        unique=options.unique,
        memory_bytes=_memory_bytes(options),
    )
    for problem in result.problems:
        click.echo(problem, err=True)
    if result.ok:
        click.echo(f"verified: {result.output.describe()}")
    return OK if result.ok else NOT_IN_ORDER


@spillway.command()
@click.argument("output", metavar="OUTPUT")
@click.option("--kind", default="text", show_default=True, metavar="KIND", help="See below.")
@click.option("--records", type=click.IntRange(0), metavar="N", help="How many records.")
@click.option("--size", metavar="SIZE", help="How many bytes, instead.")
@click.option("--record-bytes", type=int, default=100, show_default=True, metavar="N", help="Newline included.")
@click.option("--key-bytes", type=int, default=10, show_default=True, metavar="N", help="Of kind fixed.")
@click.option("--giant-bytes", default="300MiB", show_default=True, metavar="SIZE", help="Of kind giant.")
@click.option("--seed", type=int, default=0, show_default=True, help="Equal seeds make equal files.")
def gen(
    output: str,
    kind: str,
    records: int | None,
    size: str | None,
    record_bytes: int,
    key_bytes: int,
    giant_bytes: str,
    seed: int,
) -> None:
    """Generate data to sort.

    Kinds: fixed (binary records that carry their position), text, words, skewed, duplicates, equal, common-prefix,
    presorted, reversed, giant (one line of --giant-bytes among short ones).
    """
    from memory import format_size, parse_size
    from shuffle.generate import generate

    try:
        made = generate(
            output,
            kind=kind,
            records=records,
            size_bytes=None if size is None else parse_size(size),
            record_bytes=record_bytes,
            key_bytes=key_bytes,
            giant_bytes=parse_size(giant_bytes),
            seed=seed,
        )
    except OSError as error:
        error.filename = output  # the system names it when it opens a file, and not when it writes
        raise
    click.echo(f"{output}: {made.records:,} records, {format_size(made.size_bytes)}", err=True)


@spillway.command()
def warmup() -> None:
    """Compile the kernels for this machine, so that no job has to."""
    import time

    started = time.perf_counter()
    from serializers.kernel_cache import cache_directory
    from shuffle import engine, record_form, verify

    assert engine and record_form and verify
    click.echo(f"kernels are ready in {cache_directory()} ({time.perf_counter() - started:.1f} s)", err=True)


@spillway.command()
@click.option("-T", "--temp-dir", "temp_dirs", multiple=True, metavar="DIR", help="Where jobs spilled; repeatable.")
def clean(temp_dirs: tuple[str, ...]) -> None:
    """Remove spill files whose job is dead. Every job does so in its own temp directories; live jobs are left alone."""
    import tempfile

    from io_manager import sweep
    from memory import format_size

    for directory in temp_dirs or (tempfile.gettempdir(),):
        swept = sweep(Path(directory))
        for leftover in swept:
            click.echo(f"removed {leftover.path} ({format_size(leftover.freed_bytes)})")
        if not swept:
            click.echo(f"{directory}: nothing left by dead jobs")


def _inputs_and_output(paths: tuple[str, ...], output: str | None) -> tuple[list[str], str]:
    if output is not None:
        return list(paths), output
    if len(paths) != 2:
        raise click.UsageError("give INPUT and OUTPUT, or -o OUTPUT and any number of inputs")
    return [paths[0]], paths[1]


def _options(given: dict[str, Any]) -> SortOptions:
    from shuffle.files import make_options

    zero_terminated = given.pop("zero_terminated")
    return make_options(delimiter=b"\0" if zero_terminated else b"\n", **given)


def _memory_bytes(options: SortOptions) -> int:
    from memory import default_memory_bytes

    return options.memory_bytes or default_memory_bytes()


def _run_job(verb: str, inputs: list[str], output: str, options: SortOptions, progress: bool | None) -> SortReport:
    engine = load_engine()
    job = {"sort": engine.sort, "merge": engine.merge}[verb]
    watcher = _progress_bar() if progress or (progress is None and sys.stderr.isatty()) else None
    with watcher or nullcontext():
        report: SortReport = _run_to_end(job(inputs, output, options, whole_process=True, watcher=watcher))
    return report


def load_engine() -> ModuleType:
    """Import the engine with the garbage collector at rest, which would go 20 times through what is there to stay.

    Compiling the kernels takes more memory than many a budget allows, so the process that had to do it starts over.
    """
    gc.disable()
    from serializers.kernel_cache import has_compiled
    from shuffle import engine

    if has_compiled() and os.environ.get(_START) == "first":
        os.environ[_START] = "again"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    gc.freeze()
    gc.enable()
    return engine


def _progress_bar() -> Any:
    from shuffle.progress import ProgressBar

    return ProgressBar()


def _run_to_end(job: Coroutine[Any, Any, T]) -> T:
    """Run a job. The first signal cancels it, so that it cleans up; those that follow can neither hurry nor harm that.

    A signal that is ignored stays so (nohup). Raises Stopped.
    """
    stopped_by: list[int] = []

    async def cancellable() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(number: int, _frame: Any) -> None:
            if not stopped_by:
                loop.call_soon_threadsafe(task.cancel)
            stopped_by.append(number)

        # Not loop.add_signal_handler: what comes late, while the loop closes, would be reported on standard error.
        heeded = [number for number in STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, stop) for number in heeded}
        try:
            return await job
        finally:
            if not stopped_by:
                for number in heeded:
                    signal.signal(number, before[number])

    try:
        return asyncio.run(cancellable())
    except BaseException as error:
        if stopped_by:
            raise Stopped(stopped_by[0]) from error
        raise


def _report(report: SortReport, stats: str | None) -> None:
    if stats is not None:
        Path(stats).write_text(json.dumps(report.as_dict(), indent=2) + "\n")
    if sys.stderr.isatty():
        click.echo(report.describe(), err=True)


if __name__ == "__main__":
    main()
