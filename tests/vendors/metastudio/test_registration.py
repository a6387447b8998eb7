import json
from typing import Any

import pytest

from monitor.errors import UndecodableError
from monitor.event import (
    MOST_PARAGRAPHS,
    MOST_SCRIPT_BYTES,
    CallbackKind,
    JobRegistered,
    Paragraph,
    RandomPlayMode,
)
from monitor.vendors.metastudio.registration import reduce_registration
from monitor.vendors.registration import decode_reduced
from tests.vendors.building import JOB, ROOM


def registered(**body: Any) -> JobRegistered:
    posted = {"response": {"job_id": JOB}, **body}
    decoded = decode_reduced(reduce_registration(json.dumps(posted).encode()).body)
    assert decoded.job_id == JOB
    assert isinstance(decoded.payload, JobRegistered)
    return decoded.payload


def refusal(**body: Any) -> str:
    with pytest.raises(UndecodableError) as caught:
        registered(**body)
    return caught.value.reason


def test_a_response_alone_says_nothing_of_the_policy() -> None:
    assert registered() == JobRegistered()


def test_a_request_that_omits_a_field_means_the_vendors_default() -> None:
    assert registered(request={"play_policy": {"repeat_count": 3}}) == JobRegistered(
        play_mode="TEXT",
        random_play_mode=RandomPlayMode.SCRIPT_ITEM,
        view_mode="VERTICAL",
        repeat_count=3,
        auto_play_script=True,
    )


@pytest.mark.parametrize(("hours", "seconds"), [(168, 604800.0), (0.5, 1800.0), (0, None), (None, None)])
def test_the_longest_duration_is_given_in_hours_and_kept_in_seconds(
    hours: float | None, seconds: float | None
) -> None:
    policy = {"live_exit_config": {"max_live_duration": hours}}

    assert registered(request={"play_policy": policy}).max_duration == seconds


@pytest.mark.parametrize(
    "body",
    [
        {"request": {"room_id": ROOM}, "room_id": "other"},
        {"room_id": "26F06524-4F75-4B3A-A853-B649A21AAF66"},
        {"response": {"job_id": JOB, "room_id": ROOM}},
    ],
)
def test_the_room_is_taken_from_wherever_it_stands(body: dict[str, Any]) -> None:
    assert registered(**body).room_id == ROOM


def test_the_subscription_is_the_requests_or_else_the_responses() -> None:
    ours = {"callback_event_type": ["REPLY_COMMAND_FINISH"]}
    theirs = {"callback_event_type": ["RTMP_STREAM_STATE_CHANGE", "RTMP_STREAM_STATE_CHANGE"]}
    response = {"job_id": JOB, "live_event_callback_config": theirs}

    assert registered(response=response).subscribed == (CallbackKind.LINK,)
    both = registered(request={"live_event_callback_config": ours}, response=response)
    assert both.subscribed == (CallbackKind.REPLY,)
    untold = {"live_event_callback_config": {"live_event_type_callback_url": "https://hooks.example.com"}}
    assert registered(request=untold, response=response).subscribed == (CallbackKind.LINK,)
    none: dict[str, Any] = {"live_event_callback_config": {"callback_event_type": []}}
    assert registered(request=none, response=response).subscribed == ()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (None, None),
        ([], ()),
        ([{"warning_type": "RANDOM_PLAY_CLOSED"}] * 2, ("RANDOM_PLAY_CLOSED",)),
        ([{"warning_type": 'free text "of" somebody'}], ()),
    ],
)
def test_no_warnings_and_no_word_of_warnings_differ(told: Any, expected: tuple[str, ...] | None) -> None:
    assert registered(response={"job_id": JOB, "live_warning_info": told}).warnings == expected


def test_a_mode_that_is_no_word_of_the_vendors_kind_is_left_out() -> None:
    registration = registered(
        request={"view_mode": "ask my neighbour", "play_policy": {"play_mode": "x", "random_play_mode": "y"}}
    )

    assert (registration.view_mode, registration.play_mode, registration.random_play_mode) == (
        None,
        None,
        None,
    )


def test_a_plan_is_its_distinct_paragraphs_in_their_order() -> None:
    script = [{"scene": "b", "sequence_no": "10"}, {"scene": "a", "sequence_no": 1}] * 2

    assert registered(script=script).plan == (Paragraph("b", 10), Paragraph("a", 1))


@pytest.mark.parametrize(("origin", "by_api"), [("api", True), ("by hand", False), (None, False)])
def test_only_a_script_that_was_read_from_the_room_is_the_apis(origin: str | None, by_api: bool) -> None:
    script = [{"scene": "s" * 256, "sequence_no": 1}]

    assert registered(script=script, script_origin=origin) == JobRegistered(
        plan=(Paragraph("s" * 256, 1),), plan_by_api=by_api
    )


def test_a_plan_beyond_any_script_is_refused() -> None:
    script = [{"scene": "a", "sequence_no": number} for number in range(MOST_PARAGRAPHS + 1)]

    assert refusal(script=script) == "too_many"


def test_a_plan_whose_names_have_no_room_in_a_state_is_refused() -> None:
    script = [{"scene": "s" * 251, "sequence_no": number} for number in range(1000, 2700)]
    assert len(Paragraph("s" * 251, 1000).key) == 256
    most = MOST_SCRIPT_BYTES // 256

    assert refusal(script=script) == "too_many"
    assert len(registered(script=script[:most]).plan) == most


@pytest.mark.parametrize(
    "body",
    [
        {"request": []},
        {"request": {"play_policy": {"repeat_count": "often"}}},
        {"request": {"play_policy": {"repeat_count": -2}}},
        {"request": {"play_policy": {"live_exit_config": {"max_live_duration": -1}}}},
        {"request": {"live_event_callback_config": {"callback_event_type": "END"}}},
        {"response": {"job_id": 5}},
        {"response": {"job_id": JOB, "live_warning_info": {}}},
        {"script": {}},
        {"script": [{"scene": "a", "sequence_no": "one"}]},
        {"script": [{"sequence_no": 1}]},
        {"script": [{"scene": "s" * 257, "sequence_no": 1}]},
    ],
)
def test_a_wrong_type_or_range_is_refused(body: dict[str, Any]) -> None:
    assert refusal(**body) == "wrong_type"


@pytest.mark.parametrize("body", [{"response": None}, {"response": {}}])
def test_a_registration_needs_its_job(body: dict[str, Any]) -> None:
    assert refusal(**body) == "no_job_id"


def test_a_registration_must_be_json() -> None:
    with pytest.raises(UndecodableError) as caught:
        reduce_registration(b"job_id=5")

    assert caught.value.reason == "not_json"
