"""What `POST /callbacks/{source}` answers, stores and counts: the contract's table, row by row."""

import asyncio
import contextlib
import ipaddress
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from monitor.clock import stopwatch
from monitor.event import Channel, Vendor
from monitor.metrics.service import ServiceMetrics
from monitor.receiver.limits import Limits
from monitor.receiver.refusals import RefusedError
from monitor.receiver.sources import PreparedSource
from tests.receiver.running import (
    JOB,
    KEY,
    LIMIT,
    NOW,
    OPEN,
    PROD,
    QUERY,
    SUGAR,
    eventually,
    head_signature,
    link_callback,
    query_signature,
    running,
    source,
    sugar_callback,
)


async def test_an_authentic_callback_is_answered_200_once_it_is_in_the_log(tmp_path: Path) -> None:
    async with running(tmp_path, PROD) as receiver:
        receiver.clock.time = NOW + 1.25
        began = stopwatch()
        answer = await receiver.client.post(
            "/callbacks/prod", content=link_callback(), headers=head_signature()
        )
        took = stopwatch() - began
        (event,) = await receiver.events()

    assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
    assert event[1:] == (
        Vendor.METASTUDIO,
        "prod",
        JOB,
        Channel.CALLBACK,
        "RTMP_STREAM_STATE_CHANGE",
        NOW + 1.25,
        NOW,
        link_callback(),
    )
    assert receiver.outcome("prod", "accepted") == 1
    assert receiver.sample("monitor_callback_duration_seconds_count", source="prod") == 1
    assert 0 < (receiver.sample("monitor_callback_duration_seconds_sum", source="prod") or 0) < took
    assert receiver.sample("monitor_clock_skew_seconds", source="prod") == -1.25
    assert receiver.sample("monitor_signature_forms_total", source="prod", form="stripped") == 1


async def test_what_was_acknowledged_is_on_the_disk_by_then(tmp_path: Path) -> None:
    async with running(tmp_path, OPEN) as receiver:
        await receiver.client.post("/callbacks/open", content=link_callback())
        with contextlib.closing(sqlite3.connect(tmp_path / "monitor.db")) as other:
            bodies = [row[0] for row in other.execute("SELECT body FROM events")]

    assert bodies == [link_callback()]


async def test_each_vendor_s_way_to_sign_is_accepted(tmp_path: Path) -> None:
    async with running(tmp_path, PROD, QUERY, SUGAR, OPEN) as receiver:
        answers = [
            await receiver.client.post("/callbacks/prod", content=link_callback(), headers=head_signature()),
            await receiver.client.post(f"/callbacks/query?{query_signature()}", content=link_callback()),
            await receiver.client.post("/callbacks/sugar", content=sugar_callback()),
            await receiver.client.post("/callbacks/open?anything=1", content=link_callback()),
        ]
        events = await receiver.events()

    assert [answer.status_code for answer in answers] == [200, 200, 200, 200]
    assert [(event.source, event.signed) for event in events] == [
        ("prod", NOW),
        ("query", NOW),
        ("sugar", NOW),
        ("open", None),
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/callbacks/stranger-7",
        "/callbacks/open/",
        "/callbacks",
        "/callbacks/open/x",
        # What proxies make of it that join addresses, or leave a prefix where it is.
        "//callbacks/open",
        "/hooks/callbacks/open",
    ],
)
async def test_an_unknown_source_is_answered_404_and_counted_and_nothing_is_stored(
    tmp_path: Path, path: str
) -> None:
    async with running(tmp_path, OPEN) as receiver:
        address = receiver.client.base_url.copy_with(path=path)
        answer = await receiver.client.post(address, content=link_callback())
        kept = await receiver.kept()
        exported = str(list(receiver.registry.collect()))

    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_source")
    assert receiver.outcome("unknown", "unknown_source") == 1
    assert kept == 0
    assert "stranger-7" not in exported + answer.text


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "missing"),
        ({"x-hw-mss-time": f"{NOW:x}"}, "missing"),
        (head_signature(key="another-key"), "signature"),
        (head_signature(url="https://hooks.example.com/callbacks/other"), "signature"),
        ({**head_signature(), "x-hw-mss-time": f"{NOW + 1:x}"}, "signature"),
        ({**head_signature(), "x-hw-mss-time": "é"}, "signature"),
        (head_signature(NOW - 301), "timestamp"),
        (head_signature(NOW + 301), "timestamp"),
    ],
)
async def test_a_wrong_missing_or_stale_signature_is_answered_401_and_counted_by_reason(
    tmp_path: Path, headers: dict[str, str], reason: str
) -> None:
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    with capture_logs() as lines:
        async with running(tmp_path, PROD) as receiver:
            answer = await receiver.client.post(
                "/callbacks/prod?s=hush", content=b'{"body": "hush"}', headers=encoded
            )
            kept = await receiver.kept()

    assert (answer.status_code, answer.json()["error"]) == (401, "unauthenticated")
    assert receiver.failures("prod", reason) == 1
    assert receiver.outcome("prod", "unauthenticated") == 1
    assert receiver.outcome("prod", "accepted") == 0
    assert kept == 0
    told = answer.text + str(lines)
    assert "hush" not in told
    assert KEY not in told
    assert not any(value in told for value in headers.values())


