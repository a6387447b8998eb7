import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from monitor.errors import LogOverloadedError, LogUnavailableError
from monitor.log.spool import START, Chunk, Spool
from monitor.log.sqlite import SqliteLog
from tests.log.making import RECEIVED, dead_letter, event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "spool.db"


@pytest.fixture
async def spool(path: Path) -> AsyncIterator[Spool]:
    opened = await Spool.open(path)
    yield opened
    await opened.close()


async def everything(spool: Spool) -> Chunk:
    found = await spool.read(START, 1000)
    assert found is not None
    return found


async def test_rows_come_back_in_the_order_of_the_puts(spool: Spool) -> None:
    events = [event(spool.next_id(), job_id=f"job-{number % 3}") for number in range(30)]
    letters = [dead_letter(spool.next_id()) for _ in range(3)]

    await asyncio.gather(*(spool.put([one], ()) for one in events), spool.put((), letters))

    chunk = await everything(spool)
    assert events == [one.event for one in chunk.events]
    assert letters == [one.letter for one in chunk.letters]


async def test_reading_goes_on_behind_a_cursor(spool: Spool) -> None:
    events = [event(spool.next_id()) for _ in range(5)]
    await spool.put(events, [dead_letter(spool.next_id())])

    first = await spool.read(START, 3)
    assert first is not None
    rest = await spool.read(first.end, 3)
    assert rest is not None

    assert events == [one.event for chunk in (first, rest) for one in chunk.events]
    assert (len(first.letters), len(rest.letters)) == (1, 0)
    assert await spool.read(rest.end, 3) is None


async def test_waiting_for_more_ends_with_the_next_put(spool: Spool) -> None:
    assert await spool.read(START, 10) is None
    waiting = asyncio.create_task(spool.wait_for_more())
    await asyncio.sleep(0)
    assert not waiting.done()

    await spool.put([event(spool.next_id())], ())

    async with asyncio.timeout(10):
        await waiting


