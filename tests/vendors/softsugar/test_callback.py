import json
from typing import Any

import pytest

from monitor.errors import UndecodableError
from monitor.event import Decoded, SessionChanged, SessionState, Unrecognised
from monitor.vendors.softsugar.callback import decode_callback
from tests.vendors.building import softsugar


def decode(body: Any, **fields: str) -> Decoded:
    return decode_callback(softsugar(fields=fields), json.dumps(body).encode())


def refusal(body: Any, **fields: str) -> str:
    with pytest.raises(UndecodableError) as caught:
        decode(body, **fields)
    return caught.value.reason


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (5, SessionState.COMPLETED),
        (9, SessionState.ABNORMAL),
        (32, SessionState.STARTING),
        ("35", SessionState.RUNNING),
    ],
)
def test_each_known_status_is_a_state(status: object, state: SessionState) -> None:
    assert decode({"sessionId": "s", "status": status}).payload == SessionChanged(state)


def test_a_code_of_success_is_no_error() -> None:
    assert decode({"sessionId": "s", "status": 5, "code": 0}).payload == SessionChanged(
        SessionState.COMPLETED, None
    )


@pytest.mark.parametrize("field", ["sessionId", "session_id"])
def test_a_session_is_named_in_either_spelling_at_the_top_or_under_data(field: str) -> None:
    assert decode({field: "s", "status": 5}).job_id == "s"
    assert decode({"status": 5, "data": {field: "s"}}).job_id == "s"


def test_a_field_at_the_top_goes_before_one_under_data() -> None:
    body = {"sessionId": "top", "status": 5, "data": {"sessionId": "below", "status": 9}}

    assert decode(body) == Decoded("top", "session_status", SessionChanged(SessionState.COMPLETED))


def test_a_null_at_the_top_hides_nothing() -> None:
    body = {"sessionId": None, "status": None, "data": {"sessionId": "below", "status": 9}}

    assert decode(body) == Decoded("below", "session_status", SessionChanged(SessionState.ABNORMAL))


def test_a_mapped_field_is_looked_for_nowhere_else() -> None:
    body = {"sessionId": "s", "status": 5, "code": 84115917, "x": {"id": "mapped"}}

    assert decode(body, session_id="/x/id").job_id == "mapped"
    assert decode(body, status="/x/status", code="/x/code").payload == Unrecognised("no status")
    assert refusal(body, session_id="/x/none") == "no_job_id"


def test_an_empty_session_id_hides_no_other_one() -> None:
    body = {"sessionId": "", "data": {"sessionId": "s-1", "status": 35}}
    assert decode(body).job_id == "s-1"
    assert refusal({"sessionId": "", "status": 35}) == "no_job_id"


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("/list/1/id", "second"),
        ("/a~1b", "slash"),
        ("/m~0n", "tilde"),
        ("/~01", "not a slash"),
        ("/", "empty name"),
        ("/ ", "space"),
    ],
)
def test_a_pointer_reaches_what_it_names(pointer: str, expected: str) -> None:
    body = {
        "list": [{"id": "first"}, {"id": "second"}],
        "a/b": "slash",
        "m~n": "tilde",
        "~1": "not a slash",
        "": "empty name",
        " ": "space",
        "status": 5,
    }

    assert decode(body, session_id=pointer).job_id == expected


@pytest.mark.parametrize("pointer", ["/list/01", "/list/-", "/list/2", "/list/+1", "/text/0", "/list/0/x"])
def test_a_pointer_to_nowhere_finds_nothing(pointer: str) -> None:
    assert refusal({"list": ["a", "b"], "text": "abc", "status": 5}, session_id=pointer) == "no_job_id"


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": True},
        {"status": 5.0},
        {"status": "five"},
        {"status": {}},
        {"code": "E1"},
        {"code": [1]},
        {"code": 10**1000},
        {"code": "1" * 1000},
    ],
)
def test_a_status_or_code_that_is_no_whole_number_is_undecodable(wrong: dict[str, Any]) -> None:
    assert refusal({"sessionId": "s", "status": 5, **wrong}) == "wrong_type"


@pytest.mark.parametrize("session_id", ["a\tb", "s" * 257, True, 1.5, {}])
def test_a_session_id_that_cannot_name_a_stream_is_undecodable(session_id: object) -> None:
    assert refusal({"sessionId": session_id, "status": 5}) == "wrong_type"
