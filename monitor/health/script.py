"""The script: which paragraphs were played, where a round ends, what it left out.

A round in sequential order ends when the position in the plan goes back; in random order when a
paragraph comes that it already played and the plan is complete. A paragraph that comes back too early
may be a delivery made twice, so it stays tentative until the next one decides. RTC tells every few
seconds where the script is; it begins a repeat only where its offset falls.
"""

from monitor.event import Paragraph, RandomPlayMode
from monitor.health import plan
from monitor.health.effect import Effect
from monitor.health.stream import FinishedRound, PlanOrigin, Play, Round, Script

COPY_SECONDS = 2.0
"""The same body for the same signed second is a copy once this much time has gone by."""

LATE_SECONDS = 45.0
"""How long a finished round waits for late paragraphs before what it skipped is counted: SoftSugar's
three attempts span 30 s, and a half on top."""

LOOP_SECONDS = 1.0
"""Where a paragraph can follow itself, it is the next round this much later, and a copy before."""

DURATION_WEIGHT = 0.2
"""Weight of the newest paragraph in the mean duration."""

LONGEST_DECAY = 0.95
"""How fast a long paragraph is forgotten, per paragraph: half in about fourteen."""


def by_callback(script: Script, play: Play, mode: RandomPlayMode | None, *, from_start: bool) -> Effect:
    """Take a switch to a paragraph, told by callback.

    Args:
        mode: in which order rounds after the first play, None where nobody said.
        from_start: whether the stream was seen from its start, so that a first round can teach the plan.
    """
    if script.round is None:
        _begin_first(script, play, from_start)
        _note_signed(script, play)
        return Effect.APPLIED
    if play.signed is not None and script.signed is not None:
        if play.signed < script.signed:
            return _credit(script, play)
        if play.signed == script.signed and _is_copy(script, play):
            return Effect.DUPLICATE
    _note_signed(script, play)
    if _confirm(script, play):
        return Effect.APPLIED
    return _advance(script, play, mode)


def by_rtc(script: Script, play: Play, mode: RandomPlayMode | None, *, from_start: bool) -> Effect:
    """Take a sign of progress inside a paragraph, told by RTC; otherwise as `by_callback`."""
    key = play.paragraph
    current, tentative = script.round, script.tentative
    if current is None:
        _begin_first(script, play, from_start)
        return Effect.APPLIED
    if tentative is not None and tentative.paragraph == key and not _is_stale(current, play):
        # It plays, so what looked like a delivery made twice was none.
        current = _decide(script, tentative)
    if key in current.played:
        told = current.played[key]
        if told is None or play.offset is None or play.offset >= told:
            current.played[key] = told if play.offset is None else play.offset
            if key != current.last:
                return Effect.LATE
            script.tentative = None
            _moved(script, play)
            return Effect.APPLIED
    elif _belongs_to_finished(script, play):
        return Effect.LATE
    return _advance(script, play, mode)


def register_plan(script: Script, given: tuple[Paragraph, ...], origin: PlanOrigin) -> None:
    """Take the plan that somebody gave, over one that was learned; what was played extends it."""
    order = list(dict.fromkeys(paragraph.key for paragraph in given))
    played = list(script.round.played) if script.round is not None else []
    script.plan = order + [key for key in played if key not in order]
    script.origin = origin
    script.tentative = None


def settle(script: Script, now: float) -> int:
    """Count what is overdue at `now`: a finished round's skipped paragraphs; returns missed callbacks."""
    finished = script.finished
    if finished is not None and finished.settles_at is not None and finished.settles_at <= now:
        _settle_finished(script)
    missed = 0
    for current in (script.round, finished.round if finished is not None else None):
        if current is not None and current.awaited:
            overdue = [key for key, due in current.awaited.items() if due <= now]
            for key in overdue:
                del current.awaited[key]
            missed += len(overdue)
    return missed


def next_due(script: Script) -> float | None:
    """Return when `settle` has something to do next."""
    current, finished = script.round, script.finished
    dues: list[float] = []
    if current is not None and current.awaited:
        dues.extend(current.awaited.values())
    if finished is not None:
        if finished.settles_at is not None:
            dues.append(finished.settles_at)
        if finished.round.awaited:
            dues.extend(finished.round.awaited.values())
    return min(dues) if dues else None


def _sequential(script: Script, mode: RandomPlayMode | None) -> bool:
    """Every first round is in order; later ones only if the job said NONE (the default is SCRIPT_ITEM)."""
    return script.rounds == 0 or mode is RandomPlayMode.NONE


