"""Replies to the audience: each counts once, whichever channel tells of it, however often."""

from hashlib import blake2b

from monitor.event import ReplyFinished, canonical_job_id
from monitor.health.effect import Effect
from monitor.health.sparse import without
from monitor.health.stream import Replies

REMEMBERED_REPLIES = 64
"""Replies by which a repeat is known: a vendor's retries span half a minute, which holds a few."""


def apply(replies: Replies, payload: ReplyFinished, *, by_callback: bool, due: float | None) -> Effect:
    """Count a finished reply unless it is known.

    Args:
        due: by when the callback of this reply should follow, if it should.
    """
    key = _key(payload)
    known = replies.recent.get(key)
    if known is None:
        replies.finished += 1
        replies.recent[key] = by_callback
        if due is not None and not by_callback:
            replies.awaited = {**replies.awaited, key: due}
        if len(replies.recent) > REMEMBERED_REPLIES:
            oldest = next(iter(replies.recent))
            del replies.recent[oldest]
            replies.awaited = without(replies.awaited, oldest)
        return Effect.APPLIED
    if by_callback and not known:
        replies.recent[key] = True
        replies.awaited = without(replies.awaited, key)
        return Effect.APPLIED
    return Effect.DUPLICATE


def may_be_forgotten(replies: Replies, payload: ReplyFinished) -> bool:
    """Whether the reply isn't known, and could be one of those that were forgotten since."""
    return len(replies.recent) == REMEMBERED_REPLIES and _key(payload) not in replies.recent


def hear_witness(replies: Replies, payload: ReplyFinished) -> None:
    """Take a callback as the second witness of a reply that RTC proved, and as nothing else."""
    replies.awaited = without(replies.awaited, _key(payload))


def settle(replies: Replies, now: float) -> int:
    """Return how many callbacks are missed by now that weren't before."""
    overdue = [key for key, due in replies.awaited.items() if due <= now]
    for key in overdue:
        replies.awaited = without(replies.awaited, key)
    return len(overdue)


def next_due(replies: Replies) -> float | None:
    """Return when the next awaited callback is overdue."""
    return min(replies.awaited.values()) if replies.awaited else None


def _key(payload: ReplyFinished) -> int:
    name = canonical_job_id(payload.reply_id).encode()
    return int.from_bytes(blake2b(name, digest_size=7).digest())
