"""MetaStudio's calls against a real server that checks the signature, and against Huawei's own client."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkmetastudio.v1 import (
    ListSmartLiveJobsRequest,
    ListSmartLiveRequest,
    LiveEventCallBackConfig,
    LiveExitConfig,
    MetaStudioClient,
    PlayPolicy,
    ShowLiveWarningInfoRequest,
    ShowSmartLiveRequest,
    StartSmartLiveReq,
    StartSmartLiveRequest,
    StopSmartLiveRequest,
    VideoConfig,
)
from pydantic import SecretStr

from monitor.clock import SystemClock
from monitor.vendors.api_calls import MOST_ANSWER_BYTES
from monitor.vendors.api_errors import (
    ApiError,
    ForbiddenError,
    NoSuchJobError,
    RefusedError,
    ThrottledError,
    UnauthenticatedError,
    UnreachableError,
    UnreadableError,
    VendorTroubleError,
)
from monitor.vendors.metastudio.api import MetaStudioApi
from monitor.vendors.metastudio.api_answers import StartAnswer
from monitor.vendors.metastudio.api_requests import CommandRequest, LiveEvent, StartRequest, start_request
from tests.vendors.vendor_server import (
    ACCESS_KEY,
    INTERNAL,
    INVALID,
    JOB,
    PROJECT,
    REQUEST_ID,
    ROOM,
    SECRET_KEY,
    SHORT_PATIENCE,
    TOKEN,
    UNAUTHORIZED,
    Asked,
    Fault,
    TestedVendor,
    error,
    metastudio_api,
    metastudio_settings,
    opened,
    running_vendor,
    source_of,
    transport,
)

BODY: dict[str, Any] = {
    "output_urls": ["rtmp://vfxpush.example.com/live/lysa"],
    "stream_keys": ["push-secret"],
    "video_config": {"codec": "H264", "bitrate": 4000, "width": 1080, "height": 1920},
    "play_policy": {
        "repeat_count": -1,
        "random_play_mode": "NONE",
        "live_exit_config": {"max_live_duration": 24},
    },
    "live_event_callback_config": {
        "live_event_type_callback_url": "https://hooks.example.com/callbacks/prod",
        "auth_type": "MSS_A_HEAD",
        "key": "callback-secret",
        "callback_event_type": ["RTMP_STREAM_STATE_CHANGE"],
    },
    "view_mode": "VERTICAL",
}

# The tables 12 to 16 of the vendor's page, each field once.
FULL_ANSWER: dict[str, Any] = {
    "job_id": JOB,
    "rtc_room_info": {
        "app_id": "rtc-app",
        "room_id": "rtc-room",
        "users": [{"user_type": "PLAYER", "user_id": "u-1", "signature": "rtc-secret", "ctime": 4294967295}],
    },
    "live_event_report_url": "https://report.example.com/events?auth=secret",
    "live_event_callback_config": BODY["live_event_callback_config"],
    "live_warning_info": [{"warning_type": "TOO_LESSS_SCRIPT_ITEMS"}, {"warning_type": "RANDOM_PLAY_CLOSED"}],
}

FULL_JOB: dict[str, Any] = {
    "job_id": JOB,
    "room_id": ROOM,
    "room_name": "Room",
    "state": "FAILED",
    "duration": 120.5,
    "stream_duration": 100.0,
    "start_time": "2024-05-01T08:43:17Z",
    "end_time": "2024-05-01T09:43:17Z",
    "create_time": "2024-05-01T08:40:17Z",
    "lastupdate_time": "2024-05-01T09:43:17Z",
    "error_info": {"error_code": "MSS.10000001", "error_msg": "No resource"},
    "block_reason": "",
    "rtc_room_info": FULL_ANSWER["rtc_room_info"],
    "live_event_callback_config": BODY["live_event_callback_config"],
}


@pytest.fixture
async def vendor() -> AsyncIterator[TestedVendor]:
    async with running_vendor() as one:
        yield one


@pytest.fixture
async def api(vendor: TestedVendor) -> AsyncIterator[MetaStudioApi]:
    async with metastudio_api(vendor) as one:
        yield one


def theirs(vendor: TestedVendor) -> MetaStudioClient:
    credentials = BasicCredentials(ACCESS_KEY, SECRET_KEY, PROJECT)
    config = HttpConfig.get_default_config()
    config.proxy_host = None
    builder = MetaStudioClient.new_builder().with_http_config(config).with_credentials(credentials)
    return builder.with_endpoint(vendor.endpoint).build()


def theirs_start() -> StartSmartLiveRequest:
    callbacks = LiveEventCallBackConfig(
        live_event_type_callback_url="https://hooks.example.com/callbacks/prod",
        auth_type="MSS_A_HEAD",
        key="callback-secret",
        callback_event_type=["RTMP_STREAM_STATE_CHANGE"],
    )
    policy = PlayPolicy(
        repeat_count=-1, random_play_mode="NONE", live_exit_config=LiveExitConfig(max_live_duration=24)
    )
    body = StartSmartLiveReq(
        output_urls=BODY["output_urls"],
        stream_keys=BODY["stream_keys"],
        video_config=VideoConfig(codec="H264", bitrate=4000, width=1080, height=1920),
        play_policy=policy,
        live_event_callback_config=callbacks,
        view_mode="VERTICAL",
    )
    return StartSmartLiveRequest(room_id=ROOM, body=body)


def shape(asked: Asked) -> tuple[object, ...]:
    """What makes two requests the same; dates and signatures differ with the time.

    The vendor's client also signs its User-Agent, which says who it is and which a proxy may change.
    """
    headers = asked.headers
    signed = re.search("SignedHeaders=([^,]+)", headers["authorization"])
    assert signed is not None
    kind = headers["content-type"].partition(";")[0]
    project = headers["x-project-id"]
    names = set(signed[1].split(";")) - {"user-agent"}
    return asked.method, asked.path, sorted(asked.query), asked.document, kind, project, names


async def both(
    vendor: TestedVendor, ours: Callable[[], Any], call: Callable[[MetaStudioClient], Any]
) -> tuple[Any, Any]:
    """Ask with either client, and return what each has read."""
    read = await ours()
    told = await asyncio.to_thread(lambda: call(theirs(vendor)))
    assert len(vendor.asked) == 2
    assert shape(vendor.asked[0]) == shape(vendor.asked[1])
    return read, told


async def test_a_start_is_the_same_request_as_the_vendors_own_client_sends(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.start_answer = FULL_ANSWER

    read, told = await both(
        vendor,
        lambda: api.start_job(ROOM, start_request(BODY)),
        lambda client: client.start_smart_live(theirs_start()),
    )

    assert vendor.asked[0].document == BODY
    assert read.job_id == told.job_id == JOB
    assert read.rtc_room_info.room_id == told.rtc_room_info.room_id
    assert read.rtc_room_info.users[0].signature.get_secret_value() == told.rtc_room_info.users[0].signature
    assert read.rtc_room_info.users[0].ctime == told.rtc_room_info.users[0].ctime
    assert read.live_event_report_url.get_secret_value() == told.live_event_report_url
    assert read.live_event_callback_config.callback_event_type == (
        told.live_event_callback_config.callback_event_type
    )
    assert [item.warning_type for item in read.live_warning_info] == [
        item.warning_type for item in told.live_warning_info
    ]


async def test_a_job_is_asked_for_and_read_as_by_the_vendors_own_client(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.jobs[JOB] = FULL_JOB

    read, told = await both(
        vendor,
        lambda: api.show_job(ROOM, JOB),
        lambda client: client.show_smart_live(ShowSmartLiveRequest(room_id=ROOM, job_id=JOB)),
    )

    for name in ("job_id", "room_id", "room_name", "state", "duration", "stream_duration", "start_time"):
        assert getattr(read, name) == getattr(told, name) == FULL_JOB[name]
    assert (read.error_info.error_code, read.error_info.error_msg) == ("MSS.10000001", "No resource")
    assert (told.error_info.error_code, told.error_info.error_msg) == ("MSS.10000001", "No resource")


async def test_a_list_is_asked_for_and_read_as_by_the_vendors_own_client(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.jobs = {str(number): {**FULL_JOB, "job_id": str(number)} for number in range(3)}

    read, told = await both(
        vendor,
        lambda: api.list_jobs(offset=1, limit=2, states=("FAILED", "BLOCKED"), created_since=1_700_000_000.0),
        lambda client: client.list_smart_live_jobs(
            ListSmartLiveJobsRequest(
                offset=1, limit=2, state="FAILED,BLOCKED", create_since="2023-11-14T22:13:20Z"
            )
        ),
    )

    assert read.total == told.count == 3
    assert [job.job_id for job in read.jobs] == ["1", "2"]
    assert [job.job_id for job in told.smart_live_jobs] == ["1", "2"]


async def test_a_rooms_list_is_asked_for_as_by_the_vendors_own_client(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.jobs[JOB] = FULL_JOB

    read, told = await both(
        vendor,
        lambda: api.list_jobs(ROOM, offset=0, limit=10),
        lambda client: client.list_smart_live(ListSmartLiveRequest(room_id=ROOM, offset=0, limit=10)),
    )

    assert [job.job_id for job in read.jobs] == [job.job_id for job in told.smart_live_jobs] == [JOB]


async def test_a_stop_is_the_same_request_as_the_vendors_own_client_sends(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.jobs[JOB] = FULL_JOB

    await both(
        vendor,
        lambda: api.stop_job(ROOM, JOB),
        lambda client: client.stop_smart_live(StopSmartLiveRequest(room_id=ROOM, job_id=JOB)),
    )


async def test_live_warnings_are_asked_for_and_read_as_by_the_vendors_own_client(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.warnings = ["TOO_SHORT_SCRIPT_TIME"]

    read, told = await both(
        vendor,
        lambda: api.live_warnings(ROOM),
        lambda client: client.show_live_warning_info(ShowLiveWarningInfoRequest(room_id=ROOM)),
    )

    assert read.live_warning_info[0].warning_type == told.live_warning_info[0].warning_type
    assert read.live_warning_info[0].warning_type == "TOO_SHORT_SCRIPT_TIME"


async def test_the_live_warnings_of_a_room_are_found_however_it_is_spelled(vendor: TestedVendor) -> None:
    vendor.warnings = ["TOO_SHORT_SCRIPT_TIME"]
    vendor.faults.append(error(404, "MSS.00000002", "no such room"))
    jobs = opened(source_of(vendor))

    assert await jobs.warnings(ROOM) == ("TOO_SHORT_SCRIPT_TIME",)

    await jobs.close()
    rooms = [asked.path.split("/")[-2] for asked in vendor.calls("/live-warning-info")]
    assert rooms == [ROOM, ROOM.replace("-", "")]


@pytest.mark.parametrize(
    "answer", [{"job_id": JOB}, FULL_ANSWER], ids=["the page's example", "the full table"]
)
async def test_both_examples_of_the_page_are_read(
    answer: dict[str, Any], vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.start_answer = answer

    started = await api.start_job(
        ROOM, start_request({"output_urls": ["rtmp://vfxpush.hwcloudvr.cn/live/lysa"]})
    )

    assert started.job_id == JOB
    assert (started.rtc_room_info is None) is ("rtc_room_info" not in answer)
    assert "secret" not in repr(started)


async def test_a_token_stands_in_for_the_access_key(vendor: TestedVendor) -> None:
    vendor.jobs[JOB] = FULL_JOB
    async with metastudio_api(vendor, by_token=True) as api:
        assert (await api.show_job(ROOM, JOB)).state == "FAILED"

    assert vendor.asked[0].headers["x-auth-token"] == TOKEN
    assert "authorization" not in vendor.asked[0].headers


async def test_a_token_that_was_renewed_in_its_file_is_used_from_then_on(
    vendor: TestedVendor, tmp_path: Path
) -> None:
    vendor.jobs[JOB] = FULL_JOB
    file = tmp_path / "token"
    settings = metastudio_settings(vendor, by_token=True).model_copy(
        update={"token": SecretStr("of-yesterday"), "token_file": file}
    )
    api = MetaStudioApi(settings, transport(vendor), SystemClock())
    # Whoever renews it may do so by removing it first, or be in the middle of it.
    for text in (None, "", "of yes\nterday", TOKEN + "\n", ""):
        if text is not None:
            file.write_text(text)
        with contextlib.suppress(UnauthenticatedError):
            await api.show_job(ROOM, JOB)
    await api.close()

    assert [one.headers["x-auth-token"] for one in vendor.asked] == ["of-yesterday"] * 3 + [TOKEN] * 2


@pytest.mark.parametrize(
    ("fault", "expected", "code"),
    [
        (INVALID, RefusedError, "MSS.00000003"),
        (UNAUTHORIZED, UnauthenticatedError, "MSS.00000001"),
        (error(403, "APIG.0302", "Not authorized"), ForbiddenError, "APIG.0302"),
        (INTERNAL, VendorTroubleError, "MSS.00000004"),
        (error(404, "MSS.00000002", "Not found"), NoSuchJobError, "MSS.00000002"),
        (error(404, "APIG.0101", "The API does not exist"), RefusedError, "APIG.0101"),
    ],
)
async def test_an_error_carries_the_vendors_code_message_and_request_id(
    fault: Fault, expected: type[ApiError], code: str, vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.faults.append(fault)

    with pytest.raises(expected) as caught:
        await api.stop_job(ROOM, JOB)

    said = caught.value.said
    assert (said.status, said.code, said.request_id) == (fault.status, code, REQUEST_ID)
    assert said.message == json.loads(fault.body)["error_msg"]
    assert code in str(caught.value)
    assert REQUEST_ID in str(caught.value)


async def test_a_reading_call_is_repeated_through_trouble(vendor: TestedVendor, api: MetaStudioApi) -> None:
    vendor.jobs[JOB] = FULL_JOB
    vendor.faults.extend([INTERNAL, Fault(cut=True, body=b'{"job_id"')])

    assert (await api.show_job(ROOM, JOB)).job_id == JOB
    assert len(vendor.asked) == 3


@pytest.mark.parametrize(
    "fault",
    [
        INTERNAL,
        Fault(504, b"<html>Gateway time-out</html>", "text/html"),
        Fault(202, b'{"job', cut=True),
        Fault(202, b"<html>Accepted</html>", "text/html"),
        Fault(202, b'{"job_id": null}'),
        Fault(202, b" " * (MOST_ANSWER_BYTES + 1)),
    ],
    ids=["500", "504", "cut", "page", "no id", "endless"],
)
async def test_a_start_that_may_have_been_heard_is_not_sent_again_and_says_so(
    fault: Fault, vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.faults.append(fault)

    with pytest.raises(ApiError, match="it may have been done all the same"):
        await api.start_job(ROOM, StartRequest())

    assert len(vendor.asked) == 1


async def test_a_start_tells_its_job_whatever_else_is_amiss_with_the_answer(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    users = [{"user_type": "PLAYER", "ctime": 1_700_000_000_000}]
    vendor.start_answer = {"job_id": JOB, "rtc_room_info": {"room_id": "rtc-room", "users": users}}

    assert await api.start_job(ROOM, StartRequest()) == StartAnswer(job_id=JOB)


async def test_a_reading_call_that_failed_leaves_nothing_in_doubt(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.faults.extend([INTERNAL] * SHORT_PATIENCE.attempts)

    with pytest.raises(VendorTroubleError) as caught:
        await api.show_job(ROOM, JOB)

    assert "may have been done" not in str(caught.value)


async def test_a_start_that_was_throttled_is_sent_again_after_the_vendors_rest(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.faults.append(error(429, "APIG.0308", "Throttled", retry_after="0"))

    assert (await api.start_job(ROOM, StartRequest())).job_id == JOB
    assert len(vendor.asked) == 2


async def test_a_rest_that_is_too_long_to_wait_for_is_told_to_the_caller(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.faults.append(error(429, "APIG.0308", "Throttled", retry_after="3600"))

    with pytest.raises(ThrottledError) as caught:
        await api.show_job(ROOM, JOB)

    assert caught.value.retry_after == 3600.0
    assert len(vendor.asked) == 1


async def test_an_answer_that_does_not_come_is_given_up(vendor: TestedVendor) -> None:
    patience = SHORT_PATIENCE._replace(answer=0.2, attempts=2)
    async with metastudio_api(vendor, patience=patience) as api:
        vendor.faults.extend([Fault(slow=True)] * patience.attempts)
        with pytest.raises(UnreachableError, match="no answer came in time"):
            await api.show_job(ROOM, JOB)

    assert len(vendor.asked) == patience.attempts


async def test_json_is_read_whatever_its_content_type(vendor: TestedVendor, api: MetaStudioApi) -> None:
    vendor.faults.append(Fault(200, json.dumps(FULL_JOB).encode(), "text/html"))

    assert (await api.show_job(ROOM, JOB)).state == "FAILED"


async def test_an_answer_that_is_no_object_is_told_without_a_word_of_our_own_names(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.faults.append(Fault(200, b"[]"))

    with pytest.raises(UnreadableError, match=r"^GET \(show\): the answer: must be an object; request id"):
        await api.show_job(ROOM, JOB)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(200, b"<html>Sign in</html>", "text/html"),
        Fault(200, b'{"room_id": "r"}'),
        Fault(200, b'{"job_id": 7, "duration": "soon"}'),
        Fault(200, b"[]"),
        Fault(200, b""),
    ],
)
async def test_what_is_no_job_is_unreadable(fault: Fault, vendor: TestedVendor, api: MetaStudioApi) -> None:
    vendor.faults.append(fault)

    with pytest.raises(UnreadableError):
        await api.show_job(ROOM, JOB)


async def test_a_gateways_error_page_is_judged_by_its_status(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.faults.append(Fault(502, b"<html>Bad gateway</html>", "text/html"))

    with pytest.raises(VendorTroubleError):
        await api.stop_job(ROOM, JOB)


@pytest.mark.parametrize("body", [b"<html>Moved</html>", b""])
async def test_a_redirect_is_told_as_one_and_what_to_do(
    body: bytes, vendor: TestedVendor, api: MetaStudioApi
) -> None:
    moved = Fault(301, body, "text/html", headers=((b"location", b"https://elsewhere.example.com/"),))
    vendor.faults.append(moved)

    with pytest.raises(RefusedError, match=r"was sent elsewhere \(status 301\); name the API's own address"):
        await api.show_job(ROOM, JOB)


async def test_nobody_at_the_endpoint_is_said_so() -> None:
    async with running_vendor() as gone:
        pass
    async with metastudio_api(gone) as api:
        with pytest.raises(UnreachableError, match="can't be connected to") as caught:
            await api.start_job(ROOM, StartRequest())

    assert not caught.value.perhaps_done


async def test_all_pages_of_a_list_are_read_and_each_job_once(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.page_size = 2
    vendor.jobs = {str(number): {**FULL_JOB, "job_id": str(number)} for number in range(5)}

    found = [job.job_id async for job in api.all_jobs()]

    assert found == ["0", "1", "2", "3", "4"]
    assert [dict(asked.query)["offset"] for asked in vendor.asked] == ["0", "2", "4"]


@pytest.mark.parametrize("counts", [(100, 50), (0, 0), (None, None)])
async def test_all_pages_are_read_though_the_total_is_wrong_or_null(
    counts: tuple[int | None, ...], vendor: TestedVendor, api: MetaStudioApi
) -> None:
    jobs = [{**FULL_JOB, "job_id": str(number)} for number in range(150)]
    for count, page in zip(counts, (jobs[:100], jobs[100:]), strict=True):
        vendor.faults.append(Fault(200, json.dumps({"count": count, "smart_live_jobs": page}).encode()))

    assert len([job async for job in api.all_jobs()]) == 150


async def test_a_list_that_begins_anew_with_each_page_ends(vendor: TestedVendor, api: MetaStudioApi) -> None:
    jobs = [{**FULL_JOB, "job_id": str(number)} for number in range(100)]
    vendor.faults.extend([Fault(200, json.dumps({"count": 100, "smart_live_jobs": jobs}).encode())] * 3)

    assert len([job async for job in api.all_jobs()]) == 100
    assert len(vendor.asked) == 2


async def test_a_job_with_an_odd_field_is_listed_by_what_matters_and_hides_no_other(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    odd = {"job_id": "odd", "room_id": ROOM, "state": "PROCESSING", "duration": "a while", "start_time": []}
    listed = {"count": 2, "smart_live_jobs": [odd, FULL_JOB]}
    vendor.faults.append(Fault(200, json.dumps(listed).encode()))

    first, second = [job async for job in api.all_jobs()]

    assert (first.job_id, first.room_id, first.state, first.duration) == ("odd", ROOM, "PROCESSING", None)
    assert (second.job_id, second.duration) == (JOB, FULL_JOB["duration"])


@pytest.mark.parametrize("odd", [{"room_id": ROOM}, {"job_id": "odd", "state": 7}, "odd"])
async def test_a_job_that_does_not_say_which_it_is_or_whether_it_runs_is_told_of_after_all_others(
    odd: Any, vendor: TestedVendor, api: MetaStudioApi
) -> None:
    others = [{**FULL_JOB, "job_id": str(number)} for number in range(3)]
    for page in ([others[0], odd], others[1:]):
        listed = {"count": 4, "smart_live_jobs": page}
        vendor.faults.append(Fault(200, json.dumps(listed).encode()))
    jobs = api.all_jobs()

    assert [(await anext(jobs)).job_id for _ in others] == ["0", "1", "2"]
    with pytest.raises(UnreadableError, match=r"smart_live_jobs\.1"):
        await anext(jobs)


async def test_a_room_tells_its_scripts(vendor: TestedVendor, api: MetaStudioApi) -> None:
    vendor.room = {
        "room_id": ROOM,
        "scene_scripts": [
            {"script_name": "Product 1", "shoot_scripts": [{"sequence_no": 1, "title": "Hello"}]}
        ],
    }

    room = await api.show_room(ROOM)

    assert room.scene_scripts is not None
    assert room.scene_scripts[0].script_name == "Product 1"
    assert room.scene_scripts[0].shoot_scripts is not None
    assert room.scene_scripts[0].shoot_scripts[0].sequence_no == 1


async def test_commands_and_viewers_events_reach_the_job(vendor: TestedVendor, api: MetaStudioApi) -> None:
    vendor.jobs[JOB] = FULL_JOB
    answer = await api.command(ROOM, JOB, CommandRequest(command="REFRESH_OUTPUT_URL", params={"a": 1}))
    await api.report_events(ROOM, JOB, [LiveEvent(timestamp=1_700_000_000_000, type=1, content="{}")])

    assert answer == {"result": "ok"}
    assert vendor.asked[0].document == {"command": "REFRESH_OUTPUT_URL", "params": {"a": 1}}
    assert vendor.asked[1].document == {
        "total": 1,
        "events": [{"timestamp": 1_700_000_000_000, "type": 1, "content": "{}"}],
    }


async def test_ids_with_spaces_and_slashes_are_quoted_and_signed(
    vendor: TestedVendor, api: MetaStudioApi
) -> None:
    vendor.jobs["job ü"] = {**FULL_JOB, "job_id": "job ü"}

    assert (await api.show_job("room 1", "job ü")).job_id == "job ü"
    assert vendor.asked[0].path.endswith("/smart-live-rooms/room%201/smart-live-jobs/job%20%C3%BC")
