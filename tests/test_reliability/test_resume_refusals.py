"""What is kept is gone on with only if it is what it was; who is refused has lost nothing, and is told what to do."""

import copy
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shuffle
from io_manager import JOURNAL_NAME, DiskLimitError, JobDirectory, Journal
from io_manager.journal import read_journal
from io_manager.partial_file import KEPT_SECONDS
from memory import MemoryConfigurationError
from shuffle.errors import ResumeError
from shuffle.options import SortOptions
from shuffle.plan import Surroundings, make_plan
from shuffle.resume.pinned_plan import fitted, plan_from_json, plan_to_json
from shuffle.resume.state import JobState
from tests import tiny
from tests.test_reliability.amounts import amount, report, source
from tests.test_reliability.moments import Moment
from tests.test_reliability.resumes import OLD, VARIATIONS, ResumePlace, contents
from tests.test_reliability.stage import Ended, Stage

JOURNALS = amount(2, 60)
LINES = VARIATIONS[0]
AROUND = Surroundings(
    input_bytes=1 << 30,
    record_bytes=100,
    cores=2,
    open_files_max=1024,
    memory_bytes=256 << 20,
    framework_bytes=60 << 20,
)
GO_ON = "run the same command again to go on"


@pytest.fixture(scope="module")
def steps(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many steps the job has."""
    ended = ResumePlace(tmp_path_factory.mktemp("steps"), stage, LINES).sort()
    assert ended.status == 0 and ended.steps is not None, ended
    return ended.steps


@pytest.fixture(scope="module")
def stopped(stage: Stage, steps: int, tmp_path_factory: pytest.TempPathFactory) -> ResumePlace:
    """A job that was killed with a part of its output written; there is a copy of everything beside it."""
    root = tmp_path_factory.mktemp("stopped") / "root"
    root.mkdir()
    place = ResumePlace(root, stage, LINES)
    for call in range(steps * 11 // 20, steps, max(1, steps // 50)):
        place.put_back()
        stop(place, call)
        if any(record["kind"] == "range" and record["rest"] for record in kept_records(place)):
            shutil.copytree(root, root.with_name("copy"))
            return place
    raise AssertionError("no moment was in the last merge")


@pytest.fixture
def place(stopped: ResumePlace) -> ResumePlace:
    """The same job, stopped with a part of its output written."""
    root = stopped.home.parent
    shutil.rmtree(root)
    shutil.copytree(root.with_name("copy"), root)
    return stopped


def stop(place: ResumePlace, call: int, number: signal.Signals = signal.SIGKILL) -> Ended:
    """A job that is stopped before its step `call`, and leaves something to resume."""
    ended = place.sort(moment=Moment(call, (number,)))
    assert ended.status == 128 + number, ended
    assert kept_records(place)
    assert place.check_whole() is False
    return ended


def kept_records(place: ResumePlace) -> list[dict[str, Any]]:
    """What the journal says, but for its first record."""
    return read_journal(place.job_directory() / JOURNAL_NAME)[1:]


def kept_runs(place: ResumePlace) -> list[Path]:
    """The runs that the journal names."""
    names = [record["run"]["name"] for record in kept_records(place) if record["kind"] == "run"]
    return [place.job_directory() / name for name in names]


def complaint(ended: Ended) -> str:
    """What it says, in one line."""
    assert ended.status == 2 and ended.log.startswith("spillway: ") and ended.log.count("\n") == 1, ended
    return ended.log


def check_goes_on(place: ResumePlace, *words: object) -> dict[str, int]:
    """Nothing is lost: the same command ends well."""
    ended = place.sort(*words)
    assert (ended.status, ended.log) == (0, ""), ended
    place.check_done()
    resumed = place.resumed()
    assert resumed is not None and resumed["runs"]
    return resumed


# --- what must be the same


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"one more\n")


def touch(path: Path) -> None:
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))


def forge(path: Path) -> None:
    """Other contents, of the same size and with the same time."""
    status = path.stat()
    path.write_bytes(path.read_bytes().swapcase())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "why"),
    [(grow, "bytes, and has"), (touch, "was written to since"), (forge, "but other contents")],
    ids=["size", "time", "contents"],
)
def test_a_changed_input(place: ResumePlace, change: Callable[[Path], None], why: str) -> None:
    data, status = place.input.read_bytes(), place.input.stat()
    change(place.input)
    text = complaint(place.sort())
    assert why in text and "spillway clean --unfinished" in text
    assert place.check_whole() is False
    place.input.write_bytes(data)
    os.utime(place.input, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert check_goes_on(place)["output_bytes"]


def test_another_input(place: ResumePlace, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"b\na\n")
    for inputs, why in (([other], "the input was"), ([place.input, other], "it had 1 inputs, and has 2 now")):
        words = ["sort", "--resume", "-T", place.temp, "-o", place.output, *inputs]
        assert why in complaint(place.stage.run(words, managed_bytes=LINES.managed_bytes))
    check_goes_on(place)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-r"], "--reverse was False, and is True now"),
        (["-u"], "--unique was False, and is True now"),
        (["--limit", 7], "--limit was None, and is 7 now"),
        (["-z"], "the layout of records was lines ended by \\n, and is lines ended by NUL now"),
    ],
    ids=["reverse", "unique", "limit", "layout"],
)
def test_changed_options(place: ResumePlace, words: list[object], why: str) -> None:
    assert why in complaint(place.sort(*words))
    check_goes_on(place)


@pytest.mark.parametrize("words", [["--threads", 1], ["--threads", 7], ["--compress", "zstd"], ["--max-disk", "1GiB"]])
def test_what_may_be_different(place: ResumePlace, words: list[object]) -> None:
    check_goes_on(place, *words)


def test_less_memory() -> None:
    """What is finished is cut to the budget that the job began with: more will do, less will not."""
    plan = make_plan(SortOptions(memory_bytes=256 << 20), AROUND)
    assert fitted(plan, plan, SortOptions(memory_bytes=512 << 20)) == plan
    assert fitted(plan, plan, SortOptions()) == plan
    assert fitted(plan, plan, SortOptions(threads=1)).threads == 1
    with pytest.raises(MemoryConfigurationError, match=r"--memory 255 MiB is less than .* Give 256 MiB"):
        fitted(plan, plan, SortOptions(memory_bytes=255 << 20))
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan))), "") == plan


def test_what_cannot_be_resumed(place: ResumePlace) -> None:
    place.put_back()
    fifo = place.home.with_name("fifo")
    os.mkfifo(fifo)
    for words, why in (
        (["-", place.output], "standard input cannot be read twice"),
        ([fifo, place.output], "fifo cannot be read twice"),
        ([place.input, "-"], "standard output cannot be gone on with"),
        ([place.input, fifo], "fifo cannot be gone on with"),
        (["--encrypt-spill", place.input, place.output], "--resume cannot be combined with --encrypt-spill"),
    ):
        assert why in complaint(place.stage.run(["sort", "--resume", "-T", place.temp, *words]))
    assert place.check_whole() is False and list(place.temp.iterdir()) == []


def test_what_fits_in_memory_is_sorted_again(place: ResumePlace) -> None:
    place.put_back()
    place.input.write_bytes(b"b\na\n")
    assert place.stage.run(place.words("--resume"), moment=Moment(60, (signal.SIGKILL,))).status == 137
    assert place.stage.run(place.words("--resume", "--stats", place.stats)).status == 0
    assert place.output.read_bytes() == b"a\nb\n" and place.resumed() is None
    assert list(place.home.iterdir()) == [place.output] and list(place.temp.iterdir()) == []


# --- what is there must be what was written


def flip(path: Path, at: int) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


def test_a_damaged_block_is_found_and_its_records_are_read_again(place: ResumePlace) -> None:
    run = kept_runs(place)[0]
    flip(run, run.stat().st_size - 4 * 4096)  # the last block, which is needed yet
    ended = place.sort()
    assert ended.status == 2 and f"{run}: damaged at byte" in ended.log and GO_ON in ended.log
    check_goes_on(place)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: flip(path, 20),
        lambda path: flip(path, path.stat().st_size - 4000),
        lambda path: os.truncate(path, 0),
        lambda path: path.unlink(),
    ],
    ids=["header", "footer", "never written", "missing"],
)
def test_a_run_that_is_none_is_made_again(place: ResumePlace, damage: Callable[[Path], None]) -> None:
    runs = kept_runs(place)
    damage(runs[1])
    resumed = check_goes_on(place)
    assert resumed["runs"] == len(runs) - 1 and not resumed["output_bytes"]


def test_a_partial_output_that_is_gone_is_written_again(place: ResumePlace) -> None:
    """Also if the job that writes it again is killed."""
    place.partial().unlink()
    stop(place, 250)
    assert not check_goes_on(place)["output_bytes"]


def test_a_damaged_journal_is_believed_up_to_there(place: ResumePlace) -> None:
    rng = source("damaged journals")
    root = place.home.parent
    for turn in range(JOURNALS):
        shutil.rmtree(root)
        shutil.copytree(root.with_name("copy"), root)
        journal = place.job_directory() / JOURNAL_NAME
        size = journal.stat().st_size
        if turn % 2:
            os.truncate(journal, rng.randrange(size))
        else:
            flip(journal, rng.randrange(size))
        ended = place.sort()
        assert (ended.status, ended.log) == (0, ""), (turn, ended)
        assert place.output.read_bytes() == place.expected
        assert place.stage.run(["clean", "--unfinished", "-T", place.temp]).status == 0
        for lost in place.home.glob(".output.*.unfinished"):  # of a journal whose first line was damaged
            os.utime(lost, (1, 1))
        assert place.stage.run(place.words()).status == 0
        place.check_done()
    report("resume: damaged journals", corrupted=JOURNALS, wrong_outputs=0)


NONSENSE: list[dict[str, Any]] = [
    {},
    {"kind": "run"},
    {"kind": "cut", "runs": 3, "ranges": []},
    {"kind": "cut", "runs": [1], "ranges": [{"offset": 0, "slices": [[0, 0]]}]},
    {"kind": "range", "range": -1, "bytes": 0, "records": 0, "rest": [], "last": 0},
    {"kind": "range", "range": 0, "bytes": 1.5, "records": 0, "rest": [], "last": 0},
    {"kind": "range", "range": 0, "bytes": 1, "records": True, "rest": [[1, 2]], "last": 0},
    {"kind": "merged", "of": [17], "run": {}},
    {"kind": "publish", "inode": "x"},
    {"kind": 7},
]


@pytest.mark.parametrize("record", NONSENSE, ids=str)
def test_a_record_that_makes_no_sense_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ResumeError, match="record 1 of the journal makes no sense"):
        JobState.read([record], [Path("/nowhere")])


def test_runs_elsewhere_are_not_touched(place: ResumePlace) -> None:
    """A journal with good checksums that names files which are not the job's."""
    path = place.job_directory() / JOURNAL_NAME
    records = read_journal(path)
    for name, value in (("name", "../../input"), ("directory", str(place.home)), ("first_key", "00" * 65)):
        forged = copy.deepcopy(records)
        next(record for record in forged if record.get("kind") == "run")["run"][name] = value
        path.unlink()
        journal = Journal.create(path)
        for record in forged:
            journal.append(record)
        journal.close()
        assert "makes no sense" in complaint(place.sort())
    assert place.check_whole() is False


def test_places_that_cannot_be_are_not_followed(place: ResumePlace) -> None:
    """The merge begins again rather than in the middle of a record, or of nowhere."""
    journal, records = Journal.resume(place.job_directory() / JOURNAL_NAME)
    last = [record for record in records if record.get("kind") == "range" and record["rest"]][-1]
    for change in ({"bytes": last["bytes"] + 1}, {"rest": [[0, 1 << 40, 0]]}, {"rest": [[99, 0, 0]]}, {"range": 99}):
        journal.append({**last, **change})
    journal.close()
    assert check_goes_on(place)["runs"]


# --- whose it is, and for how long


def test_two_at_once(place: ResumePlace) -> None:
    holder = JobDirectory.adopt(place.job_directory(), direct=False)
    assert f"process {os.getpid()} on" in complaint(place.sort())
    holder.leave()
    check_goes_on(place)


def test_other_jobs_leave_it_alone(place: ResumePlace) -> None:
    kept, partial = place.job_directory(), place.partial()
    assert place.stage.run(place.words()).status == 0
    assert place.output.read_bytes() == place.expected
    assert place.stage.run(["clean", "-T", place.temp]).status == 0
    assert place.job_directory() == kept and place.partial() == partial
    place.output.write_bytes(OLD)
    check_goes_on(place)


def test_a_week_is_enough(place: ResumePlace) -> None:
    """Then the next job in that directory removes it, and the partial output with it."""
    kept, partial = place.job_directory(), place.partial()
    for path in (kept / JOURNAL_NAME, kept):
        os.utime(path, (time.time() - KEPT_SECONDS - 60,) * 2)
    assert place.stage.run(["clean", "-T", place.temp]).status == 0
    assert not kept.exists() and not partial.exists()


def test_it_can_be_given_up(place: ResumePlace) -> None:
    ended = place.stage.run(["clean", "--unfinished", "-T", place.temp])
    assert ended.status == 0 and ended.log.startswith("removed ")
    assert list(place.home.iterdir()) == [place.output] and list(place.temp.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_keeps_it_and_says_so(place: ResumePlace, steps: int, number: signal.Signals) -> None:
    place.put_back()
    ended = stop(place, steps // 2, number)
    assert ended.log.count("\n") == 1 and GO_ON in ended.log
    check_goes_on(place)


def test_a_full_disk_keeps_it_and_says_so(place: ResumePlace) -> None:
    place.put_back()
    ended = place.sort("--max-disk", "100KiB")
    assert ended.status == 2 and "--max-disk 100 KiB is reached" in ended.log and GO_ON in ended.log
    check_goes_on(place)


def test_from_python() -> None:
    """The error says what is kept; the same call goes on."""
    data = contents(LINES)
    with tiny.machine() as machine:
        with pytest.raises(DiskLimitError) as caught:
            machine.sort(data, resume=True, max_disk="100KiB")
        assert GO_ON in caught.value.__notes__[0]
        expected = tiny.sorted_bytes(data)
        assert (machine.directory / "input0").stat().st_size == len(data)
        report_of_rest = shuffle.sort_file(
            machine.directory / "input0", machine.output, temp_dirs=[machine.temp_dir], resume=True
        )
        assert machine.output.read_bytes() == expected
        assert report_of_rest.resumed is not None and report_of_rest.resumed["runs"]


def test_several_temp_dirs(stage: Stage, tmp_path: Path, steps: int) -> None:
    place = ResumePlace(tmp_path, stage, LINES)
    others = [tmp_path / "second", tmp_path / "third"]
    for other in others:
        other.mkdir()
    words = [word for other in others for word in ("-T", other)]
    place.temp, first = others[1], place.temp
    ended = place.sort("-T", first, "-T", others[0], moment=Moment(steps * 2 // 3, (signal.SIGKILL,)))
    assert ended.status == 137
    assert [len(list(each.glob("spillway-*/run-*.spill"))) > 0 for each in (first, *others)] == [True] * 3
    assert place.stage.run(["clean", *words, "-T", first]).status == 0
    check_goes_on(place, "-T", first, "-T", others[0])
    assert [list(each.iterdir()) for each in (first, *others)] == [[]] * 3
