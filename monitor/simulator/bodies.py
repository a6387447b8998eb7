"""From facts to the bytes that a vendor posts, in every spelling that the vendors use or may use."""

import json
from dataclasses import dataclass
from typing import Any

from monitor.config import Source
from monitor.event import (
    CallbackKind,
    JobRegistered,
    LinkChanged,
    Paragraph,
    ParagraphStarted,
    ReplyFinished,
    ScriptProgress,
    SessionChanged,
    SessionState,
)
from monitor.simulator.life import Fact
from monitor.vendors.softsugar.signature import SignatureFields

_STATUS = {
    SessionState.STARTING: 32,
    SessionState.RUNNING: 35,
    SessionState.COMPLETED: 5,
    SessionState.ABNORMAL: 9,
}

_SUBSCRIPTION = {
    CallbackKind.LINK: "RTMP_STREAM_STATE_CHANGE",
    CallbackKind.PARAGRAPH: "SHOOT_SCRIPT_SWITCH",
    CallbackKind.REPLY: "REPLY_COMMAND_FINISH",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a simulated stream is.

    job_id: canonical. secret: what only the vendor knows; stream keys are made of it. relay: the name
    of the relay in the RTC room; None: messages are posted bare.
    """

    source: Source
    job_id: str
    room_id: str
    secret: str
    relay: str | None


def spelled(job_id: str, variant: int) -> str:
    """Return a MetaStudio id in one of its spellings: mostly bare, sometimes hyphened or in upper case."""
    if variant % 8 == 1:
        job_id = "-".join((job_id[:8], job_id[8:12], job_id[12:16], job_id[16:20], job_id[20:]))
    return job_id.upper() if variant % 16 in (1, 2) else job_id


def metastudio_callback(identity: Identity, fact: Fact) -> bytes:
    """Return the body of a MetaStudio callback.

    Raises:
        TypeError: nothing that MetaStudio calls back for.
    """
    message: dict[str, Any] = {
        "room_id": spelled(identity.room_id, fact.variant >> 4),
        "job_id": spelled(identity.job_id, fact.variant),
    }
    payload = fact.payload
    if isinstance(payload, ParagraphStarted):
        event_type = "SHOOT_SCRIPT_SWITCH"
        paragraph = payload.paragraph
        message["scene_script_name"] = paragraph.scene
        message["shoot_script_sequence_no"] = str(paragraph.sequence_no)
        message["shoot_script_title"] = _title(paragraph)
        if fact.variant & 0x400:
            message["live_id"] = f"live-{identity.room_id[:6]}"
    elif isinstance(payload, LinkChanged):
        event_type = "RTMP_STREAM_STATE_CHANGE"
        message["output_url"] = f"rtmp://push.example.com/live/{identity.job_id[:8]}-{payload.output}"
        message["stream_key"] = f"{identity.secret}{payload.output}"
        message["state"] = payload.state.name
    elif isinstance(payload, ReplyFinished):
        event_type = "REPLY_COMMAND_FINISH"
        message["reply_id"] = payload.reply_id
    else:
        raise TypeError(f"no MetaStudio callback tells of a {type(payload).__name__}")
    return _with_object(event_type, "event_type", "message", message, fact)


def rtc_message(identity: Identity, fact: Fact, sequence: int, at: float) -> bytes:
    """Return what a relay posts: one RTC message, in the relay's envelope if the relay has a name.

    Args:
        identity: the stream's.
        fact: progress or a reply.
        sequence: rises with each message of the stream.
        at: when the message was told in the room, Unix seconds of the receiver's clock.

    Raises:
        TypeError: nothing that is told in an RTC room.
    """
    payload = fact.payload
    data: dict[str, Any]
    if isinstance(payload, ScriptProgress):
        message_type = "live_progress_notify"
        data = {
            "script_name": payload.paragraph.scene,
            "shoot_script_sequence_no": payload.paragraph.sequence_no,
            "shoot_script_title": _title(payload.paragraph),
            "offset": str(payload.offset),
        }
    elif isinstance(payload, ReplyFinished):
        message_type = "reply_command_finish_notify"
        data = {"reply_id": payload.reply_id}
    else:
        raise TypeError(f"no RTC message tells of a {type(payload).__name__}")
    if identity.relay is None:
        return _with_object(message_type, "message_type", "data", data, fact)
    held = json.dumps(data) if fact.variant % 4 == 3 else data
    message: Any = {"message_type": message_type, "data": held}
    if fact.variant % 16 == 5:
        message = json.dumps(message)
    envelope = {"relay": identity.relay, "seq": sequence, "at_ms": int(at * 1000), "message": message}
    text = _dumps(envelope, fact)
    # A relay may gather messages; one alone is an array or a line as well.
    return {0: f"[{text}]", 1: f"{text}\n"}.get(fact.variant >> 5 & 7, text).encode()


def registration(identity: Identity, fact: Fact) -> bytes:
    """Return what is posted to `/api/jobs/{source}` when a job was started.

    Raises:
        TypeError: no registration.
    """
    said = fact.payload
    if not isinstance(said, JobRegistered):
        raise TypeError(f"a {type(said).__name__} is no registration")
    policy: dict[str, Any] = {
        "repeat_count": said.repeat_count,
        "auto_play_script": said.auto_play_script,
        "play_mode": said.play_mode,
        "random_play_mode": said.random_play_mode,
    }
    if said.max_duration is not None:
        policy["live_exit_config"] = {"max_live_duration": said.max_duration / 3600}
    callback_config = {
        "live_event_type_callback_url": identity.source.public_url,
        "auth_type": identity.source.auth_type,
        "callback_event_type": [_SUBSCRIPTION[kind] for kind in said.subscribed],
    }
    body = {
        "request": {
            "play_policy": {name: value for name, value in policy.items() if value is not None},
            "view_mode": said.view_mode,
            "live_event_callback_config": callback_config,
        },
        "response": {
            "job_id": spelled(identity.job_id, 1),
            "live_warning_info": [{"warning_type": warning} for warning in said.warnings or ()],
        },
        "room_id": spelled(identity.room_id, 1),
        "script": [{**paragraph._asdict(), "title": _title(paragraph)} for paragraph in said.plan],
    }
    return _dumps(body, fact).encode()


def softsugar_callback(identity: Identity, fact: Fact, signature: SignatureFields | None) -> bytes:
    """Return the body of a SoftSugar callback, its fields where the source's mapping looks for them.

    Args:
        identity: the stream's.
        fact: of a session.
        signature: what the body carries of it; None: nothing.

    Raises:
        TypeError: nothing that SoftSugar calls back for.
    """
    payload = fact.payload
    if not isinstance(payload, SessionChanged):
        raise TypeError(f"no SoftSugar callback tells of a {type(payload).__name__}")
    status = None if payload.state is None else _STATUS[payload.state]
    fields = identity.source.fields
    nested = fact.variant & 1 == 1
    where = {
        fields.session_id or ("/data/sessionId" if nested else "/sessionId"): identity.job_id,
        fields.status or ("/data/status" if nested else "/status"): status,
        fields.code or "/code": payload.code or 0,
        fields.user_data or "/userData": f"user data of {identity.room_id[:6]}",
    }
    body: dict[str, Any] = {"message": "success" if payload.code is None else "failure"}
    for pointer, value in where.items():
        if value is not None:
            _place(body, pointer, value)
    if fact.variant % 8 == 7 and "data" in body and not any(_pointers(identity.source)):
        body["data"] = json.dumps(body["data"])
    if signature is not None:
        body |= signature._asdict()
    return _dumps(body, fact).encode()


def _pointers(source: Source) -> list[str | None]:
    fields = source.fields
    return [fields.session_id, fields.status, fields.code, fields.user_data]


def _place(document: dict[str, Any], pointer: str, value: object) -> None:
    *path, name = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
    for token in path:
        document = document.setdefault(token, {})
    document[name] = value


def _title(paragraph: Paragraph) -> str:
    return f'Paragraph {paragraph.sequence_no} of "{paragraph.scene}"'


def _with_object(kind: str, kind_name: str, name: str, value: dict[str, Any], fact: Fact) -> bytes:
    """Write an object inside another: as JSON in a string, bare, or (replies) as the page prints it."""
    inside = _dumps(value, fact)
    style = fact.variant >> 5 & 7
    if style == 0:
        return _dumps({kind_name: kind, name: value}, fact).encode()
    if style == 1 and isinstance(fact.payload, ReplyFinished):
        return f'{{"{kind_name}": "{kind}", "{name}": "{inside}"}}'.encode()
    return _dumps({kind_name: kind, name: inside}, fact).encode()


def _dumps(value: object, fact: Fact) -> str:
    """Write JSON with or without escapes and spaces."""
    plain = fact.variant & 0x100 == 0
    separators = (",", ":") if fact.variant & 0x200 else (", ", ": ")
    return json.dumps(value, ensure_ascii=plain, separators=separators)
