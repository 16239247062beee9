"""docs/TYPES.md: every block of code runs and shows what it says, and the table is true."""

import array
import doctest
import enum
import re
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NamedTuple, TypedDict, get_origin
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from examples import hilbert_point
from serializers import errors
from serializers.errors import SerializationError
from serializers.types import annotated, register_type, type_info_of

PAGE = (Path(__file__).parents[2] / "docs" / "TYPES.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ROWS = [
    [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]


@pytest.fixture
def module() -> Iterator[ModuleType]:
    """Where the blocks are run. A module, for the classes in it look up the names in their annotations there."""
    made = ModuleType("types_page")
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]
    register_type(hilbert_point.Point, lambda cls: hilbert_point.PointInfo())


def run(module: ModuleType, block: str) -> None:
    if not block.startswith(">>> "):
        exec(compile(block, "docs/TYPES.md", "exec"), vars(module))
        return
    test = doctest.DocTestParser().get_doctest(block, vars(module), "block", "docs/TYPES.md", 0)
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
    report: list[str] = []
    runner.run(test, out=report.append, clear_globs=False)
    assert not runner.failures, "".join(report)
    vars(module).update(test.globs)


def test_every_block_does_what_it_says(module: ModuleType) -> None:
    assert len(BLOCKS) > 8
    for block in BLOCKS:
        run(module, block)


class Color(enum.Enum):
    RED = 1


class Version(NamedTuple):
    major: int


class Options(TypedDict, total=False):
    debug: bool


class Order:
    id: int


KNOWN = {
    **{name: value for name, value in vars(annotated).items() if name[0].isupper()},
    "Any": Any,
    "np": np,
    "NDArray": NDArray,
    "array": array,
    "Decimal": Decimal,
    "UUID": UUID,
    "date": date,
    "time": time,
    "datetime": datetime,
    "timedelta": timedelta,
    "Color": Color,
    "Version": Version,
    "Options": Options,
    "Order": Order,
}
TYPES = [row for row in ROWS if len(row) == 4]


@pytest.mark.parametrize(("written", "name", "length", "order"), TYPES, ids=[row[0] for row in TYPES])
def test_the_table_of_types_is_true(written: str, name: str, length: str, order: str) -> None:
    info = type_info_of(eval(written.split("`")[1], dict(KNOWN)))
    assert info.name == name
    assert info.is_key_type == (order != "-")
    found = info.create_serializer().length
    assert found is None or str(found) == length or not length[0].isdigit()
    assert not length.isdigit() or found == int(length)


def test_the_table_has_all_of_our_own_types() -> None:
    ours = {name for name, value in vars(annotated).items() if get_origin(value) is Annotated}
    assert ours - {row[0].split("`")[1] for row in TYPES} == {"Float64"}  # which is float


def test_the_table_of_errors_is_true() -> None:
    named = [row[0].strip("`") for row in ROWS if len(row) == 3]
    family = {name for name in errors.__all__ if name != "SerializationError"}
    assert set(named) == family
    assert all(issubclass(getattr(errors, name), SerializationError) for name in named)
