"""`spillway`: text in, exit code out.

Exit status: 0 fine, 1 only "not in order", 2 any error, 130 interrupted, 143 terminated, 141 when nobody reads the
output any more. Data alone goes to standard output; everything said to people goes to standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from shuffle import SortOptions, SortReport

T = TypeVar("T")
Command = Callable[..., Any]

OK, NOT_IN_ORDER, ERROR, INTERRUPTED, BROKEN_PIPE, TERMINATED = 0, 1, 2, 130, 141, 143


def main() -> None:
    """The installed command: run, and turn what went wrong into one line and an exit status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line: its exit status."""
    try:
        status = spillway.main(arguments, prog_name="spillway", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else OK
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return ERROR
    except click.ClickException as error:
        return complain(error.format_message())
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except asyncio.CancelledError:
        return TERMINATED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes
        return BROKEN_PIPE
    except (OSError, ValueError, MemoryError) as error:
        return complain(str(error) or type(error).__name__)


def complain(text: str) -> int:
    """Say what is wrong in one line, with control characters made visible: names of files may hold any."""
    first_line = text.strip().split("\n")[0]
    print("spillway: " + "".join(c if c.isprintable() else repr(c)[1:-1] for c in first_line), file=sys.stderr)
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


def report_options(command: Command) -> Command:
    """What a job tells."""
    stats = click.option("--stats", metavar="FILE", help="Write what happened as JSON to FILE.")
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
    from shuffle import engine

    plan = _run_to_end(engine.plan_for(list(paths), options, whole_process=True))
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
    click.echo(f"{output}: {made.records:,} records, {format_size(made.size_bytes)}", err=True)


@spillway.command()
def warmup() -> None:
    """Compile the kernels for this machine, so that no job has to."""
    import time

    started = time.perf_counter()
    from serializers.kernel_cache import cache_directory
    from shuffle import engine, verify

    assert engine and verify
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
    from shuffle import engine

    job = {"sort": engine.sort, "merge": engine.merge}[verb]
    watcher = _progress_bar() if progress or (progress is None and sys.stderr.isatty()) else None
    with watcher or nullcontext():
        return _run_to_end(job(inputs, output, options, whole_process=True, watcher=watcher))


def _progress_bar() -> Any:
    from shuffle.progress import ProgressBar

    return ProgressBar()


def _run_to_end(job: Coroutine[Any, Any, T]) -> T:
    """Run a job; SIGTERM and SIGHUP cancel it as Ctrl-C does, so that it cleans up."""

    async def cancellable() -> T:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await job

    return asyncio.run(cancellable())


def _report(report: SortReport, stats: str | None) -> None:
    if stats is not None:
        Path(stats).write_text(json.dumps(report.as_dict(), indent=2) + "\n")
    if sys.stderr.isatty():
        click.echo(report.describe(), err=True)


if __name__ == "__main__":
    main()
