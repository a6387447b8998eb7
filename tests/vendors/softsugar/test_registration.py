import json
from typing import Any

import pytest

from monitor.errors import UndecodableError
from monitor.event import Decoded, JobRegistered, Paragraph
from monitor.vendors.registration import decode_reduced
from monitor.vendors.softsugar.registration import reduce_registration


@pytest.mark.parametrize(
    "response",
    [{"data": {"sessionId": "s-1"}}, {"sessionId": "s-1"}, {"code": 0, "data": {"session_id": "s-1"}}],
)
@pytest.mark.parametrize("request_body", [None, "param=…", {"param": "{}"}, [1]])
def test_the_session_is_the_job_whatever_the_request_was(response: dict[str, Any], request_body: Any) -> None:
    posted = {
        "request": request_body,
        "response": response,
        "script": [{"scene": "a", "sequence_no": "1", "title": "t"}],
    }

    reduced = reduce_registration(json.dumps(posted).encode())

    assert reduced.job_id == "s-1"
    expected = JobRegistered(plan=(Paragraph("a", 1),))
    assert decode_reduced(reduced.body) == Decoded("s-1", "job_registered", expected)


def test_a_room_that_somebody_names_has_one_spelling() -> None:
    posted = {"response": {"sessionId": "s-1"}, "room_id": "26F06524-4F75-4B3A-A853-B649A21AAF66"}

    decoded = decode_reduced(reduce_registration(json.dumps(posted).encode()).body)

    assert decoded.payload == JobRegistered(room_id="26f065244f754b3aa853b649a21aaf66")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "no_job_id"),
        ({"response": None}, "no_job_id"),
        ({"response": {"data": None}}, "no_job_id"),
        ({"response": "s-1"}, "wrong_type"),
        ({"response": {"sessionId": []}}, "wrong_type"),
        ([], "wrong_type"),
    ],
)
def test_a_registration_needs_its_session(body: Any, reason: str) -> None:
    with pytest.raises(UndecodableError) as caught:
        reduce_registration(json.dumps(body).encode())

    assert caught.value.reason == reason
