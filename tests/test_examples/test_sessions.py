"""The example finds the sessions that a loop over a sorted list finds."""

from datetime import datetime, timedelta
from itertools import groupby, pairwise

import pytest

from examples.sessions import PAUSE, Session, Visit, main, random_log, sessions
from tests import tiny


def twin(log: list[Visit]) -> list[Session]:
    """By user, cut where two visits are far apart."""
    found = []
    for user, group in groupby(sorted(log, key=lambda visit: visit[:2]), lambda visit: visit.user):
        times = [visit.time for visit in group]
        cuts = [0, *(n for n in range(1, len(times)) if times[n] - times[n - 1] > PAUSE), len(times)]
        found += [Session(user, times[one], times[two - 1], two - one) for one, two in pairwise(cuts)]
    return found


@pytest.mark.parametrize("visits", [1, 100, 3000])
def test_as_a_loop_finds_them(visits: int) -> None:
    log = list(random_log(visits, seed=visits))
    with tiny.machine(managed_bytes=64 << 10), sessions(iter(log)) as found:
        listed = list(found)
    assert listed == twin(log)
    assert sum(session.pages for session in listed) == visits


def test_a_pause_of_half_an_hour_is_none() -> None:
    start = datetime(2026, 1, 1)
    log = [Visit("ann", start + timedelta(minutes=minutes), "/") for minutes in (61, 0, 30)]
    with tiny.machine(), sessions(log) as found:
        assert list(found) == [
            Session("ann", start, start + timedelta(minutes=30), 2),
            Session("ann", start + timedelta(minutes=61), start + timedelta(minutes=61), 1),
        ]


def test_it_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    assert "ann  0" in capsys.readouterr().out
