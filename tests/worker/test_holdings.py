import asyncio
import contextlib
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from monitor.config import KafkaSettings, LogSettings, Settings
from monitor.worker import holdings
from monitor.worker.holdings import Holdings
from tests.kafka_broker import eventually


async def test_a_partition_that_cannot_be_restored_is_tried_again_and_told_of_once_in_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "RETRY_SECONDS", 0.001)
    tries = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}")
        held = Holdings(Settings(kafka=kafka, log=LogSettings(path=tmp_path / "spool.db")))
        with capture_logs() as lines:
            taking = asyncio.create_task(held.take_over(3))
            await eventually(lambda: tries >= 5)
            taking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await taking
        await held.close()

    assert [(line["event"], line["partition"]) for line in lines] == [("can't restore", 3)]
