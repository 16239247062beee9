"""What stands in order in the input is not spilled: the merge reads it there, and proves that it is still the same."""

import random
from pathlib import Path

import pytest

from io_manager import InputChangedError
from shuffle import run_builder
from shuffle.input_run import InputRun
from tests import tiny

LINES = b"".join(b"%07d some text behind the key\n" % number for number in range(12000))
MANAGED_BYTES = 256 << 10
"""Room for one pass: more passes would rewrite runs."""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("delimiter", [b"\n", b""])
def test_presorted_lines_are_not_spilled(threads: int, delimiter: bytes) -> None:
    data = LINES[:-1] + delimiter  # a last line without an end does not stand in the input as it will be written
    with tiny.machine(managed_bytes=MANAGED_BYTES) as machine:
        assert machine.sort(data, threads=threads) == LINES
        report = machine.report
    assert report.runs > 5 and report.passes == 1
    assert report.spilled_bytes == 0


def test_equal_keys_stand_in_input_order_too() -> None:
    records = b"".join(b"same key%05d" % number for number in range(30000))
    with tiny.machine(managed_bytes=MANAGED_BYTES) as machine:
        assert machine.sort(records, record_bytes=13, key_bytes=8) == records
        assert machine.report.spilled_bytes == 0


@pytest.mark.parametrize("seed", range(6))
def test_nearly_sorted_input(seed: int) -> None:
    """Some buffers are in order and some are not; stretches move, and several passes read them."""
    print("seed", seed)
    rng = random.Random(seed)
    lines = LINES.splitlines(keepends=True)
    for _ in range(rng.randrange(1, 8)):
        start = rng.randrange(len(lines))
        piece = lines[start : start + rng.randrange(1, 900)]
        rng.shuffle(piece)
        lines[start : start + len(piece)] = piece
    data = b"".join(lines)
    with tiny.machine(managed_bytes=rng.choice([64, 96, 160]) << 10) as machine:
        assert machine.sort(data, threads=rng.choice([1, 2, 3])) == LINES


def test_several_inputs_one_after_another() -> None:
    """A buffer that holds the end of one file and the beginning of the next stands in neither."""
    size = len(LINES) // 12000
    thirds = [LINES[: 100 * size], LINES[100 * size : 5000 * size], LINES[5000 * size :]]
    with tiny.machine(managed_bytes=MANAGED_BYTES) as machine:
        assert machine.sort(thirds) == LINES


@pytest.mark.parametrize("choices", [{"unique": True}, {"limit": 700}, {"reverse": True}])
def test_what_changes_the_records_is_spilled(choices: dict[str, bool | int]) -> None:
    data = b"".join(line for line in LINES.splitlines(keepends=True) for _ in range(2))
    with tiny.machine(managed_bytes=MANAGED_BYTES) as machine:
        assert machine.sort(data, **choices) == tiny.sorted_bytes(data, **choices)


def test_input_that_changes_meanwhile_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte of what was sorted is another one when the merge reads it: the job fails, the old output stays."""
    changed: list[Path] = []

    class Changing(InputRun):
        def __init__(self, run: object) -> None:
            super().__init__(run)  # type: ignore[arg-type]
            if not changed:
                path, offset = Path(self.name), self._offsets[0] + 20
                with path.open("r+b") as file:
                    file.seek(offset)
                    file.write(b"#")
                changed.append(path)

    monkeypatch.setattr(run_builder, "InputRun", Changing)
    with tiny.machine(managed_bytes=MANAGED_BYTES) as machine, pytest.raises(InputChangedError, match="changed while"):
        machine.sort(LINES)
    assert changed
