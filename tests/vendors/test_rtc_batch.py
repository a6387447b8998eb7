import json
from codecs import BOM_UTF8

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import UndecodableError
from monitor.vendors.rtc_batch import MOST_BROKEN, MOST_MESSAGES, split_rtc

MESSAGES = st.lists(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(), min_size=1, max_size=3),
    min_size=1,
    max_size=5,
)


def test_an_arrays_elements_keep_their_bytes() -> None:
    assert split_rtc(b' [ {"b" : 1.0,\n"a":"\xc3\xa9]"} ,2 ] \n') == [b'{"b" : 1.0,\n"a":"\xc3\xa9]"}', b"2"]


@pytest.mark.parametrize("body", [b'[{"a":1},{"b":2}]', b'{"a":1}\n{"b":2}'], ids=["array", "lines"])
def test_a_byte_order_mark_before_the_messages_is_passed_over(body: bytes) -> None:
    assert split_rtc(BOM_UTF8 + body) == [b'{"a":1}', b'{"b":2}']


def test_an_empty_array_holds_nothing() -> None:
    assert split_rtc(b" [\n] ") == []


@pytest.mark.parametrize(
    "body", [b"[1,2", b"[1 2]", b"[1,]", b"[,1]", b"[1]x", b"[", b'[{"a":1},]', b"[" * 20_000]
)
def test_what_is_not_an_array_through_and_through_is_one_message(body: bytes) -> None:
    assert split_rtc(body) == [body]


# The last is the form that the vendor's page prints.
BROKEN_OBJECTS = [b'{"a":}', b'{"a":"\xff"}', b'{"a":{"b":1}', b'{"data":"{ "reply_id":"e8" }"}']


@pytest.mark.parametrize("broken", BROKEN_OBJECTS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_broken_object_of_an_array_stands_alone(broken: bytes, place: int) -> None:
    messages = [b'{"a":{"b":"},{"}}', b'{"a":[{}, {}]}']
    messages.insert(place, broken)

    assert split_rtc(b" [ " + b" ,\n".join(messages) + b" ] ") == messages


def test_broken_objects_are_told_apart_up_to_a_number() -> None:
    def body(count: int) -> bytes:
        return b"[" + b",".join([b'{"a":}'] * count) + b"]"

    assert len(split_rtc(body(MOST_BROKEN))) == MOST_BROKEN
    assert split_rtc(body(MOST_BROKEN + 1)) == [body(MOST_BROKEN + 1)]


def test_one_message_over_several_lines_stays_one() -> None:
    body = b'{\n  "message_type": "x",\n  "data": {}\n}\n'

    assert split_rtc(body) == [body]


def test_one_message_with_an_object_on_a_line_of_its_own_stays_one() -> None:
    body = b'{\n  "message_type": "x",\n  "data":\n  {"script_name": "a"}\n}\n'

    assert split_rtc(body) == [body]


def test_a_message_that_is_no_json_and_printed_over_lines_stays_one() -> None:
    body = b'{\n  "message_type": "x",\n  "data":"{\n    "reply_id":"e8"\n  }"\n}'

    assert split_rtc(body) == [body]


def test_a_body_without_anything_is_one_message_for_the_decoder_to_refuse() -> None:
    assert split_rtc(b"") == [b""]


def test_lines_are_split_and_empty_ones_left_out() -> None:
    assert split_rtc(b'{"a":1}\r\n\n  \n {"a":2}\n') == [b'{"a":1}', b'{"a":2}']


@pytest.mark.parametrize("broken", [b'{"a":', b"applause", b'{"a":"\xff"}', b"\xff"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_broken_line_stands_alone(broken: bytes, place: int) -> None:
    lines = [b'{"a":1}', b'{"a":2}']
    lines.insert(place, broken)

    assert split_rtc(b"\n".join(lines)) == lines


@pytest.mark.parametrize("separator", [b",", b"\n"])
def test_more_messages_than_a_request_may_carry_are_refused(separator: bytes) -> None:
    def body(count: int) -> bytes:
        joined = separator.join([b"{}"] * count)
        return b"[" + joined + b"]" if separator == b"," else joined

    assert len(split_rtc(body(MOST_MESSAGES))) == MOST_MESSAGES
    with pytest.raises(UndecodableError) as caught:
        split_rtc(body(MOST_MESSAGES + 1))
    assert caught.value.reason == "too_many"


@given(MESSAGES, st.booleans())
def test_array_and_lines_split_into_what_was_joined(
    messages: list[dict[str, str | int]], in_array: bool
) -> None:
    written = [json.dumps(message, ensure_ascii=False).encode() for message in messages]
    body = b"[" + b" , ".join(written) + b"]" if in_array else b"\n".join(written)

    assert split_rtc(body) == written


@given(st.binary())
def test_any_bytes_are_split_without_a_failure(body: bytes) -> None:
    assert isinstance(split_rtc(body), list)
