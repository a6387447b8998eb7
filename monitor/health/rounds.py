"""What a sequence of plays adds up to: which paragraphs were played, where a round ends, what it left out.

A round in sequential order ends when the position in the plan goes back; in random order when a
paragraph comes that it already played and the plan is complete. A paragraph that comes back too early
may be a delivery made twice, so it stays tentative until the next one decides. RTC tells every few
seconds where the script is; it begins a repeat only where its offset falls.
"""

from monitor.event import Paragraph, RandomPlayMode
from monitor.health import plan, progress
from monitor.health.effect import Effect
from monitor.health.script_state import FinishedRound, PlanOrigin, Play, Round, Rounds
from monitor.health.sparse import NOTHING, without

LOOP_SECONDS = 1.0
"""Where a paragraph can follow itself, it is the next round this much later, and a copy before."""

RETRY_SECONDS = 30.0
"""The vendors make all their attempts within this time."""

LATE_SECONDS = 20.0
"""How long after it was due a callback may still be that of what RTC proved, and nothing new: until all
attempts have been made. It counts as missed by then."""


def step(rounds: Rounds, play: Play, mode: RandomPlayMode | None, *, from_start: bool) -> Effect:
    """Add the next play in order to the sum, and say what it did.

    Args:
        mode: in which order rounds after the first play, None where nobody said.
        from_start: whether the stream was seen from its start, so that a first round can teach the plan.
    """
    if play.signed is not None and (rounds.signed is None or play.signed > rounds.signed):
        rounds.signed = play.signed
    if plan.is_too_much(rounds, play.paragraph):
        # The script moves all the same.
        return Effect.APPLIED
    current = rounds.round
    if current is None:
        opens = Paragraph.from_key(play.paragraph).sequence_no <= 1
        # One that goes on after it was forgotten is met in the middle of a round.
        is_seen = opens or (from_start and rounds.count == 0)
        rounds.adrift = not is_seen and mode is not RandomPlayMode.NONE
        _begin(rounds, play, from_start=is_seen)
        return Effect.APPLIED
    if play.by_rtc:
        return _take_progress(rounds, current, play, mode)
    if _confirm(rounds, play):
        return Effect.APPLIED
    if play.signed is not None:
        # Whatever is signed after this one is no callback of what RTC proved before it.
        current.awaited = NOTHING
        if rounds.finished is not None:
            rounds.finished.round.awaited = NOTHING
    return _advance(rounds, play, mode)


def copied(rounds: Rounds) -> Rounds:
    """Return a sum that can be added to without changing this one."""
    finished = rounds.finished
    return Rounds(
        plan=rounds.plan,
        origin=rounds.origin,
        round=None if rounds.round is None else _copied_round(rounds.round),
        finished=None
        if finished is None
        else FinishedRound(
            _copied_round(finished.round), finished.planned, finished.closed_at, finished.skipped
        ),
        tentative=rounds.tentative,
        doubted=rounds.doubted,
        count=rounds.count,
        skipped=rounds.skipped,
        signed=rounds.signed,
        leftover=rounds.leftover,
        adrift=rounds.adrift,
    )


def give_plan(rounds: Rounds, order: dict[str, None], origin: PlanOrigin) -> None:
    """Take the plan that somebody gave, over the one there was.

    What the round that plays has played and isn't given stays planned for that round, where it stood.
    """
    played = rounds.round.played if rounds.round is not None else {}
    followers: dict[str | None, list[str]] = {}
    before = None
    for key in rounds.plan:
        if key in order:
            before = key
        elif key in played:
            followers.setdefault(before, []).append(key)
    rounds.plan = tuple(
        key for known in (None, *order) for key in (known, *followers.get(known, ())) if key is not None
    )
    rounds.leftover = tuple(key for key in rounds.plan if key not in order)
    rounds.origin = origin
    rounds.adrift = False
    rounds.tentative = rounds.doubted = None


def share_between(rounds: Rounds, other: Rounds) -> None:
    """Let a sum hold what it has in common with another only once: most of it, most of the time.

    What is shared is replaced rather than changed by both from then on.
    """
    if rounds.plan == other.plan:
        rounds.plan = other.plan
    mine, theirs = rounds.finished, other.finished
    if theirs is not None and theirs.planned == other.plan:
        theirs.planned = other.plan
    if mine is not None and theirs is not None and mine.closed_at == theirs.closed_at:
        if mine.round.played == theirs.round.played:
            mine.round.played = theirs.round.played
        if mine.planned == theirs.planned:
            mine.planned = theirs.planned


def _copied_round(one: Round) -> Round:
    return Round(
        dict(one.played),
        one.last,
        one.last_since,
        one.last_signed,
        one.from_start,
        one.awaited,
        one.confirmed_at,
        one.told_at,
        one.heard,
        one.retold,
    )


