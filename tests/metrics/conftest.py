"""A desk for each test."""

from collections.abc import Iterator

import pytest

from tests.metrics.building import Desk


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.exposition.close()
