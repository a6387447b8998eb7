"""What wakes somebody because of what comes in: callbacks that are refused, unreadable, or missing."""

from textwrap import indent

from alerts.expressions import INSTANCE, LIVE, ON, SEEN, SOURCE, TIMES, last, of, risen
from alerts.rule import Alert, Dashboard, Group, Severity, span
from alerts.thresholds import Ingest, Thresholds, View


def group(thresholds: Thresholds) -> Group:
    """Return the rules of what comes in."""
    view, limits = thresholds.view, thresholds.ingest
    return Group(
        "monitor-ingest",
        (
            _authentication(view, limits),
            _refused(view, limits),
            _crowded(view, limits),
            _skew(view, limits),
            _dead_letters(view, limits),
            _missed(view, limits),
            _no_callbacks(view, limits),
            _unanswered(view, limits),
            _untracked(view, limits),
        ),
    )


def _authentication(view: View, limits: Ingest) -> Alert:
    window = span(limits.authentication_window_seconds)

    def rise(counter: str, matchers: str = "") -> str:
        return f"sum by (source) (increase({of(counter, view, matchers)}[{window}]))"

    requests = rise("monitor_callbacks_total")
    callbacks = rise("monitor_authentication_failures_total", 'reason!="token"')
    # Relays' requests are counted as requests only when they are refused, else by the messages they bring.
    relayed = rise("monitor_authentication_failures_total", 'reason="token"')
    messages = rise("monitor_events_total", 'channel="rtc"')

    def many(failures: str, of_all: str) -> str:
        return (
            f"{failures} >= {limits.authentication_failures}\n"
            f"  and {failures} / {of_all} >= {limits.authentication_share}"
        )

    of_vendor = many(callbacks, f"({requests} - ({relayed} or {requests} * 0))")
    of_relays = many(relayed, f"({relayed} + ({messages} or {relayed} * 0))")
    return Alert(
        "MonitorCallbackAuthenticationFailures",
        Severity.WARNING,
        Dashboard.PIPELINE,
        f"({of_vendor})\n  or ({of_relays})",
        f"Requests to {SOURCE} don't prove where they come from",
        f"{TIMES} requests to {SOURCE} were refused within {window}, a large part of "
        "all. If they are the vendor's, their callbacks are lost: compare the key, the public URL "
        "and the clock.",
        of_source=("source",),
    )


def _refused(view: View, limits: Ingest) -> Alert:
    window = span(limits.refused_window_seconds)
    refused = of("monitor_callbacks_total", view, 'outcome="overloaded"')
    return Alert(
        "MonitorCallbacksRefused",
        Severity.CRITICAL,
        Dashboard.PIPELINE,
        f"sum by (source, instance) (increase({refused}[{window}])) >= {limits.refused_callbacks}",
        f"Callbacks of {SOURCE} are refused, and lost",
        f"{INSTANCE} answered {TIMES} callbacks of {SOURCE} with 503 within {window}: "
        "it could keep them nowhere. MetaStudio tries none again, SoftSugar twice. Look at its disk; on "
        "Kafka at the brokers, too.",
        of_source=("source",),
    )


def _crowded(view: View, limits: Ingest) -> Alert:
    window = span(limits.refused_window_seconds)
    which = 'listener="receiver",reason="too_many_connections"'
    refused = of("monitor_connections_refused_total", view, which)
    return Alert(
        "MonitorConnectionsRefused",
        Severity.CRITICAL,
        Dashboard.PIPELINE,
        f"sum by (instance) (increase({refused}[{window}])) >= {limits.refused_connections}",
        f"{INSTANCE} refuses connections, and with them callbacks",
        f"{INSTANCE} refused {TIMES} connections within {window}: requests ran on all that it may have. "
        "Those that were a vendor's brought callbacks that are lost. Look at who holds the others, and how "
        "long callbacks take.",
    )


def _skew(view: View, limits: Ingest) -> Alert:
    calls = f"increase({of('monitor_callbacks_total', view)}[{span(limits.clock_skew_told_seconds)}])"
    # A process shows what it was told last, until somebody tells it anew.
    skew = (
        f"max by (source) (\n  abs(last_over_time({of('monitor_clock_skew_seconds', view)}[5m]))\n"
        f"  and on (source, instance) sum by (source, instance) ({calls}) > 0\n)"
    )
    return Alert(
        "MonitorClockSkew",
        Severity.WARNING,
        Dashboard.PIPELINE,
        f"{skew} > {limits.clock_skew_seconds}",
        f"The clocks of {SOURCE} and this service differ",
        f"What {SOURCE} signs is {{{{ $value | humanizeDuration }}}} away from our time. Beyond "
        "max_clock_skew_seconds its callbacks are refused. Check our clock first.",
        seconds=limits.clock_skew_for_seconds,
        of_source=("source",),
    )


