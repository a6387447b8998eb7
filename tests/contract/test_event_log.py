import asyncio
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.errors import LogUnavailableError
from monitor.event import Event
from tests.contract.conftest import Backend, Log
from tests.log.making import EVENTS, RECEIVED, dead_letter, event


async def test_what_was_appended_is_read_in_order_with_rising_offsets(log: Log) -> None:
    events = [event(log.next_id(), body=b"%d" % number) for number in range(150)]

    await log.append(events)
    stored = await log.read(0, 1000)

    assert events == [one.event for one in stored]
    offsets = [one.offset for one in stored]
    assert offsets[0] > 0
    assert sorted(set(offsets)) == offsets


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(EVENTS, min_size=1, max_size=80))
def test_every_field_and_every_byte_comes_back_as_it_was(
    new_backend: Callable[[], Backend], events: list[Event]
) -> None:
    async def round_trip() -> list[Event]:
        log = await new_backend().open()
        await log.append(events)
        stored = await log.read(0, 1000)
        await log.close()
        return [one.event for one in stored]

    assert events == asyncio.run(round_trip())


async def test_received_time_is_kept_to_the_microsecond(log: Log) -> None:
    await log.append([event(log.next_id(), received=RECEIVED + 0.0000003)])

    [stored] = await log.read(0, 10)

    assert stored.event.received == RECEIVED


async def test_reading_goes_on_behind_an_offset_and_stops_at_the_limit(log: Log) -> None:
    await log.append([event(log.next_id()) for _ in range(10)])
    every = await log.read(0, 100)

    assert every[:4] == await log.read(0, 4)
    assert every[4:7] == await log.read(every[3].offset, 3)
    assert await log.read(every[-1].offset, 100) == []


async def test_an_empty_log_has_head_zero_and_nothing_to_read(log: Log) -> None:
    assert await log.head() == 0
    assert await log.read(0, 10) == []
    assert await log.history("room-a", "job-1", None, 10) == []


async def test_the_head_is_the_newest_offset(log: Log) -> None:
    await log.append([event(log.next_id()), event(log.next_id())])

    assert await log.head() == (await log.read(0, 10))[-1].offset


async def test_events_are_there_after_reopening(backend: Backend) -> None:
    first = await backend.open()
    events = [event(first.next_id()) for _ in range(3)]
    await first.append(events)
    await first.close()

    second = await backend.open()

    assert events == [one.event for one in await second.read(0, 10)]
    await second.close()


async def test_close_keeps_what_was_waiting(backend: Backend) -> None:
    first = await backend.open()
    waiting = [asyncio.create_task(first.append([event(first.next_id())])) for _ in range(300)]
    await asyncio.sleep(0)
    await first.close()
    await asyncio.gather(*waiting)

    second = await backend.open()

    assert len(await second.read(0, 1000)) == 300
    await second.close()


async def test_ids_rise_also_over_a_restart(backend: Backend) -> None:
    ids = []
    for _ in range(3):
        log = await backend.open()
        ids += [log.next_id(), log.next_id()]
        await log.close()

    assert {one.receiver for one in ids} == {ids[0].receiver}
    assert sorted(set(ids)) == ids


async def test_appends_of_one_caller_keep_their_order_among_many_callers(log: Log) -> None:
    async def caller(name: str) -> None:
        for number in range(20):
            await log.append([event(log.next_id(), source=name, body=b"%d" % number)])

    names = [f"source-{number}" for number in range(16)]
    await asyncio.gather(*map(caller, names))

    stored = await log.read(0, 1000)
    for name in names:
        bodies = [int(one.event.body) for one in stored if one.event.source == name]
        assert bodies == list(range(20))


async def test_a_caller_that_gave_up_does_not_hurt_the_others(log: Log) -> None:
    events = [event(log.next_id()) for _ in range(50)]
    tasks = [asyncio.create_task(log.append([one])) for one in events]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    await log.append([event(log.next_id())])

    kept = {stored.event.id for stored in await log.read(0, 100)}
    assert {one.id for one, end in zip(events, ends, strict=True) if end is None} <= kept


async def test_waiting_beyond_an_offset_ends_with_the_append_that_passes_it(log: Log) -> None:
    waiting = asyncio.create_task(log.wait_beyond(0))
    await asyncio.sleep(0)
    assert not waiting.done()

    await log.append([event(log.next_id())])

    async with asyncio.timeout(10):
        await waiting
        await log.wait_beyond(0)


async def test_a_reader_that_follows_the_log_misses_nothing(log: Log) -> None:
    async def follow(count: int) -> list[Event]:
        position, seen = 0, list[Event]()
        while len(seen) < count:
            await log.wait_beyond(position)
            for stored in await log.read(position, 7):
                position = stored.offset
                seen.append(stored.event)
        return seen

    async def write() -> list[Event]:
        written = [event(log.next_id()) for _ in range(60)]
        for one in written:
            await log.append([one])
        return written

    async with asyncio.timeout(30):
        seen, written = await asyncio.gather(follow(60), write())

    assert written == seen


