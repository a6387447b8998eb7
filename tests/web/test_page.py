import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from monitor.clock import stopwatch
from monitor.config import LinkSettings, Settings
from monitor.event import EventId, Unrecognised
from monitor.http_server import serve
from monitor.log.sqlite import SqliteLog
from monitor.web import page
from monitor.web.writing import MOST_ROWS
from tests.health.story import START, Story
from tests.log import making
from tests.metrics.building import Desk


@pytest.fixture
async def pages(desk: Desk, log: SqliteLog) -> AsyncIterator[httpx.AsyncClient]:
    """The pages of a fleet with one stream, two minutes after it went down."""
    app = FastAPI()
    page.add(app, Settings(), desk.fleet, log)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor.test") as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/streams/prod/job", "/streams/prod/unknown"])
async def test_a_page_may_run_and_load_this_services_own_files_alone(
    pages: httpx.AsyncClient, path: str
) -> None:
    answer = await pages.get(path)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    # What the default says nothing of.
    assert {"base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"} <= set(policy.split("; "))
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "://" not in answer.text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert " style=" not in answer.text
    assert "onclick" not in answer.text


async def test_a_row_says_status_why_since_when_and_the_last_hour(pages: httpx.AsyncClient) -> None:
    text = (await pages.get("/")).text

    assert '<span class="badge down">down</span>' in text
    assert "The RTMP push is disconnected, without connection for 2 min" in text
    assert 'title="2023-11-14 22:14:40 UTC">1 min</time>' in text
    assert 'aria-label="Last hour: ' in text
    assert 'href="streams/prod/job"' in text


async def test_a_filter_that_does_not_exist_is_none(pages: httpx.AsyncClient) -> None:
    text = (await pages.get("/?status=angry&vendor=nobody")).text

    assert 'data-key="prod/job"' in text


async def test_a_page_that_is_asked_for_too_many_rows_has_as_many_as_a_page_may(
    pages: httpx.AsyncClient,
) -> None:
    answer = await pages.get("/", params={"rows": MOST_ROWS + 1})

    assert f'name="rows" value="{MOST_ROWS}"' in answer.text


@pytest.mark.parametrize("rows", ["0", "-1", "many"])
async def test_a_number_of_rows_that_is_none_is_refused(pages: httpx.AsyncClient, rows: str) -> None:
    assert (await pages.get("/", params={"rows": rows})).status_code == 422


async def test_a_page_is_told_what_has_changed_since_it_was_served(desk: Desk, log: SqliteLog) -> None:
    app = FastAPI()
    page.add(app, Settings(), desk.fleet, log)
    async with (
        serve(app, "127.0.0.1:0") as address,
        httpx.AsyncClient(base_url=f"http://{address}") as client,
        asyncio.timeout(10),
    ):
        served = await client.get("/")
        (given,) = re.findall('data-page="([^"]+)"', served.text)
        async with client.stream("GET", "/live", params={"page": given}) as answer:
            assert await _next_lists(answer.aiter_lines()) == {}
        async with client.stream("GET", "/live", params={"page": given}) as answer:
            assert (await _next_lists(answer.aiter_lines()))["streams"]["order"] == ["prod/job"]


async def test_a_stream_that_nobody_knows_is_not_found(pages: httpx.AsyncClient) -> None:
    answer = await pages.get("/streams/prod/<b>")

    assert answer.status_code == 404
    assert "No stream of this job id is known under the source prod." in answer.text
    assert "never known if its source had max_streams live ones already" in answer.text
    assert "&lt;b&gt;" in answer.text


async def test_a_service_that_recovers_says_so(pages: httpx.AsyncClient, desk: Desk) -> None:
    desk.fleet.recovering = True

    text = (await pages.get("/")).text
    assert '<p id="recovering" class="notice">' in text
    assert "data-key" not in text
    assert (await pages.get("/streams/prod/job")).status_code == 503


@pytest.mark.parametrize(
    ("left_out", "told"),
    [
        (0, "covered 100 %"),
        # Rounded, it would be all.
        (1, "covered 99 %"),
        # And here no less than what the alert waits for.
        (41, "covered 79 %"),
        (142, "covered 29 %"),
    ],
)
async def test_a_round_that_left_something_out_is_not_told_as_whole(
    pages: httpx.AsyncClient, desk: Desk, left_out: int, told: str
) -> None:
    story = Story()
    story.register(plan=200)
    story.link("C", at=0.0)
    for number in (*range(1, 201 - left_out), 1):
        story.paragraph(number, at=story.now + 10.0)
    desk.show(story.known)

    text = (await pages.get("/streams/prod/job")).text
    assert told in text
    # Its first paragraph plays, and that isn't nothing.
    assert "has played 1 % of 200 paragraphs" in text


async def test_a_scene_that_is_read_from_right_to_left_turns_nothing_else(
    pages: httpx.AsyncClient, desk: Desk
) -> None:
    story = Story()
    story.register(plan=2)
    story.link("C", at=0.0)
    story.paragraph(1, at=10.0, scene="\u202eSale")
    story.paragraph(1, at=20.0, scene="\u202eSale")
    desk.show(story.known)

    text = (await pages.get("/streams/prod/job")).text

    assert "Now playing: <bdi>\u202eSale</bdi>, paragraph 1." in text


