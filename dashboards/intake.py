"""What the pipeline's dashboard shows of callbacks on their way into the log, and of those left aside."""

from dashboards.panels import Colour, Place, Query, Step, graph
from dashboards.selectors import FLEET, PROCESSES, RECEIVERS, SOURCES, or_none, or_zero, quantile, rate
from dashboards.thresholds import (
    AUTHENTICATION_SHARE,
    CLOCK_SKEW_SECONDS,
    SPOOL_AGE_SECONDS,
    SPOOL_RATIO,
)


def receiver() -> list[Place]:
    """Return the panels of what comes in."""
    failures = "monitor_authentication_failures_total"
    refused = rate(failures, f'{SOURCES}, reason!="token"', "source")
    requests = rate("monitor_callbacks_total", SOURCES, "source")
    # Relays' requests are counted as requests only when they are refused, else by the messages they bring.
    relays = rate(failures, f'{SOURCES}, reason="token"', "source")
    messages = rate("monitor_events_total", f'{SOURCES}, channel="rtc"', "source")
    every = f"({requests} - ({relays} or {requests} * 0))"
    relayed = f"({relays} + ({messages} or {relays} * 0))"
    return [
        Place(
            graph(
                "Callbacks by outcome",
                "Requests of vendors each second, by what became of them.",
                [Query(rate("monitor_callbacks_total", SOURCES, "outcome"), "{{outcome}}")],
                unit="reqps",
                stacked=True,
                runbooks=["MonitorNoCallbacks", "MonitorCallbacksRefused"],
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Time to answer",
                "From a callback's request to its answer, when it is durable; 0 while none comes.",
                [
                    Query(quantile(share, "monitor_callback_duration_seconds", SOURCES), name)
                    for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
                ],
                unit="s",
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Refused as not authentic",
                "Share of each source's requests that did not prove where they come from: a signature that "
                "is wrong, missing or too old, a wrong token, or an address that is not allowed.",
                [
                    Query(f"{refused} / ({every} > 0) or {refused}", "{{source}}"),
                    Query(f"{relays} / ({relayed} > 0)", "{{source}}: relays"),
                ],
                unit="percentunit",
                largest=1,
                steps=[Step(AUTHENTICATION_SHARE, Colour.WARNING)],
                runbooks=["MonitorCallbackAuthenticationFailures"],
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Authentication failures by reason",
                "Refused requests each second, by what was wrong.",
                [Query(rate("monitor_authentication_failures_total", SOURCES, "reason"), "{{reason}}")],
                unit="reqps",
                runbooks=["MonitorCallbackAuthenticationFailures"],
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Refused by the server",
                "Requests and connections that receivers refused each second before anybody knew whose they "
                "are: too many at once, too slow, too large a head, or no HTTP.",
                [Query(rate("monitor_connections_refused_total", RECEIVERS, "reason"), "{{reason}}")],
                unit="reqps",
                runbooks=["MonitorConnectionsRefused"],
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Clock skew",
                "How far the signed time of each source's last rightly signed request was from ours, ahead "
                "or behind, at the receiver where it was furthest. Of sources that sign.",
                [Query(f"max by (source) (abs(monitor_clock_skew_seconds{{{SOURCES}}}))", "{{source}}")],
                unit="s",
                steps=[Step(CLOCK_SKEW_SECONDS, Colour.WARNING)],
                runbooks=["MonitorClockSkew"],
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Signature forms",
                "Rightly signed callbacks each second, by the form of the signed text that matched.",
                [
                    Query(
                        rate("monitor_signature_forms_total", SOURCES, "source, form"), "{{source}} {{form}}"
                    )
                ],
                unit="reqps",
            ),
            6,
            7,
        ),
    ]


def kept_apart() -> list[Place]:
    """Return the panels of what waits for Kafka, or could not be decoded."""
    filled = f"monitor_spool_bytes{{{PROCESSES}}} / monitor_spool_capacity_bytes{{{PROCESSES}}}"
    waited = f"time() - min by (instance) (monitor_spool_oldest_timestamp_seconds{{{PROCESSES}}})"
    return [
        Place(
            graph(
                "Spool",
                "Events that wait in a receiver's spool for Kafka; 0 on the embedded log, which has none.",
                [Query(or_zero(f"sum(monitor_spool_events{{{PROCESSES}}})"), "events")],
                unit="short",
                runbooks=["MonitorSpoolFilling"],
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Spool filled",
                "How much of a receiver's spool is taken; once it is full, callbacks are refused.",
                [Query(or_zero(f"max({filled})"), "fullest")],
                unit="percentunit",
                largest=1,
                steps=[Step(SPOOL_RATIO, Colour.BAD)],
                runbooks=["MonitorSpoolFilling"],
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Oldest event in the spool",
                "How long the oldest event has waited for Kafka; 0 if none does.",
                [Query(or_zero(f"max({waited})"), "oldest")],
                unit="s",
                steps=[Step(SPOOL_AGE_SECONDS, Colour.BAD)],
                runbooks=["MonitorSpoolFilling"],
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Dead letters",
                "Authentic messages that could not be decoded, by source and reason.",
                [
                    Query(
                        or_none(
                            "topk(10, sum by (source, reason) "
                            f"(increase(monitor_dead_letters_total{{{SOURCES}}}[$__rate_interval])) > 0)",
                            "reason",
                            "none",
                        ),
                        "{{source}} {{reason}}",
                    )
                ],
                unit="short",
                bars=True,
                steps=[Step(1, Colour.WARNING)],
                runbooks=["MonitorDeadLetters"],
            ),
            6,
            7,
        ),
        Place(
            graph(
                "Errors that vendors reported",
                "By their code; codes of quota and capacity stop new streams.",
                [
                    Query(
                        or_none(
                            "topk(10, sum by (source, code, category) "
                            f"(increase(monitor_vendor_errors_total{{{FLEET}}}[$__rate_interval])) > 0)",
                            "category",
                            "none",
                        ),
                        "{{source}} {{code}} {{category}}",
                    )
                ],
                unit="short",
                bars=True,
                runbooks=["LivestreamQuotaExhausted"],
            ),
            24,
            6,
        ),
    ]
