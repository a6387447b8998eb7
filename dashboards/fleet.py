"""All streams: how many are in which status, the worst of them, and the objective."""

from dashboards.assembly import Row, dashboard
from dashboards.panels import Colour, Column, Place, Query, Step, bars, graph, matrix, stat, table
from dashboards.selectors import BY_STREAM, FLEET, of_streams, or_none, or_zero, or_zero_by_source, rate
from dashboards.thresholds import (
    BURNS,
    COVERAGE_RATIO,
    FEWEST_STREAMS,
    FLAPPING_RECONNECTS,
    FLAPPING_WINDOW,
    OBJECTIVE,
)
from dashboards.variables import SOURCE
from dashboards.words import STATUSES

STREAM_LINK = (
    "/d/livestream-stream?${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
    "&var-vendor=${__data.fields.vendor:percentencode}&var-source=${__data.fields.source:percentencode}"
    "&var-stream=${__data.fields.job_id:percentencode}&${__url_time_range}"
)
"""From a line of a table to the stream's own dashboard. By itself Grafana leaves as it is what has a meaning
in an address, such as `#`, `&` and `+`, and an id may have any character."""

WORST = 20
"""Streams in a table: with 10,000 of them, nobody reads more."""

_LINE = (
    Column("job_id", "Stream", link=STREAM_LINK),
    Column("vendor", "Vendor"),
    Column("source", "Source"),
)


def build() -> str:
    """Return the dashboard as JSON."""
    return dashboard(
        "livestream-fleet",
        "Livestreams: fleet",
        "How the streams of all sources are, and which ones are worst. A click on a stream leads to its own.",
        [
            Row("Now", _now()),
            Row("Worst streams", _worst()),
            Row("Push", _push()),
            Row("Script", _script()),
            Row("Objective", _objective()),
        ],
        SOURCE,
        span="6h",
    )


def _streams(status: str) -> str:
    return f'sum(monitor_streams{{{FLEET}, status="{status}"}})'


def _now() -> list[Place]:
    places = []
    runbooks = {"down": ["LivestreamDown", "LivestreamVendorIncident"], "silent": ["LivestreamSilent"]}
    for status, colour in STATUSES.items():
        troubled = status in ("down", "silent", "degraded")
        panel = stat(
            status.capitalize(),
            f"Streams whose status is {status} now.",
            [Query(_streams(status), now=True)],
            unit="short",
            steps=[Step(None, Colour.GREY), Step(1, colour)] if troubled else [Step(None, colour)],
            runbooks=runbooks.get(status, ()),
        )
        places.append(Place(panel, 4, 4))
    places.append(
        Place(
            graph(
                "Streams by status",
                "All streams that are shown, by their status; those that ended stay for a while.",
                [Query(_streams(status), status) for status in STATUSES],
                unit="short",
                stacked=True,
                colours=STATUSES,
            ),
            14,
            9,
        )
    )
    places.append(
        Place(
            matrix(
                "Streams by source",
                "How many streams each source has in each status.",
                Query(f"sum by (source, status) (monitor_streams{{{FLEET}}})", now=True),
                row="source",
                column="status",
            ),
            10,
            9,
        )
    )
    return places


def _held(status: str) -> str:
    return of_streams("livestream_status", f'status="{status}"', also_by="status")


