"""All that touches grafanalib: each kind of panel once, and a dashboard of rows of them.

grafanalib 0.7.1 writes what Grafana read years ago: schema version 12, options under old names, and null
for all that isn't set. Its classes give the frame here; `_today` corrects the rest, and the tests hold the
result against the types of today's Grafana.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from grafanalib import core
from grafanalib._gen import DashboardEncoder

from dashboards.thresholds import RUNBOOKS_URL

SCHEMA_VERSION = 42
"""Of the dashboards that Grafana 13 writes."""

WIDTH = 24
"""Columns of Grafana's grid."""

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

_PANEL_KEYS = frozenset(
    {
        *("datasource", "description", "fieldConfig", "gridPos", "id", "interval", "links", "maxDataPoints"),
        *("options", "targets", "title", "transformations", "type", "collapsed", "panels"),
    }
)
_DASHBOARD_KEYS = frozenset(
    {
        *("annotations", "description", "editable", "graphTooltip", "links", "panels", "refresh"),
        *("schemaVersion", "tags", "templating", "time", "timezone", "title", "uid"),
    }
)
"""What is kept of grafanalib's; the rest is of old Grafanas."""


class Colour(StrEnum):
    """Grafana's names for colours, which it draws for light and dark."""

    GOOD = "green"
    QUIET = "blue"
    WARNING = "orange"
    BAD = "red"
    ODD = "purple"
    GREY = "text"


class Step(NamedTuple):
    """A threshold: from this value on (None: from the lowest) the colour holds."""

    value: float | None
    colour: Colour


class Query(NamedTuple):
    """A query in PromQL. legend: of its series. now: the newest value alone, rather than a range."""

    expression: str
    legend: str = ""
    now: bool = False


class Column(NamedTuple):
    """How a column of a table looks. field: its name in the answer. link: where a click leads."""

    field: str
    title: str
    unit: str | None = None
    link: str | None = None
    steps: Sequence[Step] = ()
    states: Mapping[str, Colour] | None = None


class Place(NamedTuple):
    """A panel with its size on the grid, and the alerts whose runbooks it links to."""

    panel: core.Panel
    width: int
    height: int


@dataclass(frozen=True)
class Row:
    """A titled row of panels, laid out from left to right."""

    title: str
    places: Sequence[Place]


class Variable(NamedTuple):
    """A variable filled by a query. several: more than one value at once, or all."""

    name: str
    label: str
    query: str
    several: bool = True
    hidden: bool = False


def stat(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    steps: Sequence[Step] = (Step(None, Colour.GREY),),
    words: Mapping[float, tuple[str, Colour]] | None = None,
    runbooks: Sequence[str] = (),
    decimals: int | None = None,
) -> core.Panel:
    """Return a panel of single numbers. words: what stands for a value, and its colour."""
    return core.Stat(
        **_common(title, description, queries, runbooks),
        format=unit,
        decimals=decimals,
        graphMode="none",
        reduceCalc="lastNotNull",
        noValue="-",
        mappings=_words(words),
        color={"mode": "thresholds"},
        extraJson={
            "options": {
                "percentChangeColorMode": "standard",
                "showPercentChange": False,
                "wideLayout": True,
                "textMode": "auto" if len(queries) == 1 and not queries[0].legend else "value_and_name",
            },
            **_steps(steps),
        },
    )


def graph(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    steps: Sequence[Step] = (),
    runbooks: Sequence[str] = (),
    stacked: bool = False,
    bars: bool = False,
    largest: float | None = None,
    colours: Mapping[str, Colour] | None = None,
) -> core.Panel:
    """Return a graph over time. steps: lines where an alert begins. colours: of series by their legends."""
    filled = stacked or bars
    return core.TimeSeries(
        **_common(title, description, queries, runbooks),
        unit=unit,
        drawStyle="bars" if bars else "line",
        fillOpacity=60 if filled else 8,
        lineWidth=1,
        showPoints="never",
        legendDisplayMode="table",
        legendPlacement="right" if len(queries) > 1 or stacked else "bottom",
        legendCalcs=["lastNotNull", "max"],
        stacking={"mode": "normal", "group": "A"} if stacked else {"mode": "none", "group": "A"},
        thresholdsStyleMode="dashed" if steps else "off",
        tooltipMode="multi",
        tooltipSort="desc",
        overrides=[_override(name, color=_fixed(colour)) for name, colour in (colours or {}).items()],
        extraJson={
            "fieldConfig": {
                "defaults": {"min": 0 if largest is not None or filled else None, "max": largest}
            },
            "options": {"legend": {"showLegend": True}},
            **_steps(steps or (Step(None, Colour.GOOD),)),
        },
    )