def _take_progress(rounds: Rounds, current: Round, play: Play, mode: RandomPlayMode | None) -> Effect:
    key, tentative = play.paragraph, rounds.tentative or progress.still_doubted(rounds, play)
    if tentative is not None and tentative.paragraph == key and not progress.goes_on(current, play):
        # It plays, so what looked like a delivery made twice was none.
        current = _decide(rounds, tentative)
    if key in current.played:
        told = current.played[key]
        if told is None and progress.lags_behind(rounds, current, play):
            return Effect.APPLIED
        if told is None or play.offset is None or play.offset >= told:
            progress.hear(current, play)
            if key != current.last:
                return Effect.LATE
            if rounds.tentative is not None:
                rounds.tentative, rounds.doubted = None, rounds.tentative
            rounds.doubted = progress.still_doubted(rounds, play)
            return Effect.APPLIED
    elif progress.is_of_finished(rounds, current, play):
        return Effect.LATE
    return _advance(rounds, play, mode)


def _confirm(rounds: Rounds, play: Play) -> bool:
    """Take a callback as the second witness of what RTC proved, if RTC did a moment ago."""
    current, finished = rounds.round, rounds.finished
    if current is not None and current.awaited:
        # While the paragraph still plays, what else would tell of it?
        leeway = LATE_SECONDS if play.paragraph == current.last else 0.0
        if _hear(current, play, leeway):
            if play.paragraph == current.last:
                # A copy of this callback has to be known by when that came, and RTC gave no signed time.
                current.last_signed, current.confirmed_at = play.signed, play.received
            return True
    return finished is not None and bool(finished.round.awaited) and _hear(finished.round, play, 0.0)


def _hear(awaiting: Round, play: Play, leeway: float) -> bool:
    due = awaiting.awaited.get(play.paragraph)
    # Of what was signed before something that had come, its place tells whose callback it is, not its time.
    if due is None or (play.received > due + leeway and not play.late):
        return False
    awaiting.awaited = without(awaiting.awaited, play.paragraph)
    return True


def _begin(rounds: Rounds, play: Play, *, from_start: bool = True) -> Round:
    """Start a round with the paragraph."""
    key = play.paragraph
    plan.include(rounds, key)
    rounds.round = Round(
        played={key: play.offset},
        awaited=NOTHING if play.due is None else {key: play.due},
        last=key,
        last_since=play.received,
        last_signed=play.signed,
        from_start=from_start,
        told_at=None if play.offset is None else play.received,
        heard=play.by_rtc,
    )
    return rounds.round


def _advance(rounds: Rounds, play: Play, mode: RandomPlayMode | None) -> Effect:
    """Move the script to a paragraph: on in this round, or into the next."""
    current, tentative, doubted = rounds.round, rounds.tentative, rounds.doubted
    assert current is not None
    key, last = play.paragraph, current.last
    if key != last:
        rounds.doubted = None
    # What is new to the plan is of the round that it begins: this one didn't leave it out.
    planned = rounds.plan
    plan.include(rounds, key)
    sequential = plan.is_sequential(rounds, mode)
    if (
        doubted is not None
        and last not in (doubted.paragraph, key)
        and _decides_for_new_round(rounds, current, doubted.paragraph, key, mode)
    ):
        # RTC was late for it, and it was over before RTC came to it. What plays told again decides nothing:
        # that may be a delivery made twice.
        _decide(rounds, doubted)
        return _advance(rounds, play, mode)
    if tentative is not None:
        again = key == tentative.paragraph == last
        if again and _seconds_since(tentative.signed, tentative.received, play) <= LOOP_SECONDS:
            # A copy of the second telling is no third one.
            return Effect.DUPLICATE
        if _decides_for_new_round(rounds, current, tentative.paragraph, key, mode):
            _decide(rounds, tentative)
            return _advance(rounds, play, mode)
        if key != tentative.paragraph:
            # If this round hadn't played it, it was no repeat, only out of order.
            current.played.setdefault(tentative.paragraph, tentative.offset)
            rounds.tentative = None
    if key == last:
        return _repeat_last(rounds, current, play, mode)
    returned = not plan.after(rounds, key, last) if sequential else key in current.played
    if not returned:
        current.played[key] = play.offset
        current.last = key
        current.last_since = play.received
        current.last_signed = play.signed
        current.confirmed_at = None
        current.told_at = None if play.offset is None else play.received
        current.heard = current.heard or play.by_rtc
        current.retold = False
        if play.due is not None:
            current.awaited = {**current.awaited, key: play.due}
    elif _ends(rounds, key, last, sequential=sequential) or (play.by_rtc and key in current.played):
        # An offset that fell is no delivery made twice: RTC proves that the paragraph began again.
        _finish(rounds, play.received, planned)
        _begin(rounds, play)
    elif rounds.tentative is not None:
        return Effect.DUPLICATE
    else:
        rounds.tentative = play
    return Effect.APPLIED


