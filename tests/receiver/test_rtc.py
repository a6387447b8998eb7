"""What `POST /rtc/{source}/{job_id}` answers, stores and counts."""

import asyncio
import ipaddress
import json
from collections import Counter
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from monitor.event import Channel, Decoded, Vendor
from monitor.receiver.limits import Limits
from monitor.receiver.rtc import SLICE
from monitor.receiver.tokens import make_token
from monitor.vendors import registry
from tests.receiver.running import JOB, LIMIT, NOW, OPEN, RTC_TOKEN, running, source

ROOM = source(
    "room",
    rtc_token=SecretStr(RTC_TOKEN),
    rtc_allow_origins=("https://studio.example.com", "https://second.example.com:8443"),
)
PATH = f"/rtc/room/{JOB}"
BEARER = {"authorization": f"Bearer {RTC_TOKEN}"}


def _progress(sequence_no: int = 1) -> bytes:
    data = {"script_name": "scene", "shoot_script_sequence_no": sequence_no, "offset": "7"}
    return json.dumps({"message_type": "live_progress_notify", "data": data}).encode()


async def test_one_message_becomes_an_event_of_the_job_in_the_path(tmp_path: Path) -> None:
    async with running(tmp_path, ROOM) as receiver:
        receiver.clock.time = NOW + 0.5
        answer = await receiver.client.post(PATH, content=_progress(), headers=BEARER)
        (event,) = await receiver.events()

    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "dead_lettered": 0})
    assert event[1:] == (
        Vendor.METASTUDIO,
        "room",
        JOB,
        Channel.RTC,
        "live_progress_notify",
        NOW + 0.5,
        None,
        _progress(),
    )


@pytest.mark.parametrize("body", [b"[ %b , %b]", b"%b\n%b\n", b'{"relay": "r", "seq": 1, "message": %b}\n%b'])
async def test_an_array_or_ndjson_becomes_an_event_for_each_message_byte_for_byte(
    tmp_path: Path, body: bytes
) -> None:
    first, second = _progress(1), _progress(2)
    async with running(tmp_path, ROOM) as receiver:
        answer = await receiver.client.post(PATH, content=body % (first, second), headers=BEARER)
        events = await receiver.events()

    assert answer.json() == {"accepted": 2, "dead_lettered": 0}
    assert first in events[0].body
    assert events[1].body == second
    assert len({event.id for event in events}) == 2


async def test_messages_that_can_t_be_decoded_go_to_the_dead_letters_beside_their_neighbours(
    tmp_path: Path,
) -> None:
    bad = b'{"message_type": "live_progress_notify", "data": {"script_name": 5}}'
    async with running(tmp_path, ROOM) as receiver:
        answer = await receiver.client.post(
            PATH, content=b"\n".join([_progress(), bad, b"{not json}"]), headers=BEARER
        )
        events = await receiver.events()
        letters = await receiver.dead_letters()

    assert answer.json() == {"accepted": 1, "dead_lettered": 2}
    assert [event.body for event in events] == [_progress()]
    assert sorted(letter.body for letter in letters) == sorted([bad, b"{not json}"])
    assert {(letter.source, letter.job_id, letter.channel) for letter in letters} == {("room", JOB, "rtc")}
    for reason in ("wrong_type", "not_json"):
        counted = receiver.sample("monitor_dead_letters_total", source="room", channel="rtc", reason=reason)
        assert counted == 1


async def test_too_many_messages_are_one_dead_letter_with_all_of_them(tmp_path: Path) -> None:
    body = b"[" + b"1," * 20_000 + b"1]"
    async with running(tmp_path, ROOM, limits=Limits(65536)) as receiver:
        answer = await receiver.client.post(PATH, content=body, headers=BEARER)
        (letter,) = await receiver.dead_letters()

    assert answer.json() == {"accepted": 0, "dead_lettered": 1}
    assert (letter.reason, letter.body) == ("too_many", body)


async def test_a_request_with_many_messages_gives_others_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, decoded_in = 0, Counter[int]()
    decode = registry.decode_rtc

    def counted(vendor: Vendor, message: bytes) -> Decoded:
        decoded_in[turns] += 1
        return decode(vendor, message)

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(registry, "decode_rtc", counted)
    async with running(tmp_path, ROOM) as receiver:
        turning = asyncio.create_task(turn())
        answer = await receiver.client.post(PATH, content=b"[" + b"1," * 1999 + b"1]", headers=BEARER)
        turning.cancel()

    assert answer.json() == {"accepted": 0, "dead_lettered": 2000}
    assert decoded_in.total() == 2000
    assert max(decoded_in.values()) <= SLICE