def table(
    title: str,
    description: str,
    queries: Sequence[Query],
    columns: Sequence[Column],
    *,
    transformations: Sequence[Mapping[str, Any]] = (),
    sort: str | None = None,
    unit: str = "short",
    runbooks: Sequence[str] = (),
) -> core.Panel:
    """Return a table of the queries' newest values; only the columns given are shown, in their order."""
    order = {column.field: number for number, column in enumerate(columns)}
    chosen = {
        "id": "filterFieldsByName",
        "options": {"include": {"names": [column.field for column in columns]}},
    }
    arranged = {
        "id": "organize",
        "options": {
            "indexByName": order,
            "renameByName": {column.field: column.title for column in columns},
        },
    }
    sorting = [{"displayName": sort, "desc": True}] if sort else []
    return core.Table(
        **_common(title, description, queries, runbooks),
        unit=unit,
        overrides=[_column(column) for column in columns],
        transformations=[*transformations, chosen, arranged],
        extraJson={
            "fieldConfig": {"defaults": {"color": {"mode": "thresholds"}}},
            "options": {"sortBy": sorting, "cellHeight": "sm", "frameIndex": 0},
            **_steps((Step(None, Colour.GREY),)),
        },
    )


def matrix(
    title: str,
    description: str,
    query: Query,
    *,
    row: str,
    column: str,
    runbooks: Sequence[str] = (),
) -> core.Panel:
    """Return a table with a line for each value of one label, and a column for each of another."""
    grouped = {
        "id": "groupingToMatrix",
        "options": {"columnField": column, "rowField": row, "valueField": "Value", "emptyValue": "zero"},
    }
    return core.Table(
        **_common(title, description, [query], runbooks),
        unit="short",
        transformations=[grouped],
        overrides=[_override(f"{row}\\{column}", displayName=row.capitalize())],
        extraJson={
            "options": {"sortBy": [], "cellHeight": "sm", "frameIndex": 0},
            **_steps((Step(None, Colour.GREY),)),
        },
    )


def timeline(
    title: str,
    description: str,
    queries: Sequence[Query],
    words: Mapping[float, tuple[str, Colour]],
    *,
    runbooks: Sequence[str] = (),
) -> core.Panel:
    """Return states over time, a band for each query. words: what a value is called, and its colour."""
    return core.StateTimeline(
        **_common(title, description, queries, runbooks),
        mappings=_words(words),
        extraJson={
            "fieldConfig": {"defaults": {"unit": "none"}},
            "options": {
                "legend": {"showLegend": True, "calcs": []},
                "tooltip": {"sort": "none"},
            },
            **_steps((Step(None, Colour.GREY),)),
        },
    )