def _is_copy(script: Script, play: Play) -> bool:
    """Whether a body for the newest signed second was seen: nothing new, or too late for a real repeat."""
    came = script.same_second.get(play.fingerprint)
    if came is None:
        return False
    current = script.round
    nothing_new = current is not None and current.last == play.paragraph
    return nothing_new or play.received - came > COPY_SECONDS


def _note_signed(script: Script, play: Play) -> None:
    if play.signed is None:
        return
    if play.signed != script.signed:
        script.signed = play.signed
        script.same_second = {}
    script.same_second.setdefault(play.fingerprint, play.received)


def _confirm(script: Script, play: Play) -> bool:
    """Take a callback as the second witness of what RTC proved, if RTC did."""
    for current in (script.round, script.finished.round if script.finished is not None else None):
        if current is not None and play.paragraph in current.awaited:
            del current.awaited[play.paragraph]
            _span(current, play.signed)
            return True
    return False


def _span(current: Round, signed: int | None) -> None:
    """Note a signed second of the round."""
    if signed is None:
        return
    first, last = current.first_signed, current.last_signed
    current.first_signed = signed if first is None else min(first, signed)
    current.last_signed = signed if last is None else max(last, signed)


def _is_stale(current: Round, play: Play) -> bool:
    """Whether RTC goes on telling of a playing in this round that it told of before."""
    told = current.played.get(play.paragraph)
    return told is not None and (play.offset is None or play.offset >= told)


def _belongs_to_finished(script: Script, play: Play) -> bool:
    """Whether RTC still tells of a paragraph of the round before: its offset went on there."""
    finished = script.finished
    if finished is None or finished.settles_at is None or play.offset is None:
        return False
    told = finished.round.played.get(play.paragraph)
    return told is not None and play.offset >= told


def _credit(script: Script, play: Play) -> Effect:
    """Credit a paragraph that was signed before the newest one to the round it was played in."""
    current, finished, key = script.round, script.finished, play.paragraph
    assert current is not None
    assert play.signed is not None
    if _is_of_current(script, key, play.signed):
        if key in current.awaited:
            del current.awaited[key]
        elif key in current.played:
            return Effect.DUPLICATE
        else:
            plan.include(script, key, overtaken_by=current.last)
            current.played[key] = None
            # A first round whose first paragraph came late was seen from its start all the same.
            current.from_start = current.from_start or (finished is None and _opens_script(key))
        _span(current, play.signed)
    elif finished is not None and _is_after(play.signed, finished.round.begun_after):
        if key in finished.round.awaited:
            del finished.round.awaited[key]
        elif key in finished.round.played:
            return Effect.DUPLICATE
        elif finished.settles_at is not None:
            finished.round.played[key] = None
            if finished.planned and key not in finished.planned:
                plan.include(script, key)
                finished.planned += (key,)
        _span(finished.round, play.signed)
    return Effect.LATE


def _is_of_current(script: Script, key: str, signed: int) -> bool:
    """Whether a late paragraph was played in the current round rather than in one before."""
    current, finished = script.round, script.finished
    if current is None or finished is None:
        return True
    if current.first_signed is not None and signed >= current.first_signed:
        return True
    if not _is_after(signed, current.begun_after):
        return False
    # Signed between the two rounds: what the round before has played already starts this one.
    return key in finished.round.played or key in current.awaited


def _is_after(signed: int, begun_after: int | None) -> bool:
    return begun_after is None or signed > begun_after


def _opens_script(key: str) -> bool:
    return Paragraph.from_key(key).sequence_no <= 1


def _begin_first(script: Script, play: Play, from_start: bool) -> None:
    _begin(script, play, from_start=from_start or _opens_script(play.paragraph))


def _begin(script: Script, play: Play, *, from_start: bool = True) -> Round:
    """Start a round with the paragraph."""
    key = play.paragraph
    plan.include(script, key)
    before = script.finished.round if script.finished is not None else None
    begun_after = None
    if before is not None:
        begun_after = before.begun_after if before.last_signed is None else before.last_signed
    script.round = Round(
        played={key: play.offset},
        awaited={} if play.due is None else {key: play.due},
        last=key,
        last_since=play.received,
        first_signed=play.signed,
        last_signed=play.signed,
        begun_after=begun_after,
        from_start=from_start,
    )
    _moved(script, play)
    return script.round