def _worst() -> list[Place]:
    # Down before silent before degraded; of these, what has lasted longest. A year has 3e7 seconds.
    ranked = " or ".join(
        f"(({_held(status)} == 1) * {rank}e9)"
        for status, rank in (("down", 3), ("silent", 2), ("degraded", 1))
    )
    since = of_streams("livestream_status_since_timestamp_seconds")
    worst = f"topk({WORST}, ({ranked}) + on ({BY_STREAM}) group_left () (time() - {since}))"
    return [
        Place(
            table(
                "Worst streams",
                f"At most {WORST}: those that are down, then silent, then degraded, the longest first.",
                [
                    Query(worst, now=True),
                    Query(f"{since} * 1000 and on ({BY_STREAM}) {worst}", now=True),
                ],
                [
                    Column("status", "Status", states=STATUSES),
                    Column("Value #B", "Since", unit="dateTimeFromNow"),
                    *_LINE,
                ],
                transformations=[
                    {"id": "merge", "options": {}},
                    {
                        "id": "sortBy",
                        "options": {"fields": {}, "sort": [{"field": "Value #A", "desc": True}]},
                    },
                ],
                runbooks=[
                    "LivestreamDown",
                    "LivestreamSilent",
                    "LivestreamFlapping",
                    "LivestreamScriptStalled",
                ],
            ),
            14,
            11,
        ),
        Place(
            table(
                "Most reconnects",
                "The streams whose push reconnected most often within the time shown. "
                f"{FLAPPING_RECONNECTS} within {FLAPPING_WINDOW} are flapping.",
                [
                    Query(
                        f"topk({WORST}, sum by ({BY_STREAM}) "
                        f"(increase(livestream_reconnects_total{{{FLEET}}}[$__range])) > 0)",
                        now=True,
                    )
                ],
                [
                    *_LINE,
                    Column("Value", "Reconnects", unit="short"),
                ],
                sort="Reconnects",
                runbooks=["LivestreamFlapping"],
            ),
            10,
            11,
        ),
    ]


def _push() -> list[Place]:
    def hourly(name: str) -> str:
        return or_zero_by_source(f"{rate(name, FLEET, 'vendor, source')} * 3600")

    ended = of_streams("livestream_end_timestamp_seconds", also_by="outcome")
    return [
        Place(
            graph(
                "Reconnects an hour",
                "Reconnects of the RTMP push, at most one for each outage.",
                [Query(hourly("livestream_reconnects_total"), "{{source}}")],
                unit="short",
                runbooks=["LivestreamFlapping"],
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Outages an hour",
                "Times that a stream left the connected state, other than by its end.",
                [Query(hourly("livestream_outages_total"), "{{source}}")],
                unit="short",
                runbooks=["LivestreamDown", "LivestreamVendorIncident"],
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Ended lately, by outcome",
                "Streams that ended and are still shown. Any outcome but completed is a page.",
                [
                    Query(
                        or_none(f"count by (outcome) ({ended})", "outcome", "completed"),
                        "{{outcome}}",
                    )
                ],
                unit="short",
                stacked=True,
                runbooks=["LivestreamEndedAbnormally"],
                colours={"completed": Colour.GOOD},
            ),
            8,
            8,
        ),
    ]


def _script() -> list[Place]:
    coverage = of_streams("livestream_script_round_coverage_ratio")
    low = f"{COVERAGE_RATIO:g}"
    bands = (
        (f"({coverage} < 0.5)", "below 50 %", Colour.BAD),
        (f"({coverage} >= 0.5 < {low})", f"50 to {COVERAGE_RATIO * 100:g} %", Colour.WARNING),
        (f"({coverage} >= {low} < 1)", f"{COVERAGE_RATIO * 100:g} % and more", Colour.QUIET),
        (f"({coverage} >= 1)", "all of it", Colour.GOOD),
    )
    warnings = of_streams("livestream_live_warning", also_by="warning_type")
    skipped = rate("livestream_script_paragraphs_skipped_total", FLEET, "vendor, source")
    missed = rate("livestream_callbacks_missed_total", FLEET, "vendor, source")
    return [
        Place(
            graph(
                "Coverage of the last round",
                "How many streams played how much of their script in the last round that they finished.",
                [Query(or_zero(f"count({band})"), name) for band, name, _ in bands],
                unit="short",
                stacked=True,
                colours={name: colour for _, name, colour in bands},
                runbooks=["LivestreamScriptCoverageLow"],
            ),
            9,
            8,
        ),
        Place(
            table(
                "Lowest coverage",
                f"Streams whose last round left out the most; an alert below {COVERAGE_RATIO * 100:g} %.",
                [Query(f"bottomk({WORST}, {coverage})", now=True)],
                [
                    *_LINE,
                    Column(
                        "Value",
                        "Coverage",
                        unit="percentunit",
                        steps=[Step(None, Colour.WARNING), Step(COVERAGE_RATIO, Colour.GOOD)],
                    ),
                ],
                runbooks=["LivestreamScriptCoverageLow"],
            ),
            8,
            8,
        ),
        Place(
            graph(
                "Paragraphs left out an hour",
                "Planned paragraphs that finished rounds did not play.",
                [Query(or_zero_by_source(f"{skipped} * 3600"), "{{source}}")],
                unit="short",
                runbooks=["LivestreamScriptCoverageLow"],
            ),
            7,
            8,
        ),
        Place(
            bars(
                "Live warnings",
                "How many streams the vendor warned of, by its warning. Advice, not a fault.",
                [
                    Query(
                        or_none(f"sum by (warning_type) ({warnings})", "warning_type", "none"),
                        "{{warning_type}}",
                        now=True,
                    )
                ],
                unit="short",
                runbooks=["LivestreamLiveWarning"],
            ),
            12,
            7,
        ),
        Place(
            graph(
                "Missed callbacks an hour",
                "Facts that another channel proved and whose callback never came.",
                [
                    Query(
                        or_zero_by_source(f"{missed} * 3600"),
                        "{{source}}",
                    )
                ],
                unit="short",
                runbooks=["MonitorCallbacksMissed"],
            ),
            12,
            7,
        ),
    ]


