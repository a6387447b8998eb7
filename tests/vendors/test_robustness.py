"""Whatever comes from outside, decoding and verifying fail in the named ways only."""

import json
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from monitor.config import AuthType, Source
from monitor.errors import AuthenticationError, UndecodableError
from monitor.event import Vendor
from monitor.vendors import registry
from monitor.vendors.protocol import Request
from monitor.vendors.registration import decode_reduced
from tests.vendors.building import KEY, OTHER_KEY, metastudio, softsugar

GOLDEN_BODIES = [
    path.read_bytes().partition(b"\n\n")[2]
    for path in sorted((Path(__file__).parent.parent / "golden").glob("*/*.http"))
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just("1" * 5000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "event_type", "message", "job_id", "room_id", "state", "output_url", "stream_key", "reply_id",
    "scene_script_name", "shoot_script_sequence_no", "message_type", "data", "script_name", "offset",
    "relay", "seq", "at_ms", "request", "response", "script", "scene", "sequence_no", "play_policy",
    "live_exit_config", "max_live_duration", "live_warning_info", "warning_type", "sessionId", "status",
    "code", "timestamp", "signature",
]  # fmt: skip
NAMES = [
    "SHOOT_SCRIPT_SWITCH",
    "RTMP_STREAM_STATE_CHANGE",
    "REPLY_COMMAND_FINISH",
    "live_progress_notify",
    "reply_command_finish_notify",
]
OBJECTS = st.recursive(
    st.dictionaries(st.sampled_from(FIELDS), VALUES | st.sampled_from(NAMES), max_size=6),
    lambda inner: st.dictionaries(
        st.sampled_from(FIELDS), inner | inner.map(json.dumps) | st.sampled_from(NAMES), max_size=6
    ),
    max_leaves=4,
)
SOURCES = [
    metastudio(),
    metastudio(AuthType.MSS_A, (KEY, OTHER_KEY)),
    metastudio(AuthType.MSS_A_HEAD),
    metastudio(public_url="https://hooks.example.com/x?token=a"),
    softsugar(),
    softsugar(("NotTheExamples1", "Key2")),
    softsugar(fields={"session_id": "/data/0/id", "status": "/a~1b", "code": "/data/code"}),
]


@st.composite
def spoiled_bodies(draw: st.DrawFn) -> bytes:
    """Draw a golden body with one piece cut out, put in twice, or replaced."""
    body = draw(st.sampled_from(GOLDEN_BODIES))
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 20)))
    return body[:start] + draw(st.binary(max_size=4) | st.just(body[start:end] * 2)) + body[end:]


BODIES = st.binary() | spoiled_bodies() | OBJECTS.map(lambda value: json.dumps(value).encode())


@given(BODIES)
@example(b"[" * 50_000)
@example(b'{"event_type":"X","message":' + b'{"a":' * 150 + b"1" + b"}" * 151)
@example(b'{"event_type":"REPLY_COMMAND_FINISH","message":"' + b"{" * 30_000)
@example(b'{"sessionId":' + b"9" * 6000 + b',"timestamp":' + b"9" * 6000 + b"}")
@example(b'{"event_type":"X","message":{"job_id":"\\ud800"}}')
def test_any_body_is_decoded_or_named_undecodable(body: bytes) -> None:
    for source in SOURCES:
        decoded_job(source, body)
    for vendor in Vendor:
        named_failures_only(registry.decode_rtc, vendor, body)
        named_failures_only(registry.reduce_registration, vendor, body)
    named_failures_only(decode_reduced, body)


def decoded_job(source: Source, body: bytes) -> None:
    decoded = named_failures_only(registry.decode_callback, source, body)
    if decoded is not None:
        assert 1 <= len(decoded.job_id) <= 256
        assert not any(ord(character) < 32 for character in decoded.job_id)


def named_failures_only(decode: Any, *arguments: Any) -> Any:
    reason = None
    decoded = None
    try:
        decoded = decode(*arguments)
    except UndecodableError as error:
        reason = error.reason
    assert reason in (None, "not_json", "no_job_id", "wrong_type", "too_many")
    return decoded


@given(BODIES)
def test_a_reduced_registration_decodes(body: bytes) -> None:
    for vendor in Vendor:
        try:
            job_id, reduced = registry.reduce_registration(vendor, body)
        except UndecodableError:
            continue
        assert decode_reduced(reduced).job_id == job_id


# As far as text goes: a server hands headers and query over as Latin-1, but nothing here relies on it.
TEXT = st.text(max_size=80) | st.text(st.characters(categories=["Cs", "Nd"]), max_size=8)
HEADERS = st.dictionaries(
    st.sampled_from(["x-hw-mss-secret", "x-hw-mss-time", "timestamp", "signature"]), TEXT, max_size=4
)
QUERIES = TEXT | st.lists(
    st.tuples(st.sampled_from(["hwSecret", "hwTime", "token", "a"]), TEXT).map("=".join), max_size=4
).map("&".join)


@given(QUERIES, HEADERS, BODIES)
def test_any_request_is_verified_or_refused_by_name(query: str, headers: dict[str, str], body: bytes) -> None:
    for source in SOURCES:
        try:
            outcome = registry.verifier(source)(Request(query, headers, body)).form
        except AuthenticationError as error:
            outcome = error.reason
        assert outcome in ("none", "missing", "signature")
