"""Every query of the dashboards runs against a real Prometheus that has scraped a mixed run."""

import math
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.dashboards.reading import NAMES, Asked, dashboard, queries
from tests.end_to_end.browsing import SOURCE, link_body, tell
from tests.end_to_end.database import ask, scraping
from tests.end_to_end.running import Service, Simulation, hastened, http, wait_for

pytestmark = pytest.mark.xdist_group("operators")

STREAMS = 100

MAY_BE_EMPTY = {
    "stream: Running without push": "only the vendor's API tells these durations, and none is configured",
    "stream: Script remaining": "only a script that is played a finite number of times has an end",
    "stream: Expected end": "only a job that was started with a longest duration has one",
    "pipeline: Since the last whole round": "no vendor's API is configured, so none is asked",
}
"""Panels that show nothing in a run of the simulator, and why."""

MAY_BE_ZERO = {
    "fleet: Ended": "a run ends before its streams do, or after; either is right",
    "fleet: Down": "as of now, and all may just be up",
    "fleet: Degraded": "as of now, and all may just be fine",
    "fleet: Silent": "the simulator's streams always say something",
    "fleet: Starting": "a stream starts within a second or two",
    "fleet: Error budget left": "may be just used up",
    "stream: Missed callbacks": "the stream that was chosen may have missed none",
    "stream: Rounds and paragraphs left out": "the stream that was chosen may have left out none",
    "stream: Live warnings": "no vendor warned of the stream that was chosen",
    "stream: Ended": "the stream that was chosen still runs",
    "pipeline: Recovering": "it should not",
    "pipeline: Stalled": "it should not",
    "pipeline: Events waiting": "none should wait",
    "pipeline: Lag by partition": "none should",
    "pipeline: Oldest event that waits": "none should wait",
    "pipeline: Spool": "the embedded log has none",
    "pipeline: Spool filled": "the embedded log has none",
    "pipeline: Oldest event in the spool": "the embedded log has none",
    "pipeline: Questions to the vendors' APIs": "no vendor's API is configured, so none is asked",
    "pipeline: What callbacks had not told": "no vendor's API is configured, so none is asked",
}
"""Panels whose every value may be 0 in this run, and why; all others must show that something happened."""

MAY_OUTLIVE_THE_SERVICE = {
    "fleet: Availability": "of the time shown, as far as it is known",
    "fleet: Error budget left": "of the time shown, as far as it is known",
    "fleet: Burn rate of the error budget": "of windows of hours and days",
    "stream: Started": "what was told once stays right",
    "stream: Paragraphs planned": "what was told once stays right",
    "stream: Expected end": "what was told once stays right",
    "stream: Reconnects": "of the last ten minutes",
    "pipeline: Processes up": "this is the panel that says so",
    "pipeline: Time to scrape": "Prometheus itself counts it",
}
"""Panels that show something of a service that is away, and why; of all others it would be a claim."""


@dataclass
class Scraped:
    """A Prometheus with a run in it. stream: one of the run with much to tell. begun: Unix seconds."""

    database: str
    begun: float
    stream: dict[str, str] = field(default_factory=dict)

    def filled(self, expression: str, *, whole_fleet: bool) -> str:
        """Return a query with the variables as Grafana fills them in."""
        values = {"job": ".*", "instance": ".*", "__rate_interval": "20s", "__range": f"{self.seconds()}s"}
        chosen = {"vendor": ".*", "source": ".*"} if whole_fleet else self.stream
        for name, value in (values | chosen).items():
            expression = re.sub(rf"\$\{{?{name}\b\}}?", value, expression)
        assert "$" not in expression
        return expression

    def seconds(self) -> int:
        """Return how long it has been scraped."""
        return math.ceil(time.time() - self.begun)

    def shown(self, asked: Asked) -> list[dict[str, Any]]:
        """Return the series of which a panel shows a value as of now."""
        if asked.kind == "stat" and not asked.now:
            # The newest that there is in the time shown, however old.
            return self.series(asked)
        return self.series(asked._replace(now=True))

    def series(self, asked: Asked) -> list[dict[str, Any]]:
        """Return the series that a query answers."""
        query = self.filled(asked.expression, whole_fleet=asked.dashboard != "stream")
        if asked.now:
            found = ask(self.database, "query", query=query)["result"]
        else:
            end = time.time()
            found = ask(self.database, "query_range", query=query, start=self.begun, end=end, step=2)[
                "result"
            ]
        series: list[dict[str, Any]] = found
        return series


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    folder = tmp_path_factory.mktemp("service")
    begun = time.time()
    service = Service(folder, more=hastened(20))
    try:
        service.start()
        with scraping(folder / "prometheus", service.admin) as database:
            run = Simulation(service, streams=STREAMS, duration=600, speed=20, scenario="mixed", seed=3)
            run.start()
            wait_for(
                lambda: ask(database, "query", query="sum(monitor_events_total) > 0")["result"],
                what="a scrape with events",
            )
            _let_go_wrong_what_the_simulator_gets_right(service)
            wait_for(lambda: not run.is_running(), seconds=240, what="the end of the run")
            one = Scraped(database, begun)
            wait_for(lambda: _choose(one), what="a stream with much to tell")
            yield one
    finally:
        service.close()


