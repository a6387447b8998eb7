"""Each kind of panel once: with `assembly`, all that touches grafanalib."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from grafanalib import core

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


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
    """A panel with its size on the grid."""

    panel: core.Panel
    width: int
    height: int


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
        unit="short",
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
) -> core.Panel:
    """Return a table with a line for each value of one label, and a column for each of another."""
    grouped = {
        "id": "groupingToMatrix",
        "options": {"columnField": column, "rowField": row, "valueField": "Value", "emptyValue": "zero"},
    }
    return core.Table(
        **_common(title, description, [query], ()),
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
            **_steps((Step(None, Colour.QUIET),)),
        },
    )


def _common(
    title: str, description: str, queries: Sequence[Query], runbooks: Sequence[str]
) -> dict[str, Any]:
    as_table = all(query.now for query in queries)
    return {
        "title": title,
        "description": description,
        "dataSource": DATASOURCE,
        "targets": [_target(query, letter) for query, letter in zip(queries, "ABCDEFGHIJ", strict=False)],
        "links": [link(f"Runbook {alert}", f"${{runbooks}}/{alert}.md") for alert in runbooks],
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


def link(title: str, url: str) -> dict[str, Any]:
    """Return a link in the form that panels and dashboards share."""
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