async def test_one_paragraph_is_not_told_as_several(pages: httpx.AsyncClient, desk: Desk) -> None:
    story = Story()
    story.register(plan=1)
    story.link("C", at=0.0)
    story.paragraph(1, at=10.0)
    desk.show(story.known)

    text = (await pages.get("/streams/prod/job")).text

    assert "of 1 paragraph\n" in text
    assert "1 paragraphs" not in text


async def test_a_stream_whose_script_stalls_is_linked_to_the_runbook_of_that(
    desk: Desk, log: SqliteLog
) -> None:
    story = Story()
    story.register(plan=4)
    story.link("C", at=0.0)
    story.paragraphs("123", step=20)
    desk.show(story.known)
    desk.clock.time = START + 140
    app = FastAPI()
    links = LinkSettings(runbook_url="https://runbooks.example.com")
    page.add(app, Settings(links=links), desk.fleet, log)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor.test") as client:
        text = (await client.get("/streams/prod/job")).text

    assert "The script hasn&#39;t moved for" in text
    assert 'href="https://runbooks.example.com/LivestreamScriptStalled.md"' in text
    assert "LivestreamFlapping" not in text


async def test_a_script_whose_time_has_run_out_should_be_over_and_of_an_ended_stream_nothing_plays(
    pages: httpx.AsyncClient, desk: Desk
) -> None:
    story = Story()
    story.register(plan=2, repeat_count=0)
    story.link("C", at=0.0)
    story.paragraphs("12", step=20)
    desk.show(story.known)
    desk.clock.time = START + 50
    plays = (await pages.get("/streams/prod/job")).text
    desk.clock.time = START + 600
    over = (await pages.get("/streams/prod/job")).text
    story.link("E", at=610.0)
    desk.clock.time = START + 620
    ended = (await pages.get("/streams/prod/job")).text

    assert "of 2 paragraphs" in plays
    assert "It plays for about 10 s more." in plays
    assert "Now playing: <bdi>Scene</bdi>, paragraph 2." in plays
    assert "It should be over by now: nothing is left to play." in over
    assert "more." not in over
    assert "Played last: <bdi>Scene</bdi>, paragraph 2." in ended
    assert "more." not in ended
    assert "should be over" not in ended


@pytest.mark.parametrize("path", ["/", "/streams/prod/job"])
async def test_a_service_that_cannot_read_its_log_says_that_what_it_shows_is_old(
    pages: httpx.AsyncClient, desk: Desk, path: str
) -> None:
    assert '<p class="connection" id="connection">as of 22:15:40 UTC</p>' in (await pages.get(path)).text
    desk.fleet.fresh_until = stopwatch() - 0.001

    answer = await pages.get(path)

    assert answer.status_code == 200
    said = "what you see is old: the log can't be read, or no worker folds it"
    assert f'<p class="connection lost" id="connection">{said}</p>' in answer.text
    assert "is disconnected, without connection" in answer.text


async def test_a_stream_s_page_tells_its_state_while_its_events_cannot_be_read(
    pages: httpx.AsyncClient, log: SqliteLog
) -> None:
    await log.close()

    newest, older = await pages.get("/streams/prod/job"), await pages.get("/streams/prod/job?before=9")

    for answer in (newest, older):
        assert answer.status_code == 200
        assert "is disconnected, without connection" in answer.text
        assert "The events can't be read now" in answer.text
    assert "They come here once they are read." in newest.text
    assert "Load this page again later." in older.text


async def test_a_file_is_sent_once_and_then_only_when_it_has_changed(pages: httpx.AsyncClient) -> None:
    first = await pages.get("/static/page.js")
    again = await pages.get("/static/page.js", headers={"if-none-match": first.headers["etag"]})

    assert first.headers["content-type"].startswith("text/javascript")
    assert (again.status_code, again.content) == (304, b"")
    assert (await pages.get("/static/../app.py")).status_code == 404
    assert (await pages.get("/static/nothing.js")).status_code == 404


async def test_an_open_page_is_told_of_an_event_that_came_in_before_the_last_one(
    desk: Desk, log: SqliteLog
) -> None:
    story = Story()
    story.links("C D")
    desk.show(story.known)
    app = FastAPI()
    page.add(app, Settings(), desk.fleet, log)
    async with (
        serve(app, "127.0.0.1:0") as address,
        httpx.AsyncClient() as client,
        client.stream("GET", f"http://{address}/streams/prod/job/live") as answer,
        asyncio.timeout(10),
    ):
        lines = answer.aiter_lines()
        assert (await _next_lists(lines))["events"] == {"order": []}

        # As where somebody retries a dead letter.
        retried = making.event(EventId("retry", 1, 1), source="prod", job_id="job", received=START + 5)
        await log.append([retried])
        story.retry(Unrecognised("NEW"), at=5.0)

        while "events" not in (lists := await _next_lists(lines)):
            pass
        (order,) = lists["events"]["order"]
        assert "REPLY_COMMAND_FINISH" in lists["events"]["changed"][order]


async def _next_lists(lines: AsyncIterator[str]) -> dict[str, Any]:
    """Return what the next message of a feed changes."""
    async for line in lines:
        if line.startswith("data: "):
            lists: dict[str, Any] = json.loads(line.removeprefix("data: "))["lists"]
            return lists
    raise AssertionError("the feed has ended")