def _let_go_wrong_what_the_simulator_gets_right(service: Service) -> None:
    """Add refused requests, a dead letter and a vendor's error, which a mixed run has none of."""
    receiver = urlsplit(service.callbacks)
    with socket.create_connection((receiver.hostname, receiver.port), timeout=10) as stranger:
        stranger.sendall(b"no HTTP\r\n")
        assert stranger.recv(12) == b"HTTP/1.1 400"
    refused = http.post(f"{service.callbacks}/callbacks/metastudio-signed", json={"event_type": "x"})
    assert refused.status_code == 401
    tell(service.callbacks, [{"event_type": "RTMP_STREAM_STATE_CHANGE", "message": "no json"}])
    failed = {"data": {"sessionId": "a-session", "status": 9}, "code": 80115947}
    http.post(f"{service.callbacks}/callbacks/softsugar-open", json=failed).raise_for_status()


def _choose(one: Scraped) -> bool:
    """Choose a stream that still runs, has reconnected, finished a round, and was told of by RTC."""
    by = "vendor, source, job_id"
    query = (
        f"topk(1, max by ({by}) (livestream_reconnects_total) > 0"
        f" and on ({by}) livestream_script_round_coverage_ratio"
        f" and on ({by}) (livestream_replies_finished_total > 0)"
        f" and on ({by}) livestream_rtmp_state unless on ({by}) livestream_end_timestamp_seconds)"
    )
    found = ask(one.database, "query", query=query)["result"]
    if not found:
        return False
    labels = found[0]["metric"]
    info = ask(one.database, "query", query=f'livestream_info{{job_id="{labels["job_id"]}"}}')["result"]
    one.stream = {
        "vendor": labels["vendor"],
        "source": labels["source"],
        "stream": labels["job_id"],
        "room": info[0]["metric"]["room_id"],
    }
    return True


def _values(series: list[dict[str, Any]]) -> list[float]:
    points = [point for one in series for point in one.get("values", [one.get("value")])]
    return [float(value) for _, value in points if not math.isnan(float(value))]


def _panel(asked: Asked) -> str:
    return f"{asked.dashboard}: {asked.panel}"


def test_every_exception_is_a_panel_that_there_is() -> None:
    panels = {_panel(asked) for name in NAMES for asked in queries(name)}
    assert MAY_BE_EMPTY.keys() | MAY_BE_ZERO.keys() | MAY_OUTLIVE_THE_SERVICE.keys() <= panels


@pytest.mark.parametrize("name", NAMES)
def test_every_query_is_valid_and_every_panel_shows_what_happened(scraped: Scraped, name: str) -> None:
    empty, still = [], []
    for panel, asked in groupby(queries(name), key=_panel):
        answers = [(one, _values(scraped.series(one))) for one in asked]
        empty += [str(one) for one, values in answers if not values and panel not in MAY_BE_EMPTY]
        if panel not in MAY_BE_EMPTY | MAY_BE_ZERO and not any(any(values) for _, values in answers):
            still.append(panel)
    assert empty == []
    assert still == []


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_has_a_legend_that_can_be_read(scraped: Scraped, name: str) -> None:
    for asked in queries(name):
        if asked.kind == "timeseries":
            assert len(scraped.series(asked)) <= 20, asked


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_has_values_to_choose_from(scraped: Scraped, name: str) -> None:
    for variable in dashboard(name)["templating"]["list"]:
        if variable["type"] != "query":
            continue
        query = scraped.filled(variable["query"]["query"], whole_fleet=name != "stream")
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert found, query
        values = ask(scraped.database, f"label/{found[2]}/values", **{"match[]": found[1]})
        assert values, query
        if variable["name"] == "stream":
            assert scraped.stream["stream"] in values


@pytest.mark.parametrize("name", NAMES)
def test_every_annotation_is_valid_and_a_new_version_is_marked(scraped: Scraped, name: str) -> None:
    for annotation in dashboard(name)["annotations"]["list"]:
        expression = annotation["target"]["expr"]
        found = scraped.series(Asked(name, annotation["name"], "annotation", expression, now=False))
        # This Prometheus has no rules, so no alert fires in it.
        assert bool(found) == (annotation["name"] == "Deployments")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Service, Scraped]]:
    """Yield a service with two streams that run, and a Prometheus that has seen both."""
    begun = time.time()
    service = Service(tmp_path)
    try:
        service.start()
        with scraping(tmp_path / "prometheus", service.admin) as database:
            tell(service.callbacks, [link_body(job, "CONNECTED") for job in ("one", "other")])
            seen = 'count(livestream_status{status="healthy"} == 1) == 2'
            wait_for(lambda: ask(database, "query", query=seen)["result"], what="the streams")
            chosen = {"vendor": "metastudio", "source": SOURCE, "stream": "one", "room": "room-of-one"}
            yield service, Scraped(database, begun, chosen)
    finally:
        service.close()


def _words(one: Scraped, panel: str, label: str) -> set[str]:
    (asked,) = (asked for asked in queries("stream") if asked.panel == panel)
    return {series["metric"][label] for series in one.shown(asked)}


def test_of_a_service_that_is_away_no_panel_tells_anything_as_of_now(
    watched: tuple[Service, Scraped],
) -> None:
    service, one = watched
    service.kill()
    wait_for(lambda: ask(one.database, "query", query="up == 0")["result"], what="its end")
    # A rate tells of what was shortly before: here it looks back as far as one scrape.
    told = [
        str(asked)
        for name in NAMES
        for asked in queries(name)
        if _panel(asked) not in MAY_OUTLIVE_THE_SERVICE
        and one.shown(asked._replace(expression=asked.expression.replace("$__rate_interval", "1s")))
    ]
    assert told == []


def test_a_stream_still_runs_or_has_ended_and_not_both(watched: tuple[Service, Scraped]) -> None:
    service, one = watched
    assert _words(one, "Ended", "outcome") == {"still running"}

    tell(service.callbacks, [link_body("one", "END")])
    wait_for(lambda: _words(one, "Ended", "outcome") == {"completed"}, what="its end alone")
