from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.event import Channel, Event, EventId, Vendor
from monitor.log.cloudevents import (
    from_headers,
    from_microseconds,
    letter_from_headers,
    to_headers,
    to_microseconds,
)
from tests.log.making import EVENTS, event

IDENTITY = EventId("a1b2c3d4", 3, 17)


def test_the_attributes_are_those_of_cloudevents() -> None:
    written = to_headers(event(IDENTITY, received=1795240440.25, signed=1795240439))

    assert written == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"a1b2c3d4-3-17"),
        ("ce_source", b"/sources/room-a"),
        ("ce_type", b"metastudio.callback.REPLY_COMMAND_FINISH"),
        ("ce_subject", b"job-1"),
        ("ce_time", b"2026-11-21T05:53:59Z"),
        ("ce_receivedtime", b"2026-11-21T05:54:00.250000Z"),
    ]


def test_without_a_signed_time_the_time_is_the_received_one_with_its_fraction() -> None:
    attributes = dict(to_headers(event(IDENTITY, received=1795240440.0, signed=None)))

    assert attributes["ce_time"] == attributes["ce_receivedtime"] == b"2026-11-21T05:54:00.000000Z"


@given(EVENTS)
def test_an_event_comes_back_from_its_attributes(one: Event) -> None:
    assert from_headers(to_headers(one), one.body) == one


@given(EVENTS, st.lists(st.tuples(st.text(min_size=1).map("x_{}".format), st.binary()), max_size=3))
def test_headers_of_others_are_ignored(one: Event, others: list[tuple[str, bytes]]) -> None:
    assert from_headers([*others, *to_headers(one)], one.body) == one


def test_a_type_may_hold_dots() -> None:
    one = Event(IDENTITY, Vendor.SOFTSUGAR, "s", "j", Channel.API, "a.b.c", 1.5, None, b"")

    assert from_headers(to_headers(one), b"").type == "a.b.c"


@pytest.mark.parametrize(
    "name", ["ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_receivedtime"]
)
def test_a_missing_attribute_is_named(name: str) -> None:
    headers = [header for header in to_headers(event(IDENTITY)) if header[0] != name]

    with pytest.raises(ValueError, match=f"{name}: this header is missing"):
        from_headers(headers, b"")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_id", b"only-two"),
        ("ce_id", b"a-b-c"),
        ("ce_source", b"room-a"),
        ("ce_source", b"/sources/\xff"),
        ("ce_source", b"/sources/"),
        ("ce_source", b"/sources/room a"),
        ("ce_source", b"/sources/room-a\n"),
        ("ce_type", b"metastudio.callback"),
        ("ce_type", b"nobody.callback.x"),
        ("ce_type", b"metastudio.pigeon.x"),
        ("ce_time", b"2026-11-21"),
        ("ce_time", b"2026-13-21T05:54:00Z"),
        ("ce_time", b"1969-12-31T23:59:59Z"),
        ("ce_receivedtime", b"2026-11-21T05:54:00Z"),
        ("ce_receivedtime", b"2026-11-21T05:54:00.abcdefZ"),
        ("ce_receivedtime", b"0001-01-01T00:00:00.000000Z"),
    ],
)
def test_an_attribute_of_another_form_is_named(name: str, value: bytes) -> None:
    headers = dict(to_headers(event(IDENTITY))) | {name: value}

    with pytest.raises(ValueError, match=f"{name}: not of the form"):
        from_headers(headers.items(), b"")


@pytest.mark.parametrize(
    "name", ["ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_receivedtime"]
)
def test_an_attribute_without_a_value_is_named(name: str) -> None:
    # aiokafka's annotations don't tell, but a header of Kafka's may be a name alone.
    headers: dict[str, Any] = dict(to_headers(event(IDENTITY))) | {name: None}

    with pytest.raises(ValueError, match=f"{name}: not of the form"):
        from_headers(headers.items(), b"")
    if name != "ce_subject":
        with pytest.raises(ValueError, match=f"{name}: not of the form"):
            letter_from_headers(headers.items(), b"")


@pytest.mark.parametrize("signed", [-1, 253_402_300_800, 10**20])
def test_a_time_outside_the_years_that_rfc_3339_writes_is_refused(signed: int) -> None:
    with pytest.raises(ValueError, match="1970 to 9999"):
        to_headers(event(IDENTITY, signed=signed))


@given(st.integers(0, 2**32 * 1_000_000))
def test_microseconds_survive_their_way_through_a_float(microseconds: int) -> None:
    assert to_microseconds(from_microseconds(microseconds)) == microseconds
    assert round(from_microseconds(microseconds), 6) == from_microseconds(microseconds)
