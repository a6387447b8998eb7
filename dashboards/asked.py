"""What the pipeline's dashboard shows of the questions to the vendors' own APIs."""

from dashboards.panels import Place, Query, graph
from dashboards.selectors import SOURCES, rate


def reconcile() -> list[Place]:
    """Return the panels of what was asked, what it told, and when it last went well."""
    return [
        Place(
            graph(
                "Questions to the vendors' APIs",
                "Calls each second, and those that got no useful answer; 0 where no API is asked.",
                [
                    Query(_or_zero(rate("monitor_reconcile_calls_total", SOURCES, "source")), "{{source}}"),
                    Query(
                        _or_zero(rate("monitor_reconcile_failures_total", SOURCES, "source")),
                        "{{source}}: failed",
                    ),
                ],
                unit="cps",
            ),
            8,
            7,
        ),
        Place(
            graph(
                "What callbacks had not told",
                "Facts each second that an API told and no callback had; 0 where no API is asked.",
                [
                    Query(
                        _or_zero(rate("monitor_reconcile_differences_total", SOURCES, "source")), "{{source}}"
                    )
                ],
                unit="cps",
                runbooks=["MonitorCallbacksMissed"],
            ),
            8,
            7,
        ),
        Place(
            graph(
                "Since the last whole round",
                "How long ago all questions of a round to a source's API were last answered.",
                [
                    Query(
                        f"time() - max by (source) (monitor_reconcile_round_timestamp_seconds{{{SOURCES}}})",
                        "{{source}}",
                    )
                ],
                unit="s",
                runbooks=["MonitorReconcileFailing"],
            ),
            8,
            7,
        ),
    ]


def _or_zero(query: str) -> str:
    """Return a query by source that is 0 for a source where nothing has happened yet."""
    return f"({query}) or {rate('monitor_callbacks_total', SOURCES, 'source')} * 0"
