import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from monitor.config import AdminSettings, ReceiverSettings, Settings
from monitor.errors import ConfigurationError, MonitorError
from monitor.metrics.service import ServiceMetrics
from monitor.service.parts import serving, until_signalled
from tests.receiver.running import connection


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


def listening(*, admin: str = "127.0.0.1:0", receiver: str = "127.0.0.1:0") -> Settings:
    return Settings(admin=AdminSettings(listen=admin), receiver=ReceiverSettings(listen=receiver))


async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    pytest.fail("nobody asks it")


async def refusal(settings: Settings) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        async with serving(settings, nothing, nothing, ServiceMetrics(CollectorRegistry())):
            pass
    return caught.value.problems


async def test_an_address_that_is_taken_is_refused_under_its_key(taken: str) -> None:
    said = f"{taken} can't be listened on: Address already in use"

    assert [f"admin.listen: {said}"] == await refusal(listening(admin=taken))
    assert [f"receiver.listen: {said}"] == await refusal(listening(receiver=taken))


async def test_a_host_that_nobody_knows_is_refused_under_its_key() -> None:
    [said] = await refusal(listening(receiver="nowhere.invalid:1"))

    assert said.startswith("receiver.listen: nowhere.invalid:1 can't be listened on: ")


async def test_what_a_server_itself_refuses_is_counted_by_where_it_listens() -> None:
    metrics = ServiceMetrics(CollectorRegistry())
    with capture_logs() as lines:
        async with serving(listening(), nothing, nothing, metrics):
            [addresses] = [line for line in lines if line["event"] == "serving"]
            address = addresses["callbacks"].removeprefix("http://")
            async with connection(address) as (reader, writer), asyncio.timeout(10):
                writer.write(b"no HTTP\r\n")
                answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 400 ")
    for listener, counted in (("receiver", 1), ("admin", 0)):
        labels = {"listener": listener, "reason": "not_http"}
        assert metrics.registry.get_sample_value("monitor_connections_refused_total", labels) == counted


async def test_a_part_that_fails_while_another_one_ends_the_service_is_told_of() -> None:
    async def fail() -> None:
        raise MonitorError("the disk is gone")

    async def fail_to_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise MonitorError("the last checkpoint isn't kept")

    with capture_logs() as lines, pytest.raises(MonitorError, match="the disk is gone"):
        await until_signalled(asyncio.Event(), fail(), fail_to_end())

    assert [(line["event"], line["error"]) for line in lines] == [
        ("a part has failed", "MonitorError: the last checkpoint isn't kept")
    ]
