"""What stands in the journal of a job behind its first record, as JSON and as it is used.

    {"kind": "run", "run": {...}, "start": 0, "stop": 5242880, "records": 51234}   a run, and which input it holds
    {"kind": "merged", "of": [ids], "run": {...}}                                  neighbours that became one run
    {"kind": "lost", "run": id}                                                    it was found damaged
    {"kind": "cut", "runs": [ids], "ranges": [{"offset": 0, "slices": [...]}]}     how the last merge is divided
    {"kind": "forget"}                                                             the partial output was not there
    {"kind": "range", "range": 0, "bytes": ..., "records": ..., "rest": [...]}     how far one range is
    {"kind": "publish", "inode": ..., ...}                                         all is written; the name is next

Keys are in hexadecimal, places are [run, block, byte in its payload]. Whoever reads proves every number that an index,
an offset or a file name is made of, so a journal that makes no sense is refused and never followed.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from io_manager import KEY_BYTES_MAX, RunFile
from shuffle.cuts import Position

Json = dict[str, Any]

_RUN_NAME = re.compile(r"run-[0-9a-f]{16}\.spill")
_RUN_NUMBERS = ("run_id", "block_bytes", "disk_bytes", "block_count", "record_count", "raw_bytes")


@dataclass(frozen=True)
class KeptRun:
    """A run on disk, and the stretch of all inputs together whose `records` it was made of."""

    file: RunFile
    stretch: range
    records: int


@dataclass(frozen=True)
class CutSlice:
    """A part of run `number`, in the order of the last merge."""

    number: int
    start: Position
    stop: Position


@dataclass(frozen=True)
class CutRange:
    """A range of the output, and the parts of the runs that go into it."""

    offset: int
    slices: tuple[CutSlice, ...]


@dataclass(frozen=True)
class Cut:
    """How the last merge is divided. It holds for these runs and no others."""

    run_ids: tuple[int, ...]
    ranges: tuple[CutRange, ...]


@dataclass(frozen=True)
class RangeProgress:
    """How far one range of the output is: what is written of it, and where the rest of its runs begins; None: whole."""

    written_bytes: int
    records: int
    rest: dict[int, Position] | None
    last_bytes: int


@dataclass(frozen=True)
class Publication:
    """What is given its name: which file, and what is said of it."""

    inode: int
    output_bytes: int
    records: int
    records_written: int


def run_record(run: KeptRun) -> Json:
    """A finished run."""
    return {
        "kind": "run",
        "run": _run_to_json(run.file),
        "start": run.stretch.start,
        "stop": run.stretch.stop,
        "records": run.records,
    }


def read_run(record: Json, directories: Sequence[Path]) -> KeptRun:
    """Raises ValueError, KeyError, TypeError for what is none."""
    start, stop = number(record["start"]), number(record["stop"])
    if start >= stop:
        raise ValueError(f"a run of the input from byte {start} to byte {stop}")
    return KeptRun(read_file(record["run"], directories), range(start, stop), number(record["records"]))


def merged_record(sources: Sequence[int], merged: RunFile) -> Json:
    """Runs that became one."""
    return {"kind": "merged", "of": list(sources), "run": _run_to_json(merged)}


def cut_record(cut: Cut) -> Json:
    """How the last merge is divided."""
    ranges = [
        {
            "offset": each.offset,
            "slices": [[part.number, *_place(part.start), *_place(part.stop)] for part in each.slices],
        }
        for each in cut.ranges
    ]
    return {"kind": "cut", "runs": list(cut.run_ids), "ranges": ranges}


def read_cut(record: Json) -> Cut:
    """Raises ValueError, KeyError, TypeError for what is none."""
    ranges = []
    for each in record["ranges"]:
        slices = [_read_slice([number(value) for value in part]) for part in each["slices"]]
        ranges.append(CutRange(number(each["offset"]), tuple(slices)))
    return Cut(tuple(number(run_id) for run_id in record["runs"]), tuple(ranges))


def _read_slice(numbers: list[int]) -> CutSlice:
    run, start_block, start_offset, stop_block, stop_offset = numbers
    return CutSlice(run, Position(start_block, start_offset), Position(stop_block, stop_offset))


def progress_record(range_number: int, progress: RangeProgress) -> Json:
    """How far one range is."""
    rest = None if progress.rest is None else [[run, *_place(at)] for run, at in progress.rest.items()]
    return {
        "kind": "range",
        "range": range_number,
        "bytes": progress.written_bytes,
        "records": progress.records,
        "rest": rest,
        "last": progress.last_bytes,
    }


def read_progress(record: Json) -> tuple[int, RangeProgress]:
    """Which range, and how far it is. Raises ValueError, KeyError, TypeError for what is none."""
    rest = None
    if record["rest"] is not None:
        places = [[number(value) for value in place] for place in record["rest"]]
        rest = {run: Position(block, offset) for run, block, offset in places}
    written = number(record["bytes"]), number(record["records"])
    return number(record["range"]), RangeProgress(*written, rest, number(record["last"]))


def publish_record(publication: Publication) -> Json:
    """What is given its name."""
    return {"kind": "publish", **asdict(publication)}


def read_publication(record: Json) -> Publication:
    """Raises ValueError, KeyError, TypeError for what is none."""
    fields = ("inode", "output_bytes", "records", "records_written")
    return Publication(*(number(record[name]) for name in fields))


def read_file(fields: Json, directories: Sequence[Path]) -> RunFile:
    """The run of this description. Raises ValueError, KeyError, TypeError for what is none."""
    if not _RUN_NAME.fullmatch(fields["name"]):
        raise ValueError(f"a run called {fields['name']!r}")
    described: Json = {name: bytes.fromhex(fields[name]) for name in ("first_key", "last_key")}
    if any(len(key) > KEY_BYTES_MAX for key in described.values()):
        raise ValueError("a key that is too long")
    described.update((name, number(fields[name])) for name in _RUN_NUMBERS)
    directory = Path(fields["directory"])
    if directory not in directories:
        raise ValueError(f"a run in {directory}, which is none of the job's directories")
    return RunFile(path=directory / fields["name"], **described, direct=bool(fields["direct"]))


def number(value: object) -> int:
    """A count, an offset or an identifier. Raises ValueError for anything else."""
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise ValueError(f"{value!r} where a number was expected")
    return value


def _place(position: Position) -> tuple[int, int]:
    return position.block, position.offset


def _run_to_json(file: RunFile) -> Json:
    numbers = {name: getattr(file, name) for name in _RUN_NUMBERS}
    keys = {"first_key": file.first_key.hex(), "last_key": file.last_key.hex()}
    return {"name": file.path.name, "directory": str(file.path.parent), **numbers, **keys, "direct": file.direct}
