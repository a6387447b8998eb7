"""What every log has to do with what could not be decoded."""

import pytest

from monitor.event import Channel
from monitor.log.protocol import DeadLetters, EventLog
from tests.contract.conftest import Backend
from tests.log.making import dead_letter, event


async def test_dead_letters_are_kept_with_the_events_of_their_request(
    backend: Backend, log: EventLog, letters: DeadLetters
) -> None:
    letter = dead_letter(log.next_id())

    await log.append([event(log.next_id())], [letter])

    assert [letter] == [one.letter for one in await letters.list(10, None)]
    assert len(await backend.events(log)) == 1


async def test_what_a_letters_body_told_is_kept(log: EventLog, letters: DeadLetters) -> None:
    told = dead_letter(log.next_id())._replace(
        job_id="job-1", type="a.type", signed=1795240440, channel=Channel.RTC, detail="expected “x”"
    )

    await log.append((), [told])

    assert [told] == [one.letter for one in await letters.list(10, None)]


async def test_dead_letters_are_listed_newest_first_page_by_page(log: EventLog, letters: DeadLetters) -> None:
    kept = [dead_letter(log.next_id(), body=bytes(range(number, number + 200))) for number in range(5)]
    await log.append((), kept)

    page = await letters.list(3, None)
    rest = await letters.list(3, page[-1].number)

    assert kept[::-1] == [one.letter for one in page + rest]
    assert page[0] == await letters.show(page[0].number)
    assert await letters.list(3, rest[-1].number) == []


async def test_a_dead_letter_that_is_told_again_after_a_crash_is_kept_once(
    backend: Backend, log: EventLog, letters: DeadLetters
) -> None:
    one, other = dead_letter(log.next_id()), dead_letter(log.next_id())
    await log.append((), [one])

    await log.append([event(log.next_id())], [one, other])

    assert [other, one] == [stored.letter for stored in await letters.list(10, None)]
    assert len(await backend.events(log)) == 1


async def test_a_dead_letter_that_is_not_there_is_none(letters: DeadLetters) -> None:
    assert await letters.list(10, None) == []
    assert await letters.show(7) is None


async def test_a_retried_dead_letter_becomes_an_event(
    backend: Backend, log: EventLog, letters: DeadLetters
) -> None:
    await log.append((), [dead_letter(log.next_id()), dead_letter(log.next_id())])
    newest, other = await letters.list(10, None)
    retried = event(log.next_id(), body=newest.letter.body)

    await letters.retry(newest.number, retried)

    [kept] = await backend.events(log)
    assert retried == kept._replace(id=retried.id)
    assert [other] == await letters.list(10, None)
    assert await letters.show(newest.number) is None


async def test_a_dead_letter_is_retried_only_once(
    backend: Backend, log: EventLog, letters: DeadLetters
) -> None:
    await log.append((), [dead_letter(log.next_id())])
    [letter] = await letters.list(10, None)
    await letters.retry(letter.number, event(log.next_id()))

    with pytest.raises(LookupError, match=str(letter.number)):
        await letters.retry(letter.number, event(log.next_id()))

    assert len(await backend.events(log)) == 1
