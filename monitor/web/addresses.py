"""Where the pages of one stream point to: its dashboard, a ready silence, the runbook of its trouble."""

from typing import NamedTuple
from urllib.parse import quote, urlencode

from monitor.config import LinkSettings
from monitor.event import Vendor
from monitor.health.status import Status, Trouble, Verdict
from monitor.health.stream import Outcome

_RUNBOOKS = {
    Status.DOWN: "LivestreamDown",
    Status.SILENT: "LivestreamSilent",
    Status.STARTING: "LivestreamStuckConnecting",
}
"""The alert that most likely brought somebody here, by the stream's status."""

_RUNBOOKS_OF_DEGRADED = {
    # It is down if it lasts.
    Trouble.OUTAGE: "LivestreamDown",
    Trouble.FLAPPING: "LivestreamFlapping",
    Trouble.STALLED: "LivestreamScriptStalled",
    Trouble.PUSHLESS: "LivestreamRunningWithoutPush",
    Trouble.UNCALLED: "MonitorCallbacksMissed",
}
"""The same for a degraded stream, by what it suffers from."""


class Link(NamedTuple):
    """A link to another program."""

    title: str
    address: str


def page_of(source: str, job_id: str) -> str:
    """Return the address of a stream's page, relative to the page of all streams."""
    return f"streams/{quote(source, safe='')}/{quote(job_id, safe='')}"


def links(
    settings: LinkSettings,
    vendor: Vendor,
    source: str,
    job_id: str,
    verdict: Verdict,
    outcome: Outcome | None,
) -> list[Link]:
    """Return the links of one stream that the configuration makes possible."""
    found = []
    if settings.grafana_url:
        variables = {"var-vendor": vendor, "var-source": source, "var-stream": job_id}
        base = settings.grafana_url.rstrip("/")
        found.append(Link("Dashboard", f"{base}/d/livestream-stream?{urlencode(variables)}"))
    if settings.alertmanager_url:
        labels = {"vendor": vendor.value, "source": source, "job_id": job_id}
        matchers = ", ".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
        base = settings.alertmanager_url.rstrip("/")
        silence = f"{base}/#/silences/new?filter={quote(f'{{{matchers}}}', safe='')}"
        found.append(Link("Silence this stream", silence))
    if settings.runbook_url:
        base = settings.runbook_url.rstrip("/")
        found += [Link(f"Runbook {name}", f"{base}/{name}.md") for name in _runbooks(verdict, outcome)]
    return found


def _runbooks(verdict: Verdict, outcome: Outcome | None) -> list[str]:
    if outcome is not None:
        return [] if outcome is Outcome.COMPLETED else ["LivestreamEndedAbnormally"]
    if verdict.troubles:
        return [_RUNBOOKS_OF_DEGRADED[trouble] for trouble in verdict.troubles]
    return [_RUNBOOKS[verdict.status]] if verdict.status in _RUNBOOKS else []


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
