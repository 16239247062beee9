"""How much each test of reliability does, and what it says it did.

The short form runs in the suite. With SPILLWAY_STRESS=1 the same tests take their large amounts, and each appends one
line of JSON with its figures to the file that SPILLWAY_STRESS_REPORT names. SPILLWAY_SEED, which every run of the tests
prints, repeats what was drawn.
"""

import json
import os
from pathlib import Path
from random import Random
from typing import TypeVar

T = TypeVar("T")

IS_RELEASE = os.environ.get("SPILLWAY_STRESS", "") not in ("", "0")
"""Whether this is the long form."""

SEED = int(os.environ["SPILLWAY_SEED"])
"""What every draw follows from: one seed for all workers, set by the first of them."""


def amount(quick: T, release: T) -> T:
    """How many, how much or which: of the short form or of the long one."""
    return release if IS_RELEASE else quick


def source(*parts: object) -> Random:
    """A source of random numbers of its own for each test, or for each part of one."""
    return Random(":".join(map(str, (SEED, *parts))))


def report(name: str, **figures: float | str) -> None:
    """Append what a test did to the report of the long form; nothing in the short one."""
    path = os.environ.get("SPILLWAY_STRESS_REPORT", "")
    if not (IS_RELEASE and path):
        return
    line = json.dumps({"test": name, "seed": SEED, **figures}) + "\n"
    with Path(path).open("ab", buffering=0) as file:
        file.write(line.encode())  # one write to the end of the file: workers do not tear each other's lines
