"""What MetaStudio's messages inside an RTC room say, once somebody in that room relays them.

A message is `{"message_type": …, "data": …}` and names neither room nor job: the relay's URL does.
The relay may put it into an envelope of ours, `{"relay": id, "seq": n, "at_ms": t, "message": …}`.
"""

import re
from typing import Annotated, Any

from pydantic import Field, ValidationError

from monitor.errors import UndecodableError
from monitor.event import (
    UNKNOWN_TYPE,
    Decoded,
    Paragraph,
    Payload,
    Relay,
    ReplyFinished,
    ScriptProgress,
    Unrecognised,
    canonical_job_id,
)
from monitor.vendors.json_body import Body, Count, Identifier, undecodable
from monitor.vendors.metastudio.callback import NAME_LENGTH
from monitor.vendors.metastudio.repair import parse_repaired

_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_GREATEST_OFFSET = 2**53 - 1


class _Delivery(Body):
    """A message, bare (message_type, data) or in an envelope (relay, seq, at_ms, message)."""

    message_type: str | None = None
    data: Any = None
    relay: Identifier | None = None
    seq: Count | None = None
    at_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    message: Any = None


class _LiveProgress(Body):
    script_name: str
    shoot_script_sequence_no: Count
    offset: Any = None

    def payload(self) -> Payload:
        paragraph = Paragraph.told(self.script_name, self.shoot_script_sequence_no)
        return ScriptProgress(paragraph, _whole_offset(self.offset))


class _ReplyFinish(Body):
    reply_id: Identifier

    def payload(self) -> Payload:
        return ReplyFinished(canonical_job_id(self.reply_id))


_DATA: dict[str, type[_LiveProgress | _ReplyFinish]] = {
    "live_progress_notify": _LiveProgress,
    "reply_command_finish_notify": _ReplyFinish,
}

RTC_TYPES = (*_DATA, UNKNOWN_TYPE)
"""What type a message can have."""


def decode_rtc(message: bytes) -> Decoded:
    """Decode one message, bare or in a relay's envelope.

    Raises:
        UndecodableError: not_json or wrong_type.
    """
    delivery = _parse(message, "")
    if delivery.relay is None:
        return _decode(delivery, None)
    if delivery.seq is None:
        raise UndecodableError("wrong_type", "seq: a relay's envelope needs a rising number")
    at = None if delivery.at_ms is None else delivery.at_ms / 1000
    return _decode(_inner(delivery.message), Relay(delivery.relay, delivery.seq, at))


def _inner(message: Any) -> _Delivery:
    if isinstance(message, str):
        return _parse(message.encode(), "message")
    try:
        return _Delivery.model_validate(message)
    except ValidationError as error:
        raise undecodable(error, "message") from None


def _parse(text: bytes, at: str) -> _Delivery:
    try:
        return _Delivery.model_validate_json(text)
    except ValidationError as error:
        return parse_repaired(_Delivery, text, "data", error, at)


def _decode(delivery: _Delivery, relay: Relay | None) -> Decoded:
    if delivery.message_type is None:
        raise UndecodableError("wrong_type", "message_type is missing")
    model = _DATA.get(delivery.message_type)
    if model is None:
        name = Unrecognised(delivery.message_type[:NAME_LENGTH])
        return Decoded(None, UNKNOWN_TYPE, name, relay)
    try:
        if isinstance(delivery.data, str):
            data = model.model_validate_json(delivery.data)
        else:
            data = model.model_validate(delivery.data)
    except ValidationError as error:
        raise undecodable(error, "data") from None
    return Decoded(None, delivery.message_type, data.payload(), relay)


def _whole_offset(value: Any) -> int | None:
    """Read how far a paragraph has got: the page shows digits in a string and names no unit.

    That the paragraph was reached is worth keeping whatever stands here: what isn't a number is None.
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # NaN is neither; and no float is large enough for some whole numbers.
    return int(value) if 0 <= value <= _GREATEST_OFFSET else None
