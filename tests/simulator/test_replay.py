"""What a replay reports of a simulated run is what happened in it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.errors import LogUnavailableError
from monitor.event import Decoded, Stored
from monitor.replay import Events, Period, opened, report
from monitor.replay_openmetrics import write_openmetrics
from monitor.simulator.options import SimulationOptions
from monitor.simulator.truth import expectation
from tests.alerts.history import BEGUN, record


@pytest.fixture
def options(options: SimulationOptions, tmp_path: Path) -> SimulationOptions:
    """A mixed run as fast as real ones, with a log of its own."""
    log = options.settings.log.model_copy(update={"path": tmp_path / "monitor.db"})
    settings = options.settings.model_copy(update={"log": log})
    return replace(options, settings=settings, speed=1.0, duration=900)


async def test_a_report_of_a_mixed_run_is_its_truth(options: SimulationOptions) -> None:
    settings = options.settings
    lived = await record(options, settings.log.path)
    # By then all is settled, of which the last events alone would leave something open.
    period = Period(until=BEGUN + 1200)

    async with opened(settings) as archive:
        rows = await report(Events(archive, settings, period, lambda _: None), settings, period)

    reported = {row.job_id: row for row in rows}
    assert len(reported) == len(lived) == 20
    for one in lived:
        expected = expectation(told._replace(doubtful=0) for told in one.told)
        row = reported[one.life.identity.job_id]
        numbers = (row.reconnects, row.outages, row.rounds, row.round_coverage)
        assert numbers == (expected.reconnects, expected.outages, expected.rounds, expected.round_coverage)
        assert (row.skipped, row.replies, row.missed, row.outcome) == (
            expected.skipped,
            expected.replies,
            expected.missed,
            expected.ended,
        )
    for number in ("reconnects", "outages", "rounds", "skipped", "replies", "missed"):
        assert sum(getattr(row, number) for row in rows) > 0, number


class BreakingOff(Events):
    """The events of a log that can't be read any more behind the fiftieth."""

    async def __aiter__(self) -> AsyncIterator[tuple[Stored, Decoded]]:
        left = 50
        async for one in super().__aiter__():
            if left == 0:
                raise LogUnavailableError("gone")
            left -= 1
            yield one


def unfinished_in(folder: Path) -> list[Path]:
    return list(folder.glob(".replay-*"))


async def test_a_file_is_left_as_it_was_where_the_log_breaks_off(
    options: SimulationOptions, tmp_path: Path
) -> None:
    settings, period, series = options.settings, Period(), tmp_path / "series.txt"
    await record(options, settings.log.path)
    series.write_text("as it was")

    async with opened(settings) as archive:
        events = BreakingOff(archive, settings, period, lambda _: None)
        with pytest.raises(LogUnavailableError):
            await write_openmetrics(events, settings, period, series, 1.0)

    assert series.read_text() == "as it was"
    assert unfinished_in(tmp_path) == []
