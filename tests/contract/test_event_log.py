"""What every log has to do for a receiver."""

import asyncio

import pytest

from monitor.errors import LogUnavailableError
from monitor.event import Channel, Event, EventId, Vendor
from monitor.log.protocol import EventLog
from tests.contract.conftest import Backend
from tests.log.making import LAST_SECOND, RECEIVED, event

ODD = [
    event(EventId("receiver-with-hyphens", 2**31, 2**62), body=bytes(range(256))),
    event(EventId("r", 1, 1), job_id="", body=b""),
    event(EventId("r", 1, 2), job_id="直播/间 ~position", signed=None),
    event(EventId("r", 1, 3), job_id="0" * 500, received=0.0, signed=0),
    event(EventId("r", 1, 4), job_id="late", received=4294967295.999999, signed=LAST_SECOND),
    Event(EventId("r", 1, 5), Vendor.SOFTSUGAR, "b", "j", Channel.RTC, "a.type.with.dots", 1.5, None, b"\n"),
    Event(EventId("r", 1, 6), Vendor.SOFTSUGAR, "b", "k", Channel.API, "", 1.5, None, b"\x00"),
]


async def test_every_field_and_every_byte_comes_back_as_it_was(backend: Backend, log: EventLog) -> None:
    await log.append(ODD)

    assert sorted(ODD) == sorted(await backend.events(log))


async def test_received_time_is_kept_to_the_microsecond(backend: Backend, log: EventLog) -> None:
    await log.append([event(log.next_id(), received=RECEIVED + 0.0000003)])

    [kept] = await backend.events(log)

    assert kept.received == RECEIVED


async def test_a_streams_events_keep_the_order_of_their_appends(backend: Backend, log: EventLog) -> None:
    events = [event(log.next_id(), body=b"%d" % number) for number in range(150)]

    await asyncio.gather(log.append(events[:70]), *(log.append([one]) for one in events[70:]))

    assert events == await backend.events(log)


async def test_events_are_there_after_reopening(backend: Backend) -> None:
    first = await backend.open()
    events = [event(first.next_id()) for _ in range(3)]
    await first.append(events)
    await first.close()

    second = await backend.open()

    assert events == await backend.events(second)
    await second.close()


async def test_close_keeps_what_was_waiting(backend: Backend) -> None:
    first = await backend.open()
    waiting = [asyncio.create_task(first.append([event(first.next_id())])) for _ in range(300)]
    await asyncio.sleep(0)
    await first.close()
    await asyncio.gather(*waiting)

    second = await backend.open()

    assert len(await backend.events(second)) == 300
    await second.close()


async def test_ids_rise_also_over_a_restart(backend: Backend) -> None:
    ids = []
    for _ in range(3):
        log = await backend.open()
        ids += [log.next_id(), log.next_id()]
        await log.close()

    assert {one.receiver for one in ids} == {ids[0].receiver}
    assert sorted(set(ids)) == ids


async def test_appends_of_one_caller_keep_their_order_among_many_callers(
    backend: Backend, log: EventLog
) -> None:
    async def caller(name: str) -> None:
        for number in range(20):
            await log.append([event(log.next_id(), source=name, body=b"%d" % number)])

    names = [f"source-{number}" for number in range(16)]
    await asyncio.gather(*map(caller, names))

    kept = await backend.events(log)
    for name in names:
        assert [int(one.body) for one in kept if one.source == name] == list(range(20))


async def test_a_caller_that_gave_up_does_not_hurt_the_others(backend: Backend, log: EventLog) -> None:
    events = [event(log.next_id()) for _ in range(50)]
    tasks = [asyncio.create_task(log.append([one])) for one in events]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    await log.append([event(log.next_id())])

    kept = {one.id for one in await backend.events(log)}
    assert {one.id for one, end in zip(events, ends, strict=True) if end is None} <= kept


async def test_text_that_no_log_can_carry_is_refused_and_hurts_nobody(
    backend: Backend, log: EventLog
) -> None:
    good = event(log.next_id())

    with pytest.raises(ValueError, match="surrogates"):
        await log.append([event(log.next_id(), job_id="\ud800")])
    await log.append([good])

    assert [good] == await backend.events(log)


async def test_a_closed_log_says_so(backend: Backend) -> None:
    log = await backend.open()
    await log.close()
    await log.close()

    with pytest.raises(LogUnavailableError):
        await log.append([event(log.next_id())])


async def test_an_append_of_nothing_is_nothing(backend: Backend, log: EventLog) -> None:
    await log.append(())

    assert await backend.events(log) == []
