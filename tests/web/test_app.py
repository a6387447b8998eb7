import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from markupsafe import escape
from structlog.testing import capture_logs

from monitor.clock import stopwatch
from monitor.config import Settings, Source
from monitor.event import EventId, SessionState, Stored, Vendor
from monitor.health.stream import StreamKey
from monitor.log.protocol import Heard, Past
from monitor.log.sqlite import SqliteLog
from monitor.masking import masked
from monitor.web import views
from monitor.web.app import Pages, build
from monitor.web.registration import MAX_KEPT_BYTES, MAX_REGISTRATION_BYTES
from tests.health.story import START, Story
from tests.log import making
from tests.metrics.building import Desk

SOURCE = Source(name="prod", vendor=Vendor.METASTUDIO, public_url="https://hooks.example.com/callbacks/prod")


@pytest.fixture
async def operators(desk: Desk, log: SqliteLog) -> AsyncIterator[httpx.AsyncClient]:
    """What faces operators, of a process with one stream."""
    app = build(Settings(), log, desk.exposition, [desk.fleet], Pages(desk.fleet, log))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://monitor.test"
    ) as client:
        yield client


STREAMS = ("/api/streams", "/api/streams/prod/job")


async def test_a_process_that_keeps_up_is_ready_and_answers(operators: httpx.AsyncClient) -> None:
    ready = await operators.get("/readyz")

    assert (ready.status_code, ready.json()) == (200, {"status": "ok"})
    for path in STREAMS:
        assert (await operators.get(path)).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/metrics", "/streams/prod/job", "/static/page.css", *STREAMS]
)
async def test_head_tells_what_get_would(operators: httpx.AsyncClient, path: str) -> None:
    asked, got = await operators.head(path), await operators.get(path)

    assert (asked.status_code, got.status_code) == (200, 200)
    assert asked.headers["content-type"] == got.headers["content-type"]


async def test_a_live_feed_has_no_end_that_head_could_tell_of(operators: httpx.AsyncClient) -> None:
    assert (await operators.head("/live")).status_code == 405


@pytest.mark.parametrize(
    ("method", "path", "status", "error", "allow"),
    [
        ("GET", "/nowhere", 404, "not_found", None),
        ("GET", "/api/streams/", 404, "not_found", None),
        ("GET", "/api/streams/prod", 404, "not_found", None),
        ("POST", "/api/jobs/prod/", 404, "not_found", None),
        ("POST", "/metrics", 405, "method_not_allowed", "GET, HEAD"),
        ("POST", "/live", 405, "method_not_allowed", "GET"),
        ("GET", "/api/jobs/prod", 405, "method_not_allowed", "POST"),
    ],
)
async def test_what_no_route_answers_is_refused_in_the_form_of_all_errors(
    operators: httpx.AsyncClient, method: str, path: str, status: int, error: str, allow: str | None
) -> None:
    answer = await operators.request(method, path)

    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)
    assert answer.json().keys() == {"error", "detail"}
    assert answer.json()["error"] == error


async def test_numbers_that_are_no_longer_kept_are_not_told_as_zero(
    operators: httpx.AsyncClient, desk: Desk
) -> None:
    story = Story()
    story.links("C D C E")
    desk.show(story.known)
    kept = (await operators.get("/api/streams/prod/job")).json()
    desk.shard.tick(START + 5000, [StreamKey("prod", "job")])
    retired = (await operators.get("/api/streams/prod/job")).json()
    page = (await operators.get("/streams/prod/job")).text

    assert (kept["retired"], kept["reconnects"], kept["callbacks_missed"]) == (False, 1, 0)
    assert (retired["retired"], retired["status"], retired["outcome"]) == (True, "ended", "completed")
    numbers = (
        *("reconnects", "outages", "starting_seconds", "connected_seconds", "outage_seconds"),
        *("rounds", "skipped_total", "replies", "callbacks_missed"),
    )
    assert [kept[number] for number in numbers] == [1, 1, 0, 20, 10, 0, 0, 0, 0]
    assert [retired[number] for number in numbers] == [None] * len(numbers)
    assert "only how it ended is kept" in page
    assert "Reconnects" not in page
    assert "Nothing has" not in page


async def test_the_timeline_of_a_stream_that_was_given_up_says_so_until_it_is_heard_again(
    operators: httpx.AsyncClient, desk: Desk
) -> None:
    story = Story()
    story.link("C", at=0.0)
    story.settle(86400.0)
    desk.show(story.known)
    lost = (await operators.get("/api/streams/prod/job")).json()
    page = (await operators.get("/streams/prod/job")).text
    story.link("D", at=90000.0)
    heard = (await operators.get("/api/streams/prod/job")).json()

    assert lost["timeline"][-1] == {
        "at": lost["since"],
        "what": "ended: lost",
        "channel": None,
        "offset": None,
    }
    assert "<strong>ended: lost</strong> <small>nothing was heard</small>" in page
    assert heard["timeline"][-1]["what"] == "reopened"


