"""A dashboard of rows of panels, as today's Grafana reads it.

grafanalib 0.7.1 writes what Grafana read years ago: schema version 12, options under old names, and null
for all that isn't set. Its classes give the frame; `_today` corrects the rest, and the tests hold the
result against the types of today's Grafana.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from grafanalib import core
from grafanalib._gen import DashboardEncoder

from dashboards.panels import DATASOURCE, Colour, Place, link
from dashboards.thresholds import RUNBOOKS_URL

SCHEMA_VERSION = 42
"""Of the dashboards that Grafana 13 writes."""


WIDTH = 24
"""Columns of Grafana's grid."""


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
        annotations=core.Annotations(list=_annotations([variable.name for variable in variables])),
        links=[_to_the_others()],
        panels=_laid_out(rows),
    )
    plain = json.loads(json.dumps(built.to_json_data(), cls=DashboardEncoder))
    return json.dumps(_today(plain), indent=2, ensure_ascii=False) + "\n"


def _to_the_others() -> dict[str, Any]:
    one = link("Livestream dashboards", "")
    return one | {
        "type": "dashboards",
        "tags": ["livestream-monitor"],
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }


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


def _annotations(variables: Sequence[str]) -> list[dict[str, Any]]:
    """Return what is marked on every graph: alerts while they fire, and new versions of the service.

    Of the alerts of sources and streams those of the chosen ones; one without such a label is of them all.
    """
    chosen = "".join(f', {name}=~"${name}|"' for name in ("vendor", "source") if name in variables)
    alerts = (
        'ALERTS{alertstate="firing", alertname=~"Livestream.*|Monitor.*", '
        f'severity=~"critical|warning"{chosen}%s}}'
    )
    # The stream is one, and its id may have any character: it is no regular expression.
    of_streams = [', job_id="$stream"', ', job_id=""'] if "stream" in variables else [""]
    firing = " or ".join(alerts % matcher for matcher in of_streams)
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