async def test_a_put_while_nothing_is_found_is_waited_for_in_vain_by_nobody(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = SqliteLog.query

    async def overtaken(log: SqliteLog, what: Callable[..., Any]) -> Any:
        found = await query(log, what)
        await spool.put([event(spool.next_id())], ())
        return found

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(SqliteLog, "query", overtaken)
        assert await spool.read(START, 10) is None

    async with asyncio.timeout(10):
        await spool.wait_for_more()
    assert len((await everything(spool)).events) == 1


async def test_a_stream_is_held_whose_event_comes_while_the_last_ones_are_removed(spool: Spool) -> None:
    for _ in range(20):
        await spool.put([event(spool.next_id())], ())
        removing = asyncio.create_task(spool.remove([await everything(spool)]))
        await asyncio.sleep(0)

        written = spool.put([event(spool.next_id())], ())
        await removing

        assert spool.holds("room-a", "job-1")
        assert spool.state.events == 1
        await written
        await spool.remove([await everything(spool)])


async def test_the_age_is_known_of_what_comes_while_the_last_ones_are_removed(spool: Spool) -> None:
    await spool.put([event(spool.next_id(), received=RECEIVED)], ())
    removing = asyncio.create_task(spool.remove([await everything(spool)]))
    await asyncio.sleep(0)

    written = [spool.put([event(spool.next_id(), received=RECEIVED + later)], ()) for later in (1, 2)]
    await removing

    assert spool.state.oldest == RECEIVED + 1
    await asyncio.gather(*written)
    await spool.remove([await everything(spool)])
    assert spool.state.oldest is None


async def test_a_stream_is_held_until_its_last_event_is_removed(spool: Spool) -> None:
    await spool.put([event(spool.next_id(), job_id="one"), event(spool.next_id(), job_id="two")], ())
    before = await everything(spool)
    await spool.put([event(spool.next_id(), job_id="two")], ())

    await spool.remove([before])

    assert not spool.holds("room-a", "one")
    assert spool.holds("room-a", "two")
    assert not spool.holds("room-b", "two")
    await spool.remove([await everything(spool)])
    assert not spool.holds("room-a", "two")


async def test_a_stream_is_held_before_its_event_is_written(spool: Spool) -> None:
    written = spool.put([event(spool.next_id())], ())

    assert spool.holds("room-a", "job-1")
    await written


async def test_the_state_tells_what_is_there(spool: Spool) -> None:
    assert (spool.state.events, spool.state.bytes, spool.state.oldest) == (0, 0, None)
    await spool.put([event(spool.next_id(), received=RECEIVED, body=b"x" * 1000)], ())
    await spool.put([event(spool.next_id(), received=RECEIVED + 1)], [dead_letter(spool.next_id())])

    assert spool.state.events == 3
    assert 1000 < spool.state.bytes < 2000
    assert spool.state.oldest == RECEIVED
    first = await spool.read(START, 1)
    assert first is not None
    await spool.remove([first])
    assert spool.state.events == 1
    assert 0 < spool.state.bytes < 1000
    assert spool.state.oldest == RECEIVED + 1
    await spool.remove([await everything(spool)])
    assert (spool.state.events, spool.state.bytes, spool.state.oldest) == (0, 0, None)


async def test_a_dead_letter_alone_has_an_age_too(spool: Spool) -> None:
    await spool.put((), [dead_letter(spool.next_id(), received=RECEIVED)])

    assert spool.state.oldest == RECEIVED


async def test_all_of_it_is_known_after_reopening(path: Path) -> None:
    first = await Spool.open(path)
    await first.put([event(first.next_id(), job_id="one"), event(first.next_id(), job_id="two")], ())
    await first.put(
        [event(first.next_id(), job_id="one")], [dead_letter(first.next_id(), received=RECEIVED + 5)]
    )
    state, held = first.state, await everything(first)
    await first.close()

    second = await Spool.open(path)

    assert state == second.state
    assert held == await everything(second)
    assert second.holds("room-a", "one")
    early = await second.read(START, 1)
    assert early is not None
    await second.remove([early])
    assert second.holds("room-a", "one")
    await second.close()


async def test_a_full_spool_refuses_and_takes_again(path: Path) -> None:
    spool = await Spool.open(path, capacity_bytes=2000)
    await spool.put([event(spool.next_id(), body=b"x" * 1000)], ())

    with pytest.raises(LogOverloadedError, match="the spool is full"):
        spool.put([event(spool.next_id(), job_id="other", body=b"x" * 1000)], ())

    assert not spool.holds("room-a", "other")
    await spool.remove([await everything(spool)])
    await spool.put([event(spool.next_id(), body=b"x" * 1000)], ())
    await spool.close()


async def test_what_could_not_be_written_holds_back_nothing_once_the_spool_is_empty(spool: Spool) -> None:
    written = spool.put([event(spool.next_id())], ())
    held = spool.state
    failed = spool.put([event(spool.next_id(), job_id="\ud800")], ())
    await asyncio.wait([written, failed])
    assert type(failed.exception()) is UnicodeEncodeError
    assert spool.holds("room-a", "\ud800")
    assert spool.state == held

    await spool.remove([await everything(spool)])

    assert not spool.holds("room-a", "\ud800")
    assert spool.state.events == 0
    assert spool.state.bytes == 0


async def test_what_could_not_be_written_into_an_empty_spool_holds_back_nothing(spool: Spool) -> None:
    failed = [spool.put([event(spool.next_id(), job_id=job_id)], ()) for job_id in ("\ud800", "\ud801")]

    await asyncio.wait(failed)

    assert [type(one.exception()) for one in failed] == [UnicodeEncodeError] * 2
    assert not spool.holds("room-a", "\ud800")
    assert not spool.holds("room-a", "\ud801")
    assert (spool.state.events, spool.state.bytes, spool.state.oldest) == (0, 0, None)


async def test_a_closed_spool_says_so(path: Path) -> None:
    spool = await Spool.open(path)
    await spool.close()

    with pytest.raises(LogUnavailableError):
        spool.put([event(spool.next_id())], ())