async def test_a_streams_script_is_told_paragraph_by_paragraph(
    operators: httpx.AsyncClient, desk: Desk
) -> None:
    story = Story()
    story.register(plan=3)
    story.paragraphs("13 12")
    desk.show(story.known)

    told = (await operators.get("/api/streams/prod/job")).json()

    first, second, third = ({"scene": "Scene", "sequence_no": number} for number in (1, 2, 3))
    assert told["plan"] == [first, second, third]
    assert told["playing"] == second
    assert told["skipped"] == [second]
    assert (told["rounds"], told["coverage"], told["round_coverage"]) == (1, 2 / 3, 2 / 3)


async def test_an_event_has_its_received_time_and_the_signed_one_if_it_was_signed(
    operators: httpx.AsyncClient, log: SqliteLog
) -> None:
    await log.append(
        [
            making.event(
                EventId("receiver", 1, number), source="prod", job_id="job", received=START, signed=signed
            )
            for number, signed in enumerate((None, int(START) - 2), start=1)
        ]
    )

    events = (await operators.get("/api/streams/prod/job/events")).json()["events"]

    assert [one["received"] for one in events] == ["2023-11-14T22:13:20Z"] * 2
    assert [one["signed"] for one in events] == ["2023-11-14T22:13:18Z", None]


@pytest.mark.parametrize(
    ("code", "message", "category"),
    [
        (84115933, "Live streaming has started, channel Id is ….", "session"),
        (77, None, "unknown"),
        (None, None, None),
    ],
)
async def test_an_error_code_is_told_with_the_vendors_words_and_whose_business_it_is(
    operators: httpx.AsyncClient, desk: Desk, code: int | None, message: str | None, category: str | None
) -> None:
    story = Story(Vendor.SOFTSUGAR)
    story.session(SessionState.RUNNING, at=0.0, signed=0, code=code)
    desk.show(story.known)

    told = (await operators.get("/api/streams/prod/job")).json()
    page = (await operators.get("/streams/prod/job")).text

    assert (told["error_code"], told["error_message"], told["error_category"]) == (code, message, category)
    words = escape(message or "the vendor doesn't publish this code")
    assert told["error_told"] == (None if code is None else "2023-11-14T22:13:20Z")
    assert (f">2 min</time> ago: {words}</dd>" in page) is (code is not None)
    assert (f"<dd>{code} ({category}), " in page) is (code is not None)
    assert ("Last error" in page) is (code is not None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["down", "given-up", "flaps", "fine", "completed"]),
        ("?status=ended", ["given-up", "completed"]),
        ("?status=down&status=healthy", ["down", "fine"]),
        ("?source=prod&vendor=metastudio&status=degraded", ["flaps"]),
        ("?source=other", []),
        ("?vendor=softsugar", []),
    ],
)
async def test_the_list_has_the_streams_that_are_asked_for_and_the_worst_comes_first(
    operators: httpx.AsyncClient, desk: Desk, query: str, expected: list[str]
) -> None:
    desk.shard.streams.clear()
    for job, links in (
        ("completed", "C E"),
        ("fine", "C"),
        ("flaps", "C D C D C D C"),
        ("given-up", "C D E"),
        ("down", "C D"),
    ):
        story = Story()
        story.links(links, step=1)
        story.known.job_id = job
        desk.show(story.known)
    desk.clock.time = START + 300

    answer = (await operators.get(f"/api/streams{query}")).json()

    assert [one["job_id"] for one in answer["streams"]] == expected


@pytest.mark.parametrize("name", ["status", "vendor", "source"])
async def test_a_list_that_is_asked_for_by_an_empty_name_is_a_mistake(
    operators: httpx.AsyncClient, name: str
) -> None:
    answer = await operators.get("/api/streams", params={name: ""})

    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        (
            "status=dead",
            "query.status.0 should be 'starting', 'healthy', 'degraded', 'down', 'silent' or 'ended'",
        ),
        ("vendor=me", "query.vendor.0 should be 'metastudio' or 'softsugar'"),
    ],
)
async def test_a_parameter_that_isnt_valid_is_answered_with_those_that_are(
    operators: httpx.AsyncClient, query: str, detail: str
) -> None:
    answer = await operators.get(f"/api/streams?{query}")

    assert answer.json() == {"error": "invalid", "detail": f"Not valid: {detail}."}


