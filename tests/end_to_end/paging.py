"""Everything between a vendor's callback and whoever is woken: the service, Prometheus, Alertmanager, and
a server that takes what PagerDuty and a webhook of one's own would get."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alerts.build import rule_files
from alerts.thresholds import Thresholds, read
from monitor.config import Source, load_settings
from monitor.event import Channel, JobRegistered, LinkChanged, LinkState
from monitor.simulator import bodies
from monitor.simulator.bodies import Identity
from monitor.simulator.delivery import callback
from monitor.simulator.life import Fact
from tests.end_to_end.observing import Alertmanager, Prometheus
from tests.end_to_end.running import Service, http, wait_for
from tests.listening import Answer, Listener

ROOT = Path(__file__).resolve().parent.parent.parent

DOWN_AFTER = 3
KEEP_ABNORMAL = 15
SCRAPE = EVALUATION = GROUP_WAIT = GROUP_INTERVAL = 1

HEALTH = f"[health]\ndown_after_seconds = {DOWN_AFTER}\nkeep_abnormal_seconds = {KEEP_ABNORMAL}\n"


def thresholds() -> Thresholds:
    """Return the thresholds, but for a few that are made as short as `HEALTH`."""
    usual = read()
    incident = {"for_seconds": 1, "fewest_streams": 10, "ended_within_seconds": 5, "keep_firing_seconds": 3}
    return usual.model_copy(
        update={
            "incident": usual.incident.model_copy(update=incident),
            "streams": usual.streams.model_copy(update={"handover_seconds": 6}),
            # On a busy machine a scrape may be missed without a test's doing.
            "view": usual.view.model_copy(update={"settle_seconds": 5}),
            # Minutes of what a test breaks would be a large part of the first hour.
            "objective": usual.objective.model_copy(update={"fewest_streams": 1000}),
        }
    )


@dataclass(frozen=True)
class Notice:
    """A request of Alertmanager. at: Unix seconds of its arrival."""

    at: float
    path: str
    body: dict[str, Any]


class Pager(Listener):
    """A real HTTP server that keeps what it is sent."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        super().__init__(self._take)

    def _take(self, path: str, body: dict[str, Any]) -> Answer:
        self.notices.append(Notice(time.time(), path, body))
        # As PagerDuty answers, and anybody else.
        return Answer(202 if path == "/pager" else 200, {"status": "success"})

    def first(self, alert: str, job_id: str, status: str, *, after: float = 0.0) -> float | None:
        """Return when somebody first heard, after a moment, that an alert of a stream fires or is over."""
        for notice in list(self.notices):
            if notice.path != "/webhook" or notice.at < after:
                continue
            for one in notice.body["alerts"]:
                labels = one["labels"]
                if (labels["alertname"], labels.get("job_id"), one["status"]) == (alert, job_id, status):
                    return notice.at
        return None

    def hear(self, alert: str, job_id: str, status: str, *, after: float = 0.0, within: float) -> float:
        """Wait until somebody has heard it, `within` seconds at most; return what `first` does."""
        heard: float = wait_for(
            lambda: self.first(alert, job_id, status, after=after),
            seconds=within,
            what=f"{alert} of {job_id} to be {status}",
        )
        return heard

    def incidents(self, source: str, *, after: float = 0.0) -> dict[str, list[str]]:
        """Return what PagerDuty was told of a source: by incident that began, each action in its order."""
        found: dict[str, list[str]] = {}
        for notice in list(self.notices):
            if notice.path != "/pager" or notice.at < after:
                continue
            key, action = notice.body["dedup_key"], notice.body["event_action"]
            of_source = notice.body.get("payload", {}).get("group") == source
            # Otherwise it is the end of an incident that began before.
            begins = of_source and action == "trigger"
            if begins or key in found:
                found.setdefault(key, []).append(action)
        return found


