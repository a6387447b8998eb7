"""The RTMP push: outages, reconnects and the end, from facts that may come late, twice or out of order.

Facts with signed times are kept for the vendors' retry span in the order in which they were signed.
One that comes late is put in its place and what follows it is added up again, so that the sum is what
the right order would have given. Without signed times the order of arrival is all there is.
"""

from monitor.event import LinkState
from monitor.health.effect import Effect
from monitor.health.stream import Link, LinkFact, LinkSummary, Outcome, Output, Phase

REORDER_SECONDS = 120.0
"""How long a fact can still be overtaken: four times SoftSugar's three attempts within 30 s."""

REORDER_FACTS = 16
"""How many facts are kept for it at most: a bound on memory for a link that flaps all the time."""

COPY_SECONDS = 2.0
"""The same body for the same signed second is a copy once this much time has gone by; before, it may
be a real flap within that second."""

REOPEN_SECONDS = 30.0
"""An unsigned CONNECTED this long after an END is no late delivery any more."""

_LOST = (LinkState.DISCONNECTED, LinkState.RECONNECTING)

MAX_OUTPUTS = 8
"""Outputs remembered per stream; MetaStudio pushes to one at a time, a refresh brings another."""


def apply(link: Link, fact: LinkFact) -> Effect:
    """Take one RTMP fact into the link, in its place, and say what it did."""
    known = link.current.outputs.get(fact.output)
    if _tells_nothing_new(link, known, fact):
        if known is not None and fact.signed is not None and fact.signed > (known.signed or 0):
            # A retry under a new signed time: what was signed between the two is late from now on.
            _insert(link, fact)
        return Effect.DUPLICATE
    late = (
        known is not None
        and fact.signed is not None
        and known.signed is not None
        and fact.signed < known.signed
    )
    before, facts = link.current, link.current.facts
    if not _insert(link, fact) or late:
        return Effect.LATE
    current = link.current
    if facts == current.facts and (current is before or current == before):
        return Effect.AFTER_END
    return Effect.APPLIED


def marker(link: Link) -> Link:
    """Return the little of an ended link by which a late fact is told from a new beginning."""
    return Link(
        current=_copied(link.current),
        # Those of its life until now: otherwise they would all seem to have come with the next fact.
        outages=link.outages,
        reconnects=link.reconnects,
        from_start=link.from_start,
        told_at=link.told_at,
    )


def _tells_nothing_new(link: Link, known: Output | None, fact: LinkFact) -> bool:
    if known is None:
        return False
    # An output that was replaced counts as ended, whatever it told last.
    same = fact.state is known.state and not (known.phase is Phase.ENDED and _reopens(known, fact))
    if fact.signed is None or known.signed is None:
        return same
    if fact.signed >= known.signed and same:
        return True
    for copy in link.recent:
        if (
            copy.signed == fact.signed
            and copy.fingerprint == fact.fingerprint
            and copy.output == fact.output
            and copy.state is fact.state
        ):
            return fact.signed < known.signed or fact.received - copy.received > COPY_SECONDS
    return False


def settle(link: Link, now: float) -> None:
    """Settle facts that nothing can overtake any more."""
    while link.recent and link.recent[0].received + REORDER_SECONDS <= now:
        _settle_oldest(link)


def next_due(link: Link) -> float | None:
    """Return when `settle` has something to do next."""
    return link.recent[0].received + REORDER_SECONDS if link.recent else None


def _insert(link: Link, fact: LinkFact) -> bool:
    """Put the fact in its place and add up; False if what it should precede is settled already."""
    recent = link.recent
    place = len(recent)
    if fact.signed is not None:
        # Behind a fact without a signed time it comes, unless what was signed later stands before that.
        for index in range(len(recent) - 1, -1, -1):
            signed = recent[index].signed
            if signed is None:
                continue
            if signed <= fact.signed:
                break
            place = index
        else:
            settled = (link.settled or link.current).newest_signed
            if settled is not None and fact.signed <= settled:
                return False
    if link.settled is None:
        link.settled = _copied(link.current)
    recent.insert(place, fact)
    if place == len(recent) - 1:
        _step(link.current, fact)
    else:
        link.current = _copied(link.settled)
        for one in recent:
            _step(link.current, one)
    if link.settled.facts == 0:
        link.from_start = recent[0].state in (LinkState.CONNECTING, LinkState.CONNECTED)
    if len(recent) > REORDER_FACTS:
        _settle_oldest(link)
    link.outages = max(link.outages, link.current.outages)
    link.reconnects = max(link.reconnects, link.current.reconnects)
    return True


def _settle_oldest(link: Link) -> None:
    oldest = link.recent.pop(0)
    if link.settled is not None and link.recent:
        _step(link.settled, oldest)
    else:
        link.settled = None


def _copied(summary: LinkSummary) -> LinkSummary:
    return LinkSummary(
        outputs=dict(summary.outputs),
        facts=summary.facts,
        newest_signed=summary.newest_signed,
        phase=summary.phase,
        was_connected=summary.was_connected,
        outages=summary.outages,
        reconnects=summary.reconnects,
        reconnect_counted=summary.reconnect_counted,
        outcome=summary.outcome,
        ended=summary.ended,
    )