@pytest.mark.parametrize("older", [7, None])
@pytest.mark.parametrize("number", [0, 2])
async def test_older_events_are_led_to_wherever_the_log_has_any_though_it_found_none(
    operators: httpx.AsyncClient,
    log: SqliteLog,
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    older: int | None,
    number: int,
) -> None:
    story = Story()
    story.links("C D")
    desk.show(story.known)
    told: list[Heard | None] = []

    async def history(
        _source: str, _job_id: str, _before: int | None, _limit: int, heard: Heard | None = None
    ) -> Past:
        told.append(heard)
        return Past([Stored(0, 9 - one, making.event(EventId("r", 1, 1))) for one in range(number)], older)

    monkeypatch.setattr(log, "history", history)

    answer = (await operators.get("/api/streams/prod/job/events?limit=2")).json()
    page = (await operators.get("/streams/prod/job")).text

    assert answer["next_before"] == older
    assert ('href="?before=7"' in page) is (older is not None)
    assert ("No event of this stream is among the records" in page) is (older is not None and not number)
    assert told == [Heard(story.known.first_received, story.known.last_received)] * 2


async def test_a_job_id_may_hold_a_slash(operators: httpx.AsyncClient, desk: Desk) -> None:
    story = Story()
    story.links("C")
    story.known.job_id = "one/two"
    desk.show(story.known)

    told = await operators.get("/api/streams/prod/one%2Ftwo")
    events = await operators.get("/api/streams/prod/one%2Ftwo/events")
    page = await operators.get("/streams/prod/one%2Ftwo")

    assert (told.status_code, told.json()["job_id"]) == (200, "one/two")
    assert (events.status_code, events.json()) == (200, {"events": [], "next_before": None})
    assert page.status_code == 200
    assert 'href="streams/prod/one%2Ftwo"' in (await operators.get("/")).text
    assert 'data-live="one%2Ftwo/live"' in page.text


