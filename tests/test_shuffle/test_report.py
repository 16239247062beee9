"""Numbers of a job: stages that overlap, and the JSON that others read."""

import json

import pytest

from shuffle import report
from shuffle.report import STAGES, STATS_VERSION, SortReport, Stage


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets: its last entry is now."""
    times = [0.0]
    monkeypatch.setattr(report.time, "perf_counter", lambda: times[-1])
    return times


def test_overlapping_work_is_counted_once(clock: list[float]) -> None:
    stage = Stage()
    with stage.timed(10):
        clock.append(1.0)
        with stage.timed(20):
            clock.append(3.0)
        clock.append(4.0)
    assert (stage.seconds, stage.bytes) == (4.0, 30)
    clock.append(100.0)
    with stage.timed():
        clock.append(101.0)
    assert (stage.seconds, stage.bytes) == (5.0, 30)


def test_a_stage_ends_with_the_error_in_it(clock: list[float]) -> None:
    stage = Stage()
    with pytest.raises(ZeroDivisionError), stage.timed():
        clock.append(2.0)
        raise ZeroDivisionError
    clock.append(9.0)
    assert stage.seconds == 2.0
    with stage.timed():
        clock.append(10.0)
    assert stage.seconds == 3.0


def test_as_dict_is_json_with_its_version() -> None:
    made = SortReport(records=3, records_written=2, predicted={"runs": 4})
    found = json.loads(json.dumps(made.as_dict()))
    assert found["version"] == STATS_VERSION
    assert found["records"] == 3
    assert found["predicted"] == {"runs": 4}
    assert set(found["stages"]) == set(STAGES)
    assert all(set(stage) == {"seconds", "bytes"} for stage in found["stages"].values())


def test_reports_share_nothing() -> None:
    first, second = SortReport(), SortReport()
    first.stages["sort"].bytes = 5
    first.predicted["runs"] = 5
    assert second.stages["sort"].bytes == 0
    assert second.predicted == {}


def test_describe_is_one_line_for_people() -> None:
    made = SortReport(records_written=1234567, output_bytes=3 << 20, seconds=1.5, runs=2, passes=1)
    assert made.describe().startswith("1,234,567 records, 3 MiB, in 1.50 s: 2 runs, nothing spilled, 1 pass, ")
    made.passes, made.spilled_bytes = 2, 1 << 20
    assert "1 MiB spilled, 2 passes" in made.describe()
    assert "\n" not in made.describe()
