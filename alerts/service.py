"""What wakes somebody because of what comes in, or because of the service itself."""

from alerts.expressions import LIVE, ON, SEEN, last, risen
from alerts.rule import Alert, Dashboard, Group, Severity, span
from alerts.thresholds import Ingest, Pipeline, Thresholds, View

_SOURCE = "{{ $labels.source }}"
_INSTANCE = "{{ $labels.instance }}"

ALL = "all"
"""`scope` of an alert that speaks of the whole service: nobody sees any stream."""


def ingest(thresholds: Thresholds) -> Group:
    """Return the rules of what comes in."""
    view, limits = thresholds.view, thresholds.ingest
    return Group(
        "monitor-ingest",
        (
            _authentication(limits),
            _refused(view, limits),
            _skew(limits),
            _dead_letters(limits),
            _missed(limits),
            _no_callbacks(view, limits),
        ),
    )


def pipeline(thresholds: Thresholds) -> Group:
    """Return the rules of the service itself."""
    view, limits = thresholds.view, thresholds.pipeline
    return Group(
        "monitor-pipeline",
        (
            *_down(view, limits),
            *_lagging(view, limits),
            _spool(view, limits),
            _checkpoint(view, limits),
            *_recovering(view, limits),
            Alert(
                "Watchdog",
                Severity.INFO,
                Dashboard.PIPELINE,
                "vector(1)",
                "Alerts reach you",
                "Always firing. A dead man's switch outside expects it; when it stops, no other alert "
                "would arrive either.",
            ),
        ),
    )


def _authentication(limits: Ingest) -> Alert:
    window = span(limits.authentication_window_seconds)
    failures = f"sum by (source) (increase(monitor_authentication_failures_total[{window}]))"
    requests = f"sum by (source) (increase(monitor_callbacks_total[{window}]))"
    return Alert(
        "MonitorCallbackAuthenticationFailures",
        Severity.WARNING,
        Dashboard.PIPELINE,
        f"{failures} >= {limits.authentication_failures}\n"
        f"  and {failures} / {requests} >= {limits.authentication_share}",
        f"Requests to {_SOURCE} don't prove where they come from",
        f"{{{{ $value | humanize }}}} requests to {_SOURCE} were refused within {window}, a large part of "
        "all. If they are the vendor's, their callbacks are lost: compare the key, the public URL "
        "and the clock.",
        of_source=("source",),
    )


def _refused(view: View, limits: Ingest) -> Alert:
    window = span(limits.refused_window_seconds)
    refused = f'monitor_callbacks_total{{job="{view.job}",outcome="overloaded"}}'
    return Alert(
        "MonitorCallbacksRefused",
        Severity.CRITICAL,
        Dashboard.PIPELINE,
        f"sum by (source, instance) (increase({refused}[{window}])) >= {limits.refused_callbacks}",
        f"Callbacks of {_SOURCE} are refused, and lost",
        f"{_INSTANCE} answered {{{{ $value | humanize }}}} callbacks of {_SOURCE} with 503 within {window}: "
        "it could keep them nowhere. MetaStudio tries none again, SoftSugar twice. Look at its disk; on "
        "Kafka at the brokers, too.",
        of_source=("source",),
    )


def _skew(limits: Ingest) -> Alert:
    calls = f"increase(monitor_callbacks_total[{span(limits.clock_skew_told_seconds)}])"
    # A process shows what it was told last, until somebody tells it anew.
    skew = (
        "max by (source) (\n  abs(last_over_time(monitor_clock_skew_seconds[5m]))\n"
        f"  and on (source, instance) sum by (source, instance) ({calls}) > 0\n)"
    )
    return Alert(
        "MonitorClockSkew",
        Severity.WARNING,
        Dashboard.PIPELINE,
        f"{skew} > {limits.clock_skew_seconds}",
        f"The clocks of {_SOURCE} and this service differ",
        f"What {_SOURCE} signs is {{{{ $value | humanizeDuration }}}} away from our time. Beyond "
        "max_clock_skew_seconds its callbacks are refused. Check our clock first.",
        seconds=limits.clock_skew_for_seconds,
        of_source=("source",),
    )