@pytest.mark.parametrize("path", ["/api/streams/prod/job/events", "/streams/prod/job"])
async def test_no_two_bodies_are_looked_through_before_others_have_their_turn(
    operators: httpx.AsyncClient, log: SqliteLog, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    bodies = [b"body %d of 20" % number for number in range(1, 21)]
    await log.append(
        [
            making.event(EventId("receiver", 1, number), source="prod", job_id="job", body=body)
            for number, body in enumerate(bodies)
        ]
    )
    turn, turns = 0, list[int]()

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def noted(body: bytes) -> str:
        turns.append(turn)
        return masked(body)

    monkeypatch.setattr(views, "masked", noted)
    counting = asyncio.create_task(count())
    answer = await operators.get(path)
    counting.cancel()

    assert all(body.decode() in answer.text for body in bodies)
    assert len(set(turns)) == len(turns) == len(bodies)


async def test_a_process_that_recovers_is_not_ready(operators: httpx.AsyncClient, desk: Desk) -> None:
    desk.fleet.recovering = True

    ready = await operators.get("/readyz")

    assert (ready.status_code, ready.json()) == (503, {"status": "recovering"})
    for path in STREAMS:
        answer = await operators.get(path)
        assert (answer.status_code, answer.json()["error"]) == (503, "recovering")


async def test_a_process_that_cannot_read_its_log_is_not_ready_and_tells_no_old_states(
    operators: httpx.AsyncClient, desk: Desk
) -> None:
    desk.fleet.fresh_until = stopwatch() - 0.001

    ready = await operators.get("/readyz")

    sentence = "What is known of the streams is old: the log can't be read, or no worker folds it."
    assert (ready.status_code, ready.json()) == (503, {"status": "stale", "detail": sentence})
    for path in STREAMS:
        answer = await operators.get(path)
        assert (answer.status_code, answer.json()) == (503, {"error": "stale", "detail": sentence})
    assert (await operators.get("/healthz")).json() == {"status": "ok"}
    desk.fleet.fresh_until = stopwatch() + 60
    assert (await operators.get("/readyz")).status_code == 200


async def test_a_process_whose_log_was_removed_under_it_is_not_ready(
    operators: httpx.AsyncClient, log: SqliteLog
) -> None:
    moved = log.path.rename(log.path.with_name("moved.db"))

    ready = await operators.get("/readyz")

    sentence = "The log can't be written, so callbacks are refused."
    assert (ready.status_code, ready.json()) == (503, {"status": "refusing", "detail": sentence})
    moved.rename(log.path)
    assert (await operators.get("/readyz")).status_code == 200


async def test_a_client_that_leaves_inside_its_registration_is_no_failure_of_ours(
    desk: Desk, log: SqliteLog
) -> None:
    app = build(Settings(sources=(SOURCE,)), log, desk.exposition, [desk.fleet], None)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/jobs/prod",
        "query_string": b"",
        "headers": [(b"content-length", b"50")],
    }
    parts: list[dict[str, object]] = [
        {"type": "http.request", "body": b'{"response": ', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Any] = []

    async def receive() -> dict[str, object]:
        return parts.pop(0)

    async def send(message: object) -> None:
        sent.append(message)

    await app(scope, receive, send)

    assert sent[0]["status"] == 400
    assert parts == []


async def test_a_page_of_another_site_registers_no_job_through_an_operators_browser(
    desk: Desk, log: SqliteLog
) -> None:
    app = build(Settings(sources=(SOURCE,)), log, desk.exposition, [desk.fleet], None)
    transport = httpx.ASGITransport(app)
    origins = ("https://elsewhere.example", "http://monitor.test:81", "null", "http://monitor.test", None)
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor.test") as client:
        answers = {
            origin: await client.post(
                "/api/jobs/prod",
                content=b'{"response": {"job_id": "job"}}',
                headers={"content-type": "text/plain"} | ({} if origin is None else {"origin": origin}),
            )
            for origin in origins
        }

    assert [answer.status_code for answer in answers.values()] == [403, 403, 403, 202, 202]
    assert answers["null"].json()["error"] == "cross_site"
    assert await log.head() == 2


async def test_a_registration_larger_than_any_is_refused_and_not_kept(desk: Desk, log: SqliteLog) -> None:
    app = build(Settings(sources=(SOURCE,)), log, desk.exposition, [desk.fleet], None)
    registration = b'{"response": {"job_id": "job"}}'
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor.test") as client:
        statuses = [
            (await client.post("/api/jobs/prod", content=registration.ljust(size))).status_code
            for size in (MAX_REGISTRATION_BYTES, MAX_REGISTRATION_BYTES + 1)
        ]

    assert statuses == [202, 413]
    assert await log.head() == 1


async def test_a_registration_of_which_more_would_be_kept_than_fits_a_record_of_kafkas_is_refused(
    desk: Desk, log: SqliteLog
) -> None:
    app = build(Settings(sources=(SOURCE,)), log, desk.exposition, [desk.fleet], None)
    # Six bytes each as it is sent and as it is kept, and one in a state.
    scene = "\x01" * (MAX_KEPT_BYTES // 8000)
    scripts = (
        [{"scene": f"{scene}{number}", "sequence_no": 1} for number in range(1400)],
        [{"scene": str(number), "sequence_no": 1, "title": scene} for number in range(1400)],
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor.test") as client:
        answers = [
            await client.post("/api/jobs/prod", json={"response": {"job_id": "job"}, "script": script})
            for script in scripts
        ]

    assert [answer.status_code for answer in answers] == [413, 202]
    assert answers[0].json()["error"] == "too_large"
    assert f"{MAX_KEPT_BYTES} bytes are kept" in answers[0].json()["detail"]
    assert await log.head() == 1


async def test_a_log_that_cannot_be_read_is_told_without_where_it_is(
    operators: httpx.AsyncClient, log: SqliteLog
) -> None:
    await log.close()

    with capture_logs() as lines:
        answer = await operators.get("/api/streams/prod/job/events")
        await operators.get("/api/streams/prod/job/events")

    # Once for both: whoever asks decides how often, and must not decide how much is logged.
    assert [line["event"] for line in lines] == ["log unavailable"]
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {
        "error": "overloaded",
        "detail": "The event log is not available. Try again.",
    }


@pytest.mark.parametrize(
    ("vendor", "body", "status", "error"),
    [
        (Vendor.SOFTSUGAR, b'{"job_id": "s-1"}', 202, None),
        (Vendor.SOFTSUGAR, b"{}", 400, "no_job_id"),
        (Vendor.SOFTSUGAR, b'{"job_id": 1}', 400, "wrong_type"),
        (Vendor.SOFTSUGAR, b"s-1", 400, "not_json"),
        # Its API shows the job that is over, and how it ended.
        (Vendor.METASTUDIO, b'{"job_id": "s-1"}', 400, "end_is_told"),
    ],
)
async def test_a_stop_is_taken_of_a_session_of_which_its_vendor_may_say_nothing_more(
    vendor: Vendor, body: bytes, status: int, error: str | None, desk: Desk, log: SqliteLog
) -> None:
    source = SOURCE.model_copy(update={"vendor": vendor})
    app = build(Settings(sources=(source,)), log, desk.exposition, [desk.fleet], None)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://monitor.test") as client:
        answer = await client.post("/api/jobs/prod/stopped", content=body)

    assert (answer.status_code, answer.json().get("error")) == (status, error)
    kept = [(one.event.job_id, one.event.type) for one in await log.read(0, 10)]
    assert kept == ([("s-1", "job_observed")] if status == 202 else [])
