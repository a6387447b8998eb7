"""Every golden request becomes the facts that stand beside it."""

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.config import Source
from monitor.errors import AuthenticationError, UndecodableError
from monitor.event import Channel, Decoded, Event, EventId, Vendor
from monitor.vendors import registry
from monitor.vendors.protocol import Request

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = sorted(GOLDEN.glob("*/*.http"))


def read_request(path: Path) -> Request:
    head, _, body = path.read_bytes().partition(b"\n\n")
    request_line, *header_lines = head.decode().split("\n")
    target = request_line.split(" ")[1]
    headers = (line.split(": ", 1) for line in header_lines)
    return Request(target.partition("?")[2], {name.lower(): value for name, value in headers}, body)


def told(decoded: Decoded) -> dict[str, Any]:
    """Return the facts as the golden files write them."""
    facts: dict[str, Any] = {"job_id": decoded.job_id, "type": decoded.type}
    facts["payload"] = {"kind": type(decoded.payload).__name__, **named(decoded.payload)}
    if decoded.relay is not None:
        facts["relay"] = named(decoded.relay)
    return facts


def named(value: Any) -> dict[str, Any]:
    return {name: plain(part) for name, part in value._asdict().items()}


def plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return named(value) if hasattr(value, "_asdict") else [plain(part) for part in value]
    return value


def decode(source: Source, channel: Channel, body: bytes, kind: str) -> dict[str, Any]:
    event = Event(
        EventId("receiver", 1, 1), source.vendor, source.name, "any", channel, kind, 1725928200.5, None, body
    )
    try:
        return told(registry.decode(event, source))
    except UndecodableError as error:
        return {"undecodable": error.reason}


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_golden_request_becomes_its_facts(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_bytes())
    expected.pop("note", None)
    request = read_request(path)
    source = Source.model_validate(expected["source"])
    channel = Channel(expected["channel"])
    facts: dict[str, Any] = {"channel": expected["channel"], "source": expected["source"]}

    if channel is Channel.CALLBACK:
        try:
            facts["verified"] = named(registry.verifier(source)(request))
        except AuthenticationError as error:
            facts["refused"] = error.reason
        else:
            facts["facts"] = [decode(source, channel, request.body, "unknown")]
    elif channel is Channel.RTC:
        messages = registry.split_rtc(request.body)
        facts["facts"] = [decode(source, channel, message, "unknown") for message in messages]
    else:
        try:
            job_id, reduced = registry.reduce_registration(source.vendor, request.body)
        except UndecodableError as error:
            facts["facts"] = [{"undecodable": error.reason}]
        else:
            facts["reduced"] = json.loads(reduced)
            facts["facts"] = [decode(source, channel, reduced, "job_registered")]
            assert job_id == facts["reduced"]["job_id"]

    assert expected == facts


@pytest.mark.parametrize("vendor", Vendor)
def test_each_vendor_has_golden_requests_on_its_channels(vendor: Vendor) -> None:
    channels = {
        json.loads(path.with_suffix(".json").read_bytes())["channel"]
        for path in CASES
        if path.parent.name == vendor
    }

    assert {"callback", "api"} <= channels


def test_the_type_of_each_golden_request_is_one_that_its_vendor_names() -> None:
    for path in CASES:
        expected = json.loads(path.with_suffix(".json").read_bytes())
        named_types = registry.event_types(Vendor(expected["source"]["vendor"]))
        for fact in expected.get("facts", ()):
            if "type" in fact:
                assert (Channel(expected["channel"]), fact["type"]) in named_types


def test_each_golden_request_has_its_facts_and_each_facts_their_request() -> None:
    requests = {path.with_suffix("") for path in CASES}
    facts = {path.with_suffix("") for path in GOLDEN.glob("*/*.json")}

    assert requests == facts


def test_a_golden_request_says_how_long_its_body_is() -> None:
    """An editor that adds a newline would change what was printed."""
    wrong = [
        path.name
        for path in CASES
        if int((request := read_request(path)).headers["content-length"]) != len(request.body)
    ]

    assert wrong == []


def test_no_secret_of_a_registration_is_kept() -> None:
    kept = [
        registry.reduce_registration(Vendor(path.parent.name), read_request(path).body).body
        for path in CASES
        if path.name in ("registration_in_full.http", "registration.http")
    ]

    assert len(kept) == 2
    assert not any(b"SECRET" in body for body in kept)
