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
