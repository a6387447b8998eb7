"""The script: plays that may come late, twice or out of order, by callback and by RTC.

Plays of a signed source are kept for the vendors' retry span in the order in which they were signed.
One that comes late is put in its place and what follows it is added up again (see `rounds`), so that
the sum is what the right order would have given. Without signed times the order of arrival is all
there is.
"""

from dataclasses import replace

from monitor.event import Paragraph, RandomPlayMode
from monitor.health.effect import Effect
from monitor.health.rounds import copied, give_plan, share_between, step
from monitor.health.script_state import PlanOrigin, Play, Round, Rounds, Script, Witness
from monitor.health.sparse import without

REORDER_SECONDS = 45.0
"""How long a play can still be overtaken: SoftSugar's three attempts span 30 s, and a half on top."""

REORDER_PLAYS = 16
"""How many plays are kept for it at most: a bound on memory."""

COPY_SECONDS = 2.0
"""The same body for the same signed second is a copy once this much time has gone by."""

DURATION_WEIGHT = 0.2
"""Weight of the newest paragraph in the mean duration."""

LONGEST_DECAY = 0.95
"""How fast a long paragraph is forgotten, per paragraph: half in about fourteen."""


def apply(script: Script, play: Play, mode: RandomPlayMode | None, *, from_start: bool) -> Effect:
    """Take a play into the script, in its place, and say what it did.

    Args:
        mode: in which order rounds after the first play, None where nobody said.
        from_start: whether the stream was seen from its start, so that a first round can teach the plan.
    """
    newest = script.current.signed
    if play.signed is not None:
        if script.settled is None:
            script.settled = copied(script.current)
        if _is_copy(script, play):
            return Effect.DUPLICATE
        if _is_settled(script.settled.signed, script.recent, play.signed):
            return Effect.LATE
    if not play.by_rtc:
        hear_witness(script, play.paragraph, play.signed)
    if play.signed is not None and newest is not None and play.signed < newest:
        return _insert(script, play, mode, from_start=from_start)
    current = script.current.round
    before = None if current is None else (current.last, current.last_since)
    answered = current is not None and _is_answered(current, play)
    effect = step(script.current, play, mode, from_start=from_start)
    if script.settled is not None:
        script.recent.append(play)
        if len(script.recent) > REORDER_PLAYS:
            _settle_oldest(script, script.settled, mode, from_start=from_start)
    script.rounds = max(script.rounds, script.current.count)
    now = script.current.round
    awaited = None if now is None else now.awaited.get(play.paragraph)
    if play.due is not None and awaited == play.due and not answered:
        script.witnesses = {**script.witnesses, play.paragraph: Witness(play.due, newest)}
    if effect is Effect.APPLIED:
        # A paragraph that follows itself, as the only one of its plan does, has ended as well.
        if before is not None and now is not None and (now.last, now.last_since) != before:
            _measure(script, play, play.received - before[1])
        _move(script, play)
    return effect


def counted(script: Script) -> Script:
    """Return a script of which only the counters are left; what plays next begins another round."""
    current = Rounds(count=script.current.count, skipped=script.skipped)
    return Script(current=current, rounds=script.rounds)


def begun_anew(script: Script) -> Script:
    """Return a script that goes on, and of which its counters and times are left."""
    return replace(
        counted(script),
        first_progress_at=script.first_progress_at,
        progress_at=script.progress_at,
        resumed_at=script.resumed_at,
        longest=script.longest,
        mean=script.mean,
        told_at=script.told_at,
    )


def register_plan(script: Script, given: tuple[Paragraph, ...], origin: PlanOrigin) -> None:
    """Take the plan that somebody gave, over one that was learned, or given before."""
    current, order = script.current, dict.fromkeys(paragraph.key for paragraph in given)
    if current.origin is not None and current.plan == tuple(order):
        current.origin = origin
        if script.settled is not None:
            script.settled.origin = origin
        return
    if current.origin is not None and script.settled is not None:
        # What was played until now counts by the plan of then; put in its place later, it would by this one.
        # What was told already stays: plays from before the first plan may have counted otherwise there.
        current.skipped = max(current.skipped, script.settled.skipped)
        script.settled, script.recent = copied(current), []
    for rounds in (current, script.settled):
        if rounds is not None:
            give_plan(rounds, order, origin)


