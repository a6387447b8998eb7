"""Replies to the audience: each counts once, whichever channel tells of it, however often."""

from hashlib import blake2b

from monitor.event import ReplyFinished, canonical_job_id
from monitor.health.effect import Effect
from monitor.health.stream import Replies, Reply

REMEMBERED_REPLIES = 64
"""Replies by which a repeat is known: a vendor's retries span half a minute, which holds a few."""


def apply(replies: Replies, payload: ReplyFinished, *, by_callback: bool, due: float | None) -> Effect:
    """Count a finished reply unless it is known.

    Args:
        due: by when the callback of this reply should follow, if it should.
    """
    name = canonical_job_id(payload.reply_id).encode()
    key = int.from_bytes(blake2b(name, digest_size=7).digest())
    known = replies.recent.get(key)
    if known is None:
        replies.finished += 1
        replies.recent[key] = Reply(by_callback, None if by_callback else due)
        if len(replies.recent) > REMEMBERED_REPLIES:
            del replies.recent[next(iter(replies.recent))]
        return Effect.APPLIED
    if by_callback and not known.by_callback:
        known.by_callback = True
        known.due = None
        return Effect.APPLIED
    return Effect.DUPLICATE


def settle(replies: Replies, now: float) -> int:
    """Return how many callbacks are missed by now that weren't before."""
    missed = 0
    for reply in replies.recent.values():
        if reply.due is not None and reply.due <= now:
            reply.due = None
            missed += 1
    return missed


def next_due(replies: Replies) -> float | None:
    """Return when the next awaited callback is overdue."""
    if not replies.recent:
        return None
    return min((reply.due for reply in replies.recent.values() if reply.due is not None), default=None)
