"""`spillway`: text in, exit code out.

Exit status: 0 fine, 1 only "not in order", 2 any error, 128 + n stopped by signal n (130 interrupted, 143 terminated),
141 when nobody reads the output any more. Data alone goes to standard output; everything said to people goes to
standard error.
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from shuffle import SortOptions, SortReport
    from shuffle.partitioned.shuffle_file import Shuffled

Command = Callable[..., Any]

OK, NOT_IN_ORDER, ERROR, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141
_START = "SPILLWAY_START"

_CURES = {
    errno.ENOENT: "Check the name.",
    errno.EISDIR: "Name a file in it.",
    errno.ENOTDIR: "Check the name.",
    errno.EACCES: "Ask its owner for permission, or choose another place.",
    errno.EROFS: "Choose another place.",
    errno.ENOSPC: "Free some space there, or choose a larger disk.",
    errno.EFBIG: "Raise the limit on file sizes (ulimit -f).",
}


def main() -> None:
    """The installed command: run, and turn what went wrong into one line and an exit status."""
    os.environ.setdefault(_START, "first")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy would start threads for matrices nobody multiplies
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # the others keep 40 MiB of what they have freed
    status = run(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is done is done, and was said in the exit status
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
    except SystemExit as stopped:  # by a signal
        return int(stopped.code or OK)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes
        return BROKEN_PIPE
    except (ImportError, OSError, ValueError, MemoryError) as error:
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
    print("spillway: " + visible(sentence), file=sys.stderr)
    return ERROR


def visible(text: str) -> str:
    """The same in one line, whatever characters are in it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


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
            click.option("--encrypt-spill", is_flag=True, help="Encrypt what is spilled, with a key in memory only."),
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
@click.option("--resume", is_flag=True, help="Keep what is finished if the job is killed, and go on with it.")
def sort(
    paths: tuple[str, ...], output: str | None, stats: str | None, progress: bool | None, resume: bool, **given: Any
) -> None:
    """Sort INPUT into OUTPUT, which appears whole or not at all and may be INPUT. "-" is stdin or stdout.

    With --resume, the same command goes on where one that was killed had come to.
    """
    inputs, output = _inputs_and_output(paths, output)
    options = replace(_options(given), resume=resume)
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


def table_options(command: Command) -> Command:
    """Which records go together, and what of them is wanted."""
    for option in reversed(
        (
            click.option("--partitions", type=int, required=True, metavar="N", help="How many files: 1 to 10,000."),
            click.option(
                "--partitioner",
                type=click.Choice(["range", "hash", "round-robin"]),
                help="Default: range for lines and fixed-length records, hash for tables.",
            ),
            click.option("--by", metavar="COLUMNS", callback=listed, help="Of a table: which rows go together."),
            click.option("--sort-by", metavar="COLUMNS", callback=listed, help='Order among those, like "-amount".'),
            click.option(
                "--agg",
                "aggregates",
                metavar="LIST",
                callback=listed,
                help='One row for each group instead, like "sum:amount,count".',
            ),
            click.option("--format", metavar="FORMAT", help="lines, fixed, parquet, csv, tsv or arrow; else by name."),
            click.option("--output-format", metavar="FORMAT", help="Of tables; default that of the input."),
            click.option("--overwrite", is_flag=True, help="Replace OUTPUT_DIR if a shuffle wrote it."),
        )
    ):
        command = option(command)
    return command


def listed(_context: click.Context, _parameter: click.Parameter, text: str | None) -> list[str]:
    """What is written with commas between."""
    return [] if text is None else [part.strip() for part in text.split(",")]


@spillway.command()
@click.argument("paths", nargs=-1, required=True, metavar="INPUT... OUTPUT_DIR")
@table_options
@report_options
@job_options
@record_options
def shuffle(paths: tuple[str, ...], output: str | None, stats: str | None, progress: bool | None, **given: Any) -> None:
    """Write INPUT into a new directory: a sorted file for each partition, and a manifest that `verify` reads.

    By range, the files one behind another are what `sort` would write. By hash, equal keys go to the same file.
    """
    *inputs, directory = paths if output is None else (*paths, output)
    if not inputs:
        raise click.UsageError("give INPUT and OUTPUT_DIR")
    names = ("partitions", "partitioner", "by", "sort_by", "aggregates", "format", "output_format", "overwrite")
    asked = {name: given.pop(name) for name in names}
    _report(_shuffle(inputs, directory, _options(given), asked, progress), stats)