async def test_history_is_one_streams_newest_first(log: Log) -> None:
    events = [
        event(log.next_id(), source=source, job_id=job_id, body=b"%d" % number)
        for number in range(5)
        for source, job_id in (("room-a", "one"), ("room-a", "two"), ("room-b", "one"))
    ]
    await log.append(events)

    history = await log.history("room-a", "one", None, 100)

    assert [one.event.body for one in history] == [b"4", b"3", b"2", b"1", b"0"]
    assert {("room-a", "one")} == {(one.event.source, one.event.job_id) for one in history}
    assert history[:2] == await log.history("room-a", "one", None, 2)
    assert history[2:4] == await log.history("room-a", "one", history[1].offset, 2)
    assert await log.history("room-a", "one", history[-1].offset, 2) == []


async def test_expired_events_go_and_the_rest_stays(log: Log) -> None:
    await log.append([event(log.next_id(), received=float(number)) for number in range(10)])
    offsets = [one.offset for one in await log.read(0, 100)]

    removed = await log.remove_expired(6.0, offsets[-1])

    assert removed == 6
    assert offsets[6:] == [one.offset for one in await log.read(0, 100)]


async def test_what_is_not_folded_never_expires(log: Log) -> None:
    await log.append([event(log.next_id(), received=float(number)) for number in range(10)])
    offsets = [one.offset for one in await log.read(0, 100)]

    removed = await log.remove_expired(100.0, offsets[2])

    assert removed == 3
    assert offsets[3:] == [one.offset for one in await log.read(0, 100)]


async def test_offsets_rise_on_after_everything_expired(backend: Backend) -> None:
    first = await backend.open()
    await first.append([event(first.next_id()) for _ in range(5)])
    head = await first.head()
    await first.remove_expired(RECEIVED + 1, head)
    await first.close()

    second = await backend.open()
    assert await second.head() == head
    await second.append([event(second.next_id())])

    assert await second.head() > head
    await second.close()


async def test_a_closed_log_says_so(backend: Backend) -> None:
    log = await backend.open()
    following = asyncio.create_task(log.wait_beyond(0))
    await asyncio.sleep(0)
    await log.close()
    await log.close()

    with pytest.raises(LogUnavailableError):
        await following
    with pytest.raises(LogUnavailableError):
        await log.append([event(log.next_id())])
    with pytest.raises(LogUnavailableError):
        await log.read(0, 1)


async def test_dead_letters_are_kept_with_the_events_of_their_request(log: Log) -> None:
    letter = dead_letter(log.next_id())

    await log.append([event(log.next_id())], [letter])

    assert [letter] == [one.letter for one in await log.list(10, None)]
    assert len(await log.read(0, 10)) == 1


async def test_dead_letters_alone_do_not_move_the_head(log: Log) -> None:
    await log.append((), [dead_letter(log.next_id())])

    assert await log.head() == 0


async def test_an_append_of_nothing_is_nothing(log: Log) -> None:
    await log.append(())

    assert await log.head() == 0


async def test_dead_letters_are_listed_newest_first_page_by_page(log: Log) -> None:
    letters = [dead_letter(log.next_id(), body=bytes(range(number, number + 200))) for number in range(5)]
    await log.append((), letters)

    page = await log.list(3, None)
    rest = await log.list(3, page[-1].number)

    assert letters[::-1] == [one.letter for one in page + rest]
    assert page[0] == await log.show(page[0].number)


async def test_a_dead_letter_that_is_not_there_is_none(log: Log) -> None:
    assert await log.show(7) is None


async def test_a_retried_dead_letter_becomes_an_event(log: Log) -> None:
    await log.append((), [dead_letter(log.next_id()), dead_letter(log.next_id())])
    newest, other = await log.list(10, None)
    retried = event(log.next_id(), body=newest.letter.body)

    await log.retry(newest.number, retried)

    assert [retried] == [one.event for one in await log.read(0, 10)]
    assert [other] == await log.list(10, None)
    async with asyncio.timeout(10):
        await log.wait_beyond(0)


async def test_a_dead_letter_is_retried_only_once(log: Log) -> None:
    await log.append((), [dead_letter(log.next_id())])
    [letter] = await log.list(10, None)
    await log.retry(letter.number, event(log.next_id()))

    with pytest.raises(LookupError, match=str(letter.number)):
        await log.retry(letter.number, event(log.next_id()))

    assert len(await log.read(0, 10)) == 1


async def test_dead_letters_expire_with_age(log: Log) -> None:
    await log.append((), [dead_letter(log.next_id(), received=float(number)) for number in range(4)])

    assert await log.remove_expired(3.0, 0) == 3

    assert [one.letter.received for one in await log.list(10, None)] == [3.0]
