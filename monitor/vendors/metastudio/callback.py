"""What MetaStudio's live event callbacks say.

A body is `{"event_type": …, "message": …}`. The page shows `message` as JSON in a string; it is
taken as an object too, and in the broken form that the page prints (see `repair`).
"""

import hashlib
import sys
from collections import deque
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from monitor.config import Source
from monitor.errors import UndecodableError
from monitor.event import (
    UNKNOWN_TYPE,
    Decoded,
    LinkChanged,
    LinkState,
    Paragraph,
    ParagraphStarted,
    Payload,
    ReplyFinished,
    Unrecognised,
    canonical_job_id,
)
from monitor.vendors.json_body import (
    Body,
    Count,
    Identifier,
    OptionalIdentifier,
    undecodable,
)
from monitor.vendors.metastudio.repair import parse_repaired
from monitor.vendors.registration import canonical_room_id

NAME_LENGTH = 64
"""Of an unknown event's own name, so many characters are kept."""

_STATES = {state.name: state for state in LinkState}
_identifier = TypeAdapter(Identifier)


class _Callback(Body):
    event_type: str
    message: Any = None


class _Message(Body):
    job_id: Identifier
    room_id: OptionalIdentifier = None

    def payload(self) -> Payload:
        raise NotImplementedError


class _ScriptSwitch(_Message):
    scene_script_name: str
    shoot_script_sequence_no: Count

    def payload(self) -> Payload:
        paragraph = Paragraph.told(self.scene_script_name, self.shoot_script_sequence_no)
        return ParagraphStarted(paragraph, canonical_room_id(self.room_id))


class _StreamState(_Message):
    state: str
    output_url: str | None = None
    stream_key: str | None = None

    def payload(self) -> Payload:
        state = _STATES.get(self.state)
        if state is None:
            return _unrecognised(f"RTMP_STREAM_STATE_CHANGE {self.state}")
        return LinkChanged(self._output(), state, canonical_room_id(self.room_id))

    def _output(self) -> str:
        """Name the output without telling it: both fields may hold the key of the push."""
        told = f"{self.output_url or ''}\0{self.stream_key or ''}"
        # Interned: a state holds it once for each fact about the output.
        return sys.intern(hashlib.blake2b(told.encode(), digest_size=8).hexdigest())


class _ReplyFinish(_Message):
    reply_id: Identifier

    def payload(self) -> Payload:
        return ReplyFinished(canonical_job_id(self.reply_id), canonical_room_id(self.room_id))


# The validators themselves: a model's own classmethods around them cost a callback a quarter more.
_callback = TypeAdapter(_Callback).validator
_messages = {
    "SHOOT_SCRIPT_SWITCH": TypeAdapter(_ScriptSwitch).validator,
    "RTMP_STREAM_STATE_CHANGE": TypeAdapter(_StreamState).validator,
    "REPLY_COMMAND_FINISH": TypeAdapter(_ReplyFinish).validator,
}

CALLBACK_TYPES = (*_messages, UNKNOWN_TYPE)
"""What type a callback can have."""


def decode_callback(source: Source, body: bytes) -> Decoded:
    """Decode a callback. What nobody published is `unknown`, and kept, as long as it names a job.

    Args:
        source: not needed; other vendors' bodies depend on it.
        body: as it came.

    Raises:
        UndecodableError: not_json, no_job_id or wrong_type.
    """
    del source
    callback = _parse(body)
    validator = _messages.get(callback.event_type)
    if validator is None:
        job_id = _find_job_id(callback.message, body)
        return Decoded(job_id, UNKNOWN_TYPE, _unrecognised(callback.event_type))
    try:
        if isinstance(callback.message, str):
            message: _Message = validator.validate_json(callback.message)
        else:
            message = validator.validate_python(callback.message)
    except ValidationError as error:
        raise undecodable(error, "message") from None
    payload = message.payload()
    kind = UNKNOWN_TYPE if isinstance(payload, Unrecognised) else callback.event_type
    return Decoded(canonical_job_id(message.job_id), kind, payload)


def _parse(body: bytes) -> _Callback:
    try:
        parsed: _Callback = _callback.validate_json(body)
    except ValidationError as error:
        return parse_repaired(_Callback, body, "message", error)
    return parsed


def _unrecognised(name: str) -> Unrecognised:
    return Unrecognised(name[:NAME_LENGTH])


def _find_job_id(message: Any, body: bytes) -> str:
    """Return the job id nearest to the top of an event whose form nobody published.

    Raises:
        UndecodableError: no_job_id; wrong_type where what stands there can be no id.
    """
    refused: ValidationError | None = None
    waiting = deque([_parsed(message), _parsed(body)])
    while waiting:
        value = waiting.popleft()
        if isinstance(value, dict):
            job_id = value.get("job_id")
            if job_id is not None:
                try:
                    return canonical_job_id(_identifier.validate_python(job_id, strict=True))
                except ValidationError as error:
                    refused = refused or error
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    if refused is not None:
        raise undecodable(refused, "an event of an unknown type: job_id") from None
    raise UndecodableError("no_job_id", "message: an event of an unknown type that names no job")


def _parsed(value: Any) -> Any:
    if not isinstance(value, str | bytes):
        return value
    try:
        return from_json(value)
    except ValueError:
        return None
