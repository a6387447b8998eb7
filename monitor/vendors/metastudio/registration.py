"""A start of a MetaStudio job that somebody tells us of: the vendor's request and response."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from monitor.errors import UndecodableError
from monitor.event import CallbackKind, RandomPlayMode, canonical_job_id
from monitor.vendors.json_body import Body, Identifier, OptionalIdentifier, parse_body
from monitor.vendors.protocol import Registration
from monitor.vendors.registration import (
    PostedScript,
    ReducedRegistration,
    canonical_room_id,
    plan_of,
)

_SECONDS_AN_HOUR = 3600

SCRIPT_BY_API = "api"
"""What a registration says of a script that was read from the room, and not written down by somebody."""

_KINDS = {
    "SHOOT_SCRIPT_SWITCH": CallbackKind.PARAGRAPH,
    "RTMP_STREAM_STATE_CHANGE": CallbackKind.LINK,
    "REPLY_COMMAND_FINISH": CallbackKind.REPLY,
}
_RANDOM_PLAY_MODES = {mode.value: mode for mode in RandomPlayMode}

# What becomes a label must be a word of the vendor's kind, not a text that somebody typed.
_WORD = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def words(texts: Iterable[str]) -> tuple[str, ...]:
    """Return those texts that are words of the vendor's kind, each once."""
    return tuple(dict.fromkeys(text for text in texts if _WORD.fullmatch(text)))


class _LiveExit(Body):
    """max_live_duration: hours, 0 for no limit."""

    max_live_duration: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class _PlayPolicy(Body):
    """The defaults are the vendor's: what an omitted field means."""

    repeat_count: Annotated[int, Field(ge=-1, le=2**31 - 1)] | None = None
    auto_play_script: bool | None = None
    play_mode: str | None = None
    random_play_mode: str | None = None
    live_exit_config: _LiveExit | None = None


class _CallbackConfig(Body):
    callback_event_type: Annotated[list[str], Field(fail_fast=True)] | None = None


class _Request(Body):
    room_id: OptionalIdentifier = None
    play_policy: _PlayPolicy | None = None
    view_mode: str | None = None
    live_event_callback_config: _CallbackConfig | None = None


class _RtcRoom(Body):
    room_id: OptionalIdentifier = None


class _Warning(Body):
    warning_type: str


class _Response(Body):
    job_id: Identifier
    room_id: OptionalIdentifier = None
    rtc_room_info: _RtcRoom | None = None
    live_event_callback_config: _CallbackConfig | None = None
    live_warning_info: Annotated[list[_Warning], Field(fail_fast=True)] | None = None


class _Start(Body):
    request: _Request | None = None
    response: _Response | None = None
    room_id: OptionalIdentifier = None
    script: PostedScript | None = None
    script_origin: str | None = None


def reduce_registration(body: bytes) -> Registration:
    """Take the job id, the policy, the subscription, the plan and the warnings; leave all secrets.

    Where a request is given, what it omits has the vendor's default.

    Raises:
        UndecodableError: not_json, no_job_id, wrong_type or too_many.
    """
    start = parse_body(_Start, body)
    response = start.response
    if response is None:
        raise UndecodableError("no_job_id", "response.job_id is missing")
    reduced = ReducedRegistration(
        job_id=canonical_job_id(response.job_id),
        room_id=canonical_room_id(
            (start.request and start.request.room_id) or start.room_id or response.room_id
        ),
        rtc_room_id=(response.rtc_room_info and response.rtc_room_info.room_id) or None,
        subscribed=_subscribed(start.request, response),
        plan=plan_of(start.script or ()),
        plan_by_api=start.script_origin == SCRIPT_BY_API,
        warnings=_warnings(response),
    )
    if start.request is not None:
        _apply_policy(reduced, start.request)
    return reduced.registration()


def _apply_policy(reduced: ReducedRegistration, request: _Request) -> None:
    policy = request.play_policy or _PlayPolicy()
    reduced.play_mode = _word(policy.play_mode, "TEXT")
    reduced.view_mode = _word(request.view_mode, "VERTICAL")
    reduced.random_play_mode = _RANDOM_PLAY_MODES.get(
        policy.random_play_mode or RandomPlayMode.SCRIPT_ITEM.value
    )
    reduced.repeat_count = policy.repeat_count or 0
    reduced.auto_play_script = policy.auto_play_script is not False
    hours = policy.live_exit_config and policy.live_exit_config.max_live_duration
    reduced.max_duration = hours * _SECONDS_AN_HOUR if hours else None


def _word(text: str | None, default: str) -> str | None:
    if not text:
        return default
    return text if _WORD.fullmatch(text) else None


def _subscribed(request: _Request | None, response: _Response) -> tuple[CallbackKind, ...]:
    asked = None if request is None else request.live_event_callback_config
    # A configuration may do without the types: then the other one tells what the vendor made of it.
    configs = (config for config in (asked, response.live_event_callback_config) if config is not None)
    names = next((one.callback_event_type for one in configs if one.callback_event_type is not None), [])
    return tuple(dict.fromkeys(_KINDS[name] for name in names if name in _KINDS))


def _warnings(response: _Response) -> tuple[str, ...] | None:
    """Return the warnings' types; None if the response doesn't speak of them, unlike of none."""
    if response.live_warning_info is None:
        return None
    return words(item.warning_type for item in response.live_warning_info)