def _step(summary: LinkSummary, fact: LinkFact) -> None:
    """Add the next fact in order to the sum."""
    outputs = summary.outputs
    known = outputs.get(fact.output)
    before = summary.phase
    phase = _output_phase(known, fact)
    if known is None and before is Phase.ENDED and phase is not Phase.CONNECTED:
        # Only what connects or begins to can open an ended stream again, on whichever output.
        phase = Phase.STARTING if fact.state is LinkState.CONNECTING else Phase.ENDED
    if phase is Phase.ENDED and (before is Phase.ENDED or (known is not None and known.phase is Phase.ENDED)):
        return
    number = summary.facts
    took_over = _took_over(summary, known, fact)
    if took_over or (before is Phase.STARTING and summary.was_connected and fact.state in _LOST):
        # Only of a stream that never connected is the loss no outage: this one has ended its push elsewhere.
        phase = Phase.OUTAGE
    summary.facts = number + 1
    if fact.signed is not None and (summary.newest_signed is None or fact.signed > summary.newest_signed):
        summary.newest_signed = fact.signed
    first = number if known is None or known.phase is Phase.ENDED else known.first
    # Telling the same again changes nothing, so it doesn't make an output newer either.
    same = known is not None and known.state is fact.state and known.phase is phase
    last = known.last if known is not None and same else number
    # What the API proved has no signed time; what was signed before it is late all the same.
    signed = known.signed if known is not None and fact.signed is None else fact.signed
    outputs[fact.output] = Output(fact.state, phase, signed, fact.received, first, last)
    if len(outputs) > 1:
        if fact.state is LinkState.CONNECTED or took_over:
            never_connected = known is None or known.phase is Phase.STARTING
            _close_replaced(summary, fact, first, never_connected)
        if len(outputs) > MAX_OUTPUTS:
            _forget_one(summary)
        stream = _stream_phase(summary, before)
    else:
        stream = phase
    if stream is Phase.OUTAGE:
        if before is not Phase.OUTAGE:
            summary.outages += 1
            summary.reconnect_counted = False
        if fact.state is LinkState.RECONNECTING and not same and not summary.reconnect_counted:
            summary.reconnects += 1
            summary.reconnect_counted = True
    elif stream is Phase.CONNECTED and before is Phase.OUTAGE and not summary.reconnect_counted:
        summary.reconnects += 1
    if stream is Phase.ENDED:
        # An END that is the first thing ever heard of the link says nothing of an outage.
        quiet = before is Phase.CONNECTED or known is None
        summary.outcome = Outcome.COMPLETED if quiet else Outcome.CUT_OFF
        summary.ended = fact
    else:
        summary.outcome = summary.ended = None
    summary.phase = stream
    if stream in (Phase.CONNECTED, Phase.ENDED):
        summary.was_connected = stream is Phase.CONNECTED


def _output_phase(known: Output | None, fact: LinkFact) -> Phase:
    """Where one output stands after the fact."""
    state = fact.state
    if state is LinkState.END:
        return Phase.ENDED
    if known is None:
        if state is LinkState.CONNECTED:
            return Phase.CONNECTED
        return Phase.STARTING if state is LinkState.CONNECTING else Phase.OUTAGE
    if known.phase is Phase.ENDED:
        if not _reopens(known, fact):
            return Phase.ENDED
        return Phase.CONNECTED if state is LinkState.CONNECTED else Phase.STARTING
    if state is LinkState.CONNECTED:
        return Phase.CONNECTED
    return Phase.OUTAGE if known.phase is Phase.CONNECTED else known.phase


def _reopens(ended: Output, fact: LinkFact) -> bool:
    if fact.state not in (LinkState.CONNECTING, LinkState.CONNECTED):
        return False
    if fact.signed is not None and ended.signed is not None:
        return fact.signed > ended.signed
    return fact.received - ended.received > REOPEN_SECONDS


def _took_over(summary: LinkSummary, known: Output | None, fact: LinkFact) -> bool:
    """Whether a push that was lost had taken the place of the one that connected, as far as was told.

    It began later, so the address was refreshed: its CONNECTED was lost, or it never got there. Either way
    nothing is pushed any more.
    """
    if fact.state not in _LOST:
        return False
    if known is not None and known.phase is not Phase.STARTING:
        return False
    began = summary.facts if known is None else known.first
    others = [
        output for output in summary.outputs.values() if output.phase in (Phase.CONNECTED, Phase.OUTAGE)
    ]
    return bool(others) and all(output.last < began for output in others)


def _close_replaced(summary: LinkSummary, connected: LinkFact, first: int, never_connected: bool) -> None:
    """Close outputs that a new one has replaced as it connected or was lost (REFRESH_OUTPUT_URL).

    MetaStudio pushes to one output at a time and need not send an END for the one that was given up. What
    that one may still say, such as that it was disconnected, is nothing of the stream any more.
    """
    for name, output in list(summary.outputs.items()):
        lost = output.phase is Phase.OUTAGE and never_connected
        given_up = output.phase is not Phase.ENDED and output.last < first
        if name != connected.output and (lost or given_up):
            # Over since now: what it told before would be a reason to open it again for an unsigned copy.
            summary.outputs[name] = output._replace(phase=Phase.ENDED, received=connected.received)


def _forget_one(summary: LinkSummary) -> None:
    """Drop the output that was told of longest ago, an ended one if there is one."""
    oldest = min(summary.outputs.items(), key=lambda item: (item[1].phase is not Phase.ENDED, item[1].last))
    del summary.outputs[oldest[0]]


def _stream_phase(summary: LinkSummary, before: Phase) -> Phase:
    """In an outage while any open output is; ended when all are."""
    phases = {output.phase for output in summary.outputs.values()}
    for phase in (Phase.OUTAGE, Phase.CONNECTED):
        if phase in phases:
            return phase
    if Phase.STARTING in phases:
        # The END of the output that was lost ends no outage while its successor doesn't connect.
        return Phase.OUTAGE if before is Phase.OUTAGE else Phase.STARTING
    return Phase.ENDED
