"""The rules that a linter of dashboards knows, for each panel and each query."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from alerts.generated import differences
from dashboards.build import FOLDER, files
from dashboards.selectors import STREAM
from dashboards.thresholds import (
    BURNS,
    COVERAGE_RATIO,
    FLAPPING_RECONNECTS,
    FLAPPING_WINDOW,
    UNPUSHED_WINDOW,
)
from monitor.metrics.catalogue import SERVICE_FAMILIES, STREAM_FAMILIES, FamilyType
from tests.dashboards.reading import NAMES, Asked, dashboard, expressions, panels, queries, selectors

FAMILIES = {family.name: family for family in STREAM_FAMILIES + SERVICE_FAMILIES}

OF_OTHERS = re.compile(r"^(up|scrape_duration_seconds|ALERTS|process_[a-z_]+)$")
"""Metrics of Prometheus, and of every process that prometheus_client describes."""

UNITS = {"short", "s", "percentunit", "none", "reqps", "cps", "bytes", "dateTimeFromNow"}

ALL_PANELS = [pytest.param(panel, id=f"{name}-{panel['title']}") for name in NAMES for panel in panels(name)]
ALL_QUERIES = [pytest.param(asked, id=str(asked)[:90]) for name in NAMES for asked in queries(name)]
ALL_EXPRESSIONS = [expression for name in NAMES for expression in expressions(name)]


def test_the_files_are_what_the_code_says() -> None:
    assert differences(files(), FOLDER) == []


def test_a_file_that_was_changed_by_hand_or_is_nobodys_is_told(tmp_path: Path) -> None:
    for name, text in files().items():
        (tmp_path / name).write_text(text)
    (tmp_path / "fleet.json").write_text(files()["fleet.json"].replace("Worst streams", "Worse streams"))
    (tmp_path / "old.json").write_text("{}")
    (tmp_path / "pipeline.json").unlink()

    assert differences(files(), tmp_path) == ["fleet.json", "old.json", "pipeline.json"]


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_is_named_and_no_page_can_change_it(name: str) -> None:
    read = dashboard(name)
    assert read["uid"] == f"livestream-{name}"
    assert read["editable"] is False
    assert read["schemaVersion"] == 42
    assert read["title"].startswith("Livestreams: ")
    assert read["description"].endswith(".")
    assert [link["tags"] for link in read["links"]] == [read["tags"]]


@pytest.mark.parametrize("name", NAMES)
def test_its_variables_are_the_data_source_and_each_level_below_it(name: str) -> None:
    variables = dashboard(name)["templating"]["list"]
    shown = [variable["name"] for variable in variables if variable.get("hide") != 2]
    expected = ["datasource", "job", "instance", "vendor", "source"]
    assert shown == expected + (["stream"] if name == "stream" else [])
    assert variables[0]["type"] == "datasource"
    for variable in variables[1:]:
        assert variable["type"] == "constant" or variable["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("name", NAMES)
def test_alerts_that_are_marked_are_of_what_was_chosen_or_of_all(name: str) -> None:
    [alerts] = [one for one in dashboard(name)["annotations"]["list"] if one["name"] == "Alerts"]
    read = selectors(alerts["target"]["expr"])
    # An alert without the label has it empty, as far as Prometheus is concerned.
    for selector in read:
        chosen = dict(re.findall(r'(\w+)=~"\$(\w+)\|"', selector.matchers))
        assert chosen == {"vendor": "vendor", "source": "source"}
    jobs = [re.findall(r'job_id=~?"[^"]*"', selector.matchers) for selector in read]
    assert jobs == ([['job_id="$stream"'], ['job_id=""']] if name == "stream" else [[]])


@pytest.mark.parametrize("panel", ALL_PANELS)
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["targets"]
    assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
    assert all(link["url"].startswith("${runbooks}/") for link in panel["links"])


@pytest.mark.parametrize("name", NAMES)
def test_ids_and_titles_are_unique_and_nothing_overlaps(name: str) -> None:
    every = dashboard(name)["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    titles = [panel["title"] for panel in panels(name)]
    assert sorted(set(titles)) == sorted(titles)
    taken = {
        panel["id"]: {(x, y) for x in _across(panel["gridPos"]) for y in _down(panel["gridPos"])}
        for panel in every
    }
    assert all(x < 24 for cells in taken.values() for x, _ in cells)
    for one, other in combinations(taken, 2):
        assert not taken[one] & taken[other], f"{one} and {other} overlap"


def _across(place: dict[str, int]) -> range:
    return range(place["x"], place["x"] + place["w"])


def _down(place: dict[str, int]) -> range:
    return range(place["y"], place["y"] + place["h"])


@pytest.mark.parametrize("expression", ALL_EXPRESSIONS)
def test_a_query_reads_known_metrics_of_the_chosen_processes(expression: str) -> None:
    found = selectors(expression)
    read = {selector.metric for selector in found}
    bare = re.findall(r"\b(?:livestream|monitor|process)_\w+(?!\w|\{)", expression)
    assert found or "label_values(monitor_build_info, job)" in expression
    assert [name for name in bare if name != "monitor_build_info"] == []
    for name in read:
        family = name.removesuffix("_bucket")
        assert family in FAMILIES or OF_OTHERS.match(name), name
    if expression.startswith("label_values("):
        return
    for selector in found:
        if selector.metric == "ALERTS":
            continue
        assert 'job=~"$job"' in selector.matchers
        assert 'instance=~"$instance"' in selector.matchers


@pytest.mark.parametrize("name", NAMES)
def test_a_variable_is_a_regular_expression_where_grafana_escapes_it_and_nowhere_else(name: str) -> None:
    # Of a variable with one value Grafana takes each character as it is: the stream `a+b` would be none.
    several = {one["name"]: one["multi"] for one in dashboard(name)["templating"]["list"] if "multi" in one}
    read = [matcher for one in expressions(name) for matcher in re.findall(r'(=~?)"\$(\w+)\|?"', one)]
    assert read
    assert {operator for operator, variable in read if several[variable]} == {"=~"}
    assert {operator for operator, variable in read if not several[variable]} <= {"="}


def test_a_link_to_a_stream_encodes_all_that_means_something_in_an_address() -> None:
    # Grafana writes a field into an address as encodeURI does: the stream `a#b` would be `a`.
    read = [json.dumps(panel) for name in NAMES for panel in panels(name)]
    fields = {field for text in read for field in re.findall(r"\$\{__data\.fields\.([^}]+)\}", text)}
    assert fields == {"vendor:percentencode", "source:percentencode", "job_id:percentencode"}


@pytest.mark.parametrize("asked", ALL_QUERIES)
def test_a_counter_is_read_as_a_rate_over_the_interval_that_the_graph_has(asked: Asked) -> None:
    for selector in selectors(asked.expression):
        family = FAMILIES.get(selector.metric.removesuffix("_bucket"))
        counts = selector.metric.endswith("_total") or (
            family is not None and family.type is FamilyType.HISTOGRAM
        )
        if counts:
            assert selector.within in ("rate", "increase"), selector
            # A number may be of all that is shown, or of the window in which an alert counts.
            windows = ("$__range", FLAPPING_WINDOW) if asked.now else ("$__rate_interval",)
            assert selector.window in windows, selector
        else:
            assert selector.within not in ("rate", "increase", "irate", "delta"), selector


@pytest.mark.parametrize("asked", ALL_QUERIES)
def test_a_graph_has_no_line_for_each_stream(asked: Asked) -> None:
    if asked.now or "job_id" not in asked.expression:
        return
    outermost = re.match(r"\(*(?:sum|count|max|min)(?: by \(([^)]*)\))? ?\(", asked.expression)
    assert asked.dashboard == "stream" or (outermost and "job_id" not in (outermost[1] or "")), asked


def test_what_pages_is_marked_where_it_is_shown() -> None:
    marked = {
        panel["title"]: [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        for name in NAMES
        for panel in panels(name)
    }
    assert marked["Coverage"] == [None, COVERAGE_RATIO]
    assert marked["Burn rate of the error budget"] == [None, *sorted(burn.factor for burn in BURNS)]
    assert marked["Clock skew"] == [None, 120]
    assert marked["Reconnects"] == [None, FLAPPING_RECONNECTS]


def test_what_is_marked_is_counted_as_the_alert_counts_it() -> None:
    asked = {one.panel: one.expression for name in NAMES for one in queries(name)}
    assert f"(livestream_reconnects_total{{{STREAM}}}[{FLAPPING_WINDOW}])" in asked["Reconnects"]
    # A push that came late at the start stays missing for good, and is no alert.
    assert f"[{UNPUSHED_WINDOW}:1m]" in asked["Running without push"]
    # The alert is of one source: the others' good hours must not hide it.
    assert asked["Burn rate of the error budget"].startswith("((max(sum by (vendor, source) (")


def test_a_clock_that_is_behind_is_seen_as_well_as_one_ahead() -> None:
    # Of a signed number the largest would be shown, and a receiver whose clock is far behind hidden.
    skews = [expression for expression in ALL_EXPRESSIONS if "monitor_clock_skew_seconds" in expression]
    assert skews
    for expression in skews:
        assert "max by (source) (abs(monitor_clock_skew_seconds{" in expression
