"""What RTC's progress tells of a round: whether a playing that is known goes on, or is one that is over."""

from monitor.health.script_state import Play, Round, Rounds

STALE_SECONDS = 45.0
"""How long after a round RTC may still tell of it, if it has told of nothing since."""

LAG_SECONDS = 10.0
"""How far RTC may be behind callbacks, and a relay that sends again behind itself."""


def goes_on(current: Round, play: Play) -> bool:
    """Whether RTC may go on telling of a playing in this round that is known: its offset doesn't fall."""
    told = current.played.get(play.paragraph)
    if told is None:
        # RTC tells of the paragraph that plays whether or not its callback was a delivery made twice.
        return play.paragraph == current.last
    if play.paragraph != current.last and current.told_at is not None:
        # RTC tells in order, and it has told of what played after that one.
        return False
    return play.offset is None or play.offset >= told


def is_of_finished(rounds: Rounds, current: Round, play: Play) -> bool:
    """Whether RTC still tells of a paragraph of the round before."""
    finished = rounds.finished
    if finished is None:
        return False
    since = play.received - finished.closed_at
    told = finished.round.played.get(play.paragraph)
    if told is not None and play.offset is not None:
        # RTC tells in order: once it has told of this round, only what was sent again is of the one before.
        return play.offset >= told and since <= (LAG_SECONDS if current.heard else STALE_SECONDS)
    # What ended that round may have been too short for RTC to have told of it yet.
    ended_it = play.paragraph == finished.round.last and finished.round.heard and not current.heard
    return ended_it and since <= (STALE_SECONDS if play.offset is None else LAG_SECONDS)


def lags_behind(rounds: Rounds, current: Round, play: Play) -> bool:
    """Whether RTC still tells of the paragraph's playing before the one that a callback has begun.

    That playing's offset would grow on, and nobody says in which unit: what it has grown to shows how fast.
    """
    finished = None if rounds.finished is None else rounds.finished.round
    if finished is None or play.offset is None or not play.paragraph == current.last == finished.last:
        return False
    told = finished.played[finished.last]
    if not told or finished.told_at is None or finished.told_at <= finished.last_since:
        return False
    pace = told / (finished.told_at - finished.last_since)
    before = pace * (play.received - finished.last_since)
    now = pace * (play.received - current.last_since)
    return play.offset >= told and abs(play.offset - before) < abs(play.offset - now)


def still_doubted(rounds: Rounds, play: Play) -> Play | None:
    """Return a paragraph that came back too early, though RTC went on with the one before, if RTC was late.

    A callback is ahead of RTC by no more than RTC may be ahead of a callback.
    """
    doubted = rounds.doubted
    if doubted is None or play.due is None:
        return doubted
    return doubted if play.received - doubted.received <= play.due - play.received else None


def hear(current: Round, play: Play) -> None:
    """Keep how far RTC says that a paragraph of this round is."""
    current.heard = True
    if play.offset is None:
        return
    current.played[play.paragraph] = play.offset
    if play.paragraph == current.last:
        current.told_at = play.received
