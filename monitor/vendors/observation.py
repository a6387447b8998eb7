"""What a vendor's API said of a job, as the log keeps it: in a form of our own, without secrets."""

from typing import Annotated

from pydantic import Field

from monitor.event import CallbackAim, Decoded, JobObserved, JobState, canonical_job_id
from monitor.vendors.json_body import Body, Identifier, parse_body, whole_characters
from monitor.vendors.protocol import Registration

JOB_OBSERVED = "job_observed"
"""The event type of an answer that differs from what is known."""

REASON_LENGTH = 200
"""Of a vendor's words on a failure, so many characters are kept."""

_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Observation(Body):
    job_id: Identifier
    state: JobState | None = None
    room_id: str | None = None
    duration: _Seconds | None = None
    push_duration: _Seconds | None = None
    error: str | None = None
    reason: str | None = None
    warnings: tuple[str, ...] | None = None
    aim: CallbackAim | None = None


class _Stopped(Body):
    job_id: Identifier


def observe_stop(body: bytes) -> Registration:
    """Take it from whoever stopped a job that its vendor confirmed the stop: it is over, as it should be.

    Raises:
        UndecodableError: not_json, no_job_id or wrong_type.
    """
    job_id = canonical_job_id(parse_body(_Stopped, whole_characters(body)).job_id)
    return Registration(job_id, encode_observation(job_id, JobObserved(JobState.SUCCEEDED)))


def encode_observation(job_id: str, observed: JobObserved) -> bytes:
    """Return what the log keeps, as JSON without what isn't known."""
    # Built without validation: what comes from a vendor was checked when its answer was read.
    kept = _Observation.model_construct(job_id=job_id, **observed._asdict())
    return kept.model_dump_json(exclude_none=True).encode()


def decode_observation(body: bytes) -> Decoded:
    """Decode what `encode_observation` wrote.

    Raises:
        UndecodableError: not_json, no_job_id or wrong_type.
    """
    kept = parse_body(_Observation, body)
    said = kept.model_dump(exclude={"job_id"})
    return Decoded(kept.job_id, JOB_OBSERVED, JobObserved(**said))
