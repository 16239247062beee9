"""Sessions from a log: the visits of each user in the order of time, cut where nothing happened for half an hour.

    visits, in any order ──sort by (user, time)──> the visits of one user ──split──> sessions

The visits of a user come one by one and in order, so one who never sleeps takes no more memory than any other.

Run it: python -m examples.sessions
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

import shuffle

PAUSE = timedelta(minutes=30)


class Visit(NamedTuple):
    """A line of the log."""

    user: str
    time: datetime
    page: str


class Session(NamedTuple):
    """Visits of one user with no long pause between them."""

    user: str
    start: datetime
    end: datetime
    pages: int


def split(user: str, visits: Iterator[Visit]) -> Iterator[Session]:
    """The sessions of one user, whose visits are in the order of time."""
    start = end = next(visits).time
    pages = 1
    for visit in visits:
        if visit.time - end > PAUSE:
            yield Session(user, start, end, pages)
            start, pages = visit.time, 0
        end = visit.time
        pages += 1
    yield Session(user, start, end, pages)


def sessions(log: Iterable[Visit], memory: str = "256MiB") -> shuffle.OperatorResult[Session]:
    """All sessions, by user and then by time."""
    return shuffle.group_reduce(log, split, by="user", sort_by="time", memory=memory)


def random_log(visits: int, seed: int = 1) -> Iterator[Visit]:
    """A day at a small site."""
    rng = Random(seed)
    midnight = datetime(2026, 1, 1)
    for _ in range(visits):
        user = rng.choice(["ann", "bo", "eve", "joe"])
        yield Visit(user, midnight + timedelta(minutes=rng.randrange(24 * 60)), f"/{rng.randrange(9)}")


def main() -> None:
    """Print the sessions of a random day."""
    with sessions(random_log(200)) as found:
        for session in found:
            print(f"{session.user:<4} {session.start:%H:%M} to {session.end:%H:%M}: {session.pages} pages")


if __name__ == "__main__":
    main()