def _advance(script: Script, play: Play, mode: RandomPlayMode | None) -> Effect:
    """Move the script to a paragraph: on in this round, or into the next."""
    current, tentative = script.round, script.tentative
    assert current is not None
    assert current.last is not None
    key, last = play.paragraph, current.last
    plan.include(script, key)
    sequential = _sequential(script, mode)
    if tentative is not None:
        if _decides_for_new_round(script, tentative.paragraph, key, mode):
            _decide(script, tentative)
            return _advance(script, play, mode)
        if key != tentative.paragraph:
            script.tentative = None
    if key == last:
        return _repeat_last(script, current, play, sequential)
    if sequential:
        returned = not plan.after(script, key, last)
        ends = plan.is_first(script, key)
        if script.origin is not None:
            ends = ends or plan.complete(script) or plan.is_last(script, last)
    else:
        returned = key in current.played
        ends = plan.complete(script)
    if not returned:
        _play_next(script, current, play)
    elif ends or (play.by_rtc and key in current.played):
        # An offset that fell is no delivery made twice: RTC proves that the paragraph began again.
        _finish(script, play.received)
        _begin(script, play)
    elif script.tentative is not None:
        return Effect.DUPLICATE
    else:
        script.tentative = play
        _moved(script, play)
    return Effect.APPLIED


def _decide(script: Script, began: Play) -> Round:
    """Begin the next round with what was tentative until now."""
    script.tentative = None
    _finish(script, began.received)
    return _begin(script, began)


def _decides_for_new_round(script: Script, tentative: str, key: str, mode: RandomPlayMode | None) -> bool:
    """Whether the paragraph after a tentative one shows that a new round began with that one.

    The new round is never a first one, so its order is the job's own.
    """
    current = script.round
    assert current is not None
    assert current.last is not None
    if key == tentative:
        # The only paragraph so far, a third time: the plan has just this one.
        return key == current.last
    if mode is RandomPlayMode.NONE:
        return plan.after(script, key, tentative) and not plan.after(script, key, current.last)
    return key in current.played


def _repeat_last(script: Script, current: Round, play: Play, sequential: bool) -> Effect:
    """Take the paragraph that is playing told again: a copy, or the next round.

    With a plan of one it is always its own successor; in random order a complete round's last can be.
    """
    later = play.received - current.last_since > LOOP_SECONDS
    alone = later and len(script.plan) == 1
    ends = alone or (later and not sequential and plan.complete(script))
    if ends and (script.origin is not None or play.by_rtc):
        _finish(script, play.received)
        _begin(script, play)
        return Effect.APPLIED
    _moved(script, play)
    if play.by_rtc:
        current.played[play.paragraph] = play.offset
        return Effect.APPLIED
    # A retry under a new signed time: copies of it that come later are still of this round.
    _span(current, play.signed)
    if alone:
        script.tentative = play
        return Effect.APPLIED
    return Effect.DUPLICATE


def _play_next(script: Script, current: Round, play: Play) -> None:
    """Add the paragraph to the round."""
    key = play.paragraph
    seconds = play.received - current.last_since
    if seconds > 0:
        if play.stall is not None:
            # A stall is no paragraph; but paragraphs that really got longer must be learned.
            seconds = min(seconds, 2 * play.stall)
        script.longest = max(seconds, (script.longest or 0.0) * LONGEST_DECAY)
        script.mean = (
            seconds if script.mean is None else script.mean + DURATION_WEIGHT * (seconds - script.mean)
        )
    current.played[key] = play.offset
    current.last = key
    current.last_since = play.received
    _span(current, play.signed)
    if play.due is not None:
        current.awaited[key] = play.due
    _moved(script, play)


def _finish(script: Script, received: float) -> None:
    """Close the current round; what it skipped is counted once late paragraphs had their time."""
    current = script.round
    assert current is not None
    _settle_finished(script)
    if script.finished is not None:
        for key, due in script.finished.round.awaited.items():
            current.awaited.setdefault(key, due)
    if script.origin is None and current.from_start:
        script.origin = PlanOrigin.LEARNED
    planned = tuple(script.plan) if script.origin is not None else ()
    script.rounds += 1
    script.finished = FinishedRound(current, planned, received + LATE_SECONDS)
    script.round = None


def _settle_finished(script: Script) -> None:
    finished = script.finished
    if finished is not None and finished.settles_at is not None:
        finished.settles_at = None
        script.skipped += sum(key not in finished.round.played for key in finished.planned)


def _moved(script: Script, play: Play) -> None:
    if script.progress_at is None:
        script.first_progress_at = play.received
    elif play.stall is not None and play.received > script.progress_at + play.stall:
        script.resumed_at = play.received
    script.progress_at = play.received