@spillway.command()
@click.argument("paths", nargs=-1, required=True, metavar="INPUT...")
@job_options
@record_options
def explain(paths: tuple[str, ...], **given: Any) -> None:
    """Say what a sort of INPUT would do, and do nothing."""
    options = _options(given)
    from shuffle.stop_signals import run_to_end

    plan = run_to_end(load_engine().plan_for(list(paths), options, whole_process=True))
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
@click.argument("inputs", nargs=-1, required=True, metavar="[INPUT...] OUTPUT")
@click.option("-S", "--memory", metavar="SIZE", help="The most that two neighbouring records may take, twice.")
@record_options
def verify(inputs: tuple[str, ...], memory: str | None, **given: Any) -> int:
    """Exit with 0 if OUTPUT is in order and holds the very records of INPUT, and with 1 if not.

    A directory that a shuffle wrote is compared with its manifest, and with INPUT if that is given: 1 if records are
    not in order, 2 if anything else is wrong.
    """
    options = _options({**given, "memory": memory})
    if Path(inputs[-1]).is_dir():
        return _verify_directory(inputs[-1], inputs[:-1], options)
    if len(inputs) < 2:
        raise click.UsageError("give INPUT and OUTPUT")
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


def _verify_directory(directory: str, inputs: tuple[str, ...], options: SortOptions) -> int:
    from shuffle import SortOptions
    from shuffle.partitioned.verification import verify_directory

    if replace(options, memory_bytes=None) != SortOptions():
        raise click.UsageError("a manifest says what records are and how they are ordered: leave such options out")
    result = verify_directory(directory, inputs, memory_bytes=_memory_bytes(options))
    for problem in result.problems:
        click.echo(visible(problem.text), err=True)
    if result.problems:
        return NOT_IN_ORDER if all(problem.is_order for problem in result.problems) else ERROR
    click.echo(f"verified: {result.describe()}")
    return OK


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
    import pkgutil
    import time

    started = time.perf_counter()
    from serializers.kernel_cache import cache_directory
    from shuffle import engine, kernels, record_form, verify

    assert engine and record_form and verify
    for module in pkgutil.iter_modules(kernels.__path__, f"{kernels.__name__}."):
        importlib.import_module(module.name)
    click.echo(f"kernels are ready in {cache_directory()} ({time.perf_counter() - started:.1f} s)", err=True)


@spillway.command()
@click.option("-T", "--temp-dir", "temp_dirs", multiple=True, metavar="DIR", help="Where jobs spilled; repeatable.")
@click.option("--unfinished", is_flag=True, help="Also what could be resumed yet, and its partial output.")
def clean(temp_dirs: tuple[str, ...], unfinished: bool) -> None:
    """Remove spill files whose job is dead. Every job does so in its own temp directories; live jobs are left alone.

    What a sort with --resume has finished stays for a week.
    """
    import tempfile

    from io_manager import sweep
    from memory import format_size

    for directory in temp_dirs or (tempfile.gettempdir(),):
        swept = sweep(Path(directory), unfinished=unfinished)
        for leftover in swept:
            click.echo(f"removed {leftover.path} ({format_size(leftover.freed_bytes)})")
        if not swept:
            click.echo(f"{directory}: nothing left by dead jobs")


