"""What a kill costs: a job killed in its merge repeats less than a tenth of the work, in bytes read and written.

repeated = (bytes until the kill) + (bytes of the job that went on) - (bytes of a job that nobody disturbed)
"""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from io_manager import JOURNAL_NAME
from serializers import fixed
from tests.test_reliability.amounts import amount, report, source
from tests.test_reliability.moments import Moment
from tests.test_reliability.resumes import ResumePlace, Variation
from tests.test_reliability.stage import Stage


def big(name: str, managed_bytes: int, *words: str, **choices: Any) -> Variation:
    """16 MB of records, some with the same key."""
    layout = fixed(100, key_bytes=3)
    words = ("--record-bytes", "100", "--key-bytes", "3", "--threads", "2", *words)
    return Variation(name, words, layout=layout, records=160_000, managed_bytes=managed_bytes, **choices)


KILLS = amount(1, 30)
REPEATED_MAX = 0.1

VARIATIONS = [
    big("one pass", 4 << 20),
    big("several passes", 1 << 20),
    *amount([], [big("unique", 4 << 20, "-u", unique=True)]),
]

# As real plans have it, a run is many blocks, and an input many pages: else headers would outweigh records.
LARGE = {"extent_bytes": (512 << 10, 1 << 20), "block_bytes": (8 << 10, 32 << 10), "direct_bytes": 2 << 20}
SMALL = {"extent_bytes": (128 << 10, 256 << 10), "block_bytes": (32 << 10, 32 << 10), "direct_bytes": 2 << 20}


@pytest.mark.parametrize("variation", VARIATIONS, ids=lambda variation: variation.name)
def test_less_than_a_tenth(stage: Stage, variation: Variation, tmp_path: Path) -> None:
    place, rng = ResumePlace(tmp_path, stage, variation), source("repeats", variation.name)
    sizes = SMALL if variation.name == "several passes" else LARGE
    whole = place.sort(**sizes)
    assert whole.status == 0 and whole.steps is not None, whole
    assert (place.report()["passes"] > 1) == (sizes is SMALL)
    kills, worst = 0, 0.0
    moments = [whole.steps * 4 // 5, *(rng.randrange(whole.steps * 2 // 3, whole.steps) for _ in range(KILLS - 1))]
    for call in moments:
        place.put_back()
        killed = place.sort(**sizes, moment=Moment(call, (signal.SIGKILL,)))
        if killed.struck_at is None or not merges(place):
            continue  # it had fewer steps this time, or was still reading
        kills += 1
        rest = place.sort(**sizes)
        assert rest.status == 0, rest
        place.check_done()
        repeated = (killed.moved_bytes + rest.moved_bytes - whole.moved_bytes) / whole.moved_bytes
        worst = max(worst, repeated)
        print(f"killed before call {call} of {whole.steps}: {repeated:.1%} repeated, {place.resumed()}")
        assert repeated < REPEATED_MAX, (call, killed, rest, place.resumed())
    assert kills
    report(
        f"resume: what a kill in the merge repeats, {variation.name}", kills=kills, worst_percent=round(100 * worst, 1)
    )


def merges(place: ResumePlace) -> bool:
    """Whether all of the input has become runs, by what the journal says."""
    journals = list(place.temp.glob(f"spillway-*/{JOURNAL_NAME}"))
    if not journals:
        return False
    records = [json.loads(line[17:]) for line in journals[0].read_text().splitlines()[1:]]
    read_bytes = sum(record["stop"] - record["start"] for record in records if record["kind"] == "run")
    return read_bytes == place.input.stat().st_size