async def test_a_softsugar_body_without_its_signature_is_answered_401(tmp_path: Path) -> None:
    async with running(tmp_path, SUGAR) as receiver:
        unsigned = await receiver.client.post("/callbacks/sugar", content=b'{"sessionId": "s-1"}')
        no_json = await receiver.client.post("/callbacks/sugar", content=b"\xff[[")
        wrong = await receiver.client.post("/callbacks/sugar", content=sugar_callback(key="x" * 32))
        kept = await receiver.kept()

    assert [unsigned.status_code, no_json.status_code, wrong.status_code] == [401, 401, 401]
    assert receiver.failures("sugar", "missing") == 2
    assert receiver.failures("sugar", "signature") == 1
    assert kept == 0


async def test_a_softsugar_body_that_is_cut_off_after_its_signature_is_kept_and_not_refused(
    tmp_path: Path,
) -> None:
    cut = sugar_callback()[:-1]

    async with running(tmp_path, SUGAR) as receiver:
        answer = await receiver.client.post("/callbacks/sugar", content=cut)
        (letter,) = await receiver.dead_letters()

    assert answer.status_code == 200
    assert (letter.body, letter.reason, letter.signed) == (cut, "not_json", NOW)


@pytest.mark.parametrize("fraction", [0, 0.999])
async def test_the_window_of_signed_times_is_open_to_its_very_edges(tmp_path: Path, fraction: float) -> None:
    """Signed times are whole seconds: what of our second has passed doesn't count."""
    async with running(tmp_path, PROD) as receiver:
        receiver.clock.time = NOW + fraction
        answers = {
            ahead: await receiver.client.post(
                "/callbacks/prod", content=link_callback(), headers=head_signature(NOW + ahead)
            )
            for ahead in (-301, -300, 300, 301)
        }

    assert {ahead: answer.status_code for ahead, answer in answers.items()} == {
        -301: 401,
        -300: 200,
        300: 200,
        301: 401,
    }


async def test_the_clock_s_skew_is_not_exported_before_a_signed_request_has_told_it(tmp_path: Path) -> None:
    async with running(tmp_path, PROD) as receiver:
        at_the_start = receiver.sample("monitor_clock_skew_seconds", source="prod")
        await receiver.client.post("/callbacks/prod", content=link_callback())
        after_an_unsigned_one = receiver.sample("monitor_clock_skew_seconds", source="prod")

    assert (at_the_start, after_an_unsigned_one) == (None, None)


async def test_the_clock_s_skew_is_exported_of_refused_requests_too_if_rightly_signed(tmp_path: Path) -> None:
    async with running(tmp_path, PROD) as receiver:
        await receiver.client.post("/callbacks/prod", content=b"{}", headers=head_signature(NOW - 900))
        of_the_stale = receiver.sample("monitor_clock_skew_seconds", source="prod")
        forged = {**head_signature(), "x-hw-mss-time": f"{NOW + 5000:x}"}
        await receiver.client.post("/callbacks/prod", content=b"{}", headers=forged)
        after_the_forged = receiver.sample("monitor_clock_skew_seconds", source="prod")

    assert (of_the_stale, after_the_forged) == (-900, -900)


