"""Alerts, runbooks, dashboards' names and the metric catalogue: nothing names what isn't there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.build import rule_files, rules
from alerts.rule import Alert, Record
from alerts.thresholds import read
from monitor.metrics.catalogue import SERVICE_FAMILIES, STREAM_FAMILIES, STREAM_LABELS, FamilyType
from monitor.vendors.softsugar.error_codes import ALERTING, ERROR_CODES

ROOT = Path(__file__).resolve().parent.parent.parent
RUNBOOKS = ROOT / "alerts" / "runbooks"

RULES = rules(read())
ALERTS = {rule.name: rule for rule in RULES if isinstance(rule, Alert)}
RECORDS = {rule.name for rule in RULES if isinstance(rule, Record)}

PROMETHEUS_OWN = {"up", "ALERTS", "prometheus_notifications_errors_total"}

_FAMILIES = {family.name: family for family in SERVICE_FAMILIES + STREAM_FAMILIES}
_NAME = re.compile(r"\b(?:livestream|monitor|prometheus|stream|source)[_:][a-z_:]+\b|\bup\b|\bALERTS\b")


def queries(text: str) -> list[str]:
    return re.findall(r"```promql\n(.*?)```", text, re.DOTALL)


def names(expression: str) -> set[str]:
    """Return the series that an expression names."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    return set(_NAME.findall(bare))


def known() -> set[str]:
    found = set(_FAMILIES) | RECORDS | PROMETHEUS_OWN
    histograms = [name for name, family in _FAMILIES.items() if family.type is FamilyType.HISTOGRAM]
    return found | {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == set(ALERTS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_names_only_what_is_exported_or_recorded(rule: Alert | Record) -> None:
    assert names(rule.expression) - known() == set()
    if rule.name != "Watchdog":
        assert names(rule.expression)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_looks_at_no_series_of_another_scrape_job(rule: Alert | Record) -> None:
    of_its_job = rf'\{{job=~?"\|?{re.escape(read().view.job)}"'
    scraped = re.findall(rf"(?<![:\w])((?:livestream|monitor)_\w+|up\b)({of_its_job})?", rule.expression)
    assert [name for name, job in scraped if not job] == []


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_runbook_names_only_what_is_there(path: Path) -> None:
    text = path.read_text()
    for query in queries(text):
        assert names(query) - known() == set(), query
    for target in re.findall(r"\]\(([^)]+\.md)\)", text):
        assert (RUNBOOKS / target).is_file(), target


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_says_what_who_is_woken_needs(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    for part in ("**Meaning.**", "**Impact.**", "## Diagnosis", "## Mitigation", "**Escalation.**"):
        assert part in text, part
    assert queries(text)


@pytest.mark.parametrize("alert", ALERTS.values(), ids=lambda alert: alert.name)
def test_a_message_asks_only_for_labels_that_the_alert_has(alert: Alert) -> None:
    told = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
    described = {label for family in _FAMILIES.values() for label in family.labels}
    assert told <= described | set(STREAM_LABELS) | {"instance"}


def dashboards() -> dict[str, str]:
    """Return each dashboard's text by its uid."""
    texts = [path.read_text() for path in (ROOT / "dashboards" / "json").glob("*.json")]
    return {json.loads(text)["uid"]: text for text in texts}


def test_every_alerts_dashboard_is_there_with_a_panel_that_leads_to_its_runbook() -> None:
    shown = dashboards()
    # That alerts reach anybody at all is nothing to draw.
    for alert in (alert for name, alert in ALERTS.items() if name != "Watchdog"):
        assert f'"Runbook {alert.name}"' in shown[alert.dashboard], alert.name


def test_no_panel_leads_to_a_runbook_that_isnt_there() -> None:
    named = {name for text in dashboards().values() for name in re.findall(r'"Runbook (\w+)"', text)}
    assert named - set(ALERTS) == set()


def written() -> list[dict[str, Any]]:
    """Return all alerting rules as Prometheus reads them."""
    groups = [group for text in rule_files(read()).values() for group in yaml.safe_load(text)["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.mark.parametrize("rule", written(), ids=lambda rule: rule["alert"])
def test_an_alert_leads_to_what_it_tells_of_by_variables_that_the_dashboard_has(rule: dict[str, Any]) -> None:
    notes = rule["annotations"]
    uid, _, query = notes["dashboard_url"].partition("/d/")[2].partition("?")
    carried = dict(re.findall(r"var-(\w+)={{ \$labels\.(\w+) \| urlquery }}", query))
    told = set(re.findall(r"\$labels\.(\w+)", notes["summary"] + notes["description"]))

    variables = json.loads(dashboards()[uid])["templating"]["list"]
    assert carried.keys() <= {variable["name"] for variable in variables}
    assert told & {"vendor", "source", "job_id"} <= set(carried.values())
    assert query.count("var-") == len(carried)


def test_the_runbook_of_quotas_says_what_each_code_means() -> None:
    runbook = (RUNBOOKS / "LivestreamQuotaExhausted.md").read_text()
    told = re.findall(r"^\| (\d+) \| (\w+) \| (.+) \|$", runbook, re.MULTILINE)
    assert told == [(str(code), ERROR_CODES[code].category, ERROR_CODES[code].message) for code in ALERTING]
