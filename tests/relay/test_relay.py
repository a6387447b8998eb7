"""The relay in Debian's Chromium, against the real receiver."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from monitor.event import Channel, Paragraph, ScriptProgress, Vendor
from monitor.vendors import registry
from tests.browsers import running_browser
from tests.relay.browsing import JOB, Room, delivered, progress, room, take

# One browser for all of them, which lives in one event loop of one process.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("relay")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def one(tmp_path: Path, browser: Browser) -> AsyncIterator[Room]:
    async with room(tmp_path, browser) as prepared:
        yield prepared


def paragraphs(envelopes: list[dict[str, Any]]) -> list[int]:
    """Which paragraphs the messages tell of, in the order of arrival."""
    told = [one["message"] for one in envelopes]
    return [
        (json.loads(message) if isinstance(message, str) else message)["data"]["shoot_script_sequence_no"]
        for message in told
    ]


async def test_messages_arrive_in_order_in_envelopes_that_the_monitor_reads(one: Room) -> None:
    page = await one.page()
    await one.relay(page)
    await take(page, 1, 2, 3)
    await delivered(page)

    events = await one.events()
    assert [(event.channel, event.job_id) for event in events] == [(Channel.RTC, JOB)] * 3
    decoded = [registry.decode_rtc(Vendor.METASTUDIO, event.body) for event in events]
    assert [told.payload for told in decoded] == [
        ScriptProgress(Paragraph("Scene 1", number), 247) for number in (1, 2, 3)
    ]
    relays = [told.relay for told in decoded if told.relay is not None]
    assert [relay.sequence for relay in relays] == [1, 2, 3]
    assert len({relay.relay for relay in relays}) == 1
    assert all(
        abs((relay.at or 0) - event.received) < 60 for relay, event in zip(relays, events, strict=True)
    )


async def test_texts_objects_and_bytes_are_taken_as_the_room_delivers_them(one: Room) -> None:
    page = await one.page()
    await one.relay(page)
    await page.evaluate(
        """(message) => {
            window.relay.take(message);
            window.relay.take(JSON.stringify(message));
            window.relay.take(new TextEncoder().encode(JSON.stringify(message)));
        }""",
        progress(7),
    )
    await delivered(page)

    assert paragraphs(await one.envelopes()) == [7, 7, 7]


async def test_nothing_is_lost_or_reordered_while_the_receiver_is_away(one: Room) -> None:
    page = await one.page()
    await one.relay(page)
    await take(page, 1, 2)
    await delivered(page)
    await one.go()
    await take(page, 3, 4)
    await page.wait_for_function("window.problems.length > 0")
    await take(page, 5)
    assert await page.evaluate("window.relay.waiting") == 3

    await one.come()
    await delivered(page)

    envelopes = await one.envelopes()
    assert paragraphs(envelopes) == [1, 2, 3, 4, 5]
    assert [envelope["seq"] for envelope in envelopes] == [1, 2, 3, 4, 5]
    assert await page.evaluate("window.problems") == [
        "The monitor can't be reached; messages are kept.",
        None,
    ]


async def test_a_reload_while_the_receiver_is_away_loses_nothing_and_keeps_the_name(one: Room) -> None:
    page = await one.page()
    await one.relay(page)
    await take(page, 1)
    await delivered(page)
    await one.go()
    await take(page, 2, 3)
    await page.reload()
    await one.relay(page)
    await take(page, 4)

    await one.come()
    await delivered(page)

    envelopes = await one.envelopes()
    assert paragraphs(envelopes) == [1, 2, 3, 4]
    assert [envelope["seq"] for envelope in envelopes] == [1, 2, 3, 4]
    assert len({envelope["relay"] for envelope in envelopes}) == 1
    assert await page.evaluate("localStorage.length") == 0


async def test_what_a_closed_tab_left_behind_is_sent_by_the_next_one(one: Room) -> None:
    context = await one.browser.new_context()
    first = await one.page(context)
    await one.relay(first)
    await one.go()
    await take(first, 1, 2)
    await first.evaluate("window.relay.ready")
    await first.close()

    second = await one.page(context)
    await one.relay(second)
    await one.come()
    await take(second, 3)
    await one.arrived(3)

    envelopes = await one.envelopes()
    assert sorted(paragraphs(envelopes)) == [1, 2, 3]
    assert len({envelope["relay"] for envelope in envelopes}) == 2


@pytest.mark.parametrize("leftover", ["before", "after"], ids=["kept-before", "kept-after"])
async def test_what_a_tab_leaves_behind_is_sent_by_one_that_was_there_before_it_went(
    one: Room, leftover: str
) -> None:
    context = await one.browser.new_context()
    first, second = await one.page(context), await one.page(context)
    await one.relay(first)
    await first.evaluate("window.relay.ready")
    await one.go()
    if leftover == "before":
        await take(first, 1, 2)
    await one.relay(second)
    await second.evaluate("window.relay.ready")
    if leftover == "after":
        await take(first, 1, 2)
    await first.close()

    await one.come()
    await one.arrived(2)
    await delivered(second)

    # The last try of the tab that went may have arrived too: the monitor knows copies by their numbers.
    numbered = {(envelope["relay"], envelope["seq"]): envelope for envelope in await one.envelopes()}
    assert paragraphs(list(numbered.values())) == [1, 2]
    assert await second.evaluate("Object.keys(localStorage).length") == 0


async def test_what_came_before_the_relay_had_a_name_is_kept_where_the_page_goes(one: Room) -> None:
    page = await one.page()
    await page.evaluate("() => { navigator.locks.request = () => new Promise(() => {}); }")
    await one.relay(page)
    await one.go()
    await take(page, 1)
    await page.reload()
    await one.come()
    await one.relay(page)
    await take(page, 2)
    await delivered(page)

    envelopes = await one.envelopes()
    assert paragraphs(envelopes) == [1, 2]
    assert [envelope["seq"] for envelope in envelopes] == [1, 2]


async def test_two_tabs_of_one_browser_have_names_of_their_own(one: Room) -> None:
    context = await one.browser.new_context()
    first, second = await one.page(context), await one.page(context)
    await one.relay(first)
    copied = await first.evaluate("window.relay.ready.then(() => ({ ...sessionStorage }))")
    # What a browser does where somebody duplicates a tab.
    await second.evaluate(
        "(items) => Object.entries(items).forEach(([name, value]) => sessionStorage.setItem(name, value))",
        copied,
    )
    await one.relay(second)
    await take(first, 1)
    await take(second, 2)
    await delivered(first)
    await delivered(second)

    envelopes = await one.envelopes()
    assert len({envelope["relay"] for envelope in envelopes}) == 2
    assert [envelope["seq"] for envelope in envelopes] == [1, 1]


async def test_relays_of_one_page_each_keep_their_own_numbers_over_a_reload(one: Room) -> None:
    page = await one.page()
    await one.relay(page)
    await take(page, 1)
    await delivered(page)
    await page.evaluate("window.first = window.relay")
    await one.relay(page)
    await take(page, 2, 3, 4)
    await delivered(page)
    await page.evaluate("(message) => window.first.take(message)", json.dumps(progress(5)))
    await one.arrived(5)

    await page.reload()
    await one.relay(page)
    await take(page, 6)
    await delivered(page)

    envelopes = await one.envelopes()
    assert paragraphs(envelopes) == [1, 2, 3, 4, 5, 6]
    # Of a number that was there before, the monitor would take the message for a copy.
    assert len({(envelope["relay"], envelope["seq"]) for envelope in envelopes}) == 6


async def test_a_relay_that_was_closed_at_once_is_in_nobodys_way(one: Room) -> None:
    page = await one.page()
    await one.relay(page)
    await page.evaluate("window.relay.ready")
    await one.go()
    await take(page, 1)
    await page.reload()
    await page.evaluate(
        """async (endpoint) => {
            const relay = new LivestreamRelay({ endpoint, token: "any" });
            relay.close();
            await relay.ready;
        }""",
        f"http://{one.address}/rtc/prod/{JOB}",
    )

    await one.come()
    await one.relay(page)
    await one.arrived(1)

    assert paragraphs(await one.envelopes()) == [1]


async def test_an_offline_browser_sends_when_it_is_online_again(one: Room) -> None:
    context = await one.browser.new_context()
    page = await one.page(context)
    await one.relay(page)
    await page.evaluate("window.relay.ready")
    await context.set_offline(True)
    # Only the browser's own word can bring the next try within this test's time.
    await page.evaluate("window.relay.flushEveryMs = window.relay.longestWaitMs = 3600000")
    await take(page, 1, 2)
    await page.evaluate("(token) => window.relay.setToken(token)", one.token())
    await page.wait_for_function("window.problems.length > 0")
    assert await one.events() == []

    await context.set_offline(False)
    await delivered(page)

    assert paragraphs(await one.envelopes()) == [1, 2]


async def test_a_token_that_expired_loses_nothing_and_another_one_delivers(one: Room) -> None:
    page = await one.page()
    await one.relay(page, one.token(seconds=-60))
    await take(page, 1)
    await page.wait_for_function("window.problems.length > 0")
    assert await page.evaluate("window.problems") == [
        "The monitor doesn't accept the token: it is wrong, or has expired."
    ]
    assert await one.events() == []

    await page.evaluate("(token) => window.relay.setToken(token)", one.token())
    await delivered(page)

    assert paragraphs(await one.envelopes()) == [1]


async def test_many_messages_leave_in_few_requests(one: Room) -> None:
    page = await one.page()
    await one.relay(page)
    posts: list[str] = []
    page.on("request", lambda request: posts.append(request.method) if request.method == "POST" else None)
    await take(page, *range(1, 1001))
    await delivered(page)

    assert paragraphs(await one.envelopes()) == list(range(1, 1001))
    assert len(posts) <= 6


async def test_batches_that_are_too_large_for_the_receiver_are_halved(
    tmp_path: Path, browser: Browser
) -> None:
    async with room(tmp_path, browser, max_body_bytes=2000) as one:
        page = await one.page()
        await one.relay(page)
        await take(page, *range(1, 51))
        await page.evaluate("window.relay.take('x'.repeat(3000))")
        await take(page, 51)
        await delivered(page)

        assert paragraphs(await one.envelopes()) == list(range(1, 52))
        assert await page.evaluate("window.relay.dropped") == 1


async def test_a_token_is_never_stored(one: Room) -> None:
    page = await one.page()
    await one.go()
    await one.relay(page)
    await take(page, 1)
    await page.wait_for_function("JSON.stringify({ ...localStorage }).includes('live_progress_notify')")

    stored = await page.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }])")

    assert one.token().partition(".")[2] not in stored
    await one.come()
    await delivered(page)


async def test_leftovers_of_another_day_are_cleared_away(one: Room) -> None:
    page = await one.page()
    await page.evaluate("""() => {
        const at_ms = Date.now() - 25 * 3600 * 1000;
        const old = JSON.stringify({ relay: "r", seq: 1, at_ms, message: "{}" });
        localStorage.setItem("livestream-relay http://elsewhere.example.com/rtc/prod/other r 1", old);
    }""")
    await one.relay(page)
    await page.evaluate("window.relay.ready")

    assert await page.evaluate("localStorage.length") == 0
