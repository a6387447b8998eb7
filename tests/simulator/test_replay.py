"""What a replay reports of a simulated run is what happened in it."""

from dataclasses import replace
from pathlib import Path

from monitor.replay import Events, Period, opened, report
from monitor.simulator.options import SimulationOptions
from monitor.simulator.truth import expectation
from tests.alerts.history import BEGUN, record


async def test_a_report_of_a_mixed_run_is_its_truth(options: SimulationOptions, tmp_path: Path) -> None:
    log = options.settings.log.model_copy(update={"path": tmp_path / "monitor.db"})
    settings = options.settings.model_copy(update={"log": log})
    chosen = replace(options, settings=settings, speed=1.0, duration=900)
    lived = await record(chosen, log.path)
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
