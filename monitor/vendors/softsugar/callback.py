"""What SoftSugar's callbacks say, as far as anybody can know: their fields are not published.

Known are the API's envelope `{code, message, data}`, the name `sessionId`, and what a live session's
status numbers mean. So each field is looked for at the top and under `data`, and a source can say by
JSON pointers (RFC 6901) where it stands instead.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from monitor.config import Source
from monitor.errors import UndecodableError
from monitor.event import (
    UNKNOWN_TYPE,
    Decoded,
    SessionChanged,
    SessionState,
    Unrecognised,
    canonical_job_id,
)
from monitor.vendors.json_body import Identifier, parse_object

SESSION_STATUS = "session_status"
"""The event type of every callback that tells a known status or an error."""

_SESSION_ID_PLACES = ("/sessionId", "/session_id", "/data/sessionId", "/data/session_id")
_STATUS_PLACES = ("/status", "/data/status")
_CODE_PLACES = ("/code", "/data/code")

_STATES = {
    5: SessionState.COMPLETED,
    9: SessionState.ABNORMAL,
    32: SessionState.STARTING,
    35: SessionState.RUNNING,
}
_SUCCESS = 0

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_identifier = TypeAdapter(Identifier)


def decode_callback(source: Source, body: bytes) -> Decoded:
    """Decode a callback.

    Args:
        source: says where the fields stand, if not in the usual places.
        body: as it came.

    Raises:
        UndecodableError: not_json, no_job_id or wrong_type.
    """
    document = parse_object(body)
    # `data` may well come as JSON in a string, as the vendor's `param` does.
    if isinstance(document.get("data"), str):
        document["data"] = _parsed(document["data"])
    fields = source.fields
    job_id = session_id(document, _places(fields.session_id, _SESSION_ID_PLACES))
    status = _status(document, _places(fields.status, _STATUS_PLACES))
    codes = _whole_numbers(document, _places(fields.code, _CODE_PLACES))
    # The envelope's own code says that the message is well, and hides nothing that stands below it.
    code = next((code for code in codes if code != _SUCCESS), None)
    state = None if status is None else _STATES.get(status)
    if state is None and code is None:
        name = "no status" if status is None else f"status {status}"
        return Decoded(job_id, UNKNOWN_TYPE, Unrecognised(name))
    return Decoded(job_id, SESSION_STATUS, SessionChanged(state, code))


def session_id(document: dict[str, Any], places: tuple[str, ...] = _SESSION_ID_PLACES) -> str:
    """Return the session's id as text, from the first of the places that has one.

    Raises:
        UndecodableError: no_job_id or wrong_type.
    """
    for value in _values(document, places):
        if value == "":
            continue
        # Numbers are taken too: nobody said that the id is a text.
        told = str(value) if _is_whole(value) else value
        try:
            return canonical_job_id(_identifier.validate_python(told, strict=True))
        except ValidationError:
            raise UndecodableError(
                "wrong_type", "the session id must be 1 to 256 characters, none of them a control character"
            ) from None
    raise UndecodableError("no_job_id", f"no session id at {' or '.join(places)}")


def _status(document: dict[str, Any], places: tuple[str, ...]) -> int | None:
    """Return the first status that is a session's, or else the first of all; None if there is none.

    One at the top may be that of the message alone, as a code there is; it hides nothing either.

    Raises:
        UndecodableError: wrong_type.
    """
    for value in _values(document, places):
        status = _whole_number(value)
        if status in _STATES:
            return status
    return next(_whole_numbers(document, places), None)


def _places(pointer: str | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    return usual if pointer is None else (pointer,)


def _whole_numbers(document: dict[str, Any], places: tuple[str, ...]) -> Iterator[int]:
    for value in _values(document, places):
        number = _whole_number(value)
        if number is None:
            raise UndecodableError("wrong_type", f"{' or '.join(places)}: must be a whole number")
        yield number


def _whole_number(value: Any) -> int | None:
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    return value if _is_whole(value) else None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18


def _values(document: dict[str, Any], places: tuple[str, ...]) -> Iterator[Any]:
    """Yield what stands at the places; null is as good as nothing."""
    for pointer in places:
        value: Any = document
        for token in _tokens(pointer):
            if isinstance(value, dict):
                value = value.get(token)
            elif isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
                value = value[int(token)]
            else:
                value = None
        if value is not None:
            yield value


@lru_cache(maxsize=256)
def _tokens(pointer: str) -> tuple[str, ...]:
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def _parsed(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError:
        return None