def bars(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    steps: Sequence[Step] = (Step(None, Colour.QUIET),),
    runbooks: Sequence[str] = (),
) -> core.Panel:
    """Return a horizontal bar for each series, of its newest value."""
    return core.BarGauge(
        **_common(title, description, queries, runbooks),
        displayMode="basic",
        extraJson={
            "fieldConfig": {
                "defaults": {"unit": unit, "min": 0, "color": {"mode": "thresholds"}},
                "overrides": [],
            },
            "options": {
                "maxVizHeight": 300,
                "minVizHeight": 16,
                "minVizWidth": 8,
                "namePlacement": "left",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "showUnfilled": True,
                "sizing": "auto",
                "valueMode": "color",
                "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            },
            **_steps(steps),
        },
    )


def dashboard(
    uid: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    variables: Sequence[Variable],
    *,
    span: str,
) -> str:
    """Return a dashboard as JSON. span: how far back it looks at first, such as `6h`."""
    built = core.Dashboard(
        uid=uid,
        title=title,
        description=description,
        tags=["livestream-monitor"],
        editable=False,
        graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        schemaVersion=SCHEMA_VERSION,
        refresh="30s",
        time=core.Time(f"now-{span}", "now"),
        timezone="browser",
        templating=core.Templating(list=[_datasource(), *map(_variable, variables), _runbooks()]),
        annotations=core.Annotations(list=_annotations()),
        links=[_to_the_others()],
        panels=_laid_out(rows),
    )
    plain = json.loads(json.dumps(built.to_json_data(), cls=DashboardEncoder))
    return json.dumps(_today(plain), indent=2, ensure_ascii=False) + "\n"


def _common(
    title: str, description: str, queries: Sequence[Query], runbooks: Sequence[str]
) -> dict[str, Any]:
    as_table = all(query.now for query in queries)
    return {
        "title": title,
        "description": description,
        "dataSource": DATASOURCE,
        "targets": [_target(query, letter) for query, letter in zip(queries, "ABCDEFGHIJ", strict=False)],
        "links": [_link(f"Runbook {alert}", f"${{runbooks}}/{alert}.md") for alert in runbooks],
        "maxDataPoints": None if as_table else 800,
    }


def _target(query: Query, letter: str) -> dict[str, Any]:
    return {
        "datasource": DATASOURCE,
        "refId": letter,
        "expr": query.expression,
        "legendFormat": query.legend or ("__auto" if not query.now else ""),
        "instant": query.now,
        "range": not query.now,
        "format": "table" if query.now and not query.legend else "time_series",
        "editorMode": "code",
    }


def _link(title: str, url: str) -> dict[str, Any]:
    return {
        "asDropdown": False,
        "icon": "doc",
        "includeVars": False,
        "keepTime": False,
        "tags": [],
        "targetBlank": True,
        "title": title,
        "tooltip": "",
        "type": "link",
        "url": url,
    }


def _to_the_others() -> dict[str, Any]:
    link = _link("Livestream dashboards", "")
    return link | {
        "type": "dashboards",
        "tags": ["livestream-monitor"],
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }


def _steps(steps: Sequence[Step]) -> dict[str, Any]:
    written = [{"color": step.colour.value, "value": step.value} for step in steps]
    if written[0]["value"] is not None:
        written.insert(0, {"color": Colour.GOOD.value, "value": None})
    return {"thresholds_": {"mode": "absolute", "steps": written}}


def _words(words: Mapping[float, tuple[str, Colour]] | None) -> list[dict[str, Any]]:
    if not words:
        return []
    options = {
        f"{value:g}": {"text": text, "color": colour.value, "index": index}
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}]


def _fixed(colour: Colour) -> dict[str, str]:
    return {"mode": "fixed", "fixedColor": colour.value}


def _override(name: str, **properties: Any) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }


def _column(column: Column) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    if column.unit is not None:
        properties["unit"] = column.unit
    if column.link is not None:
        properties["links"] = [{"title": f"Open {column.title.lower()}", "url": column.link}]
    if column.steps:
        properties["thresholds"] = _steps(column.steps)["thresholds_"]
        properties["custom.cellOptions"] = {"type": "color-text"}
    if column.states:
        options = {
            name: {"text": name, "color": colour.value, "index": index}
            for index, (name, colour) in enumerate(column.states.items())
        }
        properties["mappings"] = [{"type": "value", "options": options}]
        properties["custom.cellOptions"] = {"type": "color-text"}
    return _override(column.title, **properties)


def _datasource() -> core.Template:
    return core.Template(name="datasource", label="Data source", type="datasource", query="prometheus")


def _variable(variable: Variable) -> core.Template:
    query: Any = {"query": variable.query, "refId": f"variable-{variable.name}"}
    return core.Template(
        name=variable.name,
        label=variable.label,
        query=query,
        dataSource=DATASOURCE,
        includeAll=variable.several,
        multi=variable.several,
        allValue=".*" if variable.several else None,
        default="$__all" if variable.several else None,
        refresh=core.REFRESH_ON_TIME_RANGE_CHANGE,
        hide=core.HIDE_VARIABLE if variable.hidden else core.SHOW,
    )