async def test_ids_rise_in_the_log_also_where_requests_for_one_job_come_together(tmp_path: Path) -> None:
    # A stream takes an event whose id isn't newer for one that it has folded already.
    body = b"[" + b",".join(_progress() for _ in range(20)) + b"]"
    async with running(tmp_path, ROOM) as receiver:
        await asyncio.gather(*(receiver.client.post(PATH, content=body, headers=BEARER) for _ in range(8)))
        sequences = [event.id.sequence for event in await receiver.events()]

    assert len(sequences) == 160
    assert sequences == sorted(sequences)


async def test_an_empty_array_is_accepted_and_stores_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, ROOM) as receiver:
        answer = await receiver.client.post(PATH, content=b"[]", headers=BEARER)
        kept = await receiver.kept()

    assert (answer.status_code, answer.json(), kept) == (200, {"accepted": 0, "dead_lettered": 0}, 0)


async def test_a_token_for_the_job_is_accepted_until_it_expires(tmp_path: Path) -> None:
    token = make_token(SecretStr(RTC_TOKEN), "room", JOB, NOW + 60)
    headers = {"authorization": f"bearer {token}"}
    async with running(tmp_path, ROOM) as receiver:
        valid = await receiver.client.post(PATH, content=_progress(), headers=headers)
        other_job = await receiver.client.post("/rtc/room/other", content=_progress(), headers=headers)
        receiver.clock.time = NOW + 60
        expired = await receiver.client.post(PATH, content=_progress(), headers=headers)
        kept = await receiver.kept()

    assert [valid.status_code, other_job.status_code, expired.status_code] == [200, 401, 401]
    assert kept == 1
    assert receiver.failures("room", "token") == 2


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong-token", f"Basic {RTC_TOKEN}", RTC_TOKEN, "Bearer \u00e9"],
)
async def test_a_wrong_or_missing_token_is_answered_401_and_counted_and_nothing_is_stored(
    tmp_path: Path, authorization: str | None
) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    with capture_logs() as lines:
        async with running(tmp_path, ROOM) as receiver:
            answer = await receiver.client.post(PATH, content=b'"hush"', headers=headers)
            kept = await receiver.kept()

    assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert receiver.failures("room", "token") == 1
    assert kept == 0
    told = answer.text + str(lines)
    assert not any(secret in told for secret in ("hush", RTC_TOKEN, "wrong-token", JOB))


async def test_a_source_without_a_token_takes_no_messages(tmp_path: Path) -> None:
    async with running(tmp_path, OPEN) as receiver:
        answer = await receiver.client.post("/rtc/open/job", content=_progress(), headers=BEARER)

    assert answer.status_code == 401
    assert receiver.failures("open", "token") == 1


@pytest.mark.parametrize(
    ("segment", "job_id"),
    [
        ("26F06524-4F75-4B3A-A853-B649A21AAE66", "26f065244f754b3aa853b649a21aae66"),
        ("a%2Fb%20c", "a/b c"),
        ("%E7%9B%B4%E6%92%AD", "\u76f4\u64ad"),
        ("x" * 256, "x" * 256),
    ],
)
async def test_the_path_s_job_id_is_decoded_and_brought_to_its_one_spelling(
    tmp_path: Path, segment: str, job_id: str
) -> None:
    async with running(tmp_path, ROOM) as receiver:
        await receiver.client.post(f"/rtc/room/{segment}", content=_progress(), headers=BEARER)
        (event,) = await receiver.events()

    assert event.job_id == job_id


@pytest.mark.parametrize("segment", ["x" * 257, "a%00b", "a%0Ab", "a%C2%85b", "%FF"])
async def test_what_can_t_be_a_job_id_is_answered_400(tmp_path: Path, segment: str) -> None:
    async with running(tmp_path, ROOM) as receiver:
        answer = await receiver.client.post(f"/rtc/room/{segment}", content=_progress(), headers=BEARER)
        kept = await receiver.kept()

    assert (answer.status_code, answer.json()["error"]) == (400, "bad_job_id")
    assert receiver.outcome("room", "bad_request") == 1
    assert kept == 0


