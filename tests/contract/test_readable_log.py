"""What a log has to do that is read where it is written."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.errors import LogUnavailableError
from monitor.event import Event
from monitor.log.protocol import Past
from monitor.log.sqlite import SqliteLog
from tests.contract.conftest import SqliteBackend
from tests.log.making import EVENTS, RECEIVED, dead_letter, event


async def test_what_was_appended_is_read_in_order_with_rising_offsets(readable_log: SqliteLog) -> None:
    events = [event(readable_log.next_id(), body=b"%d" % number) for number in range(150)]

    await readable_log.append(events)
    stored = await readable_log.read(0, 1000)

    assert events == [one.event for one in stored]
    offsets = [one.offset for one in stored]
    assert offsets[0] > 0
    assert sorted(set(offsets)) == offsets


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, min_size=1, max_size=80))
def test_every_field_and_every_byte_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event]
) -> None:
    async def round_trip() -> list[Event]:
        log = await SqliteBackend(tmp_path_factory.mktemp("log")).open()
        await log.append(events)
        stored = await log.read(0, 1000)
        await log.close()
        return [one.event for one in stored]

    assert events == asyncio.run(round_trip())


async def test_reading_goes_on_behind_an_offset_and_stops_at_the_limit(readable_log: SqliteLog) -> None:
    await readable_log.append([event(readable_log.next_id()) for _ in range(10)])
    every = await readable_log.read(0, 100)

    assert every[:4] == await readable_log.read(0, 4)
    assert every[4:7] == await readable_log.read(every[3].offset, 3)
    assert await readable_log.read(every[-1].offset, 100) == []


async def test_an_empty_log_has_head_zero_and_nothing_to_read(readable_log: SqliteLog) -> None:
    assert await readable_log.head() == 0
    assert await readable_log.read(0, 10) == []
    assert await readable_log.history("room-a", "job-1", None, 10) == ([], None)


async def test_the_head_is_the_newest_offset(readable_log: SqliteLog) -> None:
    await readable_log.append([event(readable_log.next_id()), event(readable_log.next_id())])

    assert await readable_log.head() == (await readable_log.read(0, 10))[-1].offset


async def test_the_head_is_known_from_appends_and_from_reading(readable_backend: SqliteBackend) -> None:
    first, second = await readable_backend.open(), await readable_backend.open()
    await first.append([event(first.next_id()) for _ in range(3)])

    assert first.known_head == await first.head() == 3
    assert second.known_head == 0
    await second.read(0, 1)
    assert second.known_head == 3
    await first.close()
    await second.close()


async def test_waiting_beyond_an_offset_ends_with_the_append_that_passes_it(readable_log: SqliteLog) -> None:
    waiting = asyncio.create_task(readable_log.wait_beyond(0))
    await asyncio.sleep(0)
    assert not waiting.done()

    await readable_log.append([event(readable_log.next_id())])

    async with asyncio.timeout(10):
        await waiting
        await readable_log.wait_beyond(0)


async def test_a_reader_that_follows_the_log_misses_nothing(readable_log: SqliteLog) -> None:
    async def follow(count: int) -> list[Event]:
        position, seen = 0, list[Event]()
        while len(seen) < count:
            await readable_log.wait_beyond(position)
            for stored in await readable_log.read(position, 7):
                position = stored.offset
                seen.append(stored.event)
        return seen

    async def write() -> list[Event]:
        written = [event(readable_log.next_id()) for _ in range(60)]
        for one in written:
            await readable_log.append([one])
        return written

    async with asyncio.timeout(30):
        seen, written = await asyncio.gather(follow(60), write())

    assert written == seen


async def test_history_is_one_streams_newest_first(readable_log: SqliteLog) -> None:
    events = [
        event(readable_log.next_id(), source=source, job_id=job_id, body=b"%d" % number)
        for number in range(5)
        for source, job_id in (("room-a", "one"), ("room-a", "two"), ("room-b", "one"))
    ]
    await readable_log.append(events)

    history, older = await readable_log.history("room-a", "one", None, 100)

    assert older is None
    assert [one.event.body for one in history] == [b"4", b"3", b"2", b"1", b"0"]
    assert {("room-a", "one")} == {(one.event.source, one.event.job_id) for one in history}
    newest = await readable_log.history("room-a", "one", None, 2)
    assert newest == Past(history[:2], history[1].offset)
    assert await readable_log.history("room-a", "one", newest.older, 2) == (history[2:4], history[3].offset)
    assert await readable_log.history("room-a", "one", history[-1].offset, 2) == ([], None)


async def test_expired_events_go_and_the_rest_stays(readable_log: SqliteLog) -> None:
    await readable_log.append([event(readable_log.next_id(), received=float(number)) for number in range(10)])
    offsets = [one.offset for one in await readable_log.read(0, 100)]

    removed = await readable_log.remove_expired(6.0, offsets[-1])

    assert removed == 6
    assert offsets[6:] == [one.offset for one in await readable_log.read(0, 100)]


async def test_what_is_not_folded_never_expires(readable_log: SqliteLog) -> None:
    await readable_log.append([event(readable_log.next_id(), received=float(number)) for number in range(10)])
    offsets = [one.offset for one in await readable_log.read(0, 100)]

    removed = await readable_log.remove_expired(100.0, offsets[2])

    assert removed == 3
    assert offsets[3:] == [one.offset for one in await readable_log.read(0, 100)]


async def test_offsets_rise_on_after_everything_expired(readable_backend: SqliteBackend) -> None:
    first = await readable_backend.open()
    await first.append([event(first.next_id()) for _ in range(5)])
    head = await first.head()
    await first.remove_expired(RECEIVED + 1, head)
    await first.close()

    second = await readable_backend.open()
    assert await second.head() == head
    await second.append([event(second.next_id())])

    assert await second.head() > head
    await second.close()


async def test_dead_letters_alone_do_not_move_the_head(readable_log: SqliteLog) -> None:
    await readable_log.append((), [dead_letter(readable_log.next_id())])

    assert await readable_log.head() == 0


async def test_dead_letters_expire_with_age(readable_log: SqliteLog) -> None:
    await readable_log.append(
        (), [dead_letter(readable_log.next_id(), received=float(number)) for number in range(4)]
    )

    assert await readable_log.remove_expired(3.0, 0) == 3

    assert [one.letter.received for one in await readable_log.list(10, None)] == [3.0]


async def test_a_closed_log_is_neither_read_nor_waited_for(readable_backend: SqliteBackend) -> None:
    log = await readable_backend.open()
    following = asyncio.create_task(log.wait_beyond(0))
    await asyncio.sleep(0)
    await log.close()

    with pytest.raises(LogUnavailableError):
        await following
    with pytest.raises(LogUnavailableError):
        await log.read(0, 1)
