"""Whether what a job leaves behind keeps the promises: the new output whole, or an error and the old one untouched."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from shuffle.partitioned.manifest_reader import ManifestError
from shuffle.partitioned.verification import verify_directory
from shuffle.stress.material import Material
from shuffle.stress.trial import Trial
from shuffle.stress.victim import Ended, Lane
from shuffle.verify import check_file

OLD_OUTPUT = b"what stood here before\n"
_ERROR = 2
_WINDOW_BYTES = 64 << 20


class Answer(Enum):
    """How a job ended, as far as its user can tell."""

    RIGHT = "right"
    REFUSED = "refused"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Verdict:
    """The answer, and which promises were broken: a line for each. `is_wrong`: what was written is not the input."""

    answer: Answer
    problems: tuple[str, ...]
    is_wrong: bool = False
    over_budget: bool = False


def prepare(trial: Trial, lane: Lane) -> None:
    """Put an old output where a sort will write; a shuffle begins with nothing."""
    if trial.verb == "sort":
        lane.output(trial).write_bytes(OLD_OUTPUT)
    else:
        shutil.rmtree(lane.output(trial), ignore_errors=True)


def judge(trial: Trial, material: Material, lane: Lane, ended: Ended, memory_bytes: int) -> Verdict:
    """Look at all that is there."""
    answer = _answer(ended)
    output = lane.output(trial)
    is_whole = answer is Answer.RIGHT or not _is_untouched(trial, output)
    found = list(_differences(trial, material, output)) if is_whole else []
    over_budget = (ended.stats or {}).get("peak_resident_bytes", 0) > memory_bytes
    problems = [*found, *_misbehaviour(trial, ended, answer), *_strangers(trial, lane, answer)]
    if over_budget:
        problems.append("it took more memory than it was given")
    return Verdict(answer, tuple(problems), is_wrong=bool(found), over_budget=over_budget)


def _answer(ended: Ended) -> Answer:
    if ended.status == 0:
        return Answer.RIGHT
    return Answer.REFUSED if ended.status == _ERROR else Answer.STOPPED


def _is_untouched(trial: Trial, output: Path) -> bool:
    if trial.verb == "shuffle":
        return not output.exists()
    return output.is_file() and output.read_bytes()[: len(OLD_OUTPUT) + 1] == OLD_OUTPUT


def _differences(trial: Trial, material: Material, output: Path) -> Iterator[str]:
    try:
        if trial.verb == "shuffle":
            yield from _of_directory(material, output)
        else:
            yield from _of_file(material, output)
    except (OSError, ManifestError, ValueError) as error:
        yield f"the output cannot be read: {error}"


def _of_directory(material: Material, output: Path) -> Iterator[str]:
    result = verify_directory(output, memory_bytes=_WINDOW_BYTES)
    yield from (problem.text for problem in result.problems)
    total, given = result.manifest.total, material.content
    if (total.records, total.size_bytes, total.fingerprint) != (given.records, given.size_bytes, given.fingerprint):
        yield f"{output}: holds {total.records} records that are not those of the input, {given.records}"


def _of_file(material: Material, output: Path) -> Iterator[str]:
    found, given = check_file(output, material.layout, memory_bytes=_WINDOW_BYTES), material.content
    if not found.in_order:
        yield f"{output}: {found.disorders} records out of order"
    if (found.records, found.size_bytes, found.fingerprint) != (given.records, given.size_bytes, given.fingerprint):
        yield f"{output}: holds {found.records} records that are not those of the input, {given.records}"


def _misbehaviour(trial: Trial, ended: Ended, answer: Answer) -> Iterator[str]:
    """What a job may not do, whatever is done to it."""
    harm = trial.harm
    if ended.hung:
        yield "it hung"
    if answer is Answer.REFUSED:
        if not (harm.may_fail and ended.injected):
            yield f"it failed without a reason: {ended.message}"
        if "Traceback" in ended.message or not ended.message.rpartition("\n")[2].startswith("spillway: "):
            yield f"its last line is no error of ours: {ended.message}"
    if answer is Answer.STOPPED and not _is_stop_by(ended, harm.signal):
        yield f"it ended with {ended.status}: {ended.message[-300:]}"


def _is_stop_by(ended: Ended, sent: signal.Signals | None) -> bool:
    """A signal that is heeded gives 128 and its number; one before Python heeds it ends the process by itself.

    Ctrl-C while Python still loads the command ends it as it ends any script.
    """
    if sent is signal.SIGINT and ended.status == 1:
        return ended.message.endswith("KeyboardInterrupt") and ", in main" not in ended.message
    return sent is not None and ended.status in (128 + sent, -sent)


def _strangers(trial: Trial, lane: Lane, answer: Answer) -> Iterator[str]:
    """What lies beside the output: it may, where a job was killed or could not remove it, until one is right."""
    if answer is not Answer.RIGHT:
        return
    for path in lane.home(trial.verb).iterdir():
        if path != lane.output(trial):
            yield f"left behind: {path.name}"