@pytest.mark.parametrize(
    ("networks", "status"),
    [
        (("127.0.0.0/8",), 200),
        (("192.0.2.0/24", "127.0.0.1/32"), 200),
        (("192.0.2.0/24",), 403),
        (("2001:db8::/32",), 403),
    ],
)
async def test_an_address_outside_the_source_s_networks_is_answered_403(
    tmp_path: Path, networks: tuple[str, ...], status: int
) -> None:
    fenced = source("fenced", allow_networks=tuple(ipaddress.ip_network(text) for text in networks))
    async with running(tmp_path, fenced) as receiver:
        answer = await receiver.client.post(
            "/callbacks/fenced", content=link_callback(), headers={"x-forwarded-for": "192.0.2.1"}
        )
        kept = await receiver.kept()

    refused = status == 403
    assert answer.status_code == status
    assert kept == (0 if refused else 1)
    assert receiver.failures("fenced", "network") == refused
    assert receiver.outcome("fenced", "forbidden") == refused


async def test_whom_a_trusted_proxy_speaks_for_is_held_against_the_source_s_networks(tmp_path: Path) -> None:
    fenced = source("fenced", allow_networks=(ipaddress.ip_network("192.0.2.0/24"),))
    proxies = (ipaddress.ip_network("127.0.0.0/8"),)
    statuses = []
    async with running(tmp_path, fenced, proxies=proxies) as receiver:
        for forwarded in ("192.0.2.1", "192.0.2.1, 198.51.100.1"):
            headers = {"x-forwarded-for": forwarded}
            answer = await receiver.client.post("/callbacks/fenced", content=link_callback(), headers=headers)
            statuses.append(answer.status_code)
        kept = await receiver.kept()

    assert statuses == [200, 403]
    assert kept == 1


def test_an_ipv4_address_is_known_as_one_also_where_the_receiver_listens_on_both_families() -> None:
    networks = (ipaddress.ip_network("192.0.2.0/24"),)
    fenced = PreparedSource(source("fenced", allow_networks=networks), ServiceMetrics(CollectorRegistry()))

    fenced.admit({"client": ("::ffff:192.0.2.7", 40000)})
    with pytest.raises(RefusedError):
        fenced.admit({"client": ("::ffff:198.51.100.7", 40000)})


async def test_a_body_over_the_limit_is_answered_413(tmp_path: Path) -> None:
    async with running(tmp_path, OPEN) as receiver:
        just_right = await receiver.client.post("/callbacks/open", content=b"x" * LIMIT)
        too_large = await receiver.client.post("/callbacks/open", content=b"x" * (LIMIT + 1))
        kept = await receiver.kept()

    assert just_right.status_code == 200
    assert (too_large.status_code, too_large.json()["error"]) == (413, "too_large")
    assert receiver.outcome("open", "too_large") == 1
    assert kept == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
async def test_what_is_not_a_post_is_answered_405_with_allow(tmp_path: Path, method: str) -> None:
    async with running(tmp_path, OPEN) as receiver:
        answer = await receiver.client.request(method, "/callbacks/open")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert receiver.outcome("open", "not_allowed") == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"\xff\xfe\x00", "not_json"),
        (b"[" * 3000, "not_json"),
        (b'{"event_type": "RTMP_STREAM_STATE_CHANGE", "message": "{}"}', "no_job_id"),
        (b'{"event_type": "RTMP_STREAM_STATE_CHANGE", "message": {"job_id": ["x"]}}', "wrong_type"),
        (b'{"event_type": 5, "message": {"job_id": "x"}}', "wrong_type"),
    ],
)
async def test_what_is_authentic_but_can_t_be_decoded_is_answered_200_and_kept_whole_as_a_dead_letter(
    tmp_path: Path, body: bytes, reason: str
) -> None:
    async with running(tmp_path, PROD) as receiver:
        answer = await receiver.client.post("/callbacks/prod", content=body, headers=head_signature())
        events = await receiver.events()
        (letter,) = await receiver.dead_letters()

    assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
    assert events == []
    assert (letter.body, letter.source, letter.channel, letter.job_id) == (body, "prod", "callback", None)
    assert (letter.received, letter.signed) == (NOW, NOW)
    assert letter.detail
    assert letter.reason == reason
    assert receiver.outcome("prod", "dead_lettered") == 1
    counted = receiver.sample(
        "monitor_dead_letters_total", source="prod", channel="callback", reason=letter.reason
    )
    assert counted == 1