def _dead_letters(limits: Ingest) -> Alert:
    window = span(limits.dead_letters_window_seconds)
    return Alert(
        "MonitorDeadLetters",
        Severity.WARNING,
        Dashboard.PIPELINE,
        f"sum by (source, channel, reason) (increase(monitor_dead_letters_total[{window}])) > 0",
        f"Messages of {_SOURCE} can't be decoded ({{{{ $labels.reason }}}})",
        f"Authentic messages of {_SOURCE} by {{{{ $labels.channel }}}} could not be decoded: "
        "{{ $labels.reason }}. They are kept, and can be retried once the cause is gone.",
        of_source=("source",),
    )


def _missed(limits: Ingest) -> Alert:
    window = limits.missed_window_seconds
    return Alert(
        "MonitorCallbacksMissed",
        Severity.WARNING,
        Dashboard.FLEET,
        f"sum by (vendor, source) (\n  ({risen('livestream_callbacks_missed_total', window)})\n"
        f"  and {ON} {LIVE}\n) >= {limits.missed_callbacks}",
        f"Callbacks of {_SOURCE} don't arrive",
        f"{{{{ $value }}}} facts of {_SOURCE} were proved by another channel within {span(window)}, and "
        "their callbacks never came. An outage could be missed the same way: look at what stands between.",
    )


def _no_callbacks(view: View, limits: Ingest) -> Alert:
    newest = last('livestream_last_event_timestamp_seconds{channel="callback"}', view, by="vendor, source")
    start = last("livestream_start_timestamp_seconds", view)
    missed = last("livestream_callbacks_missed_total", view)
    script = last("livestream_script_progress_timestamp_seconds", view)
    remaining = last("livestream_script_remaining_seconds", view)
    return Alert(
        "MonitorNoCallbacks",
        Severity.CRITICAL,
        Dashboard.PIPELINE,
        # A script stands still while its stream is down, and one that is over tells nothing more. Silence is
        # what missing callbacks look like. Where none ever came, those that are missed say that some should.
        f"""
        (
          {newest}
          or min by (vendor, source) ({start} and {ON} {missed} > 0 and {ON} {LIVE})
        ) < time() - {limits.no_callbacks_seconds}
          and on (vendor, source) count by (vendor, source) (
            {script}
              and {ON} {SEEN}{{status=~"healthy|degraded|silent"}}
              unless {ON} {remaining} == 0
          ) >= {limits.no_callbacks_streams}
        """,
        f"{_SOURCE} calls back no more",
        f"No callback of {_SOURCE} has come since {{{{ $value | humanizeTimestamp }}}}, though streams of "
        "it play their scripts. Nobody would hear of an outage: look at the way from "
        "the vendor to the receiver.",
        seconds=limits.no_callbacks_for_seconds,
        of_source=("vendor", "source"),
    )


def _down(view: View, limits: Pipeline) -> tuple[Alert, ...]:
    up = f'up{{job="{view.job}"}}'
    saved = f'monitor_checkpoint_timestamp_seconds{{job="{view.job}"}}'

    def answering(roles: str) -> str:
        return f'max(monitor_build_info{{job="{view.job}",role=~"{roles}"}})'

    return (
        Alert(
            "MonitorDown",
            Severity.CRITICAL,
            Dashboard.PIPELINE,
            # Receivers may answer while every worker is gone: only a worker saves checkpoints.
            f"max(absent({up} == 1) or absent({saved}))",
            "Nobody watches the streams",
            "No process of the service that folds callbacks answers, or none could open its log since it "
            "started. No stream would page now, so their pages are held back. Callbacks that no receiver "
            "takes are lost for good.",
            seconds=limits.down_for_seconds,
            labels={"scope": ALL},
        ),
        Alert(
            "MonitorDown",
            Severity.CRITICAL,
            Dashboard.PIPELINE,
            # Where one process does all, or no worker is there either, the alert above speaks.
            f"{answering('worker')} unless on () {answering('all|receiver')}",
            "Nobody takes callbacks",
            "Workers answer, and no receiver does. Callbacks are lost for good, and streams are judged "
            "without them: an outage would page nobody. Start a receiver, and look at the rooms themselves "
            "meanwhile.",
            seconds=limits.down_for_seconds,
            labels={"scope": "receivers"},
        ),
        Alert(
            "MonitorDown",
            Severity.WARNING,
            Dashboard.PIPELINE,
            f"{up} == 0 and on () max({up}) == 1",
            f"{_INSTANCE} doesn't answer",
            f"The process at {_INSTANCE} can't be scraped; others answer, and have its streams if it had "
            "any.",
            seconds=limits.down_for_seconds,
            labels={"scope": "instance"},
        ),
    )


