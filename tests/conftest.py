"""How tests behave here: none depends on how quick a machine is, and every failure can be run again.

The seed of random types is in the names of their tests: all workers must have the same.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import settings

os.environ.setdefault("SPILLWAY_SEED", str(Random().getrandbits(32)))

settings.register_profile("spillway", deadline=None, print_blob=True)
settings.load_profile("spillway")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """The properties take their examples by the same seed, unless `--hypothesis-seed` names another."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = os.environ["SPILLWAY_SEED"]


def pytest_report_header() -> str:
    """Which random types there are this time."""
    return f"SPILLWAY_SEED={os.environ['SPILLWAY_SEED']} repeats these tests"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    point = tmp_path / "small_disk"
    point.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(point)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield point
    subprocess.run(["umount", str(point)], check=True)
