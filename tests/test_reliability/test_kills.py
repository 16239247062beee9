"""Killed outright at any step, a job leaves the old output or the new one, and the next job removes the rest.

A job that lives beside it, spills in the same directory and writes beside the same output is not touched.
"""

import signal
from pathlib import Path

import pytest

from tests.test_reliability.amounts import amount, report, source
from tests.test_reliability.moments import Moment, spread
from tests.test_reliability.stage import Stage
from tests.test_reliability.victims import VICTIMS, Place, Victim

KILLS = amount(4, 100)
"""For each victim."""


@pytest.mark.parametrize("victim", amount(VICTIMS[::2], VICTIMS), ids=lambda victim: victim.name)
def test_killed_at_any_step(stage: Stage, victim: Victim, tmp_path: Path) -> None:
    place, done, replaced, swept = Place(tmp_path, stage, victim), 0, 0, 0
    with place.bystander() as spared:
        for call in spread(source("kills", victim.name), place.steps, KILLS):
            ended = stage.run(place.words(), moment=Moment(call, (signal.SIGKILL,)))
            if ended.struck_at is None:
                continue  # it took fewer steps this time
            assert (ended.status, ended.log) == (137, ""), (call, ended)
            done += 1
            replaced += place.check_whole()
            swept += len(place.leftovers(spared))
            place.put_back()
            again = place.run()
            assert (again.status, again.log) == (0, ""), (call, again)
            assert place.check_whole(), call
            assert place.leftovers(spared) == [], call
            place.put_back()
    assert done > KILLS // 2 and swept
    report(f"kills of {victim.name}", kills=done, jobs=2 * done, new_outputs=replaced, swept=swept, leftovers=0)