def _lagging(view: View, limits: Pipeline) -> tuple[Alert, Alert]:
    job = f'{{job="{view.job}"}}'
    stalled, saved = f"monitor_consumer_stalled{job} == 1", f"monitor_checkpoint_timestamp_seconds{job}"
    settle = span(view.settle_seconds)

    def alert(severity: Severity, behind: str, summary: str, description: str) -> Alert:
        # While it recovers it lags by its nature; MonitorRecoveringTooLong watches that.
        return Alert(
            "MonitorLagging",
            severity,
            Dashboard.PIPELINE,
            f"(\n  {behind}\n)\n  unless on (job, instance) max_over_time(monitor_recovering[{settle}]) == 1",
            summary,
            description,
            seconds=limits.lag_for_seconds,
            # What is busy misses scrapes, and is restarted: neither closes the page and opens another.
            keep_firing=limits.down_for_seconds,
        )

    # Only a worker saves checkpoints. A process that only shows streams is behind with nobody's pages.
    return (
        alert(
            Severity.CRITICAL,
            f"time() - monitor_log_oldest_unfolded_timestamp_seconds{job} > {limits.lag_seconds}\n"
            f"  or ({stalled} and on (job, instance) {saved})",
            f"{_INSTANCE} is behind its log",
            f"{_INSTANCE} folds events later than they come, or not at all, so pages come late. Streams that "
            "seem silent or stalled meanwhile may be fine; those pages are held back.",
        ),
        alert(
            Severity.WARNING,
            f"{stalled} unless on (job, instance) {saved}",
            f"{_INSTANCE} shows streams as they were",
            f"The page and the API of {_INSTANCE} are old: it can't read what workers keep. The streams are "
            "folded and page as ever; look at them at another process meanwhile.",
        ),
    )


def _spool(view: View, limits: Pipeline) -> Alert:
    job = f'{{job="{view.job}"}}'
    return Alert(
        "MonitorSpoolFilling",
        Severity.CRITICAL,
        Dashboard.PIPELINE,
        f"""
        monitor_spool_bytes{job} / monitor_spool_capacity_bytes{job} > {limits.spool_ratio}
          or (time() - monitor_spool_oldest_timestamp_seconds{job} > {limits.spool_age_seconds})
        """,
        f"{_INSTANCE} can't reach Kafka, and its spool fills",
        f"Callbacks that {_INSTANCE} took wait in its spool for Kafka. Nothing is lost until it is full; "
        "meanwhile their streams are judged without them. Bring Kafka back.",
        # Over a restart, and a missed scrape.
        keep_firing=limits.down_for_seconds,
    )


def _checkpoint(view: View, limits: Pipeline) -> Alert:
    return Alert(
        "MonitorCheckpointStale",
        Severity.WARNING,
        Dashboard.PIPELINE,
        f'time() - monitor_checkpoint_timestamp_seconds{{job="{view.job}"}} > {limits.checkpoint_seconds}',
        f"{_INSTANCE} doesn't save its state",
        f"{_INSTANCE} last saved its state {{{{ $value | humanizeDuration }}}} ago. Nothing is lost; a "
        "restart would take as much longer. Look at its disk, or at Kafka.",
    )


def _recovering(view: View, limits: Pipeline) -> tuple[Alert, Alert]:
    recovering = f'last_over_time(monitor_recovering{{job="{view.job}"}}[1m]) == 1'
    # Each stream that anybody shows has one such series. Without any the alert must not wait longer than
    # view.hold_seconds; with some, a missed scrape must not begin its time anew.
    shown = 'livestream_status{status="healthy"}'

    def alert(where: str, description: str, scope: str) -> Alert:
        return Alert(
            "MonitorRecoveringTooLong",
            Severity.CRITICAL,
            Dashboard.PIPELINE,
            f"{recovering}\n  {where}",
            f"{_INSTANCE} doesn't get through its log",
            description,
            seconds=limits.recovering_seconds,
            labels={"scope": scope},
        )

    return (
        alert(
            f"unless on () count({shown})",
            f"{_INSTANCE} still folds its log after a restart or a move, and nobody shows any stream until "
            "it is through. Nobody watches them meanwhile; their pages are held back.",
            ALL,
        ),
        alert(
            f"and on () count(last_over_time({shown}[1m]))",
            f"{_INSTANCE} still reads its log after a restart or a move. If it is a worker, nobody watches "
            "the streams of those partitions until it is through; all that are shown page as ever.",
            "instance",
        ),
    )