@pytest.mark.parametrize("path", ["/rtc/room/", "/rtc/room", "/rtc/room/a/b", "/rtc", "/rtc/stranger-7/a"])
async def test_a_path_without_a_known_source_and_one_job_is_answered_404(tmp_path: Path, path: str) -> None:
    async with running(tmp_path, ROOM) as receiver:
        answer = await receiver.client.post(path, content=_progress(), headers=BEARER)

    assert answer.status_code == 404
    assert "stranger-7" not in answer.text


async def test_a_method_but_post_and_options_is_answered_405_with_allow(tmp_path: Path) -> None:
    async with running(tmp_path, ROOM) as receiver:
        answer = await receiver.client.put(PATH, content=_progress(), headers=BEARER)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")


async def test_an_address_outside_the_source_s_networks_is_answered_403(tmp_path: Path) -> None:
    fenced = source(
        "room", rtc_token=SecretStr(RTC_TOKEN), allow_networks=(ipaddress.ip_network("192.0.2.0/24"),)
    )
    async with running(tmp_path, fenced) as receiver:
        answer = await receiver.client.post(PATH, content=_progress(), headers=BEARER)

    assert answer.status_code == 403
    assert receiver.failures("room", "network") == 1


async def test_a_body_over_the_limit_is_answered_413(tmp_path: Path) -> None:
    async with running(tmp_path, ROOM) as receiver:
        answer = await receiver.client.post(PATH, content=b"x" * (LIMIT + 1), headers=BEARER)

    assert answer.status_code == 413
    assert receiver.outcome("room", "too_large") == 1


async def test_a_stranger_s_body_is_not_waited_for(tmp_path: Path) -> None:
    async with running(tmp_path, ROOM) as receiver, receiver.connection() as (reader, writer):
        writer.write(b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n" % PATH.encode())
        head = await reader.readuntil(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 401 ")


async def test_a_log_that_can_not_write_is_answered_503_and_all_or_none_is_kept(tmp_path: Path) -> None:
    async with running(tmp_path, ROOM) as receiver:
        await receiver.log.close()
        answer = await receiver.client.post(PATH, content=_progress() + b"\n{?}", headers=BEARER)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert receiver.outcome("room", "overloaded") == 1


@pytest.mark.parametrize("origin", ["https://studio.example.com", "https://second.example.com:8443"])
async def test_a_page_of_an_allowed_origin_may_send_and_read_every_answer(
    tmp_path: Path, origin: str
) -> None:
    async with running(tmp_path, ROOM) as receiver:
        preflight = await receiver.client.options(
            PATH,
            headers={
                "origin": origin,
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,content-type",
            },
        )
        accepted = await receiver.client.post(PATH, content=_progress(), headers={**BEARER, "origin": origin})
        refused = await receiver.client.post(PATH, content=_progress(), headers={"origin": origin})

    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-methods"] == "POST"
    assert preflight.headers["access-control-allow-headers"] == "authorization, content-type"
    assert int(preflight.headers["access-control-max-age"]) > 0
    assert [accepted.status_code, refused.status_code] == [200, 401]
    for answer in (preflight, accepted, refused):
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["vary"] == "origin"


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "https://studio.example.com.evil", "null", ""]
)
async def test_a_page_of_another_origin_may_not(tmp_path: Path, origin: str) -> None:
    async with running(tmp_path, ROOM) as receiver:
        preflight = await receiver.client.options(PATH, headers={"origin": origin})
        posted = await receiver.client.post(PATH, content=_progress(), headers={**BEARER, "origin": origin})

    assert preflight.status_code == 403
    assert posted.status_code == 200
    for answer in (preflight, posted):
        assert "access-control-allow-origin" not in answer.headers


async def test_a_source_may_allow_every_origin(tmp_path: Path) -> None:
    public = source("room", rtc_token=SecretStr(RTC_TOKEN), rtc_allow_origins=("*",))
    async with running(tmp_path, public) as receiver:
        preflight = await receiver.client.options(PATH, headers={"origin": "https://any.example.com"})

    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "*")


async def test_options_without_an_origin_tell_the_methods(tmp_path: Path) -> None:
    async with running(tmp_path, ROOM) as receiver:
        answer = await receiver.client.options(PATH)

    assert (answer.status_code, answer.headers["allow"]) == (204, "POST, OPTIONS")