def _dead_letters(view: View, limits: Ingest) -> Alert:
    window, kept = span(limits.dead_letters_window_seconds), of("monitor_dead_letters_total", view)
    return Alert(
        "MonitorDeadLetters",
        Severity.WARNING,
        Dashboard.PIPELINE,
        f"sum by (source, channel, reason) (increase({kept}[{window}])) > 0",
        f"Messages of {SOURCE} can't be decoded ({{{{ $labels.reason }}}})",
        f"Authentic messages of {SOURCE} by {{{{ $labels.channel }}}} could not be decoded: "
        "{{ $labels.reason }}. They are kept, and can be retried once the cause is gone.",
        of_source=("source",),
    )


def _missed(view: View, limits: Ingest) -> Alert:
    window = limits.missed_window_seconds
    return Alert(
        "MonitorCallbacksMissed",
        Severity.WARNING,
        Dashboard.FLEET,
        f"sum by (vendor, source) (\n  ({risen('livestream_callbacks_missed_total', view, window)})\n"
        f"  and {ON} {LIVE}\n) >= {limits.missed_callbacks}",
        f"Callbacks of {SOURCE} don't arrive",
        f"{{{{ $value }}}} facts of {SOURCE} were proved by another channel within {span(window)}, and "
        "their callbacks never came. An outage could be missed the same way: look at what stands between.",
    )


def _no_callbacks(view: View, limits: Ingest) -> Alert:
    told = "livestream_last_event_timestamp_seconds"
    newest = last(told, view, 'channel="callback"', by="vendor, source")
    start = last("livestream_start_timestamp_seconds", view)
    missed = last("livestream_callbacks_missed_total", view)
    script = last("livestream_script_progress_timestamp_seconds", view)
    stalls = last("livestream_script_stall_after_seconds", view)
    remaining = last("livestream_script_remaining_seconds", view)
    # Silence is what missing callbacks look like. While RTC tells of the script, or its paragraphs are long,
    # none may be due for long.
    due = (
        f"({risen('livestream_callbacks_missed_total', view, limits.missed_window_seconds)}) > 0\n"
        f"or {script} < time() - {stalls}\n"
        f'or {SEEN}{{status="silent"}}'
    )
    return Alert(
        "MonitorNoCallbacks",
        Severity.CRITICAL,
        Dashboard.PIPELINE,
        # A script stands still while its stream is down, and one that is over tells nothing more. Where no
        # callback ever came, those that are missed say that some should.
        f"(\n  {newest}\n"
        f"  or min by (vendor, source) ({start} and {ON} {missed} > 0 and {ON} {LIVE})\n"
        f") < time() - {limits.no_callbacks_seconds}\n"
        "  and on (vendor, source) count by (vendor, source) (\n"
        f"    {script}\n"
        f'      and {ON} {SEEN}{{status=~"healthy|degraded|silent"}}\n'
        f"      unless {ON} {remaining} == 0\n"
        f"      and {ON} (\n{indent(due, ' ' * 8)}\n      )\n"
        f"  ) >= {limits.no_callbacks_streams}",
        f"{SOURCE} calls back no more",
        f"No callback of {SOURCE} has come since {{{{ $value | humanizeTimestamp }}}}, though streams of "
        "it play their scripts. Nobody would hear of an outage: look at the way from "
        "the vendor to the receiver.",
        seconds=limits.no_callbacks_for_seconds,
        of_source=("vendor", "source"),
    )


def _unanswered(view: View, limits: Ingest) -> Alert:
    window = span(limits.unanswered_seconds)
    failed = f"sum by (source) (increase({of('monitor_reconcile_failures_total', view)}[{window}]))"
    # Of a source that never had an answer there is no such series.
    rounds = of("monitor_reconcile_round_timestamp_seconds", view)
    answered = f"max by (source) (max_over_time({rounds}[{window}]))"
    return Alert(
        "MonitorReconcileFailing",
        Severity.WARNING,
        Dashboard.PIPELINE,
        f"{failed} > 1\n  unless {answered} > time() - {limits.unanswered_seconds}",
        f"Nothing is learned from the vendor's API of {SOURCE}",
        f"{TIMES} questions of {SOURCE} to its vendor's API failed within {window}, and "
        "no round of them was answered whole and kept. What no callback tells stays unseen: a lost end, a "
        "job that failed. Look at why: the key, our clock, the way to the API, or our own log.",
        of_source=("source",),
    )


def _untracked(view: View, limits: Ingest) -> Alert:
    window = span(limits.untracked_window_seconds)
    beyond = of("monitor_events_total", view, 'outcome="overflow"')
    return Alert(
        "MonitorStreamsUntracked",
        Severity.WARNING,
        Dashboard.PIPELINE,
        f"sum by (vendor, source) (increase({beyond}[{window}])) > 0",
        f"{SOURCE} has more streams than are watched",
        f"{SOURCE} has as many live streams as max_streams allows. Whatever it told of others within "
        f"{window} was kept and counted, but nobody is told how they are.",
        of_source=("vendor", "source"),
    )
