"""Told to stop at any step, a job cleans up by itself: at once, without a word, with the status that says why.

The old output stands then; or the new one, if the signal came as it took its place.
"""

import signal
from itertools import cycle
from pathlib import Path

import pytest

from tests.test_reliability.amounts import amount, report, source
from tests.test_reliability.moments import Moment, spread
from tests.test_reliability.stage import STOP_SIGNALS, Stage
from tests.test_reliability.victims import VICTIMS, Place, Victim

STOPS = amount(5, 100)
"""For each victim."""

SECONDS_MAX = 2.0
DELAY_MAX = 0.004
"""Some signals come not just before a call, but up to so many seconds after it."""

WAYS = [(number,) for number in STOP_SIGNALS] + [
    (signal.SIGINT, signal.SIGINT),
    (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP),
]
"""The impatient press twice."""


@pytest.mark.parametrize("victim", amount(VICTIMS[1:], VICTIMS)[:: amount(2, 1)], ids=lambda victim: victim.name)
def test_stopped_at_any_step(stage: Stage, victim: Victim, tmp_path: Path) -> None:
    place, done, longest = Place(tmp_path, stage, victim), 0, 0.0
    rng, ways = source("stops", victim.name), cycle(WAYS)
    with place.bystander() as spared:
        for number, call in enumerate(spread(rng, place.steps, STOPS)):
            moment = Moment(call, next(ways), delay=rng.uniform(0.0, DELAY_MAX) if number % 2 else 0.0)
            ended = stage.run(place.words(), moment=moment)
            is_new = place.check_whole()
            if ended.status == 0:  # it had fewer steps this time, or all of them behind it
                assert is_new, (moment, ended)
            else:
                assert ended.status in {128 + each for each in moment.signals}, (moment, ended)
                assert ended.seconds_to_stop < SECONDS_MAX, (moment, ended)
                longest = max(longest, ended.seconds_to_stop)
                done += 1
            assert ended.log == "", (moment, ended)
            assert place.leftovers(spared) == [], (moment, ended)
            place.put_back()
    assert done > STOPS // 2
    report(f"stops of {victim.name}", signals=done, jobs=STOPS, leftovers=0, seconds_to_stop_max=round(longest, 3))