@spillway.command()
@click.option("--records", type=click.IntRange(1), default=2_000_000, show_default=True, help="In each input.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Of data, as in gen; repeatable.")
@click.option("-S", "--memory", default="192MiB", show_default=True, metavar="SIZE", help="Of each job.")
@click.option("-T", "--temp-dir", "place", metavar="DIR", help="Where all of it happens.")
@click.option("--temp-disk", metavar="SIZE", help="The most that the spill files of a job may take.")
@click.option("--kill-every", type=click.IntRange(0), default=4, show_default=True, help="0: kill none.")
@click.option("--fault-rate", type=float, default=0.02, show_default=True, help="Of system calls; 0: none.")
@click.option("--seconds", type=click.FloatRange(0), default=60.0, show_default=True, help="When to stop.")
@click.option("--jobs", "lanes", type=click.IntRange(1), default=2, show_default=True, help="At once.")
@click.option("--seed", type=int, help="Repeat a campaign; else a new one.")
@click.option("--stats", metavar="FILE", callback=writable, help="Write what happened as JSON to FILE.")
def stress(
    memory: str, place: str | None, temp_disk: str | None, seed: int | None, stats: str | None, **given: Any
) -> int:
    """Accept this engine on this machine: sort and shuffle, hurt the jobs on purpose, and check what they leave.

    Jobs are killed, stopped and given failing, damaging and full disks. Exit with 0 if every job gave its right
    output, or said why not and left nothing but the old one; with 1 if a promise was broken.
    """
    import secrets

    from memory import parse_size
    from shuffle.stop_signals import stoppable
    from shuffle.stress.campaign import Choices, run_campaign

    kinds = given.pop("kinds") or ("text", "fixed", "duplicates", "presorted")
    disk_bytes = None if temp_disk is None else parse_size(temp_disk)
    seed = secrets.randbits(32) if seed is None else seed
    choices = Choices(kinds=kinds, memory_bytes=parse_size(memory), disk_bytes=disk_bytes, seed=seed, **given)
    click.echo(f"--seed {seed} repeats this", err=True)
    with stoppable():
        tally = run_campaign(
            choices, Path(place) if place else None, say=lambda text: click.echo(visible(text), err=True)
        )
    if stats is not None:
        Path(stats).write_text(json.dumps(tally.as_dict(), indent=2) + "\n")
    click.echo(tally.describe())
    return OK if tally.ok else NOT_IN_ORDER


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
    from shuffle.stop_signals import run_to_end

    watcher = _progress_bar() if progress or (progress is None and sys.stderr.isatty()) else None
    how: dict[str, Any] = {"whole_process": True, "watcher": watcher}
    if verb == "sort":
        how["on_kept"] = complain
    job = {"sort": engine.sort, "merge": engine.merge}[verb]
    with watcher or nullcontext():
        report: SortReport = run_to_end(job(inputs, output, options, **how))
    return report


def _shuffle(
    inputs: list[str], directory: str, options: SortOptions, asked: dict[str, Any], progress: bool | None
) -> Shuffled:
    load_engine("shuffle.partitioned.shuffle_file")
    from shuffle.partitioned import shuffle_file
    from shuffle.partitioned.request import make_request
    from shuffle.stop_signals import run_to_end, stoppable

    request = make_request(inputs, directory, options, **asked)
    load_engine(*request.modules)
    watcher = _progress_bar() if progress or (progress is None and sys.stderr.isatty()) else None
    with watcher or nullcontext():
        if not request.is_streamed:
            job = shuffle_file.shuffle_by_range(request, options, whole_process=True, watcher=watcher)
            return run_to_end(job)
        with stoppable():
            return shuffle_file.shuffle_now(request, options, whole_process=True, watcher=watcher)


def load_engine(*further: str) -> ModuleType:
    """Import the engine, and `further` modules.

    Compiling the kernels takes more memory than many a budget allows, so the process that had to do it starts over.
    """
    from memory import collector_at_rest

    with collector_at_rest():
        from serializers.kernel_cache import has_compiled
        from shuffle import engine

        for name in further:
            importlib.import_module(name)
        if has_compiled() and os.environ.get(_START) == "first":
            os.environ[_START] = "again"
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        if _START in os.environ:  # and not in a process that has done other things before: it may hold garbage
            gc.freeze()
    return engine


def _progress_bar() -> Any:
    from shuffle.progress import ProgressBar

    return ProgressBar()


def _report(report: SortReport | Shuffled, stats: str | None) -> None:
    if stats is not None:
        Path(stats).write_text(json.dumps(report.as_dict(), indent=2) + "\n")
    if sys.stderr.isatty():
        click.echo(report.describe(), err=True)


if __name__ == "__main__":
    main()