def _ends(rounds: Rounds, key: str, last: str, *, sequential: bool) -> bool:
    """Whether the round is over once a paragraph has come back after the last one."""
    if not sequential:
        return plan.complete(rounds)
    if plan.is_first(rounds, key):
        return True
    return rounds.origin is not None and (plan.complete(rounds) or plan.is_last(rounds, last))


def _decides_for_new_round(
    rounds: Rounds, current: Round, tentative: str, key: str, mode: RandomPlayMode | None
) -> bool:
    """Whether the paragraph after a tentative one shows that a new round began with that one.

    The new round is never a first one, so its order is the job's own.
    """
    if key == tentative:
        # The only paragraph so far, a third time: the plan has just this one.
        return key == current.last and _is_alone(rounds, key)
    if mode is RandomPlayMode.NONE:
        return plan.after(rounds, key, tentative) and not plan.after(rounds, key, current.last)
    return key in current.played


def _decide(rounds: Rounds, began: Play) -> Round:
    """Begin the next round with what was tentative until now."""
    rounds.tentative = None
    _finish(rounds, began.received)
    return _begin(rounds, began)


def _is_alone(rounds: Rounds, key: str) -> bool:
    """Whether nothing else is planned from the next round on."""
    return all(other == key or other in rounds.leftover for other in rounds.plan)


def _repeat_last(rounds: Rounds, current: Round, play: Play, mode: RandomPlayMode | None) -> Effect:
    """Take the paragraph that is playing told again: a copy, or the next round.

    With a plan of one it is always its own successor; in random order a complete round's last can be.
    """
    told_at = current.last_since
    if current.confirmed_at is not None and not play.by_rtc:
        told_at = current.confirmed_at
    since = _seconds_since(current.last_signed, told_at, play)
    later = since > LOOP_SECONDS
    alone = later and _is_alone(rounds, play.paragraph)
    ends = alone or (later and mode is not RandomPlayMode.NONE and plan.complete(rounds))
    heard_at = current.told_at
    if heard_at is None and any(offset is not None for offset in current.played.values()):
        # RTC is behind the callbacks, and hasn't come to this paragraph yet.
        heard_at = current.last_since
    followed = heard_at is not None and play.received - heard_at <= progress.LAG_SECONDS
    if ends and followed and not (alone or play.by_rtc):
        # It may be a delivery made twice, and RTC, which tells how far the paragraph is, will show that.
        rounds.tentative = play
        return Effect.APPLIED
    if ends and (rounds.origin is not None or play.by_rtc):
        _finish(rounds, play.received)
        _begin(rounds, play)
        return Effect.APPLIED
    if play.by_rtc:
        if later and mode is not RandomPlayMode.NONE:
            # Its offset fell. What a relay sends again is followed by an offset that goes on.
            rounds.tentative = play
        else:
            progress.hear(current, play)
        return Effect.APPLIED
    if alone or (since > RETRY_SECONDS and mode is not RandomPlayMode.NONE):
        # A round in random order can begin with what the one before ended with.
        rounds.tentative = play
        return Effect.APPLIED
    # A retry, or the first of a round in random order. Where the plan is known, it is known which.
    current.retold |= later and rounds.origin is None and mode is not RandomPlayMode.NONE
    return Effect.DUPLICATE


def _seconds_since(signed: int | None, received: float, play: Play) -> float:
    """Return how long after its paragraph was told before this was told, by signed times if there are."""
    if play.signed is not None and signed is not None:
        return play.signed - signed
    return play.received - received


def _finish(rounds: Rounds, at: float, planned: tuple[str, ...] | None = None) -> None:
    """Close the current round.

    Args:
        rounds: the sum.
        at: when the next one began.
        planned: what this one should have played, if that isn't the plan as it is now.
    """
    current, before = rounds.round, rounds.finished
    assert current is not None
    if before is not None and before.round.awaited:
        current.awaited = {**before.round.awaited, **current.awaited}
    if before is not None and before.round.retold:
        # It was no retry but the first of this round, which would have left it out otherwise.
        current.played.setdefault(before.round.last, None)
    teaches = rounds.origin is None and current.from_start
    if teaches:
        rounds.origin = PlanOrigin.LEARNED
    if rounds.origin is None:
        planned = ()
    elif teaches or rounds.adrift:
        # What it teaches it has played. And nobody knows of which round that is what it left out.
        planned = tuple(key for key in rounds.plan if key in current.played)
        rounds.adrift = rounds.adrift and (teaches or len(planned) < len(rounds.plan))
    elif planned is None:
        planned = rounds.plan
    rounds.doubted = None
    rounds.count += 1
    skipped = sum(key not in current.played for key in planned)
    rounds.skipped += skipped
    rounds.finished = FinishedRound(current, planned, at, skipped)
    if rounds.leftover:
        rounds.plan = tuple(key for key in rounds.plan if key not in rounds.leftover)
        rounds.leftover = ()
    rounds.round = None
