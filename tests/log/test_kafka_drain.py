import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from monitor.errors import LogUnavailableError
from monitor.log import kafka_drain
from monitor.log.kafka_drain import Drain
from monitor.log.kafka_sender import Part
from monitor.log.spool import Chunk, Spool
from tests.kafka_broker import eventually
from tests.log.making import event


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    """A spool that holds one event."""
    opened = await Spool.open(tmp_path / "spool.db")
    await opened.put([event(opened.next_id())], ())
    yield opened
    await opened.close()


def refuse(chunk: Chunk) -> list[Part]:
    part = Part([stored.event for stored in chunk.events], (), [], asyncio.get_running_loop(), spooled=True)
    part.future.set_exception(LogUnavailableError("Kafka refused a batch"))
    return [part]


def fail(_: Chunk) -> list[Part]:
    raise LookupError("a fault of ours")


def acknowledge(chunk: Chunk) -> list[Part]:
    part = Part([stored.event for stored in chunk.events], (), [], asyncio.get_running_loop(), spooled=True)
    part.future.set_result(None)
    return [part]


async def test_what_the_disk_refuses_to_remove_is_sent_again_ever_more_seldom_and_then_removed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_drain, "RETRY_SECONDS", 0.001)
    sent, tries, is_full, remove = 0, 0, True, spool.remove

    def noted(chunk: Chunk) -> list[Part]:
        nonlocal sent
        sent += 1
        return acknowledge(chunk)

    async def tried(chunks: Sequence[Chunk]) -> None:
        nonlocal tries
        tries += 1
        if is_full:
            raise LogUnavailableError("the disk is full")
        await remove(chunks)

    monkeypatch.setattr(spool, "remove", tried)
    draining = asyncio.create_task(Drain(spool, noted).run())
    await eventually(lambda: tries >= 100)
    assert 1 < sent < tries / 3

    is_full = False
    await eventually(lambda: spool.state.events == 0)
    draining.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await draining


@pytest.mark.parametrize(("send", "level"), [(refuse, "warning"), (fail, "error")])
async def test_a_drain_that_fails_again_and_again_goes_on_and_says_so_once_in_a_while(
    spool: Spool,
    send: Callable[[Chunk], list[Part]],
    level: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_drain, "RETRY_SECONDS", 0.001)
    tries = 0

    def count(chunk: Chunk) -> list[Part]:
        nonlocal tries
        tries += 1
        return send(chunk)

    with capture_logs() as lines:
        draining = asyncio.create_task(Drain(spool, count).run())
        await eventually(lambda: tries >= 5)
        draining.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await draining

    assert [("the spool could not be drained", level)] == [
        (line["event"], line["log_level"]) for line in lines
    ]
    assert spool.state.events == 1
