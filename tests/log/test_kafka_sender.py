import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from monitor.config import LogSettings, Settings
from monitor.errors import LogUnavailableError
from monitor.log import kafka_sender, kafka_topics
from monitor.log.kafka_sender import Sender
from tests.kafka_broker import eventually


@pytest.mark.parametrize("failure", [LookupError("a fault of ours"), asyncio.CancelledError()])
async def test_a_sender_goes_on_trying_whatever_befalls_it(
    failure: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_sender, "RETRY_SECONDS", 0.001)
    tries = 0

    async def fail(_: Settings) -> None:
        nonlocal tries
        tries += 1
        raise LogUnavailableError("Kafka is away") if tries == 1 else failure

    monkeypatch.setattr(kafka_topics, "ensure", fail)
    settings = Settings(log=LogSettings(backend="kafka", path=tmp_path / "spool.db"))
    sender = Sender(settings, lambda _: None)

    with capture_logs():
        await sender.start()
        await eventually(lambda: tries >= 5)
        await sender.close()
