"""`spillway stress`: a campaign as a user runs one, and a judge that sees what a broken engine would do."""

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shuffle.stress.judge import Answer, judge, prepare
from shuffle.stress.material import Material, make_material
from shuffle.stress.tally import Tally
from shuffle.stress.trial import UNHARMED, VERBS, Harm, Trial, Verb, draw_trial
from shuffle.stress.victim import Ended, Lane
from tests.test_reliability.amounts import SEED, amount, report

SPILLWAY = (sys.executable, "-P", "-m", "cli")
RECORDS = 2000
RIGHT = Ended(0, "", 1.0, False, Counter(), {"output_bytes": 1, "records": 1, "peak_resident_bytes": 10})


def stress(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (*SPILLWAY, "stress", "--temp-dir", str(tmp_path), "--seed", str(SEED), *arguments)
    return subprocess.run(command, capture_output=True, text=True)


def test_a_campaign(tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    seconds, records = amount((3, 30_000), (240, 2_000_000))
    arguments = ("--records", str(records), "--seconds", str(seconds), "--stats", str(stats))
    harm = ("--kill-every", "3", "--fault-rate", "0.05", "--kind", "text", "--kind", "fixed")
    done = stress(tmp_path, *arguments, *harm)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(stats.read_text())
    assert told["ok"] and told["jobs"] >= 8 and told["problems"] == []
    assert "0 wrong outputs, 0 broken promises, 0 leftovers, 0 budget overruns" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["stats.json"], "nothing is left but the report"
    stopped = sum(row.get("stopped", 0) for row in told["by_harm"].values())
    same = {name: told[name] for name in ("jobs", "bytes", "wrong_outputs", "leftovers", "budget_overruns")}
    report("a campaign of the stress command", faults=sum(told["injected"].values()), kills=stopped, **same)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--kind", "no-such"), "--kind no-such"),
        (("--kind", "giant"), "--kind giant"),
        (("--fault-rate", "1.5"), "--fault-rate 1.5"),
        (("--memory", "1MiB", "--records", "10"), "fails unharmed"),
        (("--memory", "much"), "much"),
        (("--temp-dir", "/no/such/place"), "/no/such/place"),
    ],
)
def test_what_cannot_be_tried(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = stress(tmp_path, *arguments)
    assert done.returncode == 2 and said in done.stderr.splitlines()[-1], done.stderr
    assert list(tmp_path.iterdir()) == []


def test_trials_follow_from_the_seed() -> None:
    def draw(number: int) -> Trial:
        return draw_trial(number, SEED, kinds=["text"], kill_every=5, fault_rate=0.1, input_bytes=1 << 20)

    trials = [draw(number) for number in range(1, 400)]
    assert trials == [draw(number) for number in range(1, 400)]
    assert all((trial.harm.signal is not None) == (trial.number % 5 == 0) for trial in trials)
    assert {trial.verb for trial in trials} == set(VERBS) and len({trial.harm.name for trial in trials}) >= 8


class Scene:
    """A lane in which a job has just ended."""

    def __init__(self, root: Path, verb: Verb, harm: Harm = UNHARMED) -> None:
        self.material: Material = make_material(root, "text", RECORDS, SEED)
        self.trial = Trial(1, verb, "text", harm, 0)
        self.lane = Lane(root / "lane", root / "spill")
        for each in VERBS:
            self.lane.home(each).mkdir(parents=True)
        prepare(self.trial, self.lane)
        self.output = self.lane.output(self.trial)

    def run(self) -> None:
        """Do what the job should."""
        import shuffle

        if self.trial.verb == "sort":
            shuffle.sort_file(self.material.path, self.output)
        else:
            shuffle.shuffle_file(self.material.path, self.output, partitions=3)

    def judged(self, **changes: Any) -> Any:
        return judge(self.trial, self.material, self.lane, replace(RIGHT, **changes), 100)


@pytest.mark.parametrize("verb", VERBS)
def test_a_right_output_is_right(verb: Verb, tmp_path: Path) -> None:
    scene = Scene(tmp_path, verb)
    scene.run()
    verdict = scene.judged()
    assert verdict.answer is Answer.RIGHT and verdict.problems == () and not verdict.is_wrong


@pytest.mark.parametrize("verb", VERBS)
def test_success_without_an_output_is_wrong(verb: Verb, tmp_path: Path) -> None:
    scene = Scene(tmp_path, verb)
    assert scene.judged().is_wrong


def lose_a_record(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))