@dataclass
class Watch:
    """The whole line, each part a process of its own but the pager."""

    folder: Path
    service: Service = field(init=False)
    prometheus: Prometheus = field(init=False)
    alertmanager: Alertmanager = field(init=False)
    pager: Pager = field(init=False)

    def start(self) -> None:
        """Start all parts, the last in line first."""
        self.pager = Pager()
        self.service = Service(self.folder, more=HEALTH)
        self.alertmanager = Alertmanager(self.folder / "alertmanager", routes(self.pager, self.folder))
        rules = self.folder / "rules"
        rules.mkdir()
        for name, text in rule_files(thresholds()).items():
            (rules / name).write_text(text)
        self.prometheus = Prometheus(
            self.folder / "prometheus",
            f"""
global:
  scrape_interval: {SCRAPE}s
  evaluation_interval: {EVALUATION}s
  external_labels: {{notify: webhook}}
rule_files: ["{rules}/*.yaml"]
alerting:
  alertmanagers:
    - static_configs: [{{targets: ["127.0.0.1:{self.alertmanager.port}"]}}]
scrape_configs:
  - job_name: livestream-monitor
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{self.service.admin}"]}}]
""",
        )
        self.alertmanager.start()
        self.service.start()
        self.prometheus.start()
        self.wait_for_scrape()

    def close(self) -> None:
        """End all parts."""
        self.prometheus.stop()
        self.service.close()
        self.alertmanager.stop()
        self.pager.close()

    def wait_for_scrape(self) -> None:
        """Wait until Prometheus has seen a service that is ready, from now on."""
        begun = time.time()
        wait_for(
            lambda: self.prometheus.query(f"timestamp(monitor_recovering == 0) > {begun}"),
            what="a scrape",
        )


def routes(pager: Pager, folder: Path) -> str:
    """Return the project's own configuration, with the pager's address, secrets in `folder`, short times."""
    text = (ROOT / "alerts" / "alertmanager.yaml").read_text()
    text = re.sub(r"(?m)^( *group_wait:) .*$", rf"\1 {GROUP_WAIT}s", text)
    text = re.sub(r"(?m)^( *group_interval:) .*$", rf"\1 {GROUP_INTERVAL}s", text)
    text = text.replace("global:\n", f"global:\n  pagerduty_url: {pager.url}/pager\n", 1)
    for name, path in (("tickets", "tickets"), ("switch", "switch"), ("hooks", "webhook")):
        text = re.sub(rf"https://{name}\.example\.com/\S+", f"{pager.url}/{path}", text)
    text = text.replace("templates/*.tmpl", f"{ROOT}/alerts/templates/*.tmpl")
    secrets = folder / "secrets"
    secrets.mkdir(parents=True)
    for name in re.findall(r"/etc/alertmanager/secrets/([a-z-]+)", text):
        (secrets / name).write_text("a-secret-of-tests")
    return text.replace("/etc/alertmanager/secrets", str(secrets))


class Stream:
    """A stream of the unsigned source, of which a test tells what it likes."""

    def __init__(self, watch: Watch, job_id: str, room_id: str = "") -> None:
        self._watch = watch
        self.job_id = job_id
        source: Source = next(
            one for one in load_settings(watch.service.config, {}).sources if one.name == "metastudio-open"
        )
        self._identity = Identity(source, job_id, room_id or f"room-of-{job_id}", "rtc", None)
        self._facts = 0

    def register(self) -> None:
        """Register the job, by which its room is known."""
        fact = self._fact(JobRegistered(subscribed=()), Channel.API)
        url = f"{self._watch.service.operators}/api/jobs/{self._identity.source.name}"
        http.post(url, content=bodies.registration(self._identity, fact)).raise_for_status()

    def tell(self, state: LinkState) -> float:
        """Let the vendor tell a state of the push; return when it did."""
        at = time.time()
        fact = self._fact(LinkChanged("0", state), Channel.CALLBACK)
        post = callback(self._identity, fact, self._watch.service.callbacks, int(at))
        http.post(post.url, headers=post.headers, content=post.content).raise_for_status()
        return at

    def _fact(self, payload: Any, channel: Channel) -> Fact:
        self._facts += 1
        return Fact(self._facts, 0.0, channel, payload, 0)
