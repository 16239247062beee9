"""Killed at any step, once or again and again, a sort with --resume gives the bytes of an undisturbed one."""

import signal
from pathlib import Path

import pytest

from tests.test_reliability.amounts import amount, report, source
from tests.test_reliability.moments import Moment, spread
from tests.test_reliability.resumes import VARIATIONS, ResumePlace, Variation
from tests.test_reliability.stage import Stage

KILLS = amount(0, 40)
"""For each variation, beside one when some runs are there; after half of them what goes on is killed, and again."""

KILLS_IN_A_ROW = 3


@pytest.mark.parametrize("variation", VARIATIONS, ids=lambda variation: variation.name)
def test_killed_at_any_step(stage: Stage, variation: Variation, tmp_path: Path) -> None:
    place, rng = ResumePlace(tmp_path, stage, variation), source("resume kills", variation.name)
    undisturbed = place.sort()
    assert undisturbed.status == 0 and undisturbed.steps is not None, undisturbed
    assert place.report()["spilled_bytes"], "this variation must spill"
    place.check_done()
    kills = resumed = 0
    moments = [undisturbed.steps * 13 // 20, *spread(rng, undisturbed.steps, KILLS)]
    for turn, call in enumerate(moments, VARIATIONS.index(variation)):
        place.put_back()
        calls = [call, *(rng.randrange(undisturbed.steps) for _ in range(KILLS_IN_A_ROW * (turn % 2)))]
        for each in calls:
            ended = place.sort(moment=Moment(each, (signal.SIGKILL,)))
            if ended.struck_at is None:  # it was done before that came
                assert ended.status == 0, (calls, ended)
                break
            assert (ended.status, ended.log) == (137, ""), (calls, ended)
            kills += 1
            place.check_whole()
        else:
            again = place.sort()
            assert (again.status, again.log) == (0, ""), (calls, again)
        resumed += place.resumed() is not None
        place.check_done()
    is_again_and_again = VARIATIONS.index(variation) % 2 == 1  # then the last kill may find the output published
    assert kills > KILLS // 2 and (resumed or (is_again_and_again and not KILLS))
    jobs = kills + len(moments)
    report(f"resume: {variation.name}", kills=kills, jobs=jobs, resumed=resumed, wrong_outputs=0, leftovers=0)
