"""A start of a SoftSugar session that somebody tells us of."""

from typing import Any

from monitor.errors import UndecodableError
from monitor.vendors.json_body import Body, OptionalIdentifier, parse_body
from monitor.vendors.protocol import Registration
from monitor.vendors.registration import (
    PostedScript,
    ReducedRegistration,
    canonical_room_id,
    plan_of,
)
from monitor.vendors.softsugar.callback import session_id


class _Start(Body):
    """The request is left alone: its `param` is a text of the user's."""

    response: Any = None
    room_id: OptionalIdentifier = None
    script: PostedScript | None = None


def reduce_registration(body: bytes) -> Registration:
    """Take the session's id and the plan; leave all secrets.

    Raises:
        UndecodableError: not_json, no_job_id, wrong_type or too_many.
    """
    start = parse_body(_Start, body)
    if start.response is None:
        raise UndecodableError("no_job_id", "response.data.sessionId is missing")
    if not isinstance(start.response, dict):
        raise UndecodableError("wrong_type", "response: must be an object")
    return ReducedRegistration(
        job_id=session_id(start.response),
        room_id=canonical_room_id(start.room_id),
        plan=plan_of(start.script or ()),
    ).registration()