async def test_a_compressed_body_is_kept_as_it_came(tmp_path: Path) -> None:
    async with running(tmp_path, OPEN) as receiver:
        answer = await receiver.client.post(
            "/callbacks/open", content=b"\x1f\x8b\x08\x00", headers={"content-encoding": "gzip"}
        )
        (letter,) = await receiver.dead_letters()

    assert answer.status_code == 200
    assert letter.body == b"\x1f\x8b\x08\x00"


async def test_an_unknown_event_type_or_field_is_stored(tmp_path: Path) -> None:
    new_type = b'{"event_type": "NOBODY_KNOWS", "message": {"job_id": "j-1", "novel": [1]}}'
    new_field = link_callback().replace(b"{", b'{"novel": {"a": 1}, ', 1)
    async with running(tmp_path, OPEN) as receiver:
        answers = [
            await receiver.client.post("/callbacks/open", content=body) for body in (new_type, new_field)
        ]
        events = await receiver.events()

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [(event.job_id, event.type, event.body) for event in events] == [
        ("j-1", "unknown", new_type),
        (JOB, "RTMP_STREAM_STATE_CHANGE", new_field),
    ]


async def test_a_repeated_delivery_is_stored_again_for_the_worker_to_judge(tmp_path: Path) -> None:
    async with running(tmp_path, PROD) as receiver:
        for _ in range(2):
            answer = await receiver.client.post(
                "/callbacks/prod", content=link_callback(), headers=head_signature()
            )
            assert answer.status_code == 200
        first, second = await receiver.events()

    assert first.body == second.body
    assert first.id != second.id


