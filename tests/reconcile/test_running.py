"""The rounds of a service's sources, as the service starts them."""

import random
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from monitor.config import ApiSettings, Settings, Source
from monitor.event import Channel, Vendor
from monitor.metrics.service import ServiceMetrics
from monitor.reconcile import Surroundings, run_reconcile
from monitor.reconcile.rounds import Pace
from monitor.reconcile.running import pace_of
from monitor.vendors.api_transport import UNUSABLE_PROXY
from monitor.worker.fleet import Fleet
from tests.receiver.running import eventually
from tests.reconcile.asking import asking


async def test_a_proxy_that_cannot_be_used_is_told_rather_than_suffered_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected = CollectorRegistry()
    metrics = ServiceMetrics(collected)
    async with asking(tmp_path) as one:
        settings = Settings(sources=(one.source,))
        labels = {"source": one.source.name, "reason": "internal"}
        monkeypatch.setenv("ALL_PROXY", "socks5://somebody:password@127.0.0.1:9")
        with capture_logs() as lines:
            around = Surroundings(Fleet(one.clock), one.log, metrics, one.clock, random.Random(1))
            async with run_reconcile(settings, around):
                await eventually(
                    lambda: collected.get_sample_value("monitor_reconcile_failures_total", labels) == 1
                )

    (line,) = [line for line in lines if line["event"] == "reconcile failed"]
    assert line["error"] == UNUSABLE_PROXY
    assert "password" not in str(lines)


@pytest.mark.parametrize(
    ("calls_per_minute", "every", "pace"),
    [
        (600, 60, Pace(ask_every=60, slowest=300, look_again=10, emptied=60, calls=600)),
        (6, 60, Pace(ask_every=60, slowest=300, look_again=10, emptied=60, calls=6)),
        (1, 10, Pace(ask_every=10, slowest=50, look_again=5, emptied=60, calls=1)),
    ],
)
def test_calls_per_minute_bound_what_a_round_asks_and_not_how_long_an_emptied_list_is_doubted(
    calls_per_minute: int, every: float, pace: Pace
) -> None:
    api = ApiSettings(
        endpoint="https://api.example.com", calls_per_minute=calls_per_minute, ask_every_seconds=every
    )

    assert pace_of(api) == pace


def had_a_round(collected: CollectorRegistry, source: Source) -> bool:
    labels = {"source": source.name}
    return collected.get_sample_value("monitor_reconcile_round_timestamp_seconds", labels) is not None


@pytest.mark.parametrize(
    ("shared", "slash", "heard_of"),
    [(True, "", {"s-1"}), (True, "/", {"s-1"}), (False, "", {"s-1", "s-2"})],
)
async def test_a_session_of_an_account_that_two_sources_share_is_told_to_the_source_that_heard_of_it(
    tmp_path: Path, shared: bool, slash: str, heard_of: set[str]
) -> None:
    collected = CollectorRegistry()
    async with asking(tmp_path, Vendor.SOFTSUGAR) as one:
        assert one.source.api is not None
        often = one.source.api.model_copy(update={"ask_every_seconds": 0.2, "calls_per_minute": 6000})
        source = one.source.model_copy(update={"api": often})
        same = often.model_copy(update={"endpoint": f"{often.endpoint}{slash}"})
        twin = source.model_copy(
            update={"name": "twin", "public_url": f"{source.public_url}-twin", "api": same}
        )
        sources: tuple[Source, ...] = (source, twin) if shared else (source,)
        await one.call_back_session(35, "s-1")
        one.vendor.sessions = {"s-1": 35, "s-2": 35}
        around = Surroundings(one.fleet, one.log, ServiceMetrics(collected), one.clock, random.Random(1))
        async with run_reconcile(Settings(sources=sources), around):
            await eventually(lambda: all(had_a_round(collected, asked) for asked in sources))
        events = [stored.event for stored in await one.log.read(0, 100)]

    told = [(event.source, event.job_id) for event in events if event.channel is Channel.API]
    assert set(told) == {(source.name, session) for session in heard_of}
