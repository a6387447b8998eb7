"""A service of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.running import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    one = Service(tmp_path)
    yield one
    one.close()
