"""A registration as the log keeps it: what health needs of a start, in a form of our own."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, StringConstraints

from monitor.errors import UndecodableError
from monitor.event import (
    MOST_PARAGRAPHS,
    MOST_SCRIPT_BYTES,
    SCENE_LENGTH,
    CallbackKind,
    Decoded,
    JobRegistered,
    Paragraph,
    RandomPlayMode,
    canonical_job_id,
)
from monitor.vendors.json_body import Body, Count, Identifier, parse_body
from monitor.vendors.protocol import Registration

JOB_REGISTERED = "job_registered"
"""The event type of a registration."""


class ScriptItem(Body):
    """One paragraph of the script that is registered with a job. Its title is left out on purpose."""

    scene: Annotated[str, StringConstraints(max_length=SCENE_LENGTH)]
    sequence_no: Count


# Ends at the first mistake: a body of nothing but mistakes would hold the event loop.
PostedScript = Annotated[list[ScriptItem], Field(fail_fast=True)]


class ReducedRegistration(Body):
    """What is kept of a registration. max_duration: seconds. The rest as in `JobRegistered`."""

    job_id: Identifier
    room_id: str | None = None
    rtc_room_id: str | None = None
    play_mode: str | None = None
    random_play_mode: RandomPlayMode | None = None
    view_mode: str | None = None
    repeat_count: int | None = None
    auto_play_script: bool | None = None
    max_duration: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    subscribed: tuple[CallbackKind, ...] = ()
    plan: tuple[ScriptItem, ...] = ()
    plan_by_api: bool = False
    warnings: tuple[str, ...] | None = None

    def registration(self) -> Registration:
        """Write it down, without what isn't known."""
        return Registration(
            self.job_id, self.model_dump_json(exclude_none=True, exclude_defaults=True).encode()
        )


def plan_of(script: Iterable[ScriptItem]) -> tuple[ScriptItem, ...]:
    """Return the distinct paragraphs of a script in playing order.

    Raises:
        UndecodableError: too_many.
    """
    distinct = {(item.scene, item.sequence_no): item for item in script}
    if len(distinct) > MOST_PARAGRAPHS:
        raise UndecodableError("too_many", f"script: has more than {MOST_PARAGRAPHS} paragraphs")
    if sum(len(Paragraph(*named).key.encode()) for named in distinct) > MOST_SCRIPT_BYTES:
        raise UndecodableError(
            "too_many", f"script: the names of its paragraphs take more than {MOST_SCRIPT_BYTES} bytes"
        )
    return tuple(distinct.values())


def canonical_room_id(text: str | None) -> str | None:
    """Return the one spelling of a room id, which has hyphens in one place and none in another."""
    return canonical_job_id(text) if text else None


def decode_reduced(body: bytes) -> Decoded:
    """Decode a registration as the log keeps it.

    Raises:
        UndecodableError: not_json, no_job_id or wrong_type.
    """
    said = parse_body(ReducedRegistration, body)
    registered = JobRegistered(
        room_id=said.room_id,
        rtc_room_id=said.rtc_room_id,
        play_mode=said.play_mode,
        random_play_mode=said.random_play_mode,
        view_mode=said.view_mode,
        repeat_count=said.repeat_count,
        auto_play_script=said.auto_play_script,
        max_duration=said.max_duration,
        subscribed=said.subscribed,
        plan=tuple(Paragraph(item.scene, item.sequence_no) for item in said.plan),
        warnings=said.warnings,
        plan_by_api=said.plan_by_api,
    )
    return Decoded(said.job_id, JOB_REGISTERED, registered)