def _runbooks() -> core.Template:
    return core.Template(
        name="runbooks",
        label="Runbooks",
        type="constant",
        query=RUNBOOKS_URL,
        default=RUNBOOKS_URL,
        hide=core.HIDE_VARIABLE,
    )


def _annotations() -> list[dict[str, Any]]:
    """Return what is marked on every graph: alerts while they fire, and new versions of the service."""
    firing = 'ALERTS{alertstate="firing", alertname=~"Livestream.*|Monitor.*", severity=~"critical|warning"}'
    builds = 'monitor_build_info{job=~"$job", instance=~"$instance"}'
    return [
        _annotation(
            "Alerts",
            f"count by (alertname, severity) ({firing})",
            Colour.BAD,
            "{{alertname}}",
            "{{severity}}",
        ),
        _annotation(
            "Deployments",
            f"count by (version) ({builds}) unless count by (version) ({builds} offset 5m)",
            Colour.QUIET,
            "Version {{version}}",
            "",
        ),
    ]


def _annotation(name: str, expression: str, colour: Colour, title: str, tags: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": colour.value,
        "target": {"refId": f"annotation-{name}", "expr": expression, "range": True, "interval": "60s"},
        "titleFormat": title,
        "tagKeys": tags.strip("{}"),
    }


def _laid_out(rows: Sequence[Row]) -> list[core.Panel]:
    panels: list[core.Panel] = []
    top = 0
    for row in rows:
        panels.append(_placed(core.RowPanel(title=row.title), len(panels), 0, top, WIDTH, 1))
        left, top, tallest = 0, top + 1, 0
        for panel, width, height in row.places:
            if left + width > WIDTH:
                left, top, tallest = 0, top + tallest, 0
            panels.append(_placed(panel, len(panels), left, top, width, height))
            left, tallest = left + width, max(tallest, height)
        top += tallest
    return panels


def _placed(panel: core.Panel, before: int, left: int, top: int, width: int, height: int) -> core.Panel:
    panel.id = before + 1
    panel.gridPos = core.GridPos(h=height, w=width, x=left, y=top)
    return panel


def _today(dashboard: dict[str, Any]) -> dict[str, Any]:
    """Return a dashboard of grafanalib's as Grafana writes it today."""
    kept = {key: value for key, value in dashboard.items() if key in _DASHBOARD_KEYS}
    kept["panels"] = [_panel_today(panel) for panel in dashboard["panels"]]
    kept["templating"] = {"list": [_variable_today(one) for one in dashboard["templating"]["list"]]}
    result = _without_nulls(kept)
    assert isinstance(result, dict)
    return result


def _panel_today(panel: dict[str, Any]) -> dict[str, Any]:
    thresholds = panel.get("thresholds_")
    kept = {key: value for key, value in panel.items() if key in _PANEL_KEYS}
    if kept["type"] == "row":
        return {key: kept[key] for key in ("collapsed", "gridPos", "id", "panels", "title", "type")}
    if thresholds is not None:
        kept["fieldConfig"]["defaults"]["thresholds"] = thresholds
    for name in ("fieldOptions", "showThresholdLabels", "showThresholdMarkers"):
        kept["options"].pop(name, None)
    custom = kept["fieldConfig"]["defaults"].get("custom", {})
    if kept["type"] == "table":
        custom = {"align": custom["align"], "filterable": True, "cellOptions": {"type": "auto"}}
    # Grafana has a logarithm's base only where the scale is one.
    if custom.get("scaleDistribution", {}).get("type") == "linear":
        custom["scaleDistribution"] = {"type": "linear"}
    kept["fieldConfig"]["defaults"]["custom"] = custom
    return kept


def _variable_today(variable: dict[str, Any]) -> dict[str, Any]:
    for name in ("useTags", "tagsQuery", "tagValuesQuery", "auto", "auto_count", "auto_min"):
        variable.pop(name, None)
    value = variable["current"].get("value")
    if value is None:
        variable["current"] = None
    else:
        text = "All" if value == "$__all" else value
        variable["current"] = {"selected": True, "text": text, "value": value}
    return variable


def _without_nulls(value: Any) -> Any:
    """Drop what isn't set. A threshold's null says "from the lowest value on", and stays."""
    if isinstance(value, dict):
        if value.keys() == {"color", "value"}:
            return value
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