def swap_records(path: Path) -> None:
    first, second, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([second, first, *rest]))


def change_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", [lose_a_record, swap_records, change_a_byte])
@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_output_is_seen(verb: Verb, spoil: Any, tmp_path: Path) -> None:
    scene = Scene(tmp_path, verb)
    scene.run()
    spoil(scene.output if verb == "sort" else min(scene.output.glob("part-*")))
    assert scene.judged().is_wrong
    assert scene.judged(status=2, message="spillway: no").is_wrong, "also where an error was told"
    assert scene.judged(status=-9).is_wrong, "also where the job was killed"


FAULTY = draw_trial(1, 0, kinds=["text"], kill_every=0, fault_rate=0.5, input_bytes=10).harm
KILLED = Harm("kill -9", signal=signal.SIGKILL)
TERMINATED = Harm("SIGTERM", signal=signal.SIGTERM)
INTERRUPTED = Harm("SIGINT", signal=signal.SIGINT)
INJECTED = Counter({"EIO": 1})


@pytest.mark.parametrize(
    ("harm", "ended", "problem"),
    [
        (UNHARMED, {"status": 2, "message": "spillway: no"}, "failed without a reason"),
        (FAULTY, {"status": 2, "message": "spillway: no"}, "failed without a reason"),
        (FAULTY, {"status": 2, "message": "Traceback\nOSError", "injected": INJECTED}, "no error of ours"),
        (FAULTY, {"status": 2, "message": "spillway: no", "injected": INJECTED}, None),
        (FAULTY, {"status": 1, "message": "Traceback"}, "ended with 1"),
        (FAULTY, {"status": -9, "hung": True}, "it hung"),
        (KILLED, {"status": -9}, None),
        (KILLED, {"status": -11}, "ended with -11"),
        (TERMINATED, {"status": 143}, None),
        (TERMINATED, {"status": -15}, None),
        (TERMINATED, {"status": 130}, "ended with 130"),
        (INTERRUPTED, {"status": 130}, None),
        (INTERRUPTED, {"status": 1, "message": "Traceback\n  in find_spec\nKeyboardInterrupt"}, None),
        (INTERRUPTED, {"status": 1, "message": "Traceback\n  line 9, in main\nKeyboardInterrupt"}, "ended with 1"),
        (TERMINATED, {"status": 1, "message": "Traceback\n  in find_spec\nKeyboardInterrupt"}, "ended with 1"),
    ],
)
def test_manners(harm: Harm, ended: dict[str, Any], problem: str | None, tmp_path: Path) -> None:
    scene = Scene(tmp_path, "sort", harm)
    assert harm is not FAULTY or harm.may_fail
    problems = scene.judged(**{"stats": None, **ended}).problems
    assert problem is None if not problems else problem is not None and any(problem in each for each in problems)


def test_what_is_left_and_what_is_too_much(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "sort")
    scene.run()
    over = scene.judged(stats={"output_bytes": 1, "records": 1, "peak_resident_bytes": 101})
    assert over.over_budget and over.problems and not over.is_wrong
    (scene.output.parent / ".output.x.partial").touch()
    assert scene.judged().problems == ("left behind: .output.x.partial",)
    tally = Tally()
    tally.note(scene.trial, RIGHT, over)
    assert not tally.ok and tally.budget_overruns == 1 and "1 budget overruns" in tally.describe()
    shutil.rmtree(tmp_path)
