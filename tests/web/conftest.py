"""A desk for each test: a fleet at a time that the test sets; and the log behind it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from monitor.log.sqlite import SqliteLog
from tests.health.story import START, Story
from tests.metrics.building import Desk
from tests.metrics.conftest import desk

__all__ = ["desk", "log"]


@pytest.fixture
async def log(desk: Desk, tmp_path: Path) -> AsyncIterator[SqliteLog]:
    """The log behind a desk with one stream, two minutes after it went down."""
    story = Story()
    story.links("C D")
    desk.show(story.known)
    desk.clock.time = START + 140
    opened = await SqliteLog.open(tmp_path / "log.db")
    yield opened
    await opened.close()
