"""A SoftSugar session: starting, running, over. Its states only go forward."""

from monitor.event import SessionChanged, SessionState
from monitor.health.effect import Effect
from monitor.health.stream import Outcome, Session
from monitor.health.told import remember

REMEMBERED_DELIVERIES = 8
"""Deliveries by which a copy is known: a session tells little, a vendor tries three times."""

SAME_CODE_SECONDS = 30.0
"""The vendor's retry span: the same code within it is one complaint under a new signed time."""

REMEMBERED_CODES = 8
"""Codes by which a complaint is known, of those that were told within the retry span."""

_ORDER = {
    SessionState.STARTING: 0,
    SessionState.RUNNING: 1,
    SessionState.COMPLETED: 2,
    SessionState.ABNORMAL: 2,
}

OUTCOMES = {
    SessionState.COMPLETED: Outcome.COMPLETED,
    SessionState.ABNORMAL: Outcome.ABNORMAL,
}


def apply(
    session: Session, payload: SessionChanged, *, signed: int | None, received: float, fingerprint: int
) -> Effect:
    """Take a session's status or error code, and say what it did.

    Args:
        fingerprint: a checksum of the body and its signed second, which is no part of it where the vendor
            signs in headers: what is equal is the same delivery.
    """
    if signed is not None and fingerprint in session.recent:
        return Effect.DUPLICATE
    session.recent = (*session.recent, fingerprint)[-REMEMBERED_DELIVERIES:]
    effect = Effect.DUPLICATE
    if payload.code is not None and _is_new_code(session, payload.code, received):
        effect = Effect.APPLIED
        if signed is None or session.code_signed is None or signed >= session.code_signed:
            session.code, session.code_at, session.code_signed = payload.code, received, signed
    state = payload.state
    if state is None:
        return effect
    if session.state is not None and state is not session.state:
        # An error is a fact of its own, whatever became of the status that it came with.
        if _ORDER[session.state] == _ORDER[SessionState.COMPLETED]:
            return effect if effect is Effect.APPLIED else Effect.AFTER_END
        if _ORDER[state] < _ORDER[session.state]:
            return effect if effect is Effect.APPLIED else Effect.LATE
    if state is session.state:
        return effect
    session.state = state
    return Effect.APPLIED


def _is_new_code(session: Session, code: int, received: float) -> bool:
    """Tell whether a code is a complaint of its own, and note when it was told."""
    # Two codes may be told in turns, each with its own retries.
    told = {known: at for known, at in session.codes.items() if received - at <= SAME_CODE_SECONDS}
    if code in told:
        return False
    remember(told, code, received, REMEMBERED_CODES)
    session.codes = told
    return True
