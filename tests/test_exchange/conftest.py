"""What the tests of the exchange share."""

from collections.abc import Iterator

import pytest

from tests import tiny
from tests.test_exchange.executors import InlineExecutor, nothing_left


@pytest.fixture(params=["ample", "tiny"])
def inline(request: pytest.FixtureRequest) -> Iterator[InlineExecutor]:
    """Tasks in this process; "tiny" with so little memory that all of them spill."""
    with nothing_left() as directory:
        if request.param == "ample":
            yield InlineExecutor(directory, slots=3)
            return
        with tiny.machine():
            yield InlineExecutor(directory, slots=2)
