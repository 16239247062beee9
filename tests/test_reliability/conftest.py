"""What several of these tests share."""

from collections.abc import Iterator

import pytest

from tests.test_reliability.mutations import resident_bytes
from tests.test_reliability.stage import Stage

GROWTH_BYTES_MAX = 96 << 20


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Where commands are forked; it takes a second to start."""
    with Stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture
def no_growth() -> Iterator[None]:
    """A batch of hostile files leaves nothing behind in memory, and allocates nothing by what they say."""
    before = resident_bytes()
    yield
    assert resident_bytes() - before < GROWTH_BYTES_MAX
