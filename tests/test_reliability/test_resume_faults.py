"""Disks that fail under a sort with --resume, at any call: what is finished is kept, and gone on with."""

import shutil

import pytest

from io_manager.faults import Fault, Faults
from tests import tiny
from tests.test_reliability.amounts import amount, report, source
from tests.test_reliability.jobs import hinders_removal
from tests.test_reliability.resumes import VARIATIONS, contents

FAULTS = amount(12, 250)
LINES = VARIATIONS[0]
ACTIONS = ["ENOSPC", "EIO", "short", "end"]


@pytest.mark.parametrize("part", amount([0], range(4)))
def test_a_fault_at_any_call(part: int) -> None:
    data, rng, failed = contents(LINES), source("resume faults", part), 0
    expected = tiny.sorted_bytes(data)
    with tiny.machine() as machine:
        with Faults([]) as counted:
            assert machine.sort(data, resume=True, threads=2) == expected
        calls = sum(counted.calls.values())
        paths = machine.write(data)
        for _ in range(FAULTS):
            machine.output.unlink()
            fault = Fault(rng.choice(ACTIONS), at=rng.randrange(1, calls), lasting=rng.random() < 0.3)
            try:
                with Faults([fault]) as armed:
                    machine.sort_files(paths, resume=True, threads=2)
            except (OSError, ValueError) as error:
                failed += 1
                assert str(error) or error.errno, fault
                assert not machine.output.exists() or machine.output.read_bytes() == expected, fault
            machine.sort_files(paths, resume=True, threads=2)
            assert machine.output.read_bytes() == expected, fault
            if any(hinders_removal(each, machine.temp_dir) for each in armed.injected):
                for path in machine.temp_dir.iterdir():
                    shutil.rmtree(path)
            assert not machine.left_behind(), fault
    assert failed
    report(f"resume: faults, part {part}", faults=FAULTS, failed=failed, wrong_outputs=0, leftovers=0)