async def test_a_log_that_has_no_room_is_answered_503_with_retry_after(tmp_path: Path) -> None:
    body = link_callback(job_id="j" * 200) + b" " * 3000
    async with running(tmp_path, OPEN, max_bytes=200_000) as receiver:
        answer = await receiver.client.post("/callbacks/open", content=body)
        acknowledged = 0
        while answer.status_code == 200 and acknowledged < 100:
            acknowledged += 1
            answer = await receiver.client.post("/callbacks/open", content=body)
        kept = await receiver.kept()

    assert (answer.status_code, answer.json()["error"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"
    assert kept == acknowledged == receiver.outcome("open", "accepted")
    assert receiver.outcome("open", "overloaded") == 1


async def test_a_log_that_is_closed_is_answered_503_and_nothing_is_counted_as_kept(tmp_path: Path) -> None:
    async with running(tmp_path, OPEN) as receiver:
        await receiver.log.close()
        event = await receiver.client.post("/callbacks/open", content=link_callback())
        dead_letter = await receiver.client.post("/callbacks/open", content=b"?")

    assert [event.status_code, dead_letter.status_code] == [503, 503]
    assert receiver.outcome("open", "overloaded") == 2
    assert receiver.outcome("open", "accepted") == 0
    assert receiver.outcome("open", "dead_lettered") == 0
    assert not receiver.sample(
        "monitor_dead_letters_total", source="open", channel="callback", reason="not_json"
    )


async def test_why_the_log_keeps_nothing_is_told_once_in_a_while(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with running(tmp_path, OPEN) as receiver:
            (tmp_path / "monitor.db").unlink()
            answers = [await receiver.client.post("/callbacks/open", content=link_callback()) for _ in "12"]

    told = [line for line in lines if line["event"] == "log unavailable"]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert [line["log_level"] for line in told] == ["error"]
    assert f"{tmp_path / 'monitor.db'}: the file was removed" in told[0]["error"]


async def test_a_source_that_floods_a_stalled_log_leaves_room_for_the_others(tmp_path: Path) -> None:
    limits = Limits(LIMIT, storing=2)
    async with running(tmp_path, OPEN, PROD, limits=limits) as receiver:
        stall = sqlite3.connect(tmp_path / "monitor.db", isolation_level=None)
        stall.execute("BEGIN IMMEDIATE")
        waiting = [
            asyncio.create_task(receiver.client.post("/callbacks/open", content=link_callback()))
            for _ in range(3)
        ]
        await eventually(lambda: receiver.outcome("open", "overloaded") == 1)
        other = asyncio.create_task(
            receiver.client.post("/callbacks/prod", content=link_callback(), headers=head_signature())
        )
        forms = {"source": "prod", "form": "stripped"}
        await eventually(lambda: receiver.sample("monitor_signature_forms_total", **forms) == 1)
        assert not other.done()
        stall.execute("ROLLBACK")
        stall.close()
        answers = [await answer for answer in waiting]
        other_status = (await other).status_code
        # Those that waited have given their places back.
        afterwards = await receiver.client.post("/callbacks/open", content=link_callback())

    assert sorted(answer.status_code for answer in answers) == [200, 200, 503]
    # Not the one that a locked file would be the cause of.
    refused = [answer.json()["detail"] for answer in answers if answer.status_code == 503]
    assert refused == ["Too many requests of this source wait for the log."]
    assert other_status == 200
    assert afterwards.status_code == 200


async def test_health_is_answered_while_the_process_serves(tmp_path: Path) -> None:
    async with running(tmp_path) as receiver:
        healthy = await receiver.client.get("/healthz")
        headers_alone = await receiver.client.head("/healthz")
        posted = await receiver.client.post("/healthz")

    assert (healthy.status_code, healthy.json()) == (200, {"status": "ok"})
    assert (headers_alone.status_code, headers_alone.content) == (200, b"")
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    ["/", "/callbacksopen", "/metrics", "/rtc/open"],
)
async def test_anything_else_is_answered_404(tmp_path: Path, path: str) -> None:
    async with running(tmp_path, OPEN) as receiver:
        answer = await receiver.client.post(path, content=link_callback())
        kept = await receiver.kept()

    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert kept == 0


async def test_refusals_of_one_kind_leave_one_line_in_the_log(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with running(tmp_path, PROD) as receiver:
            for _ in range(5):
                await receiver.client.post("/callbacks/prod", content=b"{}")
            await receiver.client.post("/callbacks/prod", content=b"{}", headers=head_signature(0))

    refused = [(line["source"], line["reason"]) for line in lines if line["event"] == "request_refused"]
    assert refused == [("prod", "missing"), ("prod", "timestamp")]


async def test_a_fault_of_the_decoder_loses_no_callback_and_tells_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise LookupError("hush")

    monkeypatch.setattr("monitor.receiver.callbacks.registry.decode_callback", fail)
    with capture_logs() as lines:
        async with running(tmp_path, OPEN) as receiver:
            answer = await receiver.client.post("/callbacks/open", content=b"kept")
            (letter,) = await receiver.dead_letters()

    assert answer.status_code == 200
    assert (letter.body, letter.reason) == (b"kept", "decoder_failed")
    assert "LookupError" in letter.detail
    assert "hush" not in letter.detail + str(lines)


async def test_a_fault_of_the_receiver_is_answered_500_and_tells_nothing_of_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise LookupError("hush")

    monkeypatch.setattr("monitor.receiver.callbacks.identify", fail)
    with capture_logs() as lines:
        async with running(tmp_path, OPEN) as receiver:
            answer = await receiver.client.post("/callbacks/open", content=b"hush")

    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    (line,) = lines
    assert (line["event"], line["error"]) == ("request failed", "LookupError")
    assert "hush" not in answer.text + str(lines)
