"""What one round of questions sets right, and what it leaves alone."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from monitor.event import JobState, Vendor
from monitor.health.status import Status
from monitor.health.stream import Outcome
from monitor.metrics.service import ServiceMetrics
from monitor.reconcile import comparison, memory, rounds
from monitor.reconcile.rounds import LONGEST_REST_SECONDS, MOST_UNANSWERED, Pace, SourceRounds, Surroundings
from monitor.vendors.api_errors import ApiError, UnauthenticatedError, UnreadableError, VendorTroubleError
from monitor.worker.fleet import Fleet
from tests.receiver.running import eventually
from tests.reconcile.asking import PACE, Asking, asking, job
from tests.vendors.vendor_server import (
    ANOTHER_URL,
    INTERNAL,
    INVALID,
    JOB,
    NOT_FOUND,
    ROOM,
    SHORT_PATIENCE,
    UNAUTHORIZED,
    Fault,
    error,
    opened,
)

OTHER = "99999999-4f75-4b3a-a853-b649a21aaf66"
NEW = "88888888-4f75-4b3a-a853-b649a21aaf66"
CALLBACKS = {
    "live_event_type_callback_url": "https://hooks.example.com/callbacks/prod",
    "auth_type": "NONE",
    "callback_event_type": ["RTMP_STREAM_STATE_CHANGE"],
}


FORBIDDEN = error(403, "APIG.0302", "The IAM user is not authorized to access the API")
NO_SESSION = Fault(200, b'{"code": 0, "data": []}')
NOTHING_LISTED = Fault(200, b'{"count": 0, "smart_live_jobs": []}')


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Asking]:
    async with asking(tmp_path) as prepared:
        yield prepared


@pytest.fixture
async def sugar(tmp_path: Path) -> AsyncIterator[Asking]:
    async with asking(tmp_path, Vendor.SOFTSUGAR) as prepared:
        yield prepared


async def test_a_lost_end_is_known_after_one_round_and_where_from(one: Asking) -> None:
    await one.register()
    await one.call_back("CONNECTED")
    one.vendor.jobs[JOB] = job("SUCCEED", duration=90.0, stream_duration=80.0)
    assert one.verdict().status is Status.HEALTHY

    assert await one.round() == 1

    verdict = one.verdict()
    assert verdict.status is Status.ENDED
    assert verdict.reasons == ("The stream ended as it should. The vendor's API says so; no callback did.",)
    assert one.lines()[-1] == "ended: completed (the vendor's API says so)"
    assert one.sample("monitor_reconcile_differences_total", kind="end") == 1


async def test_a_lost_connected_is_known_after_one_round_and_where_from(one: Asking) -> None:
    await one.register()
    await one.call_back("CONNECTING")
    one.vendor.jobs[JOB] = job("PROCESSING", duration=90.0, stream_duration=80.0)
    one.vendor.ran = one.vendor.pushed = 10.0
    assert one.verdict().status is Status.STARTING

    await one.round()

    assert one.verdict().status is Status.HEALTHY
    assert "connected (the vendor's API says so)" in one.lines()
    assert one.state().missed == 1


async def test_a_lost_connected_ends_an_outage_within_one_round(one: Asking) -> None:
    await one.call_back("CONNECTED", ago=200.0)
    await one.call_back("DISCONNECTED")
    one.vendor.jobs[JOB] = job("PROCESSING", duration=300.0, stream_duration=280.0)
    one.vendor.ran = one.vendor.pushed = 10.0
    assert one.verdict().status is Status.DOWN

    await one.round()

    assert one.verdict().status is Status.HEALTHY
    assert one.lines()[-1] == "connected (the vendor's API says so)"


async def test_a_stream_whose_end_the_api_contradicts_goes_on_after_one_round(one: Asking) -> None:
    await one.call_back("CONNECTED", ago=200.0)
    await one.call_back("END", ago=61.0)
    one.vendor.jobs[JOB] = job("PROCESSING", duration=300.0, stream_duration=280.0)
    one.vendor.ran = one.vendor.pushed = 10.0
    assert one.verdict().status is Status.ENDED

    await one.round()

    assert one.verdict().status is Status.HEALTHY
    assert one.lines()[-1] == "reopened"


async def test_a_job_that_still_runs_right_after_its_end_is_left_alone(one: Asking) -> None:
    await one.call_back("CONNECTED", ago=200.0)
    await one.call_back("END", ago=10.0)
    one.vendor.jobs[JOB] = job("PROCESSING", duration=300.0, stream_duration=280.0)
    one.vendor.ran = one.vendor.pushed = 10.0

    assert await one.round() == 0

    assert one.verdict().status is Status.ENDED


async def test_an_outage_that_the_api_confirms_stays_one(one: Asking) -> None:
    await one.call_back("CONNECTED", ago=200.0)
    await one.call_back("DISCONNECTED")
    one.vendor.jobs[JOB] = job("PROCESSING", duration=300.0, stream_duration=100.0)
    one.vendor.ran = 10.0

    await one.round()

    assert one.verdict().status is Status.DOWN


async def test_a_registered_job_that_failed_without_any_callback_is_known_with_its_error(one: Asking) -> None:
    await one.register()
    told = {"error_code": "MSS.10000001", "error_msg": "No resource"}
    one.vendor.jobs[JOB] = job("FAILED", error_info=told)

    await one.round()

    verdict = one.verdict()
    assert verdict.status is Status.ENDED
    assert verdict.reasons == ("The vendor's API says that the job failed: MSS.10000001 No resource.",)


async def test_a_job_that_nobody_told_of_is_found_by_its_failure(one: Asking) -> None:
    one.vendor.jobs[JOB] = job("BLOCKED", block_reason="Violation")

    await one.round()

    assert one.verdict().reasons == ("The vendor's API says that the job was blocked: Violation.",)
    assert await one.round() == 0
    assert await one.api_events() == 1


@pytest.mark.parametrize(
    "times",
    [
        {"end_time": "2024-05-01T09:43:17Z"},
        # One that failed before it began.
        {"lastupdate_time": "2024-05-01T09:43:17Z"},
        {"end_time": "", "lastupdate_time": "2024-05-01T09:43:17Z"},
    ],
)
async def test_a_failure_of_long_ago_is_no_news(times: dict[str, str], one: Asking) -> None:
    one.vendor.jobs[JOB] = job("FAILED", **times)

    assert await one.round() == 0
    assert await one.api_events() == 0


async def test_a_running_job_that_never_called_back_is_found_and_says_why(one: Asking) -> None:
    elsewhere = {**CALLBACKS, "live_event_type_callback_url": "https://other.example.com/secret"}
    one.vendor.jobs[JOB] = job("PROCESSING", live_event_callback_config=elsewhere)
    one.vendor.jobs[OTHER] = {**job("PROCESSING", live_event_callback_config=CALLBACKS), "job_id": OTHER}

    await one.round()

    assert one.state().observed is not None
    assert (one.state().observed.aim, one.state(OTHER).observed.aim) == ("elsewhere", "here")  # type: ignore[union-attr]
    kept = [stored.event.body for stored in await one.log.read(0, 100)]
    assert not any(b"secret" in body for body in kept)


async def test_a_job_of_another_source_of_the_account_is_left_to_it(one: Asking) -> None:
    another = {**CALLBACKS, "live_event_type_callback_url": ANOTHER_URL}
    one.vendor.jobs[JOB] = job("PROCESSING", live_event_callback_config=another)

    assert await one.round() == 0
    assert await one.api_events() == 0


async def test_a_job_that_the_api_forgot_has_vanished_only_after_a_second_look(one: Asking) -> None:
    await one.call_back("CONNECTED")

    await one.round()

    asked = one.vendor.calls(f"/smart-live-jobs/{JOB}")
    assert len(asked) == 2
    assert one.state().end is not None
    assert one.state().end.outcome is Outcome.VANISHED  # type: ignore[union-attr]


async def test_one_answer_that_a_job_is_missing_is_not_enough(one: Asking) -> None:
    await one.call_back("CONNECTED")
    one.vendor.jobs[JOB] = job("PROCESSING")
    one.vendor.faults.extend([NOTHING_LISTED, NOTHING_LISTED, NOT_FOUND, NOT_FOUND])

    await one.round()

    assert one.state().end is None


async def test_a_job_that_was_registered_just_now_has_not_vanished_though_the_api_does_not_hold_it_yet(
    one: Asking,
) -> None:
    await one.register(ago=5.0)

    await one.round()

    assert one.verdict().status is Status.STARTING
    assert one.state().end is None


@pytest.mark.parametrize("fault", [INTERNAL, UNAUTHORIZED, error(404, "APIG.0101", "No such API")])
async def test_an_api_that_fails_changes_no_health(fault: Fault, one: Asking) -> None:
    await one.call_back("CONNECTED")
    one.vendor.faults.extend([fault] * 50)
    before = one.verdict()

    with contextlib.suppress(Exception):
        await one.round()

    assert one.verdict() == before
    assert await one.api_events() == 0


async def test_a_failure_is_a_metric_and_the_rounds_go_on(one: Asking) -> None:
    await one.call_back("CONNECTED")
    one.vendor.jobs[JOB] = job("SUCCEED")
    one.vendor.faults.append(UNAUTHORIZED)
    asking_on = asyncio.create_task(one.rounds.run())
    try:
        await eventually(lambda: one.state().end is not None)
    finally:
        asking_on.cancel()
        await asyncio.gather(asking_on, return_exceptions=True)

    assert one.sample("monitor_reconcile_failures_total", reason="unauthenticated") == 1
    assert one.sample("monitor_reconcile_round_timestamp_seconds") is not None


@pytest.mark.parametrize(
    ("code", "category", "reason", "errors"),
    [(80115964, "capacity", "quota", 1), (89999999, "quota", "throttled", None)],
)
async def test_a_question_that_comes_too_soon_for_the_vendor_is_no_exhausted_quota(
    sugar: Asking, code: int, category: str, reason: str, errors: int | None
) -> None:
    sugar.vendor.faults.append(Fault(200, json.dumps({"code": code, "message": "Later."}).encode()))
    asking_on = asyncio.create_task(sugar.rounds.run())
    try:
        await eventually(lambda: sugar.sample("monitor_reconcile_failures_total", reason=reason) == 1)
    finally:
        asking_on.cancel()
        await asyncio.gather(asking_on, return_exceptions=True)

    told = {"vendor": "softsugar", "code": str(code), "category": category}
    assert sugar.sample("monitor_vendor_errors_total", **told) == errors


@pytest.mark.parametrize(("wanted", "rest"), [(120, 120.0), (86400, LONGEST_REST_SECONDS)])
async def test_a_vendor_is_left_alone_for_as_long_as_it_wants_within_reason(
    one: Asking, monkeypatch: pytest.MonkeyPatch, wanted: int, rest: float
) -> None:
    now, began = 1000.0, 1000.0

    async def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds

    # Something is amiss, which alone would be asked about soon.
    await one.call_back("DISCONNECTED")
    one.vendor.faults.append(error(429, "APIG.0308", "Throttled", retry_after=str(wanted)))
    monkeypatch.setattr(rounds, "stopwatch", lambda: now)
    await one.rounds._try_round()
    monkeypatch.setattr(asyncio, "sleep", pass_time)
    await one.rounds._rest()
    monkeypatch.undo()

    assert now - began == pytest.approx(rest, abs=PACE.slowest)


async def test_rounds_are_further_apart_while_all_agree_and_close_again_when_something_is_amiss(
    one: Asking,
) -> None:
    await one.call_back("CONNECTED")
    one.vendor.jobs[JOB] = job("PROCESSING")
    await one.rounds._try_round()
    await one.fold()
    for _ in range(8):
        await one.rounds._try_round()
    assert one.rounds._interval == PACE.slowest

    one.vendor.jobs[JOB] = job("SUCCEED")
    await one.rounds._try_round()

    assert one.rounds._interval == PACE.ask_every


async def test_rounds_that_fail_are_no_rarer_than_half_an_hour_takes_to_hold_some(tmp_path: Path) -> None:
    async with asking(tmp_path, pace=Pace(ask_every=400.0, slowest=2000.0)) as seldom:
        seldom.vendor.faults.extend([UNAUTHORIZED] * 3)
        for _ in range(3):
            await seldom.rounds._try_round()

        assert seldom.sample("monitor_reconcile_failures_total", reason="unauthenticated") == 3
        assert seldom.rounds._interval == 400.0


async def test_who_had_nothing_to_ask_tells_of_no_round_that_was_answered(tmp_path: Path) -> None:
    async with asking(tmp_path, owns_list=lambda _: False) as one:
        await one.rounds._try_round()
        assert one.sample("monitor_reconcile_round_timestamp_seconds") is None

        await one.register()
        one.vendor.jobs[JOB] = job("PROCESSING")
        await one.rounds._try_round()
        assert one.sample("monitor_reconcile_round_timestamp_seconds") is not None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (INVALID, "refused"),
        (FORBIDDEN, "forbidden"),
        (Fault(200, b"no JSON"), "unreadable"),
        # Digits to Python, but no number; and more of them than it would read.
        (error(400, "²", "Invalid parameter"), "refused"),
        (error(400, "9" * 5000, "Invalid parameter"), "refused"),
    ],
)
async def test_one_stream_that_the_api_gives_no_answer_about_keeps_no_other_from_being_asked_about(
    fault: Fault, reason: str, one: Asking
) -> None:
    for job_id in (JOB, OTHER):
        await one.call_back("CONNECTED", job_id)
        one.vendor.jobs[job_id] = {**job("SUCCEED"), "job_id": job_id}
    one.vendor.faults.extend([NOTHING_LISTED, NOTHING_LISTED, fault])

    await one.round()

    assert [one.state(job_id).end is None for job_id in (JOB, OTHER)] == [True, False]
    assert one.sample("monitor_reconcile_failures_total", reason=reason) == 1


async def test_an_answer_that_tells_of_another_job_ends_none(one: Asking) -> None:
    await one.call_back("CONNECTED")
    other = json.dumps({**job("SUCCEED"), "job_id": OTHER}).encode()
    one.vendor.faults.extend([NOTHING_LISTED, NOTHING_LISTED, Fault(200, other)])

    await one.round()

    assert one.state().end is None
    assert one.sample("monitor_reconcile_failures_total", reason="unreadable") == 1


async def test_a_list_with_a_job_that_can_t_be_read_hides_no_other_and_ends_none(one: Asking) -> None:
    for job_id in (JOB, OTHER):
        await one.call_back("DISCONNECTED", job_id)
    one.vendor.jobs[JOB] = job("SUCCEED")
    new = {**job("PROCESSING"), "job_id": NEW}
    odd = {"job_id": OTHER, "room_id": ROOM, "state": 7}
    running = Fault(200, json.dumps({"count": 2, "smart_live_jobs": [odd, new]}).encode())
    one.vendor.faults.extend([running, NOTHING_LISTED])

    with pytest.raises(UnreadableError):
        await one.round()

    # Found by the list; gone from it, and asked for alone; not to be read in it.
    assert one.state(NEW).observed is not None
    assert one.state(JOB).end is not None


async def test_a_session_list_with_one_that_can_t_be_read_hides_no_other_and_ends_none(
    sugar: Asking,
) -> None:
    for session in ("s-1", "s-2"):
        await sugar.call_back_session(32, session)
    sugar.vendor.sessions = {"s-1": 32, "s-2": 32}
    await sugar.round()
    listed = {"code": 0, "data": [{"status": 35}, {"sessionId": "s-1", "status": 35}]}
    sugar.vendor.faults.extend([Fault(200, json.dumps(listed).encode())] * 3)

    with pytest.raises(UnreadableError):
        await sugar.round()

    assert sugar.verdict("s-1").status is Status.HEALTHY
    assert sugar.state("s-2").end is None


@pytest.mark.parametrize("fault", [INTERNAL, INVALID, Fault(slow=True)])
async def test_a_list_of_failed_jobs_that_can_t_be_had_hides_no_lost_end(fault: Fault, one: Asking) -> None:
    await one.call_back("CONNECTED")
    one.vendor.jobs[JOB] = job("SUCCEED")
    attempts = 1 if fault is INVALID else SHORT_PATIENCE.attempts
    one.vendor.faults.extend([NOTHING_LISTED, *[fault] * attempts])

    with pytest.raises(ApiError):
        await one.round()
    await one.fold()

    assert one.state().end is not None


async def test_a_stream_at_which_the_vendor_fails_each_time_keeps_no_other_from_being_asked_about(
    one: Asking,
) -> None:
    await one.call_back("DISCONNECTED", JOB)
    await one.call_back("CONNECTED", OTHER)
    one.vendor.jobs[OTHER] = {**job("SUCCEED"), "job_id": OTHER}
    # Each round asks about what is in trouble first.
    one.vendor.faults.extend([NOTHING_LISTED, NOTHING_LISTED, *[INTERNAL] * SHORT_PATIENCE.attempts])

    await one.round()

    assert [one.state(job_id).end is None for job_id in (JOB, OTHER)] == [True, False]
    assert one.sample("monitor_reconcile_failures_total", reason="vendor") == 1


async def test_a_vendor_that_fails_at_one_stream_after_the_other_is_left_alone_until_the_next_round(
    one: Asking,
) -> None:
    for number in range(8):
        await one.call_back("CONNECTED", f"job-{number}")
    one.vendor.faults.extend([NOTHING_LISTED, NOTHING_LISTED, *[INTERNAL] * 50])

    with pytest.raises(VendorTroubleError):
        await one.round()

    assert len(one.vendor.asked) == 2 + MOST_UNANSWERED * SHORT_PATIENCE.attempts


async def test_credentials_that_are_refused_end_the_round(one: Asking) -> None:
    one.vendor.faults.append(UNAUTHORIZED)

    with pytest.raises(UnauthenticatedError):
        await one.round()

    assert len(one.vendor.asked) == 1


async def test_an_answer_that_agrees_is_told_once_and_not_with_each_round(one: Asking) -> None:
    await one.call_back("CONNECTED")
    one.vendor.jobs[JOB] = job("PROCESSING", duration=90.0, stream_duration=80.0)
    for _ in range(3):
        await one.round()

    # The state, and the live warnings of its room.
    assert await one.api_events() == 2
    assert one.verdict().status is Status.HEALTHY


async def test_a_push_that_falls_behind_is_told(one: Asking) -> None:
    await one.call_back("CONNECTED")
    one.vendor.jobs[JOB] = job("PROCESSING", duration=90.0, stream_duration=80.0)
    await one.round()
    one.vendor.ran = 100.0

    assert await one.round() >= 1

    told = one.state().observed
    assert told is not None
    assert told.duration is not None
    assert told.push == 80.0
    assert told.duration >= 190.0
    assert one.sample("monitor_reconcile_differences_total", kind="push") == 1


async def test_live_warnings_of_a_room_are_asked_for_and_told(one: Asking) -> None:
    await one.call_back("CONNECTED")
    one.vendor.jobs[JOB] = job("PROCESSING")
    one.vendor.warnings = ["RANDOM_PLAY_CLOSED"]

    await one.round()

    assert one.state().warnings == ("RANDOM_PLAY_CLOSED",)
    assert one.sample("monitor_reconcile_differences_total", kind="warnings") == 1
    await one.round()
    assert len(one.vendor.calls("/live-warning-info")) == 1


async def test_a_room_whose_live_warnings_may_not_be_asked_for_keeps_no_other_from_being_asked_for(
    one: Asking,
) -> None:
    for job_id in (JOB, OTHER):
        await one.call_back("CONNECTED", job_id, room_id=job_id)
    listed = [{**job("PROCESSING"), "job_id": job_id} for job_id in (JOB, OTHER)]
    running = Fault(200, json.dumps({"count": 2, "smart_live_jobs": listed}).encode())
    one.vendor.faults.extend([running, NOTHING_LISTED, FORBIDDEN])
    one.vendor.warnings = ["RANDOM_PLAY_CLOSED"]

    await one.round()

    assert [one.state(job_id).warnings for job_id in (JOB, OTHER)] == [(), ("RANDOM_PLAY_CLOSED",)]
    assert one.sample("monitor_reconcile_failures_total", reason="forbidden") == 1


async def test_an_end_is_asked_why_until_the_vendor_has_said(one: Asking) -> None:
    await one.call_back("CONNECTED", ago=20.0)
    await one.call_back("END", ago=10.0)
    one.vendor.jobs[JOB] = job("BLOCKED", block_reason="Violation")

    await one.round()
    await one.round()

    assert one.verdict().reasons == ("The vendor's API says that the job was blocked: Violation.",)
    assert await one.api_events() == 1


async def test_an_end_that_the_api_confirms_is_asked_about_once(one: Asking) -> None:
    await one.call_back("CONNECTED", ago=20.0)
    await one.call_back("END", ago=10.0)
    one.vendor.jobs[JOB] = job("SUCCEED")

    await one.round()
    await one.round()

    assert len(one.vendor.calls(f"/smart-live-jobs/{JOB}")) == 1
    assert one.verdict().reasons == ("The stream ended as it should.",)


async def test_who_does_not_own_the_list_asks_for_its_own_streams_alone(tmp_path: Path) -> None:
    async with asking(tmp_path, owns_list=lambda _: False) as one:
        await one.call_back("CONNECTED")
        one.vendor.jobs[JOB] = job("SUCCEED")
        one.vendor.jobs[OTHER] = {**job("PROCESSING"), "job_id": OTHER}

        await one.round()

        assert one.verdict().status is Status.ENDED
        assert one.vendor.calls("/smart-live-jobs") == []
        assert len(one.shard.streams) == 1


async def test_a_job_that_is_folded_elsewhere_is_told_again_and_differs_only_once(
    one: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "REFRESH_SECONDS", 0.0)
    one.vendor.jobs[JOB] = job("PROCESSING")
    collected, nobody = CollectorRegistry(), Fleet(one.clock)
    around = Surroundings(nobody, one.log, ServiceMetrics(collected), one.clock, random.Random(1))
    api = opened(one.source)
    lister = SourceRounds(one.source, api, around, PACE)
    try:
        differences = [await lister.round() for _ in range(3)]
    finally:
        await api.close()

    assert differences == [1, 0, 0]
    assert await one.api_events() == 3
    labels = {"source": "prod", "kind": "unknown"}
    assert collected.get_sample_value("monitor_reconcile_differences_total", labels) == 1


async def test_a_round_asks_no_more_than_its_budget(tmp_path: Path) -> None:
    async with asking(tmp_path, pace=PACE._replace(calls=3)) as one:
        for number in range(8):
            await one.call_back("CONNECTED", f"job-{number}")
            one.vendor.jobs[f"job-{number}"] = {**job("SUCCEED"), "job_id": f"job-{number}"}

        await one.round()
        assert sum(state.end is not None for state in one.shard.streams.values()) == 3
        await one.round()
        await one.round()
        assert sum(state.end is not None for state in one.shard.streams.values()) == 8


async def test_rounds_are_no_further_apart_while_their_budget_leaves_streams_unasked(tmp_path: Path) -> None:
    pace = PACE._replace(calls=3)
    async with asking(tmp_path, owns_list=lambda _: False, pace=pace) as one:
        for number in range(8):
            await one.call_back("CONNECTED", f"job-{number}")
            one.vendor.jobs[f"job-{number}"] = {**job("PROCESSING"), "job_id": f"job-{number}"}

        intervals = []
        for _ in range(4):
            await one.rounds._try_round()
            await one.fold()
            intervals.append(one.rounds._interval)

        assert intervals[:2] == [pace.ask_every] * 2
        assert intervals[2] < intervals[3]
        states = [state.observed and state.observed.state for state in one.shard.streams.values()]
        assert states == [JobState.RUNNING] * 8


async def test_a_second_look_asks_no_more_than_a_rounds_budget(tmp_path: Path) -> None:
    async with asking(tmp_path, pace=PACE._replace(calls=3)) as one:
        for number in range(8):
            await one.call_back("DISCONNECTED", f"job-{number}")
            one.vendor.jobs[f"job-{number}"] = {**job("PROCESSING"), "job_id": f"job-{number}"}

        await one.round()

        assert len([asked for asked in one.vendor.asked if "/smart-live-jobs/" in asked.path]) == 3


async def test_live_warnings_are_asked_for_with_a_part_of_the_budget_and_of_all_rooms_in_the_end(
    tmp_path: Path,
) -> None:
    async with asking(tmp_path, pace=PACE._replace(calls=8)) as one:
        for number in range(5):
            await one.call_back("CONNECTED", f"job-{number}", room_id=f"room-{number}")
            one.vendor.jobs[f"job-{number}"] = {**job("PROCESSING"), "job_id": f"job-{number}"}
        asked = []
        for _ in range(3):
            await one.round()
            asked.append(len(one.vendor.calls("/live-warning-info")))

        assert asked == [2, 4, 5]
        assert len({call.path for call in one.vendor.calls("/live-warning-info")}) == 5


async def test_a_session_that_is_not_listed_any_more_has_vanished(sugar: Asking) -> None:
    await sugar.call_back_session(35, "s-1")
    sugar.vendor.sessions = {"s-2": 35}

    await sugar.round()

    end = sugar.state("s-1").end
    assert end is not None
    assert end.outcome is Outcome.VANISHED
    assert sugar.verdict("s-2").status is Status.HEALTHY


async def test_a_list_that_holds_nothing_of_many_sessions_is_believed_only_once_it_has_stayed_so(
    sugar: Asking,
) -> None:
    sessions = ["s-1", "s-2", "s-3"]
    for session in sessions:
        await sugar.call_back_session(35, session)

    await sugar.round()
    at_first = [sugar.verdict(session).status for session in sessions]
    async with asyncio.timeout(30):
        while None in map(sugar.outcome, sessions):
            await sugar.round()

    assert at_first == [Status.HEALTHY] * 3
    assert [sugar.outcome(session) for session in sessions] == [Outcome.VANISHED] * 3


async def test_one_of_many_sessions_that_leaves_the_list_has_vanished_at_the_second_look(
    sugar: Asking,
) -> None:
    for session in ("s-1", "s-2", "s-3"):
        await sugar.call_back_session(35, session)
    sugar.vendor.sessions = {"s-1": 35, "s-2": 35}

    await sugar.round()

    assert sugar.outcome("s-3") is Outcome.VANISHED


async def test_a_session_that_was_called_back_of_just_now_has_not_vanished_though_the_list_lags_behind(
    sugar: Asking,
) -> None:
    await sugar.call_back_session(35, "s-1", ago=5.0)

    await sugar.round()

    assert sugar.verdict("s-1").status is Status.HEALTHY
    assert await sugar.api_events() == 0


async def test_a_look_from_before_the_last_sign_of_life_is_none_of_the_two_that_it_takes_to_vanish(
    sugar: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sugar.call_back_session(32, "s-1")
    sugar.vendor.sessions = {"s-1": 32}
    await sugar.round()
    sugar.vendor.faults.extend([NO_SESSION, *[INTERNAL] * SHORT_PATIENCE.attempts])
    with pytest.raises(VendorTroubleError):
        await sugar.round()
    await sugar.call_back_session(35, "s-1", ago=0.0)
    sugar.vendor.faults.append(NO_SESSION)
    await sugar.round()

    monkeypatch.setattr(comparison, "LAG_SECONDS", 0.0)
    sugar.vendor.faults.append(NO_SESSION)
    await sugar.round()

    assert sugar.state("s-1").end is None


async def test_a_session_that_had_vanished_for_hours_is_live_once_the_list_holds_it_again(
    sugar: Asking,
) -> None:
    await sugar.call_back_session(35, "s-1")
    await sugar.round()
    later = sugar.clock.now() + sugar.shard.settings.keep_abnormal_seconds + 1
    sugar.shard.tick(later, list(sugar.shard.streams))
    assert sugar.state("s-1").retired

    sugar.vendor.sessions = {"s-1": 35}
    await sugar.round()

    assert sugar.verdict("s-1").status is Status.HEALTHY


async def test_a_session_whose_start_was_never_called_back_runs_all_the_same(sugar: Asking) -> None:
    await sugar.call_back_session(32, "s-1")
    sugar.vendor.sessions = {"s-1": 35}
    assert sugar.verdict("s-1").status is Status.STARTING

    await sugar.round()

    assert sugar.verdict("s-1").status is Status.HEALTHY
    assert sugar.lines("s-1") == ["session running (the vendor's API says so)"]
    assert ROOM not in str(sugar.vendor.asked)


async def test_a_session_is_found_by_the_list_of_running_ones_whatever_its_status(sugar: Asking) -> None:
    sugar.vendor.sessions = {"s-1": 33}

    await sugar.round()

    assert sugar.verdict("s-1").status is Status.HEALTHY
