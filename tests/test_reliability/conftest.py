"""What several of these tests share."""

from collections.abc import Iterator

import pytest

from tests.test_reliability.stage import Stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Where commands are forked; it takes a second to start."""
    with Stage(tmp_path_factory.mktemp("stage")) as stage:
        yield stage
