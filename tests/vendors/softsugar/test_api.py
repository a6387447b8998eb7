"""SoftSugar's calls against a real server: log-in, refresh, paging, codes by category."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from monitor.vendors.api_errors import (
    ApiError,
    InvalidRequestError,
    NoSuchJobError,
    QuotaError,
    RefusedError,
    ThrottledError,
    UnauthenticatedError,
    UnreachableError,
    UnreadableError,
    VendorTroubleError,
)
from monitor.vendors.softsugar.api import CreatedSession, SoftSugarApi
from tests.set_clock import SetClock
from tests.vendors.vendor_server import APP_KEY, Fault, TestedVendor, running_vendor, softsugar_api

START = 1_700_000_000.0
LOGIN = "/access/api/token"
REFRESH = "/token/refresh"


@pytest.fixture
def clock() -> SetClock:
    return SetClock(START)


@pytest.fixture
async def vendor() -> AsyncIterator[TestedVendor]:
    async with running_vendor() as one:
        yield one


@pytest.fixture
async def api(vendor: TestedVendor, clock: SetClock) -> AsyncIterator[SoftSugarApi]:
    async with softsugar_api(vendor, clock) as one:
        yield one


async def listed(api: SoftSugarApi) -> list[tuple[str, int | None]]:
    return [(session.session_id, session.status) async for session in api.running()]


async def test_a_session_is_created_listed_and_closed(vendor: TestedVendor, api: SoftSugarApi) -> None:
    created = await api.create({"param": {"scene": "ü"}, "userData": "u"})

    assert (created.session_id, created.status) == ("s-1", 32)
    assert vendor.calls("/create")[0].document == {"param": '{"scene": "ü"}', "userData": "u"}
    assert "rt" not in repr(created.rtc_token)
    assert await listed(api) == [("s-1", 32)]
    await api.close_session("s-1")
    assert await listed(api) == []
    assert len(vendor.calls(LOGIN)) == 1


async def test_the_log_in_is_signed_with_the_app_key_and_does_not_hold_it(
    vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)

    asked = vendor.calls(LOGIN)[0]
    assert asked.document["timestamp"] == "1700000000000"
    assert asked.document["grantType"] == "sign"
    assert APP_KEY not in asked.body.decode()


async def test_many_callers_share_one_log_in_and_one_refresh(
    vendor: TestedVendor, api: SoftSugarApi, clock: SetClock
) -> None:
    await asyncio.gather(*(listed(api) for _ in range(20)))
    assert len(vendor.calls(LOGIN)) == 1

    clock.time += vendor.token_seconds - 300
    await asyncio.gather(*(listed(api) for _ in range(20)))

    assert len(vendor.calls(LOGIN)) == 1
    assert len(vendor.calls(REFRESH)) == 1
    assert vendor.calls(REFRESH)[0].headers["authorization"] == "refresh-1"


async def test_a_token_is_not_refreshed_while_it_lives_long_enough(
    vendor: TestedVendor, api: SoftSugarApi, clock: SetClock
) -> None:
    await listed(api)
    clock.time += vendor.token_seconds - 700

    await listed(api)

    assert vendor.calls(REFRESH) == []


async def test_a_refresh_that_is_refused_as_too_frequent_becomes_a_log_in(
    vendor: TestedVendor, api: SoftSugarApi, clock: SetClock
) -> None:
    await listed(api)
    vendor.refresh_refused = True
    clock.time += vendor.token_seconds - 300

    await listed(api)

    assert (len(vendor.calls(REFRESH)), len(vendor.calls(LOGIN))) == (1, 2)


async def test_a_failed_renewal_does_no_harm_while_the_old_token_lives(
    vendor: TestedVendor, api: SoftSugarApi, clock: SetClock
) -> None:
    await listed(api)
    clock.time += vendor.token_seconds - 300
    vendor.faults.append(Fault(503))

    assert await listed(api) == []
    assert (len(vendor.calls(REFRESH)), len(vendor.calls(LOGIN))) == (1, 1)
    assert vendor.calls("/running/list")[-1].headers["authorization"] == "access-1"


async def test_a_token_that_the_vendor_forgot_is_replaced_once(
    vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    vendor.tokens += 1

    await asyncio.gather(*(listed(api) for _ in range(5)))

    assert len(vendor.calls(LOGIN)) == 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault(401),
        Fault(401, b'{"code": 401, "message": "Unauthorized"}'),
        Fault(401, b'{"code": 12345, "message": "Unauthorized"}'),
        Fault(200, b'{"code": 401, "message": "Unauthorized"}'),
    ],
)
async def test_a_token_that_the_gateway_refuses_is_replaced_whatever_code_it_gives(
    fault: Fault, vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    vendor.faults.append(fault)

    assert await listed(api) == []
    assert len(vendor.calls(LOGIN)) == 2


async def test_a_token_that_has_expired_and_cannot_be_refreshed_is_replaced_by_a_log_in(
    vendor: TestedVendor, api: SoftSugarApi, clock: SetClock
) -> None:
    await listed(api)
    clock.time += vendor.token_seconds
    vendor.faults.append(Fault(200, b'{"code": 10999999, "message": "Access center exception."}'))

    assert await listed(api) == []
    assert (len(vendor.calls(REFRESH)), len(vendor.calls(LOGIN))) == (1, 2)


async def test_a_refresh_that_hangs_is_followed_by_a_log_in_the_next_time(
    vendor: TestedVendor, api: SoftSugarApi, clock: SetClock
) -> None:
    await listed(api)
    clock.time += vendor.token_seconds
    vendor.faults.append(Fault(slow=True))
    with pytest.raises(UnreachableError):
        await listed(api)

    assert await listed(api) == []
    assert (len(vendor.calls(REFRESH)), len(vendor.calls(LOGIN))) == (1, 2)


async def test_a_late_complaint_about_an_old_token_leaves_the_new_one_alone(
    vendor: TestedVendor, api: SoftSugarApi
) -> None:
    old = await api._tokens.get()
    api._tokens.reject(old)
    new = await api._tokens.get()

    api._tokens.reject(old)

    assert await api._tokens.get() == new != old
    assert len(vendor.calls(LOGIN)) == 2


async def test_a_token_that_an_error_repeats_is_masked(vendor: TestedVendor, api: SoftSugarApi) -> None:
    await listed(api)
    vendor.faults.append(Fault(200, b'{"code": 84115927, "message": "Not for access-1."}'))

    with pytest.raises(RefusedError, match=r"84115927 Not for \*\*\*\.") as caught:
        await listed(api)

    assert "access-1" not in str(caught.value)


async def test_all_pages_are_read(vendor: TestedVendor, api: SoftSugarApi) -> None:
    vendor.sessions = {f"s-{number}": 35 for number in range(5)}
    vendor.page_size = 2

    assert [name for name, _ in await listed(api)] == ["s-0", "s-1", "s-2", "s-3", "s-4"]
    assert [dict(asked.query).get("pageNo") for asked in vendor.calls("/running/list")] == [None, "2", "3"]


async def test_all_pages_are_read_where_the_paging_stands_beside_the_data(
    vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    for number in (1, 2):
        page = {
            "pageNo": number,
            "numberPages": 2,
            "numberRecords": 2,
            "pageSize": 1,
            "startIndex": number - 1,
        }
        told = {"code": 0, "message": "success", "data": [{"sessionId": f"s-{number}", "status": 35}], **page}
        vendor.faults.append(Fault(200, json.dumps(told).encode()))

    assert [name for name, _ in await listed(api)] == ["s-1", "s-2"]


async def test_a_list_is_read_whose_paging_is_null(vendor: TestedVendor, api: SoftSugarApi) -> None:
    await listed(api)
    paging = dict.fromkeys(("pageNo", "numberPages", "numberRecords", "pageSize", "startIndex"))
    told = {"code": 0, "message": "success", "data": [{"sessionId": "s-1", "status": 35}], **paging}
    vendor.faults.append(Fault(200, json.dumps(told).encode()))

    assert await listed(api) == [("s-1", 35)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (80115963, QuotaError),
        (84115944, QuotaError),
        (80115947, QuotaError),
        (89999999, ThrottledError),
        (84115929, NoSuchJobError),
        (84115917, RefusedError),
        (60111101, UnauthenticatedError),
        (99999990, UnauthenticatedError),
        (20999999, VendorTroubleError),
        (400, RefusedError),
        (12345, RefusedError),
    ],
)
async def test_a_code_becomes_the_error_of_its_category(
    code: int, expected: type[ApiError], vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    vendor.faults.append(Fault(200, b'{"code": %d, "message": "No more", "data": null}' % code))

    with pytest.raises(expected) as caught:
        await api.close_session("s-1")

    assert type(caught.value) is expected
    assert (caught.value.said.code, caught.value.said.message) == (str(code), "No more")


# Text, digits to Python but no number, and more of them than it would read.
@pytest.mark.parametrize("code", ["E1", "²", "9" * 5000], ids=["text", "digit", "long"])
async def test_a_code_that_is_none_of_the_vendors_is_a_refusal(
    code: str, vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    vendor.faults.append(Fault(200, f'{{"code": "{code}", "message": "No more"}}'.encode()))

    with pytest.raises(RefusedError):
        await api.close_session("s-1")


@pytest.mark.parametrize("body", [b"<html>Moved</html>", b""])
async def test_a_redirect_is_told_as_one_and_what_to_do(
    body: bytes, vendor: TestedVendor, api: SoftSugarApi
) -> None:
    moved = Fault(301, body, "text/html", headers=((b"location", b"https://elsewhere.example.com/"),))
    vendor.faults.append(moved)

    with pytest.raises(RefusedError, match=r"was sent elsewhere \(status 301\); name the API's own address"):
        await listed(api)


async def test_a_creation_that_may_have_been_heard_is_not_sent_again(
    vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    vendor.faults.append(Fault(200, b'{"code', cut=True))

    with pytest.raises(UnreachableError) as caught:
        await api.create({"param": "{}"})

    assert caught.value.perhaps_done
    assert len(vendor.calls("/create")) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(502, b"<html>Bad gateway</html>", "text/html"),
        Fault(200, b'{"code": 99999994, "message": "Hystrix Timeout.", "data": null}'),
        Fault(500, b'{"code": 12345, "message": "Internal Server Error"}'),
        Fault(200, b'{"message": "no code"}'),
        Fault(200, b'{"code": 0, "message": "success", "data": null}'),
    ],
)
async def test_a_creation_after_which_nobody_knows_if_a_session_runs_says_so(
    fault: Fault, vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    vendor.faults.append(fault)

    with pytest.raises(ApiError, match="it may have been done all the same"):
        await api.create({"param": "{}"})

    assert len(vendor.calls("/create")) == 1


async def test_a_creation_tells_its_session_whatever_else_is_amiss_with_the_answer(
    vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    vendor.faults.append(Fault(200, b'{"code": 0, "data": {"sessionId": 7, "status": "initialising"}}'))

    assert await api.create({"param": "{}"}) == CreatedSession.model_validate({"sessionId": "7"})


async def test_a_creation_without_a_param_is_refused_here(vendor: TestedVendor, api: SoftSugarApi) -> None:
    with pytest.raises(InvalidRequestError, match="param"):
        await api.create({})

    assert vendor.asked == []


@pytest.mark.parametrize("body", [b'{"message": "no code"}', b'{"code": 0, "data": [{"status": 35}]}', b"[]"])
async def test_what_is_no_answer_of_the_vendor_is_unreadable(
    body: bytes, vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    vendor.faults.append(Fault(200, body))

    with pytest.raises(UnreadableError):
        await listed(api)


@pytest.mark.parametrize(
    "data",
    [None, {}, [], {"records": []}, {"records": None, "pageNo": 1, "numberPages": 0, "numberRecords": 0}],
)
async def test_a_list_that_holds_nothing_says_that_no_session_runs(
    data: object, vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    vendor.faults.append(Fault(200, json.dumps({"code": 0, "data": data}).encode()))

    assert await listed(api) == []


@pytest.mark.parametrize("counted", [2, None])
@pytest.mark.parametrize(
    "second",
    [
        pytest.param([{"sessionId": "s-1", "status": 35}], id="the first page again"),
        pytest.param([], id="an empty page"),
        pytest.param(None, id="no page"),
    ],
)
async def test_pages_that_bring_nothing_new_do_not_say_that_no_other_session_runs(
    counted: int | None, second: object, vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    for records in ([{"sessionId": "s-1", "status": 35}], second):
        data = {"pageNo": 1, "numberPages": 2, "numberRecords": counted, "records": records}
        vendor.faults.append(Fault(200, json.dumps({"code": 0, "data": data}).encode()))

    with pytest.raises(UnreadableError, match="page 2 of 2"):
        await listed(api)


async def test_a_list_without_the_sessions_that_it_counts_does_not_say_that_none_runs(
    vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    data = {"pageNo": 1, "numberPages": 1, "numberRecords": 3, "records": None}
    vendor.faults.append(Fault(200, json.dumps({"code": 0, "data": data}).encode()))

    with pytest.raises(UnreadableError, match="page 1 of 1"):
        await listed(api)


async def test_a_list_that_got_shorter_between_two_pages_ends_where_it_says(
    vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    for number, pages, records in ((1, 2, [{"sessionId": "s-1", "status": 35}]), (2, 1, [])):
        data = {"pageNo": number, "numberPages": pages, "numberRecords": pages, "records": records}
        vendor.faults.append(Fault(200, json.dumps({"code": 0, "data": data}).encode()))

    assert await listed(api) == [("s-1", 35)]


@pytest.mark.parametrize("odd", [{"status": 35}, {"sessionId": "", "status": 35}, {"sessionId": ["x"]}, 7])
async def test_a_session_that_does_not_say_which_it_is_is_told_of_after_all_others(
    odd: object, vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    for number, records in ((1, [odd, {"sessionId": "s-1"}]), (2, [{"sessionId": "s-2"}]), (3, [odd])):
        data = {"pageNo": number, "numberPages": 3, "numberRecords": 4, "records": records}
        vendor.faults.append(Fault(200, json.dumps({"code": 0, "data": data}).encode()))
    sessions = api.running()

    assert [(await anext(sessions)).session_id for _ in range(2)] == ["s-1", "s-2"]
    with pytest.raises(UnreadableError, match=r"data\.0"):
        await anext(sessions)


@pytest.mark.parametrize("data", [{"page": {"records": [{"sessionId": "s-1"}]}}, {"sessionId": "s-1"}, "s-1"])
async def test_what_holds_no_list_does_not_say_that_no_session_runs(
    data: object, vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    vendor.faults.append(Fault(200, json.dumps({"code": 0, "data": data}).encode()))

    with pytest.raises(UnreadableError):
        await listed(api)


async def test_a_session_with_an_odd_status_is_listed_and_hides_no_other(
    vendor: TestedVendor, api: SoftSugarApi
) -> None:
    await listed(api)
    odd, usual = {"sessionId": 7, "status": "initialising"}, {"sessionId": "s-2", "status": 35}
    vendor.faults.append(Fault(200, json.dumps({"code": 0, "data": [odd, usual]}).encode()))

    assert await listed(api) == [("7", None), ("s-2", 35)]