def share(script: Script) -> None:
    """Let a script that was read from a checkpoint hold only once what it holds twice."""
    if script.settled is not None:
        share_between(script.settled, script.current)


def hear_witness(script: Script, paragraph: str, signed: int | None) -> None:
    """Take a callback as the second witness of what RTC proved; an older one of the paragraph isn't."""
    witness = script.witnesses.get(paragraph)
    if witness is not None and (signed is None or witness.signed is None or signed >= witness.signed):
        script.witnesses = without(script.witnesses, paragraph)


def settle(script: Script, now: float, mode: RandomPlayMode | None, *, from_start: bool) -> int:
    """Settle plays that nothing can overtake any more; return how many callbacks are missed by now."""
    if script.settled is not None:
        while script.recent and script.recent[0].received + REORDER_SECONDS <= now:
            _settle_oldest(script, script.settled, mode, from_start=from_start)
    if not script.witnesses:
        return 0
    overdue = [key for key, witness in script.witnesses.items() if witness.due <= now]
    for key in overdue:
        script.witnesses = without(script.witnesses, key)
    return len(overdue)


def next_due(script: Script) -> float | None:
    """Return when `settle` has something to do next."""
    due = script.recent[0].received + REORDER_SECONDS if script.recent else None
    for witness in script.witnesses.values():
        if due is None or witness.due < due:
            due = witness.due
    return due


def _settle_oldest(script: Script, settled: Rounds, mode: RandomPlayMode | None, *, from_start: bool) -> None:
    finished = settled.count
    step(settled, script.recent.pop(0), mode, from_start=from_start)
    if settled.count != finished:
        share_between(settled, script.current)


def _is_copy(script: Script, play: Play) -> bool:
    """Whether this delivery was seen, as far as it can't be a real repeat within its signed second."""
    for known in script.recent:
        if known.signed == play.signed and known.fingerprint == play.fingerprint:
            current, newest = script.current.round, script.current.signed
            nothing_new = current is not None and current.last == play.paragraph
            return nothing_new or newest != play.signed or play.received - known.received > COPY_SECONDS
    return False


def _is_settled(settled: int | None, recent: list[Play], signed: int) -> bool:
    """Whether nothing of this signed second can be new any more."""
    if settled is None or signed > settled:
        return False
    return signed < settled or all(known.signed != signed for known in recent)


def _is_answered(current: Round, play: Play) -> bool:
    """Whether the callback of what RTC begins has come: taken for an overdue one of the same paragraph."""
    if play.due is None or current.confirmed_at is None or play.paragraph != current.last:
        return False
    patience = play.due - play.received
    overdue = current.confirmed_at - current.last_since > patience
    return overdue and play.received - current.confirmed_at <= patience


def _insert(script: Script, play: Play, mode: RandomPlayMode | None, *, from_start: bool) -> Effect:
    """Put a late play in its place among the recent ones, and add up again."""
    settled, recent = script.settled, script.recent
    assert settled is not None
    assert play.signed is not None
    place = 0
    while (signed := recent[place].signed) is None or signed <= play.signed:
        place += 1
    recent.insert(place, play._replace(late=True))
    script.current = copied(settled)
    for one in recent:
        step(script.current, one, mode, from_start=from_start)
    if len(recent) > REORDER_PLAYS:
        _settle_oldest(script, settled, mode, from_start=from_start)
    script.rounds = max(script.rounds, script.current.count)
    return Effect.LATE


def _measure(script: Script, play: Play, seconds: float) -> None:
    """Learn from how long a paragraph played."""
    if seconds <= 0:
        return
    if play.stall is not None:
        # A stall is no paragraph; but paragraphs that really got longer must be learned.
        seconds = min(seconds, 2 * play.stall)
    script.longest = max(seconds, (script.longest or 0.0) * LONGEST_DECAY)
    mean = seconds if script.mean is None else script.mean
    script.mean = mean + DURATION_WEIGHT * (seconds - mean)


def _move(script: Script, play: Play) -> None:
    """Note that the script moved."""
    if script.progress_at is None:
        script.first_progress_at = play.received
    elif play.stall is not None and play.received > script.progress_at + play.stall:
        script.resumed_at = play.received
    script.progress_at = play.received