def _share(window: str, total: str) -> str:
    """Share of the streams' running time, over a window, in which they were down or silent."""

    def time_in(statuses: str) -> str:
        return f'{total} (sum_over_time(monitor_streams{{{FLEET}, status=~"{statuses}"}}[{window}]))'

    return f"{time_in('down|silent')} / ({time_in('healthy|degraded|down|silent')} > 0)"


def _unavailable(window: str) -> str:
    """The share of all chosen sources together."""
    return f"({_share(window, 'sum')})"


def _unavailable_worst(window: str) -> str:
    """The share of the source that has most; an alert is of one source, and others would hide it."""
    share = _share(window, "sum by (vendor, source)")
    return f"({or_zero(f'max({share})')})"


def _objective() -> list[Place]:
    allowed = f"{1 - OBJECTIVE:.4g}"
    alerts = ", ".join(f"{burn.factor:g} over {burn.window}" for burn in BURNS)
    return [
        Place(
            stat(
                "Availability",
                "Share of the running time of all chosen streams in which they were neither down nor silent.",
                [Query(f"1 - {_unavailable('$__range')}", now=True)],
                unit="percentunit",
                decimals=3,
                steps=[Step(None, Colour.BAD), Step(OBJECTIVE, Colour.GOOD)],
                runbooks=["LivestreamAvailabilityBurnFast"],
            ),
            4,
            8,
        ),
        Place(
            stat(
                "Error budget left",
                f"Of the {(1 - OBJECTIVE) * 100:g} % that may be missed; below 0 it is overdrawn.",
                [Query(f"1 - {_unavailable('$__range')} / {allowed}", now=True)],
                unit="percentunit",
                decimals=1,
                steps=[Step(None, Colour.BAD), Step(0, Colour.WARNING), Step(0.25, Colour.GOOD)],
                runbooks=["LivestreamAvailabilityBurnSlow"],
            ),
            4,
            8,
        ),
        Place(
            graph(
                "Burn rate of the error budget",
                "How many times as fast as allowed the budget is used up by the source that uses it fastest, "
                f"over the windows of the alerts. They begin at {alerts}, for a source of {FEWEST_STREAMS} "
                "streams or more.",
                [Query(f"{_unavailable_worst(burn.window)} / {allowed}", burn.window) for burn in BURNS],
                unit="short",
                steps=[
                    Step(burn.factor, Colour.BAD if burn.severity == "critical" else Colour.WARNING)
                    for burn in reversed(BURNS)
                ],
                runbooks=["LivestreamAvailabilityBurnFast", "LivestreamAvailabilityBurnSlow"],
            ),
            16,
            8,
        ),
    ]
