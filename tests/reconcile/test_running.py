"""The rounds of a service's sources, as the service starts them."""

import random
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from monitor.config import Settings
from monitor.metrics.service import ServiceMetrics
from monitor.reconcile.running import run_reconcile
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
            async with run_reconcile(
                settings, Fleet(one.clock), one.log, metrics, one.clock, random.Random(1)
            ):
                await eventually(
                    lambda: collected.get_sample_value("monitor_reconcile_failures_total", labels) == 1
                )

    (line,) = [line for line in lines if line["event"] == "reconcile failed"]
    assert line["error"] == UNUSABLE_PROXY
    assert "password" not in str(lines)
