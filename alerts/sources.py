"""What wakes somebody because of a source as a whole: incidents, quotas, and the objective."""

from alerts.expressions import AVAILABLE, LIVE, ON, SEEN, SOURCE, STREAM, of, out, unreplaced
from alerts.rule import Alert, Dashboard, Group, Record, Severity, span
from alerts.thresholds import Burn, Thresholds

_BY = "vendor, source"
_RUNNING = "source:livestream_running:count"
_FINE = "source:livestream_available:count"
_TROUBLED = "source:livestream_troubled:count"
_CONCERNED = "source:livestream_concerned:count"


def group(thresholds: Thresholds) -> Group:
    """Return the rules of sources; they need those of single streams."""
    return Group(
        "livestream-sources",
        (*_recordings(thresholds), _incident(thresholds), _quota(thresholds), *_objective(thresholds)),
    )


def _recordings(thresholds: Thresholds) -> tuple[Record, ...]:
    view, incident = thresholds.view, thresholds.incident
    # What was replaced is on air again.
    ended = f"max by ({STREAM}) ({unreplaced(thresholds.streams)}) > time() - {incident.ended_within_seconds}"
    return (
        # 0 while none runs: in hours without any, a source's streams are few on average.
        Record(
            _RUNNING,
            f"count by ({_BY}) ({AVAILABLE})\n  or max by ({_BY}) ({of('monitor_streams', view)}) * 0",
        ),
        Record(_FINE, f"sum by ({_BY}) ({AVAILABLE})"),
        # A push that has just been lost counts, before its stream is down: an incident should be known
        # for one before its first stream pages. Silence counts once it pages: to a service that was away,
        # every stream has been silent.
        Record(
            _TROUBLED,
            f"""
            count by ({_BY}) (
              max by ({STREAM}) ({SEEN}{{status="down"}})
              or max by ({STREAM}) (ALERTS{{alertname="LivestreamSilent", alertstate="firing"}})
              or ({out(view)} == 1 and {ON} {LIVE})
              or {ended}
            )
            """,
        ),
        Record(
            _CONCERNED,
            f"""
            count by ({_BY}) (
              max by ({STREAM}) ({LIVE})
              or {ended}
            )
            """,
        ),
    )


def _incident(thresholds: Thresholds) -> Alert:
    incident = thresholds.incident
    return Alert(
        "LivestreamVendorIncident",
        Severity.CRITICAL,
        Dashboard.FLEET,
        f"{_TROUBLED} / {_CONCERNED} >= {incident.share}\n  and {_TROUBLED} >= {incident.fewest_streams}",
        f"Many streams of {SOURCE} fail at once",
        f"{{{{ $value | humanizePercentage }}}} of the streams of {SOURCE} ({{{{ $labels.vendor }}}}) have "
        "lost their push, say nothing, or were just given up. Their single pages are held back. Ask the "
        "vendor, and look for what the streams share: an output address, a CDN, our own way in.",
        seconds=incident.for_seconds,
        keep_firing=incident.keep_firing_seconds,
    )


def _quota(thresholds: Thresholds) -> Alert:
    window = span(thresholds.quota.window_seconds)
    refusals = of("monitor_vendor_errors_total", thresholds.view, 'category=~"quota|capacity"')
    return Alert(
        "LivestreamQuotaExhausted",
        Severity.CRITICAL,
        Dashboard.PIPELINE,
        # The codes that matter exist at 0 from the service's start, so the first refusal is a rise.
        f"""
        sum by ({_BY}, category, code) (
          increase({refusals}[{window}])
        ) > 0
        """,
        f"{SOURCE} refuses more streams ({{{{ $labels.category }}}})",
        f"The vendor answered {SOURCE} with error {{{{ $labels.code }}}}, of the category "
        f"{{{{ $labels.category }}}}, within the last {window}. New streams won't start: end what "
        "nobody needs, or have the limit raised.",
        of_source=("vendor", "source"),
    )


def _objective(thresholds: Thresholds) -> tuple[Alert, ...]:
    names = {"critical": "LivestreamAvailabilityBurnFast", "warning": "LivestreamAvailabilityBurnSlow"}
    return tuple(_burn(thresholds, names[burn.severity], burn) for burn in thresholds.objective.burns)


def _burn(thresholds: Thresholds, name: str, burn: Burn) -> Alert:
    objective = thresholds.objective
    limit = round(burn.factor * (1 - objective.availability), 6)

    def lost(window: int) -> str:
        length = span(window)
        return f"1 - sum_over_time({_FINE}[{length}]) / sum_over_time({_RUNNING}[{length}])"

    long, windows = span(burn.long_seconds), [burn.long_seconds, burn.short_seconds]
    average = f"avg_over_time({_RUNNING}[{long}])"
    if burn.severity == "warning":
        # Of the hours in which any ran: a ticket is also for a source that rests at night.
        average = f"sum_over_time({_RUNNING}[{long}]) / count_over_time({_FINE}[{long}])"
    if burn.severity == "critical" and objective.still_seconds < burn.short_seconds:
        # When an incident is over, its short window isn't yet; nobody is to be paged for it again.
        windows.append(objective.still_seconds)
    pace = "faster than allowed" if burn.factor == 1 else f"{burn.factor:g} times as fast as allowed"
    return Alert(
        name,
        Severity(burn.severity),
        Dashboard.FLEET,
        "\n  and ".join(f"{lost(window)} > {limit}" for window in windows)
        + f"\n  and {average} >= {objective.fewest_streams}",
        f"{SOURCE} uses up its error budget {pace}",
        f"Over the last {long}, and still now, the streams of {SOURCE} were down or silent for "
        f"{{{{ $value | humanizePercentage }}}} of their running time; the objective allows "
        f"{100 * (1 - objective.availability):.3g}%. Find what the worst streams have in common.",
        labels={"window": long},
    )
