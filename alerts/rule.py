"""What a rule is, and how it is written as Prometheus reads it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from textwrap import dedent, indent


class Severity(StrEnum):
    """Who hears of an alert: critical pages, warning opens a ticket, info is shown."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Dashboard(StrEnum):
    """The dashboard that shows an alert's stream or part, by its uid."""

    FLEET = "livestream-fleet"
    STREAM = "livestream-stream"
    PIPELINE = "livestream-pipeline"


@dataclass(frozen=True)
class Record:
    """A recording rule."""

    name: str
    expression: str


@dataclass(frozen=True)
class Alert:
    """An alerting rule.

    summary: one line, what is wrong with what. description: since when, what is known, what to do first.
    seconds: how long the expression must hold. keep_firing: for how many seconds the alert outlives it.
    of_source: its labels that choose a source on a dashboard that shows all of them.
    """

    name: str
    severity: Severity
    dashboard: Dashboard
    expression: str
    summary: str
    description: str
    seconds: int = 0
    keep_firing: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    of_source: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after another, so that a later one sees what an earlier one recorded."""

    name: str
    rules: tuple[Record | Alert, ...]


@dataclass(frozen=True)
class Links:
    """Base URLs without a slash at the end."""

    grafana_url: str
    runbook_url: str


_VARIABLES = {
    Dashboard.FLEET: ("vendor", "source"),
    Dashboard.STREAM: ("vendor", "source", "job_id"),
    Dashboard.PIPELINE: (),
}
"""The labels that a dashboard's link carries of each alert that it belongs to. What is wrong with one
process is read beside the others, so no link chooses an instance."""


def span(seconds: int) -> str:
    """Write a length of time as PromQL does, in its largest whole unit: 90s, 5m, 3d."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def write(group: Group, links: Links) -> str:
    """Return the group as a rule file."""
    lines = ["# Written by `make alerts`; do not edit. The numbers are in alerts/thresholds.toml."]
    lines += ["groups:", f"  - name: {group.name}", "    rules:"]
    for rule in group.rules:
        lines += _record(rule) if isinstance(rule, Record) else _alert(rule, links)
    return "\n".join(lines) + "\n"


def _record(rule: Record) -> Iterable[str]:
    yield f"      - record: {rule.name}"
    yield from _expression(rule.expression)


def _alert(rule: Alert, links: Links) -> Iterable[str]:
    yield f"      - alert: {rule.name}"
    yield from _expression(rule.expression)
    if rule.seconds:
        yield f"        for: {span(rule.seconds)}"
    if rule.keep_firing:
        yield f"        keep_firing_for: {span(rule.keep_firing)}"
    yield "        labels:"
    yield f"          severity: {rule.severity}"
    yield from (f"          {name}: {json.dumps(value)}" for name, value in rule.labels.items())
    yield "        annotations:"
    for name, text in (
        ("summary", rule.summary),
        ("description", rule.description),
        ("runbook_url", f"{links.runbook_url}/{rule.name}.md"),
        ("dashboard_url", f"{links.grafana_url}/d/{rule.dashboard}{_query(rule)}"),
    ):
        # A JSON string is a YAML one.
        yield f"          {name}: {json.dumps(' '.join(text.split()), ensure_ascii=False)}"


def _query(rule: Alert) -> str:
    names = {"job_id": "stream"}
    values = [
        f"var-{names.get(one, one)}={{{{ $labels.{one} | urlquery }}}}"
        for one in (*_VARIABLES[rule.dashboard], *rule.of_source)
    ]
    return "?" + "&".join(values) if values else ""


def _expression(text: str) -> Iterable[str]:
    yield "        expr: |-"
    yield from indent(dedent(text).strip(), "          ").splitlines()
