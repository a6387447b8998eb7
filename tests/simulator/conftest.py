"""Sources of every kind, and a run over all of them."""

import pytest

from monitor.config import AuthType, Settings, SoftSugarFields, Source
from monitor.event import Vendor
from monitor.simulator.options import Scenario, SimulationOptions


@pytest.fixture
def sources() -> tuple[Source, ...]:
    return (
        Source(
            name="meta-head",
            vendor=Vendor.METASTUDIO,
            public_url="https://hooks.example.com/callbacks/meta-head",
            auth_type=AuthType.MSS_A_HEAD,
            keys=("GCTbw44s6MPLh4GqgDpnfuFHgy25Enly", "another-key"),
            rtc_token="a token for relays",
        ),
        Source(
            name="sugar-signed",
            vendor=Vendor.SOFTSUGAR,
            public_url="https://hooks.example.com/callbacks/sugar-signed",
            keys=("Abc123", "Def456"),
        ),
        Source(
            name="meta-query",
            vendor=Vendor.METASTUDIO,
            public_url="https://hooks.example.com/callbacks/meta-query?tenant=7&a=b%20c",
            auth_type=AuthType.MSS_A,
            keys=("one-key",),
        ),
        Source(
            name="sugar-open",
            vendor=Vendor.SOFTSUGAR,
            public_url="https://hooks.example.com/callbacks/sugar-open",
            fields=SoftSugarFields(session_id="/event/live/id", status="/event/state", code="/event/error"),
        ),
        Source(
            name="meta-open",
            vendor=Vendor.METASTUDIO,
            public_url="https://hooks.example.com/callbacks/meta-open?secret=in-the-url",
            rtc_token="another token",
        ),
    )


@pytest.fixture
def options(sources: tuple[Source, ...]) -> SimulationOptions:
    return SimulationOptions(
        settings=Settings(sources=sources),
        target="http://receiver.test",
        streams=20,
        duration=600,
        speed=20,
        scenario=Scenario.MIXED,
        seed=1,
        attempts=None,
        truth=None,
        json_output=True,
    )
